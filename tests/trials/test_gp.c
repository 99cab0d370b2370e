#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/rng.h"
#include "trials/samplers/gp.h"

enum { N = 12, D = 3, POINTS = 5 };

/* golden/gp.py: the same kernel, scales and observations in scikit-learn. */
Test(gp, predicts_as_scikit_learn_does)
{
    double x[N * D], y[N], points[POINTS * D], mean[POINTS], at[N], deviation[N],
        expected[2 * POINTS];
    double weights[D];
    struct gp_scales scales = {.weight = weights};
    static const bool is_choice[D] = {false};
    AUTO_FCLOSE FILE *f = fopen(GOLDEN_DIR "/gp.txt", "re");
    cr_assert_not_null(f);
    double *const parts[] = {weights, &scales.noise, x, y, points, expected};
    const size_t sizes[] = {D, 1, N * D, N, POINTS * D, 2 * POINTS};
    for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
        for (size_t i = 0; i < sizes[p]; i++)
            cr_assert_eq(fscanf(f, "%lf", &parts[p][i]), 1);
    }
    struct gp *g;
    cr_assert_eq(gp_create(&g, &scales, x, y, N, D, is_choice, NULL), 0);
    cr_assert_eq(gp_predict(g, points, POINTS, mean, deviation, NULL), 0);
    for (size_t i = 0; i < POINTS; i++) {
        cr_expect_float_eq(mean[i], expected[2 * i], 1e-9, "%g, expected %g", mean[i],
                           expected[2 * i]);
        /* scikit-learn's signal variance is 1 */
        cr_expect_float_eq(deviation[i] / sqrt(g->signal), expected[2 * i + 1], 1e-9);
    }
    cr_assert_eq(gp_predict(g, x, N, at, deviation, NULL), 0);
    for (size_t i = 0; i < N; i++)
        cr_expect_float_eq(gp_mean_at(g, i, y[i]), at[i], 1e-9);
    gp_destroy(g);
}

/* y depends on the first axis and the choice, on the second axis not at all. */
Test(gp, scales_tell_which_axes_matter)
{
    enum { M = 60 };
    static double x[M * D], y[M];
    static const bool is_choice[D] = {false, false, true};
    double mean = 0, square = 0;
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < M; i++) {
        x[i * D] = rng_unit(&rng);
        x[i * D + 1] = rng_unit(&rng);
        x[i * D + 2] = (double)rng_below(&rng, 3);
        y[i] = sin(9 * x[i * D]) + (x[i * D + 2] == 1 ? 1 : 0);
        mean += y[i] / M;
    }
    for (size_t i = 0; i < M; i++)
        square += (y[i] - mean) * (y[i] - mean) / M;
    for (size_t i = 0; i < M; i++)
        y[i] = (y[i] - mean) / sqrt(square);
    struct gp_scales s;
    cr_assert_eq(gp_scales_fit(&s, x, y, M, D, is_choice, NULL), 0);
    cr_expect_gt(s.weight[0], 10 * s.weight[1], "%g %g %g", s.weight[0], s.weight[1], s.weight[2]);
    cr_expect_lt(s.noise, 0.01, "there is none: %g", s.noise);
    free(s.weight);
}

/* Standardised observations: most of them good ones in one place, two bad ones elsewhere. */
Test(gp, many_trials_in_one_place_promise_nothing_elsewhere)
{
    enum { M = 22 };
    double x[M], y[M], far = 1, mean, deviation, weight = 50;
    struct gp_scales scales = {.weight = &weight, .noise = 1e-3};
    static const bool is_choice = false;
    for (size_t i = 0; i < M; i++) {
        x[i] = i < M - 2 ? 0.05 + 0.002 * (double)i : i == M - 2 ? 0.4 : 0.6;
        y[i] = i < M - 2 ? -0.3 : 3;
    }
    struct gp *g;
    cr_assert_eq(gp_create(&g, &scales, x, y, M, 1, &is_choice, NULL), 0);
    cr_assert_eq(gp_predict(g, &far, 1, &mean, &deviation, NULL), 0);
    cr_expect_gt(mean, 1, "%g", mean);
    gp_destroy(g);
}
