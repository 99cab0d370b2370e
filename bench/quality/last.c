/* Functions written after the last change to the samplers, from other families than the rest. */
#include <math.h>
#include <stdint.h>

#include "bench/quality/functions.h"
#include "bench/quality/params.h"

static double sq(double x)
{
    return x * x;
}

/* Flow of water through a borehole (Harper and Gupta 1983), to be 60 m^3 a year. */
static const struct quality_param borehole_params[] = {
    FLOAT("rw", 0.05, 0.15), LOG("r", 100, 50000),    FLOAT("tu", 63070, 115600),
    FLOAT("hu", 990, 1110),  FLOAT("tl", 63.1, 116),  FLOAT("hl", 700, 820),
    FLOAT("l", 1120, 1680),  FLOAT("kw", 9855, 12045)};
static double borehole8(const double *v)
{
    double ratio = log(v[1] / v[0]);
    double below = ratio * (1 + 2 * v[6] * v[2] / (ratio * v[0] * v[0] * v[7]) + v[2] / v[4]);
    return fabs(2 * M_PI * v[2] * (v[3] - v[5]) / below - 60);
}

static const struct quality_param egg_params[] = {FLOAT("x", -512, 512), FLOAT("y", -512, 512)};
static double eggholder2(const double *v)
{
    double y = v[1] + 47;
    return -y * sin(sqrt(fabs(v[0] / 2 + y))) - v[0] * sin(sqrt(fabs(v[0] - y)));
}

static const struct quality_param perm_params[] = {FLOAT("a", -4, 4), FLOAT("b", -4, 4),
                                                   FLOAT("c", -4, 4), FLOAT("d", -4, 4)};
static double perm4(const double *v)
{
    double sum = 0;
    for (int i = 1; i <= 4; i++) {
        double inner = 0;
        for (int j = 1; j <= 4; j++)
            inner += (j + 10) * (pow(v[j - 1], i) - pow(1.0 / j, i));
        sum += inner * inner;
    }
    return log1p(sum);
}

static const struct quality_param drop_params[] = {FLOAT("x", -5.12, 5.12), FLOAT("y", -5.12, 5.12),
                                                   FLOAT("z", -5.12, 5.12)};
static double dropwave3(const double *v)
{
    double square = sq(v[0] - 1.1) + sq(v[1] + 0.7) + sq(v[2] - 2.2);
    return -(1 + cos(12 * sqrt(square))) / (0.5 * square + 2);
}

#define T(n) FLOAT(n, -2, 2)
static const struct quality_param quartic_params[] = {
    T("a"), T("b"), T("c"), T("d"), T("e"), T("f"), T("g"), T("h"), T("i"), T("j"), T("k"), T("l")};
static double quartic12(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (i + 1) * sq(sq(v[i] - ((i * 5 + 3) % 12) / 6.0 + 1));
    return sum;
}

/* The design of a welded beam (Deb 1991), violations as a penalty. */
static const struct quality_param beam_params[] = {FLOAT("h", 0.1, 2), FLOAT("l", 0.1, 10),
                                                   FLOAT("t", 0.1, 10), FLOAT("b", 0.1, 2)};
static double beam4(const double *v)
{
    double h = v[0], l = v[1], t = v[2], b = v[3];
    double radius = sqrt(l * l / 4 + sq((h + t) / 2)), moment = 6000 * (14 + l / 2);
    double polar = 2 * (sqrt(2) * h * l * (l * l / 12 + sq((h + t) / 2)));
    double first = 6000 / (sqrt(2) * h * l), second = moment * radius / polar;
    double shear = sqrt(first * first + first * second * l / radius + second * second);
    double buckling = 64746.022 * (1 - 0.0282346 * t) * t * b * b * b;
    double broken = fmax(0, shear / 13600 - 1) + fmax(0, 504000 / (t * t * b) / 30000 - 1) +
                    fmax(0, h / b - 1) + fmax(0, 1 - buckling / 6000);
    return log(1.10471 * h * h * l + 0.04811 * t * b * (14 + l)) + fmin(broken, 5);
}

/* Weighted clauses of three of fourteen switches each. */
#define ONOFF "true,false"
static const struct quality_param clauses_params[] = {
    CHOICE("a", ONOFF), CHOICE("b", ONOFF), CHOICE("c", ONOFF), CHOICE("d", ONOFF),
    CHOICE("e", ONOFF), CHOICE("f", ONOFF), CHOICE("g", ONOFF), CHOICE("h", ONOFF),
    CHOICE("i", ONOFF), CHOICE("j", ONOFF), CHOICE("k", ONOFF), CHOICE("l", ONOFF),
    CHOICE("m", ONOFF), CHOICE("n", ONOFF)};
static double clauses14(const double *v)
{
    double sum = 0;
    for (uint32_t i = 0; i < 70; i++) {
        uint32_t x = (i + 7) * 2246822519u;
        x = (x ^ x >> 13) * 3266489917u;
        x ^= x >> 16;
        int met = 0;
        for (int k = 0; k < 3; k++)
            met |= (int)v[(x >> (5 * k)) % 14] == (int)(x >> (20 + k) & 1);
        sum += met ? 0 : 1 + (x >> 24 & 7);
    }
    return sum;
}

/* Two groups of conditions that have nothing to do with one another. */
static const struct quality_param schedule_params[] = {
    CHOICE("opt", "\"sgd\",\"adam\",\"lion\""),
    WHEN_LOG("sgd_lr", 1e-4, 1, "opt == \"sgd\""),
    WHEN_FLOAT("momentum", 0, 0.99, "opt == \"sgd\""),
    WHEN_LOG("adam_lr", 1e-5, 0.1, "opt == \"adam\""),
    WHEN_LOG("beta", 1e-4, 0.5, "opt == \"adam\""),
    WHEN_LOG("lion_lr", 1e-6, 0.01, "opt == \"lion\""),
    CHOICE("schedule", "\"flat\",\"steps\",\"cosine\""),
    WHEN_INT("every", 1, 40, "schedule == \"steps\""),
    WHEN_FLOAT("factor", 0.05, 0.95, "schedule == \"steps\""),
    WHEN_FLOAT("warmup", 0, 0.5, "schedule == \"cosine\""),
    INTLOG("batch", 8, 1024)};
static double schedule(const double *v)
{
    double batch = log2(v[10]), loss = 0.02 * sq(batch - 6);
    if (v[0] == 0)
        loss += 0.05 + 0.2 * sq(log10(v[1]) + 1.5 - 0.1 * (batch - 6)) + 0.4 * sq(v[2] - 0.9);
    else if (v[0] == 1)
        loss += 0.2 * sq(log10(v[3]) + 3 - 0.1 * (batch - 6)) + 0.03 * sq(log10(v[4]) + 1);
    else
        loss += 0.02 + 0.3 * sq(log10(v[5]) + 4);
    if (v[6] == 0)
        return loss + 0.12;
    if (v[6] == 1)
        return loss + 0.04 + 0.0004 * sq(v[7] - 12) + 0.3 * sq(v[8] - 0.4);
    return loss + 0.8 * sq(v[9] - 0.08);
}

/* An error rate on 250 examples. */
static const struct quality_param accuracy_params[] = {
    LOG("lr", 1e-4, 1), INT("depth", 1, 15), LOG("reg", 1e-6, 10), CHOICE("kind", "\"a\",\"b\""),
    FLOAT("drop", 0, 0.9)};
static double accuracy(const double *v)
{
    double far = log10(v[0]) + 1.7 + 0.08 * v[1];
    double error = 0.09 + 0.05 * sq(far) + 0.002 * sq(v[1] - 6 - 2 * v[3]) +
                   0.008 * sq(log10(v[2]) + 2.5) + 0.1 * sq(v[4] - 0.3) + 0.02 * (v[3] == 0);
    return floor(250 * fmin(error, 0.5) + 0.5) / 250;
}

#define F(name, params, noise)                                                                     \
    {                                                                                              \
#name, "last", name, params, N(params), noise                                              \
    }
const struct quality_function quality_last[] = {
    F(borehole8, borehole_params, 0),
    F(eggholder2, egg_params, 0),
    F(perm4, perm_params, 0),
    F(dropwave3, drop_params, 0),
    F(quartic12, quartic_params, 0),
    F(beam4, beam_params, 0),
    F(clauses14, clauses_params, 0),
    F(schedule, schedule_params, 0),
    F(accuracy, accuracy_params, 0.008),
};
const size_t n_quality_last = N(quality_last);
