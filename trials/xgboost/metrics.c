#include "trials/xgboost/metrics.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

bool predictions_sound(const struct predictions *p)
{
    size_t n = p->rows * (p->classes > 0 ? p->classes : 1);
    bool nan = false; /* no early end: so the loops are vectorised */
    for (size_t i = 0; i < n; i++)
        nan |= isnan(p->pred[i]) != 0;
    for (size_t i = 0; i < p->rows; i++)
        nan |= isnan(p->label[i]) != 0;
    return !nan;
}

double metric_value(const struct metric *m, const struct predictions *p)
{
    return predictions_sound(p) ? m->eval(p) : NAN;
}

/* ---- ranking metrics: rows in order of their prediction ---- */

/* The bits of a float as an integer with the same order. */
static uint32_t ordered_bits(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

#define RADIX_BITS 11
#define RADIX (1u << RADIX_BITS)

/* Least significant digit first, three digits of 11 bits of the upper half of each key. */
static void radix_sort(uint64_t *keys, uint64_t *other, size_t n)
{
    for (unsigned shift = 32; shift < 64; shift += RADIX_BITS) {
        size_t start[RADIX] = {0};
        for (size_t i = 0; i < n; i++)
            start[(keys[i] >> shift) & (RADIX - 1)]++;
        size_t sum = 0;
        for (size_t d = 0; d < RADIX; d++) {
            size_t count = start[d];
            start[d] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++)
            other[start[(keys[i] >> shift) & (RADIX - 1)]++] = keys[i];
        uint64_t *swap = keys;
        keys = other;
        other = swap;
    }
}

/* Keys of prediction (upper half) and label (lowest bit), ascending; NULL when out of memory. The
 * three passes end in the second half of the block, which *sorted points to; the caller frees. */
static uint64_t *ranked(const struct predictions *p, const uint64_t **sorted)
{
    uint64_t *keys = malloc(2 * p->rows * sizeof(*keys));
    if (keys == NULL)
        return NULL;
    for (size_t i = 0; i < p->rows; i++)
        keys[i] = (uint64_t)ordered_bits(p->pred[i]) << 32 | (p->label[i] > 0.5f);
    radix_sort(keys, keys + p->rows, p->rows);
    *sorted = keys + p->rows;
    return keys;
}

/* A run of equal predictions: it begins at i, ends before the returned index; positives counted. */
static size_t run_of_ties(const uint64_t *sorted, size_t i, size_t n, size_t *positives)
{
    uint64_t key = sorted[i] >> 32;
    *positives = 0;
    for (; i < n && sorted[i] >> 32 == key; i++)
        *positives += sorted[i] & 1;
    return i;
}

/* Area under the ROC curve: the chance that a positive ranks above a negative, ties counting half
 * (Mann-Whitney U). */
static double auc(const struct predictions *p)
{
    const uint64_t *sorted;
    AUTO_FREE uint64_t *keys = ranked(p, &sorted);
    if (keys == NULL)
        return NAN;
    double below = 0, wins = 0, positives = 0;
    for (size_t i = 0; i < p->rows;) {
        size_t pos, next = run_of_ties(sorted, i, p->rows, &pos);
        double neg = (double)(next - i - pos);
        wins += (double)pos * (below + neg / 2);
        below += neg;
        positives += (double)pos;
        i = next;
    }
    return wins / (positives * below); /* 0/0 is NaN: one class is absent */
}

/* Average precision, the step-wise area under precision and recall (scikit-learn's
 * average_precision_score; XGBoost's own aucpr interpolates and differs a little). */
static double aucpr(const struct predictions *p)
{
    const uint64_t *sorted;
    AUTO_FREE uint64_t *keys = ranked(p, &sorted);
    if (keys == NULL)
        return NAN;
    /* ascending order: what stands at i and above is predicted positive at that threshold */
    double positives = 0, sum = 0;
    for (size_t i = 0; i < p->rows; i++)
        positives += (double)(sorted[i] & 1);
    double above = positives;
    for (size_t i = 0; i < p->rows;) {
        size_t pos, next = run_of_ties(sorted, i, p->rows, &pos);
        sum += (double)pos * above / (double)(p->rows - i);
        above -= (double)pos;
        i = next;
    }
    return sum / positives;
}

/* ---- probabilities ---- */

static double clipped(double p)
{
    return p < FLT_EPSILON ? FLT_EPSILON : p > 1 - FLT_EPSILON ? 1 - FLT_EPSILON : p;
}

static double logloss(const struct predictions *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->rows; i++) {
        double q = clipped((double)p->pred[i]);
        sum -= log(p->label[i] > 0.5f ? q : 1 - q);
    }
    return sum / (double)p->rows;
}

static double brier(const struct predictions *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->rows; i++) {
        double d = (double)p->pred[i] - (double)p->label[i];
        sum += d * d;
    }
    return sum / (double)p->rows;
}

#define ECE_BINS 10

/* Distance between the mean probability and the share of positives, bin by bin, weighted by rows.
 */
static double ece(const struct predictions *p)
{
    double said[ECE_BINS] = {0}, was[ECE_BINS] = {0}, sum = 0;
    for (size_t i = 0; i < p->rows; i++) {
        double q = fmin(fmax((double)p->pred[i], 0), 1);
        size_t bin = (size_t)fmax(ceil(q * ECE_BINS) - 1, 0); /* its upper edge belongs to it */
        said[bin] += q;
        was[bin] += (double)p->label[i];
    }
    for (size_t k = 0; k < ECE_BINS; k++)
        sum += fabs(said[k] - was[k]);
    return sum / (double)p->rows;
}

/* ---- decisions at the threshold ---- */

struct confusion {
    double tp, fp, fn, tn;
};

/* A share such as 7/10 reaches us as the float next to it: the threshold is rounded the same way,
 * or a whole plateau of an isotonic calibration would fall below the number that it is. */
static bool positive(const struct predictions *p, size_t row)
{
    return p->pred[row] >= (float)p->threshold;
}

static struct confusion confusion(const struct predictions *p)
{
    struct confusion c = {0};
    for (size_t i = 0; i < p->rows; i++) {
        bool said = positive(p, i), is = p->label[i] > 0.5f;
        c.tp += said && is;
        c.fp += said && !is;
        c.fn += !said && is;
        c.tn += !said && !is;
    }
    return c;
}

/* 0/0 is 0, as scikit-learn has it. */
static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static double f1(const struct predictions *p)
{
    struct confusion c = confusion(p);
    return share(2 * c.tp, 2 * c.tp + c.fp + c.fn);
}

static double precision(const struct predictions *p)
{
    struct confusion c = confusion(p);
    return share(c.tp, c.tp + c.fp);
}

static double recall(const struct predictions *p)
{
    struct confusion c = confusion(p);
    return share(c.tp, c.tp + c.fn);
}

static double accuracy(const struct predictions *p)
{
    struct confusion c = confusion(p);
    return share(c.tp + c.tn, (double)p->rows);
}

static double expectancy(const struct predictions *p)
{
    double sum = 0, trades = 0;
    for (size_t i = 0; p->gain != NULL && i < p->rows; i++) {
        if (positive(p, i)) {
            sum += (double)p->gain[i] - p->cost;
            trades++;
        }
    }
    return sum / trades; /* 0/0 is NaN */
}

static double error(const struct predictions *p)
{
    return 1 - accuracy(p);
}

/* ---- regression ---- */

static double mse(const struct predictions *p)
{
    return brier(p); /* the same mean of squared differences */
}

static double rmse(const struct predictions *p)
{
    return sqrt(mse(p));
}

static double mae(const struct predictions *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->rows; i++)
        sum += fabs((double)p->pred[i] - (double)p->label[i]);
    return sum / (double)p->rows;
}

static double mape(const struct predictions *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->rows; i++) {
        double y = (double)p->label[i];
        sum += fabs((double)p->pred[i] - y) / fmax(fabs(y), DBL_EPSILON);
    }
    return sum / (double)p->rows;
}

/* 1 - residual / total sum of squares; of constant labels 1 when met exactly, else 0. */
static double r2(const struct predictions *p)
{
    double mean = 0, total = 0;
    bool constant = true; /* the mean's rounding must not pass for a spread */
    for (size_t i = 0; i < p->rows; i++) {
        mean += (double)p->label[i] / (double)p->rows;
        constant = constant && p->label[i] == p->label[0];
    }
    for (size_t i = 0; i < p->rows; i++) {
        double d = (double)p->label[i] - mean;
        total += d * d;
    }
    double residual = mse(p) * (double)p->rows;
    return !constant ? 1 - residual / total : residual > 0 ? 0 : 1;
}

/* ---- multi-class ---- */

/* Each row's probabilities are divided by their sum, which in single precision is not exactly 1. */
static double mlogloss(const struct predictions *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->rows; i++) {
        const float *row = p->pred + i * p->classes;
        double total = 0;
        for (size_t k = 0; k < p->classes; k++)
            total += (double)row[k];
        sum -= log(clipped((double)row[(size_t)p->label[i]] / total));
    }
    return sum / (double)p->rows;
}

static double merror(const struct predictions *p)
{
    size_t wrong = 0;
    for (size_t i = 0; i < p->rows; i++) {
        const float *row = p->pred + i * p->classes;
        size_t best = 0;
        for (size_t k = 1; k < p->classes; k++) {
            if (row[k] > row[best])
                best = k;
        }
        wrong += best != (size_t)p->label[i];
    }
    return (double)wrong / (double)p->rows;
}

static double maccuracy(const struct predictions *p)
{
    return 1 - merror(p);
}

/* clang-format off */
static const struct metric metrics[] = {
    {"auc",       TASK_BINARY,     true,  true,  auc},
    {"aucpr",     TASK_BINARY,     true,  true,  aucpr},
    {"logloss",   TASK_BINARY,     false, false, logloss},
    {"brier",     TASK_BINARY,     false, false, brier},
    {"ece",       TASK_BINARY,     false, false, ece},
    {"expectancy", TASK_BINARY,    true,  false, expectancy},
    {"f1",        TASK_BINARY,     true,  false, f1},
    {"precision", TASK_BINARY,     true,  false, precision},
    {"recall",    TASK_BINARY,     true,  false, recall},
    {"accuracy",  TASK_BINARY,     true,  false, accuracy},
    {"error",     TASK_BINARY,     false, false, error},
    {"rmse",      TASK_REGRESSION, false, false, rmse},
    {"mse",       TASK_REGRESSION, false, false, mse},
    {"mae",       TASK_REGRESSION, false, false, mae},
    {"mape",      TASK_REGRESSION, false, false, mape},
    {"r2",        TASK_REGRESSION, true,  false, r2},
    {"mlogloss",  TASK_MULTICLASS, false, false, mlogloss},
    {"merror",    TASK_MULTICLASS, false, false, merror},
    {"accuracy",  TASK_MULTICLASS, true,  false, maccuracy},
};
/* clang-format on */

const struct metric *metric_find(const char *name, enum task task)
{
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
        if ((metrics[i].tasks & (unsigned)task) != 0 && strcmp(metrics[i].name, name) == 0)
            return &metrics[i];
    }
    return NULL;
}

const struct metric *metric_all(size_t *n)
{
    *n = ARRAY_LEN(metrics);
    return metrics;
}

const char *const *metric_defaults(enum task task, size_t *n)
{
    static const char *const binary[] = {"auc", "aucpr",     "logloss", "brier",   "ece",
                                         "f1",  "precision", "recall",  "accuracy"};
    static const char *const regression[] = {"rmse", "mae", "r2"};
    static const char *const multiclass[] = {"mlogloss", "merror", "accuracy"};
    switch (task) {
    case TASK_BINARY:
        *n = ARRAY_LEN(binary);
        return binary;
    case TASK_REGRESSION:
        *n = ARRAY_LEN(regression);
        return regression;
    default:
        *n = ARRAY_LEN(multiclass);
        return multiclass;
    }
}

size_t metric_predicted_positives(const struct predictions *p)
{
    struct confusion c = confusion(p);
    return (size_t)(c.tp + c.fp);
}
