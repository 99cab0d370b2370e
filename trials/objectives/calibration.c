#include "trials/objectives/calibration.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

int calibration_check(const float *y, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!(y[i] == 0 || y[i] == 1))
            return err_set(err, ERR_INVALID,
                           "Calibration contract violation: target y must be discrete: row %zu has "
                           "%g, expected 0 or 1",
                           i + 1, (double)y[i]);
    }
    return 0;
}

static int check(const float *score, const float *y, size_t n, struct err *err)
{
    size_t positives = 0;
    int rc = calibration_check(y, n, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (!isfinite(score[i]))
            rc =
                err_set(err, ERR_INVALID, "calibration: the score of row %zu is not finite", i + 1);
        positives += y[i] == 1;
    }
    if (rc == 0 && (positives == 0 || positives == n))
        rc = err_set(err, ERR_INVALID, "calibration: all %zu rows have the label %d", n,
                     positives > 0);
    return rc;
}

/* ---- Platt ---- */

#define NEWTON_STEPS 100
#define GRADIENT_ENOUGH 1e-10 /* a row */
#define STEP_LEAST 1e-10

/* The search sees the scores around their mean, in units of their spread: its two equations are
 * then far from dependent, wherever the scores lie. */
struct platt {
    const float *score, *y;
    size_t n;
    double positive, negative; /* the targets */
    double mean, spread;
};

static double centred(const struct platt *p, size_t i)
{
    return ((double)p->score[i] - p->mean) / p->spread;
}

/* Negative log-likelihood of a row: z = a s + b, p = 1 / (1 + exp(z)). */
static double loss(double z, double target)
{
    return z >= 0 ? target * z + log1p(exp(-z)) : (target - 1) * z + log1p(exp(z));
}

static double total_loss(const struct platt *p, double a, double b)
{
    double sum = 0;
    for (size_t i = 0; i < p->n; i++)
        sum += loss(a * centred(p, i) + b, p->y[i] == 1 ? p->positive : p->negative);
    return sum;
}

struct slopes {
    double ga, gb, haa, hab, hbb;
};

static struct slopes slopes_at(const struct platt *p, double a, double b)
{
    struct slopes s = {0};
    for (size_t i = 0; i < p->n; i++) {
        double x = centred(p, i), z = a * x + b, e = exp(-fabs(z));
        double prob = z >= 0 ? e / (1 + e) : 1 / (1 + e);
        double d = (p->y[i] == 1 ? p->positive : p->negative) - prob;
        double w = e / ((1 + e) * (1 + e));
        s.ga += x * d;
        s.gb += d;
        s.haa += x * x * w;
        s.hab += x * w;
        s.hbb += w;
    }
    return s;
}

/* The longest of 1, 1/2, 1/4 … that lowers the loss as far as its slope promises, 0 for none;
 * *value becomes the loss there. */
static double line_search(const struct platt *p, double a, double b, double da, double db,
                          double slope, double *value)
{
    double step = 1;
    while (step >= STEP_LEAST) {
        double next = total_loss(p, a + step * da, b + step * db);
        if (next <= *value + 1e-4 * step * slope) {
            *value = next;
            return step;
        }
        step /= 2;
    }
    return 0;
}

/* False where every score is the same. */
static bool measure_scores(struct platt *p)
{
    bool constant = true;
    for (size_t i = 0; i < p->n; i++) {
        p->mean += (double)p->score[i] / (double)p->n;
        constant = constant && p->score[i] == p->score[0];
    }
    for (size_t i = 0; i < p->n; i++) {
        double d = (double)p->score[i] - p->mean;
        p->spread += d * d / (double)p->n;
    }
    p->spread = sqrt(p->spread);
    return !constant;
}

static void fit_platt(struct calibrator *c, const float *score, const float *y, size_t n)
{
    double positives = 0;
    for (size_t i = 0; i < n; i++)
        positives += (double)y[i];
    double negatives = (double)n - positives;
    struct platt p = {.score = score,
                      .y = y,
                      .n = n,
                      .positive = (positives + 1) / (positives + 2),
                      .negative = 1 / (negatives + 2)};
    if (!measure_scores(&p)) { /* they tell nothing: all get the mean of the targets */
        double mean = (positives * p.positive + negatives * p.negative) / (double)n;
        c->a = 0;
        c->b = log((1 - mean) / mean);
        return;
    }
    double a = 0, b = log((negatives + 1) / (positives + 1)), value = total_loss(&p, a, b);
    for (int i = 0; i < NEWTON_STEPS; i++) {
        struct slopes s = slopes_at(&p, a, b);
        if (fabs(s.ga) < GRADIENT_ENOUGH * (double)n && fabs(s.gb) < GRADIENT_ENOUGH * (double)n)
            break;
        double det = s.haa * s.hbb - s.hab * s.hab;
        double da = -(s.hbb * s.ga - s.hab * s.gb) / det;
        double db = -(s.haa * s.gb - s.hab * s.ga) / det, slope = s.ga * da + s.gb * db;
        double step = line_search(&p, a, b, da, db, slope, &value);
        if (step == 0) /* the sum of the losses does not tell smaller steps apart */
            break;
        a += step * da;
        b += step * db;
    }
    c->a = a / p.spread;
    c->b = b - c->a * p.mean;
}

/* ---- isotonic ---- */

struct block {
    double first, last; /* scores */
    double sum, rows;
};

struct scored {
    float score, y;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    return (x->score > y->score) - (x->score < y->score);
}

static bool violates(const struct block *left, const struct block *right)
{
    return left->sum * right->rows >= right->sum * left->rows;
}

/* Pools rows of one score first, then neighbours in the wrong order. Returns the number of blocks.
 */
static size_t pool(const struct scored *rows, size_t n, struct block *block)
{
    size_t blocks = 0;
    for (size_t i = 0; i < n;) {
        struct block b = {.first = (double)rows[i].score, .last = (double)rows[i].score};
        for (; i < n && (double)rows[i].score == b.first; i++) {
            b.sum += (double)rows[i].y;
            b.rows++;
        }
        for (; blocks > 0 && violates(&block[blocks - 1], &b); blocks--) {
            b.first = block[blocks - 1].first;
            b.sum += block[blocks - 1].sum;
            b.rows += block[blocks - 1].rows;
        }
        block[blocks++] = b;
    }
    return blocks;
}

static int fit_isotonic(struct calibrator *c, const float *score, const float *y, size_t n,
                        struct err *err)
{
    AUTO_FREE struct scored *rows = malloc(n * sizeof(*rows));
    AUTO_FREE struct block *block = malloc(n * sizeof(*block));
    c->x = malloc(2 * n * sizeof(*c->x));
    c->y = malloc(2 * n * sizeof(*c->y));
    if (rows == NULL || block == NULL || c->x == NULL || c->y == NULL)
        return err_set(err, ERR_NOMEM, "isotonic calibration of %zu rows", n);
    for (size_t i = 0; i < n; i++)
        rows[i] = (struct scored){score[i], y[i]};
    qsort(rows, n, sizeof(*rows), by_score);
    size_t blocks = pool(rows, n, block);
    for (size_t i = 0; i < blocks; i++) {
        double value = block[i].sum / block[i].rows;
        c->x[c->n] = block[i].first;
        c->y[c->n++] = value;
        if (block[i].last > block[i].first) {
            c->x[c->n] = block[i].last;
            c->y[c->n++] = value;
        }
    }
    return 0;
}

static double interpolate(const struct calibrator *c, double score)
{
    size_t low = 0, high = c->n;
    if (!(score > c->x[0]))
        return c->y[0];
    if (score >= c->x[c->n - 1])
        return c->y[c->n - 1];
    while (high - low > 1) { /* x[low] < score <= x[high] stays true */
        size_t mid = low + (high - low) / 2;
        if (c->x[mid] < score)
            low = mid;
        else
            high = mid;
    }
    double part = (score - c->x[low]) / (c->x[high] - c->x[low]);
    return c->y[low] + part * (c->y[high] - c->y[low]);
}

/* ---- both ---- */

int calibrator_fit(struct calibrator *out, enum calibration kind, const float *score,
                   const float *y, size_t n, struct err *err)
{
    struct calibrator c = {.kind = kind};
    int rc = kind == CALIBRATE_NONE ? 0 : check(score, y, n, err);
    if (rc == 0 && kind == CALIBRATE_PLATT)
        fit_platt(&c, score, y, n);
    if (rc == 0 && kind == CALIBRATE_ISOTONIC)
        rc = fit_isotonic(&c, score, y, n, err);
    if (rc < 0) {
        calibrator_finish(&c);
        return rc;
    }
    *out = c;
    return 0;
}

void calibrator_finish(struct calibrator *c)
{
    free(c->x);
    free(c->y);
    *c = (struct calibrator){0};
}

void calibrator_apply(const struct calibrator *c, const float *score, size_t n, float *prob)
{
    for (size_t i = 0; i < n; i++) {
        double s = (double)score[i];
        if (c->kind == CALIBRATE_ISOTONIC)
            prob[i] = (float)interpolate(c, s);
        else
            prob[i] = (float)(1 / (1 + exp(c->kind == CALIBRATE_PLATT ? c->a * s + c->b : -s)));
    }
}
