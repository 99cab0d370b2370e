/* The ladder that a failed trial goes down. */
#include "trials/fallback.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/trials/spec_file.h"
#include "trials/classify.h"

TestSuite(fallback, .init = spec_file_setup, .fini = spec_file_teardown);

static struct spec spec;

static void load(const char *text)
{
    struct spec_doc *doc = spec_file_load(text);
    cr_assert_eq(spec_cell(doc, 0, &spec, NULL), 0);
    spec_doc_destroy(doc);
}

/* The parameters of a trial at that rung, as its worker gets them; "same" when the rung changes
 * nothing. */
static const char *at(int rung, double *values, struct spec_fixed *instead, size_t *n)
{
    static struct buf b;
    bool active[8] = {true, true, true, true, true, true, true, true};
    struct fallback_values v = {values, active, instead, *n};
    buf_clear(&b);
    bool would = fallback_take(&spec, rung, &v, true);
    cr_assert_eq(v.n_instead, *n);
    bool did = fallback_take(&spec, rung, &v, false);
    cr_assert_eq(would, did, "asking and doing differ");
    *n = v.n_instead;
    const struct spec_trial t = {
        .values = values, .active = active, .instead = instead, .n_instead = *n};
    if (did)
        spec_put_params(&b, &spec, &t);
    else
        buf_puts(&b, "same");
    return buf_str(&b);
}

Test(fallback, gamma_goes_down_by_ones_then_the_loss_is_the_baseline)
{
    load("run: {builtin: xgboost, data: d.csv, label: y, objective: focal}\nbudget: {trials: 5}\n"
         "space: {focal_gamma: {float: [0, 5]}}\n"
         "fallback:\n"
         "  - {on: [hessian, overflow], set: {focal_gamma: -1.0}, times: 3}\n"
         "  - {on: [hessian, overflow], set: {objective: \"binary:logistic\"}, mark: "
         "rolled_back}\n");
    double gamma[] = {4};
    struct spec_fixed instead[4];
    size_t n = 0;
    cr_assert_eq(fallback_rungs(&spec), 4);
    cr_assert_leq(2, fallback_room(&spec));
    cr_expect_str_eq(at(1, gamma, instead, &n), "{\"focal_gamma\":3.0}");
    cr_expect_str_eq(at(2, gamma, instead, &n), "{\"focal_gamma\":2.0}");
    cr_expect_str_eq(at(3, gamma, instead, &n), "{\"focal_gamma\":1.0}");
    cr_expect_not(fallback_step(&spec, 3)->rolled_back);
    cr_expect_str_eq(at(4, gamma, instead, &n),
                     "{\"focal_gamma\":1.0,\"objective\":\"binary:logistic\"}");
    cr_expect(fallback_step(&spec, 4)->rolled_back);
    cr_expect_str_eq(at(4, gamma, instead, &n), "same");
    cr_expect_eq(spec.budget.attempts, 2 * 5 + 10 + 4 * 5);
    cr_expect_not_null(strstr(spec.run.config, "\"objective\":[null,\"binary:logistic\"]"), "%s",
                       spec.run.config);
    spec_free(&spec);
}

Test(fallback, a_number_stops_at_its_bound_and_a_rung_that_changes_nothing_says_so)
{
    load("run: [x, \"${args}\"]\nbudget: {trials: 5}\n"
         "space: {g: {float: [0.5, 5]}, n: {int: [1, 9]}, c: 1.5}\n"
         "fallback: [{on: nan, set: {g: -1.0}, times: 2}, {on: nan, set: {n: +3}}, "
         "{on: nan, set: {c: -1}, times: 2}]\n");
    double values[] = {1.2, 7};
    struct spec_fixed instead[4];
    size_t n = 0;
    cr_expect_str_eq(at(1, values, instead, &n), "{\"g\":0.5,\"n\":7,\"c\":1.5}");
    cr_expect_str_eq(at(2, values, instead, &n), "same");
    cr_expect_str_eq(at(3, values, instead, &n), "{\"g\":0.5,\"n\":9,\"c\":1.5}");
    cr_expect_str_eq(at(4, values, instead, &n), "{\"g\":0.5,\"n\":9,\"c\":0.5}");
    cr_expect_str_eq(at(5, values, instead, &n), "{\"g\":0.5,\"n\":9,\"c\":0.0}");
    spec_free(&spec);
}

Test(fallback, the_command_of_a_fallen_trial_has_its_values)
{
    load("run: [x, \"--loss=${loss}\"]\nbudget: {trials: 5}\nspace: {loss: focal}\n"
         "fallback: [{on: hessian, set: {loss: logistic}}]\n");
    const struct spec_fixed instead = {"loss", {.kind = VALUE_TEXT, .s = (char *)"logistic"}};
    const struct spec_trial t = {.dir = "", .instead = &instead, .n_instead = 1};
    struct spec_strings argv;
    cr_assert_eq(spec_argv(&spec, &t, &argv, NULL), 0);
    cr_expect_str_eq(argv.v[1], "--loss=logistic");
    free(argv.v);
    spec_free(&spec);
}

Test(fallback, what_a_cell_never_has_is_left_alone)
{
    load("run: [x, \"--g=${g}\"]\nbudget: {trials: 5}\nmatrix: {factor: [baseline, focal]}\n"
         "space: {g: {float: [0, 5], when: factor == \"focal\"}}\n"
         "fallback: [{on: nan, set: {g: -1.0}}]\n");
    struct spec_fixed instead[1];
    size_t n = 0;
    cr_expect_str_eq(at(1, (double[]){0}, instead, &n), "same");
    spec_free(&spec);
}

Test(fallback, patterns_match_their_parts_in_order)
{
#define MATCH(pattern, line) classify_match(pattern, line, strlen(line))
    cr_expect(MATCH("is singular", "LinAlgError: matrix is singular to working precision"));
    cr_expect(MATCH("LinAlgError*singular", "LinAlgError: matrix is singular"));
    cr_expect_not(MATCH("singular*LinAlgError", "LinAlgError: matrix is singular"));
    cr_expect(MATCH("a*", "xa") && MATCH("*a", "a") && MATCH("a**b", "ab"));
    cr_expect_not(MATCH("aa*aa", "aaa"));
    cr_expect_not(MATCH("abc", "ab"));
}
