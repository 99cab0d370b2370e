#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "trials/samplers/kernels.h"
#include "trials/samplers/parzen.h"
#include "trials/samplers/truncnorm.h"

#define MOST_OBS 128
#define MOST_AXES 8
#define N_POINTS 12

/* One case of golden/parzen.txt, which golden/parzen.py wrote with Optuna's own estimator. */
struct golden {
    size_t n, d;
    struct axis axes[MOST_AXES];
    double values[MOST_OBS][MOST_AXES];
    double component[MOST_OBS + 1]
                    [1 + 2 * MOST_AXES]; /* weight, then mu and sigma of the numbers */
    double points[N_POINTS][MOST_AXES], log_pdf[N_POINTS];
    size_t n_points;
};

static size_t numbers(char *text, double *out, size_t most)
{
    size_t n = 0;
    for (char *end; n < most; text = end, n++) {
        out[n] = strtod(text, &end);
        if (end == text)
            break;
    }
    return n;
}

static void read_dist(const char *text, struct axis *out)
{
    struct dist d;
    cr_assert_eq(dist_read_json(&d, text, strlen(text), NULL), 0);
    *out = axis_of(&d);
    dist_free(&d);
}

/* Reads one case; false at the end of the file. The first line has been read to *line. */
static bool read_case(FILE *f, char *line, size_t size, struct golden *g)
{
    *g = (struct golden){0};
    if (sscanf(line, "case %zu %zu", &g->n, &g->d) != 2)
        return false;
    size_t axes = 0, obs = 0, comps = 0;
    while (fgets(line, (int)size, f) != NULL && strncmp(line, "case", 4) != 0) {
        double row[1 + 2 * MOST_AXES];
        if (strncmp(line, "dist ", 5) == 0) {
            read_dist(line + 5, &g->axes[axes++]);
        } else if (strncmp(line, "obs ", 4) == 0) {
            (void)numbers(line + 4, g->values[obs++], g->d);
        } else if (strncmp(line, "comp ", 5) == 0) {
            (void)numbers(line + 5, g->component[comps++], ARRAY_LEN(row));
        } else {
            cr_assert_eq(numbers(line + 4, row, ARRAY_LEN(row)), g->d + 1);
            memcpy(g->points[g->n_points], row, g->d * sizeof(double));
            g->log_pdf[g->n_points++] = row[g->d];
        }
    }
    cr_assert(axes == g->d && obs == g->n && comps == g->n + 1);
    return true;
}

static void for_each_case(void (*check)(const struct golden *g))
{
    static struct golden g;
    char line[1024];
    int cases = 0;
    AUTO_FCLOSE FILE *f = fopen(GOLDEN_DIR "/parzen.txt", "re");
    cr_assert_not_null(f);
    cr_assert_not_null(fgets(line, sizeof(line), f));
    for (; read_case(f, line, sizeof(line), &g); cases++) {
        check(&g);
        if (feof(f))
            break;
    }
    cr_expect_gt(cases, 40);
}

static bool near(double a, double b, double tolerance)
{
    return fabs(a - b) <= tolerance * fmax(1, fabs(b));
}

static void fit(const struct golden *g, struct parzen *p)
{
    static double places[MOST_AXES * MOST_OBS];
    for (size_t dim = 0; dim < g->d; dim++) {
        for (size_t i = 0; i < g->n; i++)
            places[dim * g->n + i] = axis_place(&g->axes[dim], g->values[i][dim]);
    }
    cr_assert_eq(parzen_fit(p, g->axes, g->d, places, g->n, NULL), 0);
}

static void check_components(const struct golden *g)
{
    struct parzen p = {0};
    fit(g, &p);
    for (size_t i = 0; i <= g->n; i++) {
        const double *expected = g->component[i];
        cr_expect(near(p.weight[i], *expected++, 1e-12), "weight %zu of %zu", i, g->n);
        for (size_t dim = 0; dim < g->d; dim++) {
            if (g->axes[dim].kind == DIST_CHOICE)
                continue;
            cr_expect(near(p.mu[dim * p.n + i], *expected++, 1e-12));
            cr_expect(near(p.sigma[dim * p.n + i], *expected, 1e-12),
                      "sigma %zu of %zu, axis %zu: %g, expected %g", i, g->n, dim,
                      p.sigma[dim * p.n + i], *expected);
            expected++;
        }
    }
    parzen_free(&p);
}

Test(parzen, components_are_optunas)
{
    for_each_case(check_components);
}

static void check_densities(const struct golden *g)
{
    struct parzen p = {0};
    fit(g, &p);
    for (size_t i = 0; i < g->n_points; i++)
        cr_expect(near(parzen_log_pdf(&p, g->points[i]), g->log_pdf[i], 1e-9),
                  "n %zu: %.12g, expected %.12g", g->n, parzen_log_pdf(&p, g->points[i]),
                  g->log_pdf[i]);
    parzen_free(&p);
}

Test(parzen, densities_are_optunas)
{
    for_each_case(check_densities);
}

static void add_all(const struct golden *g, struct kernels *k, size_t first, size_t stride)
{
    for (size_t i = first; i < g->n; i += stride) {
        double places[MOST_AXES];
        for (size_t dim = 0; dim < g->d; dim++)
            places[dim] = axis_place(&g->axes[dim], g->values[i][dim]);
        cr_assert_eq(kernels_add(k, (int64_t)i, places, NULL), 0);
    }
}

static void log_pdf(const struct golden *g, struct kernels *k, double *out)
{
    static double points[N_POINTS * MOST_AXES];
    for (size_t i = 0; i < g->n_points; i++)
        memcpy(points + i * g->d, g->points[i], g->d * sizeof(double));
    cr_assert_eq(kernels_log_pdf(k, points, g->n_points, out, NULL), 0);
}

/* Kernels count the length of a continuous axis as 1. */
static double log_volume(const struct golden *g)
{
    double sum = 0;
    for (size_t dim = 0; dim < g->d; dim++) {
        if (g->axes[dim].kind != DIST_CHOICE && g->axes[dim].step == 0)
            sum += log(g->axes[dim].to - g->axes[dim].from);
    }
    return sum;
}

static void check_kernels(const struct golden *g)
{
    struct kernels k;
    double got[N_POINTS];
    cr_assert_eq(kernels_init(&k, g->axes, g->d, NULL), 0);
    add_all(g, &k, 0, 1);
    log_pdf(g, &k, got);
    for (size_t i = 0; i < g->n_points; i++)
        cr_expect(near(got[i] - log_volume(g), g->log_pdf[i], 1e-4), "n %zu: %.9g, expected %.9g",
                  g->n, got[i] - log_volume(g), g->log_pdf[i]);
    kernels_free(&k);
}

Test(kernels, densities_in_single_precision_are_optunas_within_1e4)
{
    for_each_case(check_kernels);
}

/* Asks in between, so that bandwidths are kept up to date step by step; comes and goes in another
 * order. */
static void check_history(const struct golden *g)
{
    struct kernels at_once, in_steps;
    double a[N_POINTS], b[N_POINTS];
    cr_assert_eq(kernels_init(&at_once, g->axes, g->d, NULL), 0);
    cr_assert_eq(kernels_init(&in_steps, g->axes, g->d, NULL), 0);
    add_all(g, &at_once, 0, 1);
    add_all(g, &in_steps, 1, 2);
    log_pdf(g, &in_steps, b);
    add_all(g, &in_steps, 0, 2);
    log_pdf(g, &in_steps, b);
    for (size_t i = 0; i < g->n; i += 3)
        kernels_remove(&in_steps, (int64_t)i);
    log_pdf(g, &in_steps, b);
    add_all(g, &in_steps, 0, 3);
    log_pdf(g, &at_once, a);
    log_pdf(g, &in_steps, b);
    cr_expect_arr_eq(a, b, g->n_points * sizeof(double), "n %zu", g->n);
    kernels_free(&at_once);
    kernels_free(&in_steps);
}

Test(kernels, order_of_arrival_does_not_change_a_bit)
{
    for_each_case(check_history);
}

/* A continuous axis, a whole one of many equal places, and a choice. */
static void random_places(struct rng *rng, double *places)
{
    places[0] = -5 + 10 * rng_unit(rng);
    places[1] = (double)rng_below(rng, 21);
    places[2] = (double)rng_below(rng, 3);
}

/* Trials that come all at once are sorted, those that come one by one are inserted. */
Test(kernels, many_at_once_are_the_same_to_the_bit_as_one_by_one)
{
    enum { N = 3000, D = 3, POINTS = 20 };
    struct dist d[D] = {{.kind = DIST_FLOAT, .low = -5, .high = 5},
                        {.kind = DIST_INT, .low = 0, .high = 20, .step = 1},
                        {.kind = DIST_CHOICE, .n_choices = 3}};
    struct axis axes[D] = {axis_of(&d[0]), axis_of(&d[1]), axis_of(&d[2])};
    struct kernels at_once, one_by_one, in_two;
    cr_assert_eq(kernels_init(&at_once, axes, D, NULL), 0);
    cr_assert_eq(kernels_init(&one_by_one, axes, D, NULL), 0);
    cr_assert_eq(kernels_init(&in_two, axes, D, NULL), 0);
    struct rng rng;
    rng_seed(&rng, 4);
    double a[POINTS], b[POINTS], c[POINTS], points[POINTS * D];
    for (int64_t i = 0; i < POINTS; i++)
        random_places(&rng, points + i * D);
    for (int64_t i = 0; i < N; i++) {
        double places[D];
        random_places(&rng, places);
        cr_assert_eq(kernels_add(&at_once, i, places, NULL), 0);
        cr_assert_eq(kernels_add(&one_by_one, i, places, NULL), 0);
        cr_assert_eq(kernels_add(&in_two, i, places, NULL), 0);
        if (i == 0) /* from here on it keeps its orders */
            cr_assert_eq(kernels_log_pdf(&one_by_one, points, 1, b, NULL), 0);
        if (i == N / 3) {
            cr_assert_eq(kernels_log_pdf(&in_two, points, POINTS, c, NULL), 0);
            kernels_expect_many(&in_two);
            kernels_remove(&in_two, 5);
        }
        if (i == N / 2) {
            kernels_remove(&at_once, 5);
            kernels_remove(&one_by_one, 5);
        }
    }
    cr_assert_eq(kernels_log_pdf(&at_once, points, POINTS, a, NULL), 0);
    cr_assert_eq(kernels_log_pdf(&one_by_one, points, POINTS, b, NULL), 0);
    cr_assert_eq(kernels_log_pdf(&in_two, points, POINTS, c, NULL), 0);
    cr_expect_arr_eq(a, b, sizeof(a));
    cr_expect_arr_eq(a, c, sizeof(a));
    kernels_free(&at_once);
    kernels_free(&one_by_one);
    kernels_free(&in_two);
}

/* The share of draws below each decile of the distribution function must be the decile. */
static void check_truncated(double a, double b)
{
    struct rng rng;
    rng_seed(&rng, 1);
    int below[9] = {0};
    const int n = 20000;
    double mass = normal_log_mass(a, b);
    for (int i = 0; i < n; i++) {
        double x = normal_truncated(&rng, a, b);
        cr_assert(x >= a && x <= b);
        double u = x > a ? exp(normal_log_mass(a, x) - mass) : 0;
        for (int q = 0; q < 9; q++)
            below[q] += u < (q + 1) / 10.0;
    }
    for (int q = 0; q < 9; q++)
        cr_expect_float_eq(below[q] / (double)n, (q + 1) / 10.0, 0.015, "[%g, %g] decile %d: %g", a,
                           b, q + 1, below[q] / (double)n);
}

Test(truncnorm, draws_follow_the_distribution)
{
    static const double intervals[][2] = {{-1, 1},      {-3, 0.2},  {0, 5},      {0.5, 0.6},
                                          {4, 9},       {-40, -30}, {-0.1, 0.2}, {-9, 9},
                                          {12, 12.001}, {-100, 0}};
    for (size_t i = 0; i < ARRAY_LEN(intervals); i++)
        check_truncated(intervals[i][0], intervals[i][1]);
}

/* Draws of a mixture must fall into the cells of a discrete axis as often as its own log mass says.
 */
Test(parzen, draws_follow_the_density)
{
    struct dist d[2] = {{.kind = DIST_INT, .low = 1, .high = 8, .log = true, .step = 1},
                        {.kind = DIST_CHOICE, .n_choices = 3}};
    struct axis axes[] = {axis_of(&d[0]), axis_of(&d[1])};
    double places[] = {log(2), log(3), log(7), 0, 2, 2};
    struct parzen p = {0};
    cr_assert_eq(parzen_fit(&p, axes, 2, places, 3, NULL), 0);
    int count[9][3] = {0};
    const int n = 60000;
    struct rng rng;
    rng_seed(&rng, 3);
    for (int i = 0; i < n; i++) {
        double v[2];
        parzen_sample(&p, &rng, v);
        count[(int)v[0]][(int)v[1]]++;
    }
    double total = 0;
    for (int x = 1; x <= 8; x++) {
        for (int y = 0; y < 3; y++) {
            double mass = exp(parzen_log_pdf(&p, (double[]){x, y}));
            total += mass;
            cr_expect_float_eq(count[x][y] / (double)n, mass, 0.005, "%d %d: %g, expected %g", x, y,
                               count[x][y] / (double)n, mass);
        }
    }
    cr_expect_float_eq(total, 1, 1e-12);
    parzen_free(&p);
}

/* Far outside, of one point, or of none: an answer, not an endless search. */
Test(truncnorm, hopeless_intervals_end)
{
    struct rng rng;
    rng_seed(&rng, 1);
    cr_expect_eq(normal_truncated(&rng, 1e200, 2e200), 1e200);
    cr_expect_eq(normal_truncated(&rng, -2e200, -1e200), -1e200);
    cr_expect_eq(normal_truncated(&rng, 3, 3), 3);
    cr_expect(isnan(normal_truncated(&rng, NAN, NAN)));
}
