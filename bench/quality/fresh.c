/* Functions written after the samplers, from other families than those in functions.c. */
#include <math.h>
#include <stdint.h>

#include "bench/quality/functions.h"
#include "bench/quality/params.h"

static double sq(double x)
{
    return x * x;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static const struct quality_param hartmann_params[] = {FLOAT("a", 0, 1), FLOAT("b", 0, 1),
                                                       FLOAT("c", 0, 1)};
static double hartmann3(const double *v)
{
    static const double alpha[] = {1, 1.2, 3, 3.2};
    static const double a[4][3] = {{3, 10, 30}, {0.1, 10, 35}, {3, 10, 30}, {0.1, 10, 35}};
    static const double p[4][3] = {{0.3689, 0.1170, 0.2673},
                                   {0.4699, 0.4387, 0.7470},
                                   {0.1091, 0.8732, 0.5547},
                                   {0.0381, 0.5743, 0.8828}};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        double e = 0;
        for (int j = 0; j < 3; j++)
            e += a[i][j] * sq(v[j] - p[i][j]);
        sum -= alpha[i] * exp(-e);
    }
    return sum;
}

static const struct quality_param shekel_params[] = {FLOAT("a", 0, 10), FLOAT("b", 0, 10),
                                                     FLOAT("c", 0, 10), FLOAT("d", 0, 10)};
static double shekel4(const double *v)
{
    static const double c[] = {0.1, 0.2, 0.2, 0.4, 0.4, 0.6, 0.3, 0.7, 0.5, 0.5};
    static const double a[10][4] = {{4, 4, 4, 4}, {1, 1, 1, 1},    {8, 8, 8, 8}, {6, 6, 6, 6},
                                    {3, 7, 3, 7}, {2, 9, 2, 9},    {5, 5, 3, 3}, {8, 1, 8, 1},
                                    {6, 2, 6, 2}, {7, 3.6, 7, 3.6}};
    double sum = 0;
    for (int i = 0; i < 10; i++) {
        double r = c[i];
        for (int j = 0; j < 4; j++)
            r += sq(v[j] - a[i][j]);
        sum -= 1 / r;
    }
    return sum;
}

static const struct quality_param griewank_params[] = {FLOAT("a", -80, 120), FLOAT("b", -80, 120),
                                                       FLOAT("c", -80, 120), FLOAT("d", -80, 120),
                                                       FLOAT("e", -80, 120)};
static double griewank5(const double *v)
{
    double sum = 0, product = 1;
    for (int i = 0; i < 5; i++) {
        double x = v[i] - 9 * i + 17;
        sum += x * x / 4000;
        product *= cos(x / sqrt(i + 1));
    }
    return sum - product + 1;
}

static const struct quality_param trid_params[] = {FLOAT("a", -36, 36), FLOAT("b", -36, 36),
                                                   FLOAT("c", -36, 36), FLOAT("d", -36, 36),
                                                   FLOAT("e", -36, 36), FLOAT("f", -36, 36)};
static double trid6(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += sq(v[i] - 1) - (i > 0 ? v[i] * v[i - 1] : 0);
    return sum;
}

static const struct quality_param dixon_params[] = {FLOAT("a", -10, 10), FLOAT("b", -10, 10),
                                                    FLOAT("c", -10, 10), FLOAT("d", -10, 10),
                                                    FLOAT("e", -10, 10)};
static double dixonprice5(const double *v)
{
    double sum = sq(v[0] - 1);
    for (int i = 1; i < 5; i++)
        sum += (i + 1) * sq(2 * v[i] * v[i] - v[i - 1]);
    return sum;
}

static const struct quality_param zakharov_params[] = {
    FLOAT("a", -5, 10), FLOAT("b", -5, 10), FLOAT("c", -5, 10), FLOAT("d", -5, 10),
    FLOAT("e", -5, 10), FLOAT("f", -5, 10), FLOAT("g", -5, 10)};
static double zakharov7(const double *v)
{
    double squares = 0, line = 0;
    for (int i = 0; i < 7; i++) {
        double x = v[i] - 0.4 * i + 1;
        squares += x * x;
        line += 0.5 * (i + 1) * x;
    }
    return squares + sq(line) + sq(sq(line));
}

static const struct quality_param schwefel_params[] = {
    FLOAT("a", -500, 500), FLOAT("b", -500, 500), FLOAT("c", -500, 500), FLOAT("d", -500, 500)};
static double schwefel4(const double *v)
{
    double sum = 4 * 418.9829;
    for (int i = 0; i < 4; i++)
        sum -= v[i] * sin(sqrt(fabs(v[i])));
    return sum;
}

static const struct quality_param goldstein_params[] = {FLOAT("x", -2, 2), FLOAT("y", -2, 2)};
static double goldstein2(const double *v)
{
    double x = v[0], y = v[1];
    double a = 19 - 14 * x + 3 * x * x - 14 * y + 6 * x * y + 3 * y * y;
    double b = 18 - 32 * x + 12 * x * x + 48 * y - 36 * x * y + 27 * y * y;
    return log((1 + sq(x + y + 1) * a) * (30 + sq(2 * x - 3 * y) * b));
}

static const struct quality_param powell_params[] = {
    FLOAT("a", -4, 5), FLOAT("b", -4, 5), FLOAT("c", -4, 5), FLOAT("d", -4, 5),
    FLOAT("e", -4, 5), FLOAT("f", -4, 5), FLOAT("g", -4, 5), FLOAT("h", -4, 5)};
static double powell8(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 8; i += 4)
        sum += sq(v[i] + 10 * v[i + 1]) + 5 * sq(v[i + 2] - v[i + 3]) +
               sq(sq(v[i + 1] - 2 * v[i + 2])) + 10 * sq(sq(v[i] - v[i + 3]));
    return sum;
}

static const struct quality_param alpine_params[] = {FLOAT("a", -10, 10), FLOAT("b", -10, 10),
                                                     FLOAT("c", -10, 10), FLOAT("d", -10, 10),
                                                     FLOAT("e", -10, 10), FLOAT("f", -10, 10)};
static double alpine6(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 6; i++) {
        double x = v[i] - 0.6 * i + 1;
        sum += fabs(x * sin(x) + 0.1 * x);
    }
    return sum;
}

static const struct quality_param salomon_params[] = {FLOAT("a", -20, 20), FLOAT("b", -20, 20),
                                                      FLOAT("c", -20, 20), FLOAT("d", -20, 20),
                                                      FLOAT("e", -20, 20)};
static double salomon5(const double *v)
{
    double squares = 0;
    for (int i = 0; i < 5; i++)
        squares += sq(v[i] - 2.3 * i + 3);
    return 1 - cos(2 * M_PI * sqrt(squares)) + 0.1 * sqrt(squares);
}

static const struct quality_param plateau_params[] = {
    FLOAT("a", -5, 5), FLOAT("b", -5, 5), FLOAT("c", -5, 5), FLOAT("d", -5, 5), FLOAT("e", -5, 5)};
static double plateau5(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 5; i++)
        sum += floor(2 * fabs(v[i] - 1.3 * i + 2));
    return sum;
}

#define U(n) FLOAT(n, 0, 1)
static const struct quality_param friedman_params[] = {U("a"), U("b"), U("c"), U("d"), U("e"),
                                                       U("f"), U("g"), U("h"), U("i"), U("j")};
static double friedman10(const double *v)
{
    return 10 * sin(M_PI * v[0] * v[1]) + 20 * sq(v[2] - 0.5) + 10 * v[3] + 5 * v[4];
}

/* --- integers and choices --------------------------------------------------------------------- */

/* The design of a pressure vessel (Sandgren 1990), cost in thousands, violations as a penalty. */
static const struct quality_param vessel_params[] = {
    INT("shell", 1, 99), INT("head", 1, 99), FLOAT("radius", 10, 200), FLOAT("length", 10, 200)};
static double vessel4(const double *v)
{
    double s = 0.0625 * v[0], h = 0.0625 * v[1], r = v[2], l = v[3];
    double volume = M_PI * r * r * l + 4.0 / 3 * M_PI * r * r * r;
    double cost = 0.6224 * s * r * l + 1.7781 * h * r * r + 3.1661 * s * s * l + 19.84 * s * s * r;
    double broken =
        fmax(0, 0.0193 * r / s - 1) + fmax(0, 0.00954 * r / h - 1) + fmax(0, 1 - volume / 1296000);
    return cost / 1000 + 20 * broken;
}

static const struct quality_param gear_params[] = {INT("a", 12, 60), INT("b", 12, 60),
                                                   INT("c", 12, 60), INT("d", 12, 60)};
static double gear4(const double *v)
{
    return log10(sq(1 / 6.931 - v[0] * v[1] / (v[2] * v[3])) + 1e-12);
}

/* An NK landscape: each choice counts together with the next two. */
#define THREE "\"a\",\"b\",\"c\""
static const struct quality_param nk_params[] = {
    CHOICE("a", THREE), CHOICE("b", THREE), CHOICE("c", THREE), CHOICE("d", THREE),
    CHOICE("e", THREE), CHOICE("f", THREE), CHOICE("g", THREE), CHOICE("h", THREE),
    CHOICE("i", THREE), CHOICE("j", THREE)};
static double nk10(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 10; i++) {
        int key = (int)v[i] + 3 * (int)v[(i + 1) % 10] + 9 * (int)v[(i + 2) % 10];
        uint32_t x = (uint32_t)(27 * i + key + 1) * 2654435761u;
        x = (x ^ x >> 15) * 0x2c1b3c6du;
        sum += (double)(x >> 8) / 16777216;
    }
    return sum;
}

/* --- conditions ------------------------------------------------------------------------------- */

static const struct quality_param pipeline_params[] = {
    CHOICE("scale", "\"none\",\"standard\",\"ranks\""),
    CHOICE("learner", "\"linear\",\"near\",\"forest\",\"boost\""),
    WHEN_LOG("alpha", 1e-5, 100, "learner == \"linear\""),
    WHEN_CHOICE("penalty", "\"one\",\"two\"", "learner == \"linear\""),
    WHEN_INTLOG("k", 1, 100, "learner == \"near\""),
    WHEN_INT("depth", 2, 32, "learner == \"forest\""),
    WHEN_FLOAT("features", 0.1, 1, "learner == \"forest\""),
    WHEN_LOG("eta", 0.005, 1, "learner == \"boost\""),
    WHEN_INTLOG("leaves", 4, 256, "learner == \"boost\""),
    FLOAT("threshold", 0, 1)};
static double pipeline(const double *v)
{
    double loss = 0.3 * sq(v[9] - 0.35) + 0.02 * (v[0] != 1);
    if (v[1] == 0)
        return loss + 0.17 + 0.02 * sq(log10(v[2]) + 1) + 0.01 * (v[3] == 0);
    if (v[1] == 1)
        return loss + 0.15 + 0.03 * sq(log2(v[4]) - 4) + 0.05 * (v[0] == 0);
    if (v[1] == 2)
        return loss + 0.12 + 0.001 * sq(v[5] - 17) + 0.2 * sq(v[6] - 0.3);
    double effort = log10(v[7]) + 0.3 * log2(v[8]);
    return loss + 0.1 + 0.2 * sq(log10(v[7]) + 1.2) + 0.1 * sq(effort - 0.4);
}

/* Four landscapes of two parameters each, one of them a little deeper than the others. */
static const struct quality_param regions_params[] = {CHOICE("region", "1,2,3,4"),
                                                      WHEN_FLOAT("a", -3, 3, "region == 1"),
                                                      WHEN_FLOAT("b", -2, 2, "region == 1"),
                                                      WHEN_FLOAT("c", -4.5, 4.5, "region == 2"),
                                                      WHEN_FLOAT("d", -4.5, 4.5, "region == 2"),
                                                      WHEN_FLOAT("e", -5, 5, "region == 3"),
                                                      WHEN_FLOAT("f", -5, 5, "region == 3"),
                                                      WHEN_FLOAT("g", -1.5, 4, "region == 4"),
                                                      WHEN_FLOAT("h", -3, 4, "region == 4")};
static double regions(const double *v)
{
    if (v[0] == 0) /* the six-hump camel */
        return (4 - 2.1 * sq(v[1]) + sq(sq(v[1])) / 3) * sq(v[1]) + v[1] * v[2] +
               (4 * sq(v[2]) - 4) * sq(v[2]);
    if (v[0] == 1) /* Beale */
        return log1p(sq(1.5 - v[3] + v[3] * v[4]) + sq(2.25 - v[3] + v[3] * v[4] * v[4]) +
                     sq(2.625 - v[3] + v[3] * v[4] * v[4] * v[4])) -
               0.8;
    if (v[0] == 2) /* Himmelblau */
        return log1p(sq(v[5] * v[5] + v[6] - 11) + sq(v[5] + v[6] * v[6] - 7)) - 1.2;
    return sin(v[7] + v[8]) + sq(v[7] - v[8]) - 1.5 * v[7] + 2.5 * v[8] + 1.5; /* McCormick */
}

/* --- noise ------------------------------------------------------------------------------------ */

static const struct quality_param noisy_params[] = {FLOAT("a", -4, 4), FLOAT("b", -4, 4),
                                                    FLOAT("c", -4, 4), FLOAT("d", -4, 4),
                                                    FLOAT("e", -4, 4), FLOAT("f", -4, 4)};
static double noisy6(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += sq(v[i] - 1.1 + 0.5 * i + 0.3 * v[(i + 2) % 6]) / (i + 1);
    return sum;
}

static const struct quality_param tuning_params[] = {
    LOG("lr", 1e-5, 1), LOG("decay", 1e-7, 0.1), INT("layers", 1, 6), FLOAT("dropout", 0, 0.7),
    CHOICE("act", "\"relu\",\"tanh\",\"gelu\",\"elu\"")};
static double noisytune(const double *v)
{
    static const double act[] = {0.01, 0.03, 0, 0.015};
    double best = -2.2 - 0.2 * v[2], far = log10(v[0]) - best;
    double loss = 0.08 + 0.04 * sq(far) + (far > 1 ? 0.3 * (far - 1) : 0) + act[(int)v[4]];
    return loss + 0.004 * sq(log10(v[1]) + 4) + 0.006 * sq(v[2] - 3.6) +
           0.15 * sq(v[3] - 0.05 * v[2]);
}

#define F(name, params, noise)                                                                     \
    {                                                                                              \
#name, "fresh", name, params, N(params), noise                                             \
    }
const struct quality_function quality_fresh[] = {
    F(hartmann3, hartmann_params, 0),  F(shekel4, shekel_params, 0),
    F(griewank5, griewank_params, 0),  F(trid6, trid_params, 0),
    F(dixonprice5, dixon_params, 0),   F(zakharov7, zakharov_params, 0),
    F(schwefel4, schwefel_params, 0),  F(goldstein2, goldstein_params, 0),
    F(powell8, powell_params, 0),      F(alpine6, alpine_params, 0),
    F(salomon5, salomon_params, 0),    F(plateau5, plateau_params, 0),
    F(friedman10, friedman_params, 0), F(vessel4, vessel_params, 0),
    F(gear4, gear_params, 0),          F(nk10, nk_params, 0),
    F(pipeline, pipeline_params, 0),   F(regions, regions_params, 0),
    F(noisy6, noisy_params, 0.5),      F(noisytune, tuning_params, 0.01),
};
const size_t n_quality_fresh = N(quality_fresh);
