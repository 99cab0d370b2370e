/* Thresholds and the confident joint. What follows from them is in confident_find.c. */
#include "trials/objectives/confident.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/objectives/confident_parts.h"

/* A class without rows: no probability reaches it. */
#define UNREACHED 2.0
#define THRESHOLD_LEAST (2 * CONFIDENT_TOLERANCE)

const char *confident_filter_name(enum confident_filter f)
{
    static const char *const names[CONFIDENT_FILTERS] = {
        "prune_by_noise_rate",
        "prune_by_class",
        "both",
        "confident_learning",
    };
    return names[f];
}

const char *confident_quality_name(enum confident_quality q)
{
    static const char *const names[CONFIDENT_QUALITIES] = {"self_confidence", "normalized_margin"};
    return names[q];
}

int confident_check(const struct confident *c, struct err *err)
{
    assert(c->k >= 2 && c->k <= CONFIDENT_CLASSES_MAX);
    for (size_t i = 0; i < c->n; i++) {
        if (c->label[i] >= c->k)
            return err_set(err, ERR_INVALID, "row %zu has the label %u of %zu classes", i + 1,
                           c->label[i], c->k);
        for (size_t j = 0; j < c->k; j++) {
            double p = c->prob[i * c->k + j];
            if (!(p >= 0 && p <= 1))
                return err_set(err, ERR_INVALID,
                               "row %zu: the probability of class %zu is %g: expected 0 to 1",
                               i + 1, j, p);
        }
    }
    return 0;
}

int confident_group(const struct confident *c, struct confident_rows *out, struct err *err)
{
    struct confident_rows r = {.start = calloc(c->k + 1, sizeof(*r.start)),
                               .row = malloc((c->n + 1) * sizeof(*r.row)),
                               .scratch = malloc((c->n + 1) * sizeof(*r.scratch))};
    if (r.start == NULL || r.row == NULL || r.scratch == NULL) {
        confident_rows_finish(&r);
        return err_set(err, ERR_NOMEM, "confident learning of %zu rows", c->n);
    }
    for (size_t i = 0; i < c->n; i++)
        r.start[c->label[i] + 1]++;
    for (size_t j = 0; j < c->k; j++)
        r.start[j + 1] += r.start[j];
    for (size_t i = 0; i < c->n; i++)
        r.row[r.start[c->label[i]]++] = i;
    for (size_t j = c->k; j > 0; j--) /* each start moved to its end, the next one's start */
        r.start[j] = r.start[j - 1];
    r.start[0] = 0;
    *out = r;
    return 0;
}

void confident_rows_finish(struct confident_rows *r)
{
    free(r->start);
    free(r->row);
    free(r->scratch);
    *r = (struct confident_rows){0};
}

/* Pairwise, in the order of numpy: so that a tie with a threshold, or a count that ends in one
 * half, falls to the same side as there; and more exact than one sum. */
static double sum(const double *v, size_t n)
{
    if (n < 8) {
        double s = 0;
        for (size_t i = 0; i < n; i++)
            s += v[i];
        return s;
    }
    if (n > 128) {
        size_t half = n / 2 / 8 * 8;
        return sum(v, half) + sum(v + half, n - half);
    }
    double s[8];
    size_t i = 8;
    memcpy(s, v, sizeof(s));
    for (; i + 8 <= n; i += 8) {
        for (size_t k = 0; k < 8; k++)
            s[k] += v[i + k];
    }
    double all = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
    for (; i < n; i++)
        all += v[i];
    return all;
}

static void find_thresholds(const struct confident *c, const struct confident_rows *rows,
                            double *threshold)
{
    for (size_t j = 0; j < c->k; j++) {
        size_t from = rows->start[j], n = rows->start[j + 1] - from;
        for (size_t i = 0; i < n; i++)
            rows->scratch[i] = c->prob[rows->row[from + i] * c->k + j];
        double mean = n > 0 ? sum(rows->scratch, n) / (double)n : UNREACHED;
        threshold[j] = fmax(mean, THRESHOLD_LEAST);
    }
}

bool confident_guess(const struct confident *c, const double *threshold, size_t row, size_t *guess)
{
    const double *p = c->prob + row * c->k;
    size_t reached = 0, first = 0, best = 0;
    for (size_t j = 0; j < c->k; j++) {
        if (p[j] >= threshold[j] - CONFIDENT_TOLERANCE && reached++ == 0)
            first = j;
        if (p[j] > p[best])
            best = j;
    }
    *guess = reached > 1 ? best : first;
    return reached > 0;
}

/* ---- from counts to whole numbers with the right sums ---- */

/* The place of the largest (or smallest) of v - rounded that is not taken; the last (first) of
 * equals. */
static size_t extreme(const double *v, const double *rounded, const bool *taken, size_t n,
                      bool largest)
{
    size_t at = n;
    for (size_t j = 0; j < n; j++) {
        if (taken[j])
            continue;
        double rest = v[j] - rounded[j], held = at < n ? v[at] - rounded[at] : 0;
        if (at == n || (largest ? rest >= held : rest < held))
            at = j;
    }
    return at;
}

/* Rounds v [n] so that the sum stays: what is missing goes to where rounding took most. */
static void round_row(const double *v, double *rounded, bool *taken, size_t n)
{
    double total = rint(sum(v, n));
    for (size_t j = 0; j < n; j++)
        rounded[j] = rint(v[j]);
    for (double lack; fabs(lack = total - sum(rounded, n)) >= 0.5;) {
        size_t changes = fabs(lack) < (double)n ? (size_t)fabs(lack) : n;
        double step = lack > 0 ? 1 : -1;
        memset(taken, 0, n * sizeof(*taken));
        /* all places are chosen by the rests as they are now, then changed */
        for (size_t i = 0; i < changes; i++)
            taken[extreme(v, rounded, taken, n, step > 0)] = true;
        for (size_t j = 0; j < n; j++)
            rounded[j] += taken[j] ? step : 0;
    }
}

static void calibrate(const struct confident *c, const struct confident_rows *rows, double *counts,
                      double *transposed)
{
    size_t k = c->k;
    for (size_t i = 0; i < k; i++) {
        double total = 0, given = (double)(rows->start[i + 1] - rows->start[i]);
        for (size_t j = 0; j < k; j++)
            total += counts[i * k + j];
        for (size_t j = 0; j < k; j++)
            transposed[j * k + i] = counts[i * k + j] / total * given;
    }
    double total = fmax(sum(transposed, k * k), 1e-100);
    for (size_t i = 0; i < k * k; i++)
        counts[i] = transposed[i % k * k + i / k] / total * (double)c->n;
}

int confident_estimate(const struct confident *c, const struct confident_rows *rows,
                       double *threshold, int64_t *joint, struct err *err)
{
    size_t k = c->k, guess;
    AUTO_FREE double *counts = calloc(k * k, sizeof(*counts));
    AUTO_FREE double *other = calloc(k * k, sizeof(*other));
    AUTO_FREE bool *taken = calloc(k, sizeof(*taken));
    if (counts == NULL || other == NULL || taken == NULL)
        return err_set(err, ERR_NOMEM, "confident joint of %zu classes", k);
    find_thresholds(c, rows, threshold);
    for (size_t i = 0; i < c->n; i++) {
        if (confident_guess(c, threshold, i, &guess))
            counts[c->label[i] * k + guess]++;
    }
    for (size_t j = 0; j < k; j++) /* every class has one row at least that is right */
        counts[j * k + j] = fmax(counts[j * k + j], 1);
    calibrate(c, rows, counts, other);
    for (size_t i = 0; i < k; i++) {
        round_row(counts + i * k, other, taken, k);
        for (size_t j = 0; j < k; j++)
            joint[i * k + j] = (int64_t)other[j];
    }
    return 0;
}

int confident_joint(const struct confident *c, double *threshold, int64_t *joint, struct err *err)
{
    struct confident_rows rows;
    int rc = confident_check(c, err);
    if (rc == 0)
        rc = confident_group(c, &rows, err);
    if (rc < 0)
        return rc;
    rc = confident_estimate(c, &rows, threshold, joint, err);
    confident_rows_finish(&rows);
    return rc;
}
