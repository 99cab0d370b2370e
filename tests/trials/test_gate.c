/* Factors against the baseline, and the rank test behind it. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/gate.h"
#include "trials/rank_test.h"

static struct err err;

Test(rank_test, p_is_that_of_scipy_and_of_counting_all_signs)
{
    AUTO_FCLOSE FILE *f = fopen(GOLDEN_DIR "/rank.txt", "re");
    AUTO_FREE char *line = NULL;
    size_t cap = 0;
    int lines = 0;
    cr_assert_not_null(f);
    for (; getline(&line, &cap, f) > 0; lines++) {
        double diff[400];
        size_t n = 0;
        char *at = line, *end;
        double p = strtod(at, &end);
        bool normal = strncmp(end, " normal", 7) == 0;
        at = strchr(end + 1, ' ');
        for (double v; v = strtod(at, &end), end != at; at = end)
            diff[n++] = v;
        struct rank_test t;
        cr_assert_eq(rank_test(diff, n, &t, &err), 0);
        cr_expect_eq(t.exact, !normal);
        cr_expect(fabs(t.p - p) <= 1e-12 + 1e-9 * p, "line %d: %.17g, not %.17g", lines + 1, t.p,
                  p);
    }
    cr_expect_geq(lines, 50);
}

Test(rank_test, without_a_difference_there_is_no_evidence)
{
    struct rank_test t;
    cr_assert_eq(rank_test((const double[]){0, 0}, 2, &t, &err), 0);
    cr_expect(t.n == 0 && t.p == 1);
}

Test(rank_test, quantiles_are_those_of_numpy)
{
    double v[] = {4, 1, 3, 2};
    cr_expect_float_eq(rank_quantile(v, 4, 0.25), 1.75, 1e-15);
    cr_expect_float_eq(rank_quantile(v, 4, 0.5), 2.5, 1e-15);
    cr_expect_float_eq(rank_quantile(v, 1, 0.75), 1, 1e-15);
}

/* ---- the gate ---- */

static struct gate g;

/* `gain` over the baseline in each of `folds` folds of a crypto, a little different each time. */
static void add(const char *group, const char *crypto, double gain, int folds, int64_t buys)
{
    for (int i = 0; i < folds; i++)
        cr_assert_eq(gate_add(&g, group, crypto, i,
                              0.6 + 0.01 * i + gain * (1 + 0.01 * (i + 7 * (crypto[0] - 'A'))),
                              buys, &err),
                     0);
}

static void add_all(const char *group, const double gains[static 5], int folds, int64_t buys)
{
    static const char *const cryptos[] = {"A", "B", "C", "D", "E"};
    for (int i = 0; i < 5; i++)
        add(group, cryptos[i], gains[i], folds, buys);
}

/* The second group's verdict. */
static struct gate_group judge(bool less)
{
    const struct gate_rules rules = {"baseline", less, 0.05};
    struct gate_group *all, out;
    size_t n;
    cr_assert_eq(gate_judge(&g, &rules, &all, &n, &err), 0, "%s", err.msg);
    cr_assert_eq(n, 2);
    cr_expect_str_eq(all[0].name, "baseline");
    cr_expect_eq(all[0].verdict, GATE_BASELINE);
    out = all[1];
    free(all);
    return out;
}

static void teardown(void)
{
    gate_free(&g);
}
TestSuite(gate, .fini = teardown);

static const double none[] = {0, 0, 0, 0, 0};
static const double up[] = {0.02, 0.02, 0.02, 0.02, 0.02};
static const double down[] = {-0.02, -0.02, -0.02, -0.02, -0.02};
static const double three[] = {0.09, 0.09, 0.09, -0.001, -0.001};
static const double one[] = {0.002, -0.001, -0.001, -0.001, -0.001};

Test(gate, better_everywhere_is_locked)
{
    add_all("baseline", none, 3, 80);
    add_all("x", up, 3, 60);
    struct gate_group x = judge(false);
    cr_expect_eq(x.verdict, GATE_LOCK, "%s", x.why);
    cr_expect(x.n == 15 && x.pairs == 15 && x.better == 15 && x.cryptos_better == 5);
    cr_expect(x.exact && x.p < 1e-4);
    cr_expect_float_eq(x.difference, 0.02, 0.01);
    cr_expect_eq(judge(true).verdict, GATE_ABANDON); /* where less is better */
}

Test(gate, too_few_buys_or_too_few_cryptos_keep_it_from_being_locked)
{
    add_all("baseline", none, 5, 80);
    add_all("x", up, 5, 49);
    struct gate_group x = judge(false);
    cr_expect(x.verdict == GATE_KEEP && strstr(x.why, "BUY") != NULL, "%s", x.why);
    gate_free(&g);
    add_all("baseline", none, 5, -1);
    add_all("x", three, 5, -1);
    x = judge(false);
    cr_expect(x.verdict == GATE_KEEP && strstr(x.why, "3 of 5 cryptos only") != NULL, "%s", x.why);
}

Test(gate, worse_or_better_hardly_anywhere_is_abandoned)
{
    add_all("baseline", none, 3, 80);
    add_all("x", down, 3, 80);
    cr_expect_eq(judge(false).verdict, GATE_ABANDON);
    gate_free(&g);
    add_all("baseline", none, 2, 80);
    add_all("x", one, 2, 80);
    struct gate_group x = judge(false);
    cr_expect(x.verdict == GATE_ABANDON, "%s", x.why);
}

Test(gate, a_few_pairs_or_no_difference_keep_it_available)
{
    add_all("baseline", none, 1, 80);
    add_all("x", up, 1, 80);
    struct gate_group x = judge(false);
    cr_expect(x.verdict == GATE_KEEP && strstr(x.why, "too few") != NULL, "%s", x.why);
    gate_free(&g);
    add_all("baseline", none, 3, 80);
    add("x", "A", 0.01, 3, 80);
    add("x", "B", -0.012, 3, 80);
    add("x", "C", 0.008, 3, 80);
    cr_expect_eq(judge(false).verdict, GATE_KEEP);
}

/* Seven pairs alike and six better: the median is 0, but what differs is better each time. */
Test(gate, the_ranks_say_which_way_a_difference_goes)
{
    static const char *const cryptos[] = {"A", "B", "C", "D"};
    for (int i = 0; i < 13; i++) {
        double more = i % 2 == 1 ? 0.001 * (i + 1) : 0;
        cr_assert_eq(gate_add(&g, "baseline", cryptos[i % 4], i, 0.6, 80, &err), 0);
        cr_assert_eq(gate_add(&g, "x", cryptos[i % 4], i, 0.6 + more, 80, &err), 0);
    }
    struct gate_group x = judge(false);
    cr_expect(x.p < 0.05 && x.difference == 0);
    cr_expect_eq(x.verdict, GATE_KEEP, "%s", x.why);
    cr_expect_not_null(strstr(x.why, "better, but in 2 of 4"), "%s", x.why);
    x = judge(true);
    cr_expect(x.verdict == GATE_ABANDON && strcmp(x.why, "significantly worse") == 0);
}

Test(gate, a_factor_that_changed_nothing_is_doubted)
{
    add_all("baseline", none, 3, 80);
    add_all("x", none, 3, 80);
    struct gate_group x = judge(false);
    cr_expect(x.verdict == GATE_KEEP && strstr(x.why, "in effect?") != NULL, "%s", x.why);
}

Test(gate, one_crypto_locks_nothing_and_folds_that_do_not_tell_hide_no_others)
{
    add("baseline", "A", 0, 9, 80);
    add("x", "A", 0.02, 9, 80);
    struct gate_group x = judge(false);
    cr_expect(x.p < 0.05 && x.verdict == GATE_KEEP, "%s", x.why);
    cr_expect_not_null(strstr(x.why, "1 crypto alone"), "%s", x.why);
    gate_free(&g);
    add_all("baseline", none, 5, 80);
    add_all("x", up, 5, -1);
    cr_expect_eq(judge(false).verdict, GATE_LOCK);
    cr_assert_eq(gate_add(&g, "x", "F", 0, 0.7, 3, &err), 0);
    x = judge(false);
    cr_expect(x.buys == 3 && x.verdict == GATE_KEEP, "%s", x.why);
}

Test(gate, what_cannot_be_compared_is_told)
{
    const struct gate_rules rules = {"baseline", false, 0.05};
    struct gate_group *all;
    size_t n;
    add("x", "A", 0, 1, 1);
    cr_expect_eq(gate_judge(&g, &rules, &all, &n, &err), -ERR_NOTFOUND);
    cr_expect_eq(gate_add(&g, "x", "A", 0, 1, 1, &err), -ERR_EXISTS);
}
