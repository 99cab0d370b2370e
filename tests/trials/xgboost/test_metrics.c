#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "trials/xgboost/metrics.h"

#define ROWS 300

static double value(const char *name, enum task task, const struct predictions *p)
{
    const struct metric *m = metric_find(name, task);
    cr_assert_not_null(m, "%s", name);
    return metric_value(m, p);
}

static void near(double got, double want)
{
    cr_expect(fabs(got - want) < 1e-12, "got %.17g, want %.17g", got, want);
}

/* The right-hand sides are what scikit-learn 1.9.1 answers. */
Test(metrics, binary_ones_are_those_of_scikit_learn)
{
    static const float pred[] = {0.1f, 0.4f, 0.35f, 0.8f, 0.8f, 0.5f, 0.05f, 0.95f};
    static const float label[] = {0, 0, 1, 1, 0, 1, 0, 1};
    struct predictions p = {.pred = pred, .label = label, .rows = 8, .threshold = 0.5};
    near(value("auc", TASK_BINARY, &p), 0.78125);
    near(value("aucpr", TASK_BINARY, &p), 0.7708333333333333);
    near(value("logloss", TASK_BINARY, &p), 0.5367904479577057);
    near(value("brier", TASK_BINARY, &p), 0.19093750354833905);
    near(value("f1", TASK_BINARY, &p), 0.75);
    near(value("precision", TASK_BINARY, &p), 0.75);
    near(value("recall", TASK_BINARY, &p), 0.75);
    near(value("accuracy", TASK_BINARY, &p), 0.75);
    near(value("error", TASK_BINARY, &p), 0.25);
    near(value("ece", TASK_BINARY, &p), 0.19375000474974513);
    cr_expect_eq(metric_predicted_positives(&p), 4);
    p.threshold = 0.39;
    near(value("f1", TASK_BINARY, &p), 2.0 * 3 / (2 * 3 + 2 + 1));
}

Test(metrics, expectancy_is_what_the_bought_rows_earn_after_costs)
{
    static const float pred[] = {0.2f, 0.6f, 0.7f, 0.4f}, label[] = {0, 1, 0, 1};
    static const float gain[] = {9, 0.03f, -0.01f, 9};
    struct predictions p = {.pred = pred, .label = label, .rows = 4, .threshold = 0.5};
    cr_expect(isnan(value("expectancy", TASK_BINARY, &p)));
    p.gain = gain;
    p.cost = 0.002;
    cr_expect_float_eq(value("expectancy", TASK_BINARY, &p), 0.008, 1e-9);
    p.threshold = 0.9;
    cr_expect(isnan(value("expectancy", TASK_BINARY, &p)));
}

/* 7 of 10 is 0.7, though the nearest float is a little less. */
Test(metrics, a_probability_that_is_the_threshold_is_positive)
{
    static const float pred[] = {0.7f, 0.7f, 0.6f}, label[] = {1, 1, 1}, gain[] = {1, 2, 9};
    struct predictions p = {
        .pred = pred, .label = label, .gain = gain, .rows = 3, .threshold = 0.7};
    near(value("precision", TASK_BINARY, &p), 1);
    near(value("recall", TASK_BINARY, &p), 2.0 / 3);
    near(value("expectancy", TASK_BINARY, &p), 1.5);
}

Test(metrics, r2_of_constant_labels_is_one_when_they_are_met_and_else_zero)
{
    static const float label[] = {0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f};
    static const float pred[] = {0.1f, 0.1f, 0.1f, 0.2f, 0.1f, 0.1f, 0.1f};
    struct predictions p = {.pred = label, .label = label, .rows = 7};
    near(value("r2", TASK_REGRESSION, &p), 1);
    p.pred = pred;
    near(value("r2", TASK_REGRESSION, &p), 0);
}

Test(metrics, regression_ones_are_those_of_scikit_learn)
{
    static const float pred[] = {2.5f, 0.0f, 2.0f, 8.0f};
    static const float label[] = {3.0f, -0.5f, 2.0f, 7.0f};
    struct predictions p = {.pred = pred, .label = label, .rows = 4};
    near(value("mse", TASK_REGRESSION, &p), 0.375);
    near(value("rmse", TASK_REGRESSION, &p), 0.6123724356957945);
    near(value("mae", TASK_REGRESSION, &p), 0.5);
    near(value("r2", TASK_REGRESSION, &p), 0.9486081370449679);
    near(value("mape", TASK_REGRESSION, &p), 0.3273809523809524);
}

Test(metrics, multi_class_ones_are_those_of_scikit_learn)
{
    static const float pred[] = {0.5f, 0.25f, 0.25f, 0.125f, 0.75f, 0.125f, 0.25f, 0.5f, 0.25f};
    static const float label[] = {0, 1, 2};
    struct predictions p = {.pred = pred, .label = label, .rows = 3, .classes = 3};
    near(value("mlogloss", TASK_MULTICLASS, &p), 0.789041204710539);
    near(value("merror", TASK_MULTICLASS, &p), 1.0 / 3);
    near(value("accuracy", TASK_MULTICLASS, &p), 2.0 / 3);
}

/* The share of pairs of a positive and a negative that stand in the right order, ties counting
 * half. */
static double auc_by_pairs(const float *pred, const float *label, size_t n)
{
    double right = 0, pairs = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            if (label[i] != 1 || label[j] != 0)
                continue;
            right += pred[i] > pred[j] ? 1 : pred[i] == pred[j] ? 0.5 : 0;
            pairs++;
        }
    }
    return right / pairs;
}

Test(metrics, auc_counts_pairs_also_with_ties_and_negative_predictions)
{
    struct rng rng;
    rng_seed(&rng, 6);
    for (int round = 0; round < 50; round++) {
        float pred[ROWS], label[ROWS];
        uint64_t levels = 1 + rng_below(&rng, 100);
        for (size_t i = 0; i < ROWS; i++) {
            pred[i] = (float)rng_below(&rng, levels) / 7 - 3;
            label[i] = (float)(i < 2 ? i : rng_below(&rng, 2));
        }
        struct predictions p = {.pred = pred, .label = label, .rows = ROWS};
        near(value("auc", TASK_BINARY, &p), auc_by_pairs(pred, label, ROWS));
    }
}

Test(metrics, undefined_ones_are_nan_and_empty_shares_zero)
{
    static const float pred[] = {0.1f, 0.2f}, zeros[] = {0, 0};
    struct predictions p = {.pred = pred, .label = zeros, .rows = 2, .threshold = 0.5};
    cr_expect(isnan(value("auc", TASK_BINARY, &p)));
    cr_expect(isnan(value("aucpr", TASK_BINARY, &p)));
    near(value("f1", TASK_BINARY, &p), 0);
    near(value("precision", TASK_BINARY, &p), 0);
    near(value("accuracy", TASK_BINARY, &p), 1);
}

Test(metrics, what_is_no_number_makes_every_metric_nan)
{
    size_t n;
    const struct metric *all = metric_all(&n);
    static const float good[] = {0.1f, 0.2f, 0.7f, 0.8f}, labels[] = {0, 1, 0, 1};
    static const float constant[] = {1, 1, 1, 1};
    for (size_t i = 0; i < n; i++) {
        float pred[] = {0.1f, 0.2f, NAN, 0.8f}, label[] = {0, NAN, 0, 1};
        struct predictions p = {.rows = 4, .threshold = 0.5, .pred = pred, .label = labels};
        if (all[i].tasks == TASK_MULTICLASS)
            p = (struct predictions){.rows = 2, .classes = 2, .pred = pred, .label = labels};
        cr_expect(isnan(metric_value(&all[i], &p)), "%s", all[i].name);
        p.label = constant;
        cr_expect(isnan(metric_value(&all[i], &p)), "%s of constant labels", all[i].name);
        p.pred = good;
        p.label = label;
        cr_expect(isnan(metric_value(&all[i], &p)), "%s of such labels", all[i].name);
    }
}

Test(metrics, certain_and_wrong_is_finite)
{
    static const float pred[] = {0, 1}, label[] = {1, 0};
    struct predictions p = {.pred = pred, .label = label, .rows = 2};
    cr_expect(isfinite(value("logloss", TASK_BINARY, &p)));
}

Test(metrics, names_belong_to_a_task)
{
    cr_expect_null(metric_find("rmse", TASK_BINARY));
    cr_expect_null(metric_find("auc", TASK_REGRESSION));
    cr_expect_neq(metric_find("accuracy", TASK_BINARY), metric_find("accuracy", TASK_MULTICLASS));
}
