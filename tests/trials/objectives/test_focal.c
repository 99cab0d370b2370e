#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "trials/objectives/focal.h"
#include "trials/objectives/focal_table.h"

#define MARGINS 200

/* The loss as the paper writes it, in extended precision and through the probability itself. */
static long double loss_of_paper(const struct focal *f, long double margin, bool positive)
{
    long double p = 1 / (1 + expl(-margin));
    long double pt = positive ? p : 1 - p;
    long double at = positive ? (long double)f->alpha : 1 - (long double)f->alpha;
    return -at * powl(1 - pt, (long double)f->gamma) * logl(pt);
}

static double relative(double got, double want)
{
    return fabs(got - want) / fmax(fabs(want), 1e-9);
}

static struct focal drawn(struct rng *rng)
{
    return (struct focal){.alpha = 0.05 + 0.9 * rng_unit(rng), .gamma = 8 * rng_unit(rng)};
}

static struct focal_table *table_of(const struct focal *f)
{
    struct focal_table *t;
    struct err err;
    cr_assert_eq(focal_table_create(&t, f, &err), 0, "%s", err.msg);
    return t;
}

static void round_of(const struct focal *f, const float *margin, const float *label, size_t n,
                     float *grad, float *hess)
{
    struct focal_table *t = table_of(f);
    focal_round(t, margin, label, n, grad, hess);
    focal_table_destroy(t);
}

Test(focal, loss_is_that_of_the_paper)
{
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < MARGINS; i++) {
        struct focal f = drawn(&rng);
        double z = 16 * rng_unit(&rng) - 8;
        bool positive = rng_below(&rng, 2) == 1;
        double want = (double)loss_of_paper(&f, (long double)z, positive);
        cr_assert_lt(relative(focal_loss(&f, z, positive), want), 1e-10, "z %g gamma %g", z,
                     f.gamma);
    }
}

Test(focal, derivatives_agree_with_finite_differences)
{
    struct rng rng;
    rng_seed(&rng, 2);
    for (int i = 0; i < MARGINS; i++) {
        struct focal f = drawn(&rng);
        long double z = 12 * (long double)rng_unit(&rng) - 6, h = 1e-4L;
        bool positive = rng_below(&rng, 2) == 1;
        long double below = loss_of_paper(&f, z - h, positive);
        long double here = loss_of_paper(&f, z, positive);
        long double above = loss_of_paper(&f, z + h, positive);
        double slope = (double)((above - below) / (2 * h));
        double curve = (double)((above - 2 * here + below) / (h * h));
        cr_assert_lt(fabs(focal_gradient(&f, (double)z, positive) - slope), 1e-7);
        cr_assert_lt(fabs(focal_hessian(&f, (double)z, positive) - curve), 1e-6);
    }
}

Test(focal, gamma_zero_is_weighted_log_loss)
{
    struct focal f = {.alpha = 0.3, .gamma = 0};
    for (double z = -20; z <= 20; z += 0.5) {
        double p = 1 / (1 + exp(-z));
        cr_assert_lt(fabs(focal_gradient(&f, z, true) - 0.3 * (p - 1)), 1e-12);
        cr_assert_lt(fabs(focal_gradient(&f, z, false) - 0.7 * p), 1e-12);
        cr_assert_lt(fabs(focal_hessian(&f, z, true) - 0.3 * p * (1 - p)), 1e-12);
        cr_assert_lt(fabs(focal_hessian(&f, z, false) - 0.7 * p * (1 - p)), 1e-12);
    }
}

Test(focal, every_finite_margin_gives_finite_results)
{
    static const double gammas[] = {0, 0.5, 2, 7, FOCAL_GAMMA_MAX};
    static const double margins[] = {0, 1e-30, 30, 700, 746, 1e6, 3.4e38};
    for (size_t g = 0; g < sizeof(gammas) / sizeof(gammas[0]); g++) {
        struct focal f = {.alpha = 0.25, .gamma = gammas[g]};
        for (int k = 0; k < 28; k++) {
            double z = margins[k / 4] * (k % 2 == 0 ? 1 : -1);
            bool positive = k / 2 % 2 == 0;
            cr_assert(isfinite(focal_loss(&f, z, positive)), "loss at %g", z);
            cr_assert(isfinite(focal_gradient(&f, z, positive)), "gradient at %g", z);
            cr_assert(isfinite(focal_hessian(&f, z, positive)), "hessian at %g", z);
        }
    }
}

Test(focal, a_round_keeps_hessians_above_the_floor)
{
    float margin[] = {-700, -3, 0, 3, 700}, label[] = {0, 1, 1, 0, 1}, grad[5], hess[5];
    struct focal f = {.alpha = 0.25, .gamma = 4};
    cr_assert_lt(focal_hessian(&f, -3, true), 0); /* not convex there: the floor has work to do */
    round_of(&f, margin, label, 5, grad, hess);
    for (int i = 0; i < 5; i++) {
        cr_assert_geq(hess[i], (float)FOCAL_HESSIAN_FLOOR);
        double want = focal_gradient(&f, (double)margin[i], label[i] == 1);
        cr_assert_leq(fabs((double)grad[i] - want), 1e-7 * fabs(want));
    }
    cr_assert_float_eq(hess[1], (float)FOCAL_HESSIAN_FLOOR, 0);
}

/* A derivative is a sum of terms that nearly cancel where it crosses zero: exact to the size of the
 * loss's own scale there, and to its own elsewhere. */
static void expect_near(double got, double want, double scale, const char *what, const char *line)
{
    cr_expect_leq(fabs(got - want), 1e-12 * fabs(want) + 1e-14 * scale, "%s: %g, not %g: %s", what,
                  got, want, line);
}

/* golden/focal.py: gamma 0 … 10, alpha 0 … 1, margins to ±700, in 700 digits. */
Test(focal, derivatives_are_those_of_high_precision_differences)
{
    FILE *f = fopen(GOLDEN_DIR "/focal.txt", "re");
    cr_assert_not_null(f);
    char line[256];
    int points = 0;
    for (; fgets(line, sizeof(line), f) != NULL; points++) {
        double v[7];
        char *at = line;
        for (int i = 0; i < 7; i++)
            v[i] = strtod(at, &at);
        struct focal focal = {.gamma = v[0], .alpha = v[1]};
        bool positive = v[2] == 1;
        double scale = (1 + v[0]) * (1 + v[0]) * v[4];
        expect_near(focal_loss(&focal, v[3], positive), v[4], v[4], "loss", line);
        expect_near(focal_gradient(&focal, v[3], positive), v[5], scale, "first", line);
        expect_near(focal_hessian(&focal, v[3], positive), v[6], scale, "second", line);
    }
    cr_expect_gt(points, 1000);
    (void)fclose(f);
}

Test(focal, a_round_is_row_by_row_what_the_formulas_say)
{
    enum { ROWS = 1003 }; /* not a multiple of any vector */
    static float margin[ROWS], label[ROWS], grad[ROWS], hess[ROWS];
    struct rng rng;
    rng_seed(&rng, 3);
    for (int round = 0; round < 40; round++) {
        struct focal f = round == 0 ? (struct focal){.alpha = 0.5, .gamma = 0} : drawn(&rng);
        for (int i = 0; i < ROWS; i++) {
            margin[i] = (float)(rng_normal(&rng) * (i % 3 == 0 ? 300 : 3));
            label[i] = (float)rng_below(&rng, 2);
        }
        round_of(&f, margin, label, ROWS, grad, hess);
        for (int i = 0; i < ROWS; i++) {
            double z = (double)margin[i];
            bool positive = label[i] == 1;
            double first = focal_gradient(&f, z, positive), second = focal_hessian(&f, z, positive);
            double scale = focal_loss(&f, z, positive);
            cr_assert_leq(fabs((double)grad[i] - first), 2e-7 * fabs(first) + 1e-37, "at %g", z);
            double floored = fmax(second, FOCAL_HESSIAN_FLOOR);
            cr_assert_leq(fabs((double)hess[i] - floored), 2e-7 * floored + 1e-8 * scale, "at %g",
                          z);
        }
    }
}

/* Distance in units of the last place of a float of that size; below 1e-36 its digits grow fewer.
 */
static double places_off(float got, double want)
{
    float size = fmaxf(fabsf((float)want), 1e-36f);
    return fabs((double)got - want) / (double)(nextafterf(size, INFINITY) - size);
}

/* The floats nearest to the formulas are half a place off at most. */
Test(focal, a_round_is_within_one_place_of_the_formulas)
{
    enum { ROWS = 20000 };
    static const double gammas[] = {0,   0.001, 0.05, 0.5, 1,  2,
                                    3.3, 5,     7.7,  10,  30, FOCAL_GAMMA_MAX};
    static const double alphas[] = {0.001, 0.25, 0.5, 0.9};
    static const float reach[] = {700, 50, 10, 3};
    static float margin[ROWS], label[ROWS], grad[ROWS], hess[ROWS];
    struct rng rng;
    rng_seed(&rng, 4);
    for (size_t k = 0; k < 48; k++) {
        struct focal f = {.gamma = gammas[k / 4], .alpha = alphas[k % 4]};
        for (int i = 0; i < ROWS; i++) {
            margin[i] = (float)(2 * rng_unit(&rng) - 1) * reach[i % 4];
            label[i] = (float)rng_below(&rng, 2);
        }
        round_of(&f, margin, label, ROWS, grad, hess);
        for (int i = 0; i < ROWS; i++) {
            double z = (double)margin[i];
            bool positive = label[i] == 1;
            double second = fmax(focal_hessian(&f, z, positive), FOCAL_HESSIAN_FLOOR);
            cr_assert_leq(places_off(grad[i], focal_gradient(&f, z, positive)), 0.7,
                          "gradient at %g, gamma %g", z, f.gamma);
            cr_assert(places_off(hess[i], second) <= 0.7 ||
                          fabs((double)hess[i] - second) <= 2e-9 * focal_loss(&f, z, positive),
                      "Hessian at %g, gamma %g: %.9g, not %.9g", z, f.gamma, (double)hess[i],
                      second);
        }
    }
}

Test(focal, a_round_is_the_same_to_the_bit_on_every_machine)
{
    enum { ROWS = 1003 };
    static float margin[ROWS], label[ROWS], got[2][ROWS], want[2][ROWS];
    struct rng rng;
    rng_seed(&rng, 5);
    for (int k = 0; k < 20; k++) {
        struct focal f = drawn(&rng);
        struct focal_table *t = table_of(&f);
        for (int i = 0; i < ROWS; i++) {
            margin[i] = (float)(rng_normal(&rng) * (i % 3 == 0 ? 300 : 3));
            label[i] = (float)rng_below(&rng, 2);
        }
        margin[k] = NAN; /* whatever it gives, it reads no other memory */
        focal_round(t, margin, label, ROWS, got[0], got[1]);
        focal_round_portable(t, margin, label, ROWS, want[0], want[1]);
        cr_assert_arr_eq(got, want, sizeof(got));
        focal_table_destroy(t);
    }
}

Test(focal, a_round_of_the_largest_margins_stays_finite)
{
    float margin[16], label[16], grad[16], hess[16];
    for (int i = 0; i < 16; i++) {
        static const float sizes[] = {0, 88, 710, 3.4e38f};
        margin[i] = sizes[i / 4] * (i % 2 == 0 ? 1 : -1);
        label[i] = i / 2 % 2 == 0;
    }
    for (double gamma = 0; gamma <= FOCAL_GAMMA_MAX; gamma += 12.5) {
        struct focal f = {.alpha = 0.25, .gamma = gamma};
        round_of(&f, margin, label, 16, grad, hess);
        for (int i = 0; i < 16; i++) {
            cr_assert(isfinite(grad[i]) && isfinite(hess[i]), "at %g, gamma %g", (double)margin[i],
                      gamma);
            cr_assert_geq(hess[i], (float)FOCAL_HESSIAN_FLOOR);
        }
    }
}

Test(focal, ranges_are_checked_with_the_range_in_the_message)
{
    struct err err;
    cr_assert_eq(focal_check(&(struct focal){.alpha = 0.25, .gamma = 2}, &err), 0);
    cr_assert_eq(focal_check(&(struct focal){.alpha = 1, .gamma = 2}, &err), -ERR_INVALID);
    cr_expect_str_eq(err.msg, "focal_alpha is 1: expected more than 0 and less than 1");
    cr_assert_eq(focal_check(&(struct focal){.alpha = 0.25, .gamma = -1}, &err), -ERR_INVALID);
    cr_expect_str_eq(err.msg, "focal_gamma is -1: expected 0 to 100");
    cr_assert_eq(focal_check(&(struct focal){.alpha = 0.25, .gamma = NAN}, NULL), -ERR_INVALID);
}
