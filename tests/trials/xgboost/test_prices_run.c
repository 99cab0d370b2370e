/* A price series in the real program. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/rng.h"
#include "tests/trials/xgboost/program.h"

/* 1500 bars of a series that returns to its mean, so that there is something to learn. */
static void write_prices(const char *path, bool newest_first)
{
    enum { BARS = 1500 };
    static char line[BARS][120];
    struct rng rng;
    rng_seed(&rng, 4);
    double x = 0;
    for (int i = 0; i < BARS; i++) {
        double open = 100 * exp(x);
        x = 0.8 * x + 0.01 * rng_normal(&rng);
        double close = 100 * exp(x), high = fmax(open, close) * 1.002,
               low = fmin(open, close) / 1.002;
        (void)snprintf(line[i], sizeof(line[i]), "2020-%02d-%02d %02d:00,%.6f,%.6f,%.6f,%.6f,%d",
                       1 + i / 720, 1 + i / 24 % 30, i % 24, open, high, low, close,
                       (int)rng_below(&rng, 900));
    }
    FILE *f = fopen(path, "we");
    cr_assert_not_null(f);
    (void)fputs("Date,Open,High,Low,Close,Volume USD\n", f);
    for (int i = 0; i < BARS; i++)
        (void)fprintf(f, "%s\n", line[newest_first ? BARS - 1 - i : i]);
    cr_assert_eq(fclose(f), 0);
}

static void with_prices(void)
{
    setup();
    write_prices("prices.csv", false);
}

TestSuite(prices_run, .init = with_prices, .fini = teardown, .timeout = 100);

#define PRICES(more)                                                                               \
    "{\"data\":\"prices.csv\",\"cache\":\"cache\",\"rounds\":30,\"folds\":{\"walk_forward\":3},"   \
    "\"threshold\":0.3,\"prices\":{\"windows\":[3,10],\"horizon\":8,\"threshold\":0.005" more "}}"

static struct heard run_prices(const char *config)
{
    start(config, "{\"eta\":0.1,\"max_depth\":3}");
    struct heard h = listen_to_trial(0);
    expect_stop();
    (void)fclose(in);
    cr_assert_eq(system("rm -rf trial"), 0);
    return h;
}

static double metric(const json_t *row, const char *name)
{
    const json_t *v = json_object_get(json_object_get(row, "metrics"), name);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

Test(prices_run, a_raw_series_is_enough_for_folds_signals_and_what_they_earn)
{
    struct heard h = run_prices(PRICES(""));
    cr_assert_str_eq(h.end, "result", "%s", json_string_value(json_object_get(h.last, "message")));
    cr_expect_eq(json_integer_value(json_object_get(h.attrs, "rows")), 1500 - 10 - 8);
    cr_expect_eq(json_integer_value(json_object_get(h.attrs, "features")), 3 + 2 * 5);
    cr_assert_eq(json_array_size(h.rows), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *row = json_array_get(h.rows, i);
        cr_expect_gt(json_integer_value(json_object_get(row, "buy_trades")), 50);
        cr_expect_gt(metric(row, "auc"), 0.55, "nothing is learned of a series that reverts");
        cr_expect(fabs(metric(row, "expectancy")) < 0.1);
        cr_expect(metric(row, "ece") >= 0 && metric(row, "ece") < 0.5);
    }
    forget(&h);
}

Test(prices_run, costs_come_off_the_expectancy_alone)
{
    struct heard cheap = run_prices(PRICES(",\"cost\":0"));
    struct heard dear = run_prices(PRICES(",\"cost\":0.002"));
    for (size_t i = 0; i < 3; i++) {
        const json_t *a = json_array_get(cheap.rows, i), *b = json_array_get(dear.rows, i);
        cr_expect_float_eq(metric(a, "expectancy") - metric(b, "expectancy"), 0.002, 1e-9);
        cr_expect_eq(metric(a, "auc"), metric(b, "auc"));
    }
    forget(&cheap);
    forget(&dear);
}

Test(prices_run, a_file_that_goes_back_in_time_is_refused_or_turned_round)
{
    struct heard forward = run_prices(PRICES(""));
    cr_assert_eq(rename("prices.csv", "forward.csv"), 0);
    write_prices("prices.csv", true);
    struct heard turned = run_prices(PRICES(",\"newest_first\":true"));
    cr_expect_eq(forward.value, turned.value);
    forget(&forward);
    forget(&turned);
    start(PRICES(""), "{}");
    struct heard h = listen_to_trial(0);
    cr_expect_str_eq(json_string_value(json_object_get(h.last, "class")), "bad_data");
    const char *message = json_string_value(json_object_get(h.last, "message"));
    cr_expect_not_null(strstr(message, "prices.csv:3: 2020-"), "%s", message);
    cr_expect_not_null(strstr(message, "is it prices.newest_first: true?"), "%s", message);
    forget(&h);
}

/* The line of the file, also where the file is turned round. */
Test(prices_run, a_bar_that_cannot_be_is_told_with_its_line)
{
    for (int newest = 0; newest < 2; newest++) {
        write_prices("other.csv", newest == 1);
        cr_assert_eq(system("awk -F, -v OFS=, 'NR == 7 {$4 = 1e9} {print}' other.csv > prices.csv"),
                     0);
        start(newest == 1 ? PRICES(",\"newest_first\":true") : PRICES(""), "{}");
        struct heard h = listen_to_trial(0);
        const char *message = json_string_value(json_object_get(h.last, "message"));
        cr_expect_not_null(strstr(message, "prices.csv:7: open "), "%s", message);
        forget(&h);
        say("{\"op\":\"stop\"}\n");
        int status = exit_status();
        cr_expect(WIFEXITED(status), "status %x", (unsigned)status);
        (void)fclose(in);
        cr_assert_eq(system("rm -rf trial"), 0);
    }
}

/* Investing.com's 01/31/2020, newest first: what is not understood is not trained on. */
Test(prices_run, times_whose_order_cannot_be_seen_are_refused)
{
    static const struct {
        const char *awk, *message; /* NULL: it is taken */
    } cases[] = {
        {"{split($1, d, \"[- ]\"); $1 = d[2] \"/\" d[3] \"/\" d[1]} {print}",
         "prices.csv:2:1: '01/01/2020' is no time that sorts: write 2020-01-31 12:00"},
        {"{$1 = 999999900 + NR} {print}", NULL}, /* the number of digits grows */
        {"{$1 = 1000000100 - NR} {print}", "prices.csv:3: 1000000097 comes after 1000000098"},
        {"NR == 9 {$1 = last} {last = $1; print}",
         "prices.csv:9: 2020-01-01 06:00 stands there twice"},
        {"{$1 = 1000 + (NR == 9 ? 8 : NR)} {print}", "prices.csv:9: 1008 stands there twice"},
        {"NR == 9 {$1 = 7} {print}", "prices.csv:9:1: '7' is no time that sorts"},
        {"NR == 9 {$1 = \"\"} {print}", "prices.csv:9:1: '' is no time that sorts"},
    };
    cr_assert_eq(rename("prices.csv", "good.csv"), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char command[300];
        (void)snprintf(command, sizeof(command),
                       "rm -rf trial; awk -F, -v OFS=, 'NR == 1 {print; next} %s' good.csv > "
                       "prices.csv",
                       cases[i].awk);
        cr_assert_eq(system(command), 0);
        start(PRICES(""), "{}");
        struct heard h = listen_to_trial(0);
        const char *message = json_string_value(json_object_get(h.last, "message"));
        if (cases[i].message != NULL)
            cr_expect(message != NULL &&
                          strncmp(message, cases[i].message, strlen(cases[i].message)) == 0,
                      "%zu: %s", i, message);
        else
            cr_expect_str_eq(h.end, "result", "%s", message);
        forget(&h);
        say("{\"op\":\"stop\"}\n");
        (void)exit_status();
        (void)fclose(in);
    }
}
