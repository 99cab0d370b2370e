#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <math.h>
#include <string.h>

#include "executor/metrics.h"

static struct metric_line find(const char *line)
{
    return metric_line_find("auc", line, strlen(line));
}

static void expect_value(const char *line, double value)
{
    struct metric_line m = find(line);
    cr_expect(m.found && !m.bad, "%s", line);
    cr_expect(eq(dbl, m.value, value), "%s", line);
}

Test(metrics, a_pair_anywhere_in_the_line)
{
    expect_value("auc=0.5", 0.5);
    expect_value("epoch=3 auc=0.5 loss=1", 0.5);
    expect_value("loss=1,auc=1e-3;", 1e-3);
    expect_value("auc=0.7, 3 left", 0.7);
    expect_value("\tauc = -2\r", -2);
    expect_value("auc=inf", INFINITY);
}

Test(metrics, the_last_one_counts)
{
    expect_value("auc=0.5 auc=0.6", 0.6);
}

Test(metrics, another_name_is_not_it)
{
    static const char *const lines[] = {"val_auc=1", "auc_val=1",      "auc",        "auc 1",
                                        "",          "xauc=1",         "the auc: 1", "=1",
                                        "{}",        "{\"val_auc\":1}"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        cr_expect(find(lines[i]).found == false, "%s", lines[i]);
}

Test(metrics, what_is_no_number_is_bad)
{
    static const char *const lines[] = {
        "auc=",     "auc=0.5x",           "auc=0x10",       "auc=1.2.3",    "auc=1,5",
        "auc=None", "{\"auc\":\"high\"}", "{\"auc\":null}", "{\"auc\":[1]}"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        cr_expect(find(lines[i]).found && find(lines[i]).bad, "%s", lines[i]);
}

Test(metrics, json_lines_may_have_a_step)
{
    struct metric_line m = find("{\"auc\": 0.25, \"step\": 7}");
    cr_expect(m.found && !m.bad && m.has_step);
    cr_expect(eq(dbl, m.value, 0.25));
    cr_expect(eq(i64, m.step, 7));
    cr_expect(find("{\"auc\": 0.25, \"step\": -1}").has_step == false);
    cr_expect(find("{\"auc\": 0.25, \"step\": 0.5}").has_step == false);
    expect_value("{\"auc\": \"-inf\"}", -INFINITY);
}

Test(metrics, python_writes_nan_and_infinity_bare)
{
    struct metric_line m = find("{\"auc\": NaN, \"step\": 1}");
    cr_expect(m.found && isnan(m.value));
    expect_value("{\"loss\": 1, \"auc\":-Infinity}", -INFINITY);
    cr_expect(find("{\"val_auc\": NaN}").found == false);
    cr_expect(find("{'auc': 0.5}").found == false); /* a repr is for people */
}

Test(metrics, bytes_that_are_no_text)
{
    const char line[] = "\0\xff auc=0.5\0";
    struct metric_line m = metric_line_find("auc", line, sizeof(line) - 2);
    cr_expect(m.found && !m.bad);
    cr_expect(eq(dbl, m.value, 0.5));
}

static const struct space lr_alone = {.params = (struct param[]){{.name = (char *)"lr"}}, .n = 1};

static const char *guess(const char *line)
{
    static char out[80];
    return metric_line_guess(&lr_alone, line, strlen(line), out, sizeof(out)) ? out : "";
}

Test(metrics, a_metric_under_another_name_is_guessed)
{
    cr_expect_str_eq(guess("accuracy=0.93"), "accuracy=0.93");
    cr_expect_str_eq(guess("val/loss=0.5 accuracy=0.93, epoch=3 lr=0.1"), "accuracy=0.93");
    cr_expect_str_eq(guess("{\"step\": 3, \"accuracy\": 0.93, \"note\": \"x\"}"), "accuracy=0.93");
    cr_expect_str_eq(guess("lr=0.1"), "");
    cr_expect_str_eq(guess("a==1 1=2 =3 path=/x=y c=abc"), "");
    cr_expect_str_eq(guess(""), "");
}
