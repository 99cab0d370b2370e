#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "trials/space.h"

static int read_dist(struct dist *d, const char *text, struct err *err)
{
    return dist_read_json(d, text, strlen(text), err);
}

static struct dist dist_of(const char *text)
{
    struct err err = {0};
    struct dist d = {0};
    cr_assert_eq(read_dist(&d, text, &err), 0, "%s: %s", text, err.msg);
    return d;
}

static void check_read(const char *text, const char *expected, bool single)
{
    struct err err = {0};
    struct dist d = {0};
    int rc = read_dist(&d, text, &err);
    if (strcmp(expected, "!") == 0) {
        cr_expect_eq(rc, -ERR_INVALID, "%s should be refused", text);
        cr_expect(err.msg[0] != '\0');
        dist_free(&d);
        return;
    }
    cr_assert_eq(rc, 0, "%s: %s", text, err.msg);
    AUTO(buf_free) struct buf b = BUF_INIT;
    dist_put_json(&b, &d);
    cr_expect_str_eq(buf_str(&b), expected);
    cr_expect_eq(dist_single(&d), single, "%s", text);
    dist_free(&d);
}

static void check_has(const char *text, const char *value, bool expected)
{
    struct dist d = dist_of(text);
    cr_expect_eq(dist_contains(&d, atof(value)), expected, "%s %s", text, value);
    dist_free(&d);
}

static void check_fits(const char *a, const char *b, bool expected)
{
    struct dist da = dist_of(a), db = dist_of(b);
    cr_expect_eq(dist_compatible(&da, &db), expected, "%s %s", a, b);
    dist_free(&da);
    dist_free(&db);
}

Test(dist, agrees_with_optuna)
{
    AUTO_FCLOSE FILE *f = fopen(GOLDEN_DIR "/dist.txt", "re");
    cr_assert_not_null(f);
    char line[1024];
    int n = 0;
    for (; fgets(line, sizeof(line), f) != NULL; n++) {
        char *rest = line;
        const char *what = strsep(&rest, "\t"), *a = strsep(&rest, "\t"), *b = strsep(&rest, "\t");
        cr_assert_not_null(rest, "line %d", n + 1);
        bool yes = rest[0] == '1';
        if (strcmp(what, "read") == 0)
            check_read(a, b, yes);
        else if (strcmp(what, "has") == 0)
            check_has(a, b, yes);
        else
            check_fits(a, b, yes);
    }
    cr_expect_gt(n, 1000);
}

Test(dist, refusals_say_what_is_wrong)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\"type\":\"float\",\"low\":2,\"high\":1}",
         "low must not be above high, but the bounds are 2.0 and 1.0"},
        {"{\"type\":\"float\",\"low\":0,\"high\":1,\"log\":true}", "a log scale needs low > 0"},
        {"{\"type\":\"float\",\"low\":-2,\"high\":1,\"log\":true}", "a log scale needs low > 0"},
        {"{\"type\":\"int\",\"low\":0,\"high\":1,\"log\":true}", "low >= 1"},
        {"{\"type\":\"float\",\"low\":NaN,\"high\":1}", "low must be a number"},
        {"{\"type\":\"float\",\"low\":0,\"high\":1,\"step\":\"x\"}", "step must be a number"},
        {"{\"type\":\"int\",\"low\":0,\"high\":1e300}", "2^53"},
        {"{\"type\":\"categorical\",\"choices\":[[1]]}", "choice 0 is a list"},
        {"{\"name\":\"FloatDistribution\",\"attributes\":{\"low\":0,\"high\":1,\"q\":1}}",
         "no attribute \"q\""},
        {"[1]", "\"name\" or \"type\""},
        {"{\"name\":\"Float", "JSON, line 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        struct dist d;
        cr_expect_eq(read_dist(&d, cases[i].text, &err), -ERR_INVALID, "%s", cases[i].text);
        cr_expect(strstr(err.msg, cases[i].says) != NULL, "%s: %s", cases[i].text, err.msg);
    }
}

Test(dist, a_copy_lives_on_its_own)
{
    struct err err = {0};
    struct dist d = dist_of("{\"type\":\"categorical\",\"choices\":[\"a\",NaN,null]}");
    struct dist copy;
    cr_assert_eq(dist_copy(&copy, &d, &err), 0);
    cr_expect(dist_equal(&copy, &d));
    cr_expect_neq(copy.choices[0].s, d.choices[0].s);
    dist_free(&d);
    cr_expect_str_eq(copy.choices[0].s, "a");
    dist_free(&copy);
}

static const char *shown(const struct dist *d, double internal, bool json)
{
    static struct buf b;
    buf_clear(&b);
    (json ? dist_put_value_json : dist_put_value_text)(&b, d, internal);
    return buf_str(&b);
}

Test(dist, values_are_shown_as_users_write_them)
{
    struct dist choice =
        dist_of("{\"type\":\"categorical\",\"choices\":[\"re\\\"lu\",NaN,null,true,1e-05,3]}");
    struct dist whole = dist_of("{\"type\":\"int\",\"low\":0,\"high\":9}");
    struct dist real = dist_of("{\"type\":\"float\",\"low\":0,\"high\":9}");
    cr_expect_str_eq(shown(&choice, 0, true), "\"re\\\"lu\"");
    cr_expect_str_eq(shown(&choice, 0, false), "re\"lu");
    cr_expect_str_eq(shown(&choice, 1, true), "NaN");
    cr_expect_str_eq(shown(&choice, 1, false), "nan");
    cr_expect_str_eq(shown(&choice, 2, false), "null");
    cr_expect_str_eq(shown(&choice, 3, false), "true");
    cr_expect_str_eq(shown(&choice, 4, true), "1e-05");
    cr_expect_str_eq(shown(&choice, 5, true), "3");
    cr_expect_str_eq(shown(&whole, 7, true), "7");
    cr_expect_str_eq(shown(&real, 7, true), "7.0");
    dist_free(&choice);
}

static int internal_of(const struct dist *d, const char *json, double *out)
{
    AUTO_JSON json_t *j = json_read(json, strlen(json), NULL);
    struct err err = {0};
    return dist_internal(d, j, out, &err);
}

Test(dist, external_values_find_their_index)
{
    struct dist choice =
        dist_of("{\"type\":\"categorical\",\"choices\":[\"a\",true,2,NaN,-Infinity]}");
    double v = -1;
    cr_expect_eq(internal_of(&choice, "1", &v), 0); /* Python: 1 == True */
    cr_expect_eq(v, 1);
    cr_expect_eq(internal_of(&choice, "2.0", &v), 0);
    cr_expect_eq(v, 2);
    cr_expect_eq(internal_of(&choice, "\"nan\"", &v), 0);
    cr_expect_eq(v, 3);
    cr_expect_eq(internal_of(&choice, "\"-inf\"", &v), 0);
    cr_expect_eq(v, 4);
    cr_expect_eq(internal_of(&choice, "\"b\"", &v), -ERR_INVALID);
    cr_expect_eq(internal_of(&choice, "null", &v), -ERR_INVALID);
    cr_expect_eq(v, 4, "unchanged by a refusal");
    dist_free(&choice);
}

Test(dist, external_numbers_may_be_out_of_range_but_must_be_numbers)
{
    struct dist whole = dist_of("{\"type\":\"int\",\"low\":1,\"high\":9,\"log\":true}");
    struct dist real = dist_of("{\"type\":\"float\",\"low\":0,\"high\":9}");
    double v = -1;
    cr_expect_eq(internal_of(&whole, "100", &v), 0);
    cr_expect_eq(v, 100);
    cr_expect_eq(internal_of(&whole, "3.0", &v), 0);
    cr_expect_eq(internal_of(&whole, "3.5", &v), -ERR_INVALID);
    cr_expect_eq(internal_of(&whole, "-3", &v), -ERR_INVALID);
    cr_expect_eq(internal_of(&real, "\"3\"", &v), -ERR_INVALID);
    cr_expect_eq(internal_of(&real, "true", &v), -ERR_INVALID);
    cr_expect_eq(internal_of(&real, "[1]", &v), -ERR_INVALID);
}
