/* Against scikit-learn (golden/calibration.py), and the contract. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/rng.h"
#include "trials/objectives/calibration.h"
#include "trials/objectives/smoothing.h"

#define ROWS 400

static float score[ROWS], label[ROWS];

/* scikit-learn stops its search for Platt's a and b a little before the end. */
#define PLATT_NEAR 2e-5

static void expect_point(FILE *f, const struct calibrator *platt, const struct calibrator *isotonic)
{
    float s, by_platt, by_isotonic;
    double want_platt, want_isotonic;
    cr_assert_eq(fscanf(f, "%f %lf %lf", &s, &want_platt, &want_isotonic), 3);
    calibrator_apply(platt, &s, 1, &by_platt);
    calibrator_apply(isotonic, &s, 1, &by_isotonic);
    cr_expect_float_eq((double)by_platt, want_platt, PLATT_NEAR, "Platt of %g: %g, not %g",
                       (double)s, (double)by_platt, want_platt);
    cr_expect_float_eq((double)by_isotonic, want_isotonic, 1e-6, "isotonic of %g: %g, not %g",
                       (double)s, (double)by_isotonic, want_isotonic);
}

Test(calibration, probabilities_are_those_of_scikit_learn)
{
    FILE *f = fopen(GOLDEN_DIR "/calibration.txt", "re");
    cr_assert_not_null(f);
    int cases = 0;
    for (size_t n, asked; fscanf(f, " case %zu %zu", &n, &asked) == 2; cases++) {
        struct calibrator platt, isotonic;
        cr_assert_leq(n, ROWS);
        for (size_t i = 0; i < n; i++)
            cr_assert_eq(fscanf(f, "%f %f", &score[i], &label[i]), 2);
        cr_assert_eq(calibrator_fit(&platt, CALIBRATE_PLATT, score, label, n, NULL), 0);
        cr_assert_eq(calibrator_fit(&isotonic, CALIBRATE_ISOTONIC, score, label, n, NULL), 0);
        for (size_t i = 0; i < asked; i++)
            expect_point(f, &platt, &isotonic);
        calibrator_finish(&platt);
        calibrator_finish(&isotonic);
    }
    cr_expect_eq(cases, 40);
    (void)fclose(f);
}

/* Scores and labels of a model that is far too sure. */
static void draw(struct rng *rng)
{
    for (int i = 0; i < ROWS; i++) {
        score[i] = (float)(4 * rng_normal(rng));
        label[i] = rng_unit(rng) < 1 / (1 + exp(-(double)score[i] / 4));
    }
}

/* At the maximum of the likelihood both derivatives vanish. */
Test(calibration, platt_ends_where_the_likelihood_is_flat)
{
    struct rng rng;
    struct calibrator c;
    rng_seed(&rng, 9);
    draw(&rng);
    cr_assert_eq(calibrator_fit(&c, CALIBRATE_PLATT, score, label, ROWS, NULL), 0);
    double positives = 0, by_a = 0, by_b = 0;
    for (int i = 0; i < ROWS; i++)
        positives += (double)label[i];
    for (int i = 0; i < ROWS; i++) {
        double p = 1 / (1 + exp(c.a * (double)score[i] + c.b));
        double target =
            label[i] == 1 ? (positives + 1) / (positives + 2) : 1 / (ROWS - positives + 2);
        by_a += (double)score[i] * (target - p);
        by_b += target - p;
    }
    cr_expect_float_eq(by_a, 0, 1e-6);
    cr_expect_float_eq(by_b, 0, 1e-6);
    cr_expect_float_eq(c.a, -0.25, 0.08);
}

/* Where the slope is not determined it must not be what rounding left. */
Test(calibration, platt_of_equal_scores_is_the_mean_of_the_targets_everywhere)
{
    static const float asked[] = {-0.7f, 0.3f, 1.3f};
    float prob[ARRAY_LEN(asked)];
    struct calibrator c;
    double positives = 0;
    for (int i = 0; i < ROWS; i++) {
        score[i] = 0.3f;
        label[i] = i % 15 < 7;
        positives += (double)label[i];
    }
    cr_assert_eq(calibrator_fit(&c, CALIBRATE_PLATT, score, label, ROWS, NULL), 0);
    calibrator_apply(&c, asked, ARRAY_LEN(asked), prob);
    double negatives = ROWS - positives,
           want =
               (positives * (positives + 1) / (positives + 2) + negatives / (negatives + 2)) / ROWS;
    for (size_t i = 0; i < ARRAY_LEN(asked); i++)
        cr_expect_float_eq((double)prob[i], want, 1e-7);
}

/* The likelihood knows no origin and no unit. */
Test(calibration, platt_does_not_depend_on_where_the_scores_lie)
{
    struct rng rng;
    struct calibrator near, far;
    static float moved[ROWS], by_near[ROWS], by_far[ROWS];
    rng_seed(&rng, 4);
    draw(&rng);
    for (int i = 0; i < ROWS; i++) {
        score[i] = roundf(score[i] * 64) / 64; /* exact when moved */
        moved[i] = score[i] / 16 + 4096;
    }
    cr_assert_eq(calibrator_fit(&near, CALIBRATE_PLATT, score, label, ROWS, NULL), 0);
    cr_assert_eq(calibrator_fit(&far, CALIBRATE_PLATT, moved, label, ROWS, NULL), 0);
    calibrator_apply(&near, score, ROWS, by_near);
    calibrator_apply(&far, moved, ROWS, by_far);
    for (int i = 0; i < ROWS; i++)
        cr_expect_float_eq((double)by_far[i], (double)by_near[i], 1e-6);
}

Test(calibration, isotonic_never_decreases_and_stays_within_what_was_seen)
{
    struct rng rng;
    struct calibrator c;
    rng_seed(&rng, 10);
    draw(&rng);
    cr_assert_eq(calibrator_fit(&c, CALIBRATE_ISOTONIC, score, label, ROWS, NULL), 0);
    float before = -1;
    for (float s = -30; s < 30; s += 0.125f) {
        float p;
        calibrator_apply(&c, &s, 1, &p);
        cr_assert(p >= before && p >= 0 && p <= 1);
        before = p;
    }
    calibrator_finish(&c);
}

Test(calibration, a_soft_target_breaks_the_contract_before_any_work)
{
    struct rng rng;
    rng_seed(&rng, 11);
    draw(&rng);
    smoothing_apply(0.1, label, ROWS, label);
    score[0] = NAN; /* looked at later than the targets */
    for (int kind = CALIBRATE_PLATT; kind <= CALIBRATE_ISOTONIC; kind++) {
        struct err err = {0};
        struct calibrator c = {.kind = 77};
        cr_expect_eq(calibrator_fit(&c, (enum calibration)kind, score, label, ROWS, &err),
                     -ERR_INVALID);
        cr_expect_eq(
            strncmp(err.msg, "Calibration contract violation: target y must be discrete", 57), 0,
            "%s", err.msg);
        cr_expect_eq((int)c.kind, 77);
    }
}

Test(calibration, one_class_alone_and_infinite_scores_are_refused)
{
    struct err err = {0};
    struct calibrator c;
    for (int i = 0; i < ROWS; i++)
        label[i] = 1;
    cr_expect_eq(calibrator_fit(&c, CALIBRATE_PLATT, score, label, ROWS, &err), -ERR_INVALID);
    cr_expect_str_eq(err.msg, "calibration: all 400 rows have the label 1");
    label[0] = 0;
    score[3] = INFINITY;
    cr_expect_eq(calibrator_fit(&c, CALIBRATE_PLATT, score, label, ROWS, &err), -ERR_INVALID);
    cr_expect_str_eq(err.msg, "calibration: the score of row 4 is not finite");
}

Test(smoothing, targets_move_to_one_half_and_labels_stay)
{
    const float given[] = {0, 1};
    float soft[2];
    smoothing_apply(0.1, given, 2, soft);
    cr_expect_float_eq((double)soft[0], 0.05, 1e-7);
    cr_expect_float_eq((double)soft[1], 0.95, 1e-7);
    cr_expect(given[0] == 0 && given[1] == 1);
    smoothing_apply(0, given, 2, soft);
    cr_expect(soft[0] == 0 && soft[1] == 1);
    cr_expect(smoothing_check(0.99, NULL) == 0 && smoothing_check(1, NULL) < 0 &&
              smoothing_check(-0.1, NULL) < 0 && smoothing_check(NAN, NULL) < 0);
}
