#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "trials/xgboost/folds.h"

/* "train|test" of every fold, ranges as from-to (exclusive). */
static const char *plan_text(const struct fold_conf *conf, size_t rows)
{
    static char out[512];
    struct fold_plan p;
    struct err err = {0};
    out[0] = '\0';
    cr_assert_eq(fold_plan_create(&p, conf, rows, &err), 0, "%s", err.msg);
    size_t at = 0;
    for (size_t i = 0; i < p.n; i++) {
        const struct fold *f = &p.folds[i];
        for (int k = 0; k < f->n_train; k++)
            at += (size_t)sprintf(out + at, "%s%zu-%zu", k ? "+" : "", f->train[k].from,
                                  f->train[k].to);
        at += (size_t)sprintf(out + at, "|%zu-%zu ", f->test.from, f->test.to);
    }
    fold_plan_finish(&p);
    return out;
}

/* The right-hand sides are what scikit-learn 1.9.1 answers for TimeSeriesSplit(n, gap=m), KFold(n)
 * and train_test_split(shuffle=False). */
Test(folds, are_those_of_scikit_learn)
{
    struct fold_conf walk = {.kind = FOLDS_WALK_FORWARD, .n = 3};
    cr_expect_str_eq(plan_text(&walk, 11), "0-5|5-7 0-7|7-9 0-9|9-11 ");
    walk.embargo = 2;
    cr_expect_str_eq(plan_text(&walk, 11), "0-3|5-7 0-5|7-9 0-7|9-11 ");
    struct fold_conf kfold = {.kind = FOLDS_KFOLD, .n = 3};
    cr_expect_str_eq(plan_text(&kfold, 11), "4-11|0-4 0-4+8-11|4-8 0-8|8-11 ");
    struct fold_conf holdout = {.kind = FOLDS_HOLDOUT, .fraction = 0.25};
    cr_expect_str_eq(plan_text(&holdout, 11), "0-8|8-11 ");
}

Test(folds, an_embargo_purges_both_sides_of_a_kfold_block)
{
    struct fold_conf kfold = {.kind = FOLDS_KFOLD, .n = 3, .embargo = 1};
    cr_expect_str_eq(plan_text(&kfold, 9), "4-9|0-3 0-2+7-9|3-6 0-5|6-9 ");
}

static struct fold_conf drawn(struct rng *rng)
{
    struct fold_conf c = {
        .kind = (enum fold_kind)rng_below(rng, 3),
        .fraction = 0.01 + 0.98 * rng_unit(rng),
        .n = 2 + rng_below(rng, 9),
        .embargo = rng_below(rng, 12),
    };
    c.shuffle = c.kind == FOLDS_KFOLD && rng_below(rng, 2) == 1;
    return c;
}

/* No row validates the model that saw it or a neighbour under embargo; in order of time no row
 * trains a model that is validated on its past. */
static void check_no_leak(const struct fold_conf *c, const struct fold *f, size_t rows)
{
    for (int k = 0; k < f->n_train; k++) {
        struct range t = f->train[k];
        cr_assert(t.from < t.to && t.to <= rows);
        cr_assert(t.to + c->embargo <= f->test.from || t.from >= f->test.to + c->embargo);
        cr_assert(c->kind == FOLDS_KFOLD || t.to <= f->test.from);
    }
    cr_assert(f->test.from < f->test.to && f->test.to <= rows);
}

Test(folds, never_leak_and_cover_what_they_should)
{
    struct rng rng;
    rng_seed(&rng, 5);
    int made = 0;
    for (int i = 0; i < 5000; i++) {
        struct fold_conf c = drawn(&rng);
        size_t rows = 1 + rng_below(&rng, 300), last = 0;
        struct fold_plan p;
        if (fold_plan_create(&p, &c, rows, NULL) < 0)
            continue;
        made++;
        for (size_t k = 0; k < p.n; k++) {
            check_no_leak(&c, &p.folds[k], rows);
            cr_assert(k == 0 || p.folds[k].test.from == last); /* blocks touch */
            last = p.folds[k].test.to;
        }
        cr_assert_eq(last, rows);
        cr_assert(c.kind != FOLDS_KFOLD || p.folds[0].test.from == 0);
        fold_plan_finish(&p);
    }
    cr_assert_gt(made, 3000);
}

Test(folds, a_shuffled_order_holds_every_row_once_and_is_always_the_same)
{
    struct fold_conf c = {.kind = FOLDS_KFOLD, .n = 4, .shuffle = true};
    struct fold_plan p, again;
    cr_assert_eq(fold_plan_create(&p, &c, 1000, NULL), 0);
    cr_assert_eq(fold_plan_create(&again, &c, 1000, NULL), 0);
    char seen[1000] = {0};
    size_t in_place = 0;
    for (size_t i = 0; i < 1000; i++) {
        cr_assert(!seen[p.order[i]]);
        seen[p.order[i]] = 1;
        in_place += p.order[i] == i;
    }
    cr_expect_lt(in_place, 20);
    cr_expect_eq(memcmp(p.order, again.order, 1000 * sizeof(*p.order)), 0);
    fold_plan_finish(&p);
    fold_plan_finish(&again);
}

Test(folds, too_few_rows_are_an_error_that_counts_them)
{
    struct fold_plan p;
    struct err err;
    struct fold_conf walk = {.kind = FOLDS_WALK_FORWARD, .n = 5};
    cr_expect_eq(fold_plan_create(&p, &walk, 5, &err), -ERR_INVALID);
    cr_expect_str_eq(err.msg, "5 folds of 5 rows: there must be more rows than folds");
    walk.embargo = 30;
    cr_expect_eq(fold_plan_create(&p, &walk, 100, &err), -ERR_INVALID);
    cr_expect_str_eq(err.msg,
                     "fold 1 of 5 has nothing to train on: 100 rows with an embargo of 30");
}
