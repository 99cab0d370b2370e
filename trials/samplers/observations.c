#include "trials/samplers/observations.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

void observations_free(struct observations *d)
{
    free(d->x);
    free(d->y);
}

static void add_row(const struct cube *c, const struct history *h, uint32_t row, double y,
                    struct observations *d)
{
    for (size_t a = 0; a < c->d; a++)
        d->x[d->n * c->d + a] =
            cube_unit(&c->axes[a].axis, h->columns[c->axes[a].column].values[row]);
    d->y[d->n++] = y;
}

static bool has_any(const struct cube *c, const struct history *h, uint32_t row)
{
    for (size_t a = 0; a < c->d; a++) {
        if (!isnan(h->columns[c->axes[a].column].values[row]))
            return true;
    }
    return false;
}

/* Losses, ascending: an infinite one counts as the best or the worst finite one among them. */
static void make_finite(double *y, size_t n)
{
    size_t first = 0, last = n;
    while (first < n && y[first] == -INFINITY)
        first++;
    while (last > first && y[last - 1] == INFINITY)
        last--;
    double best = first < last ? y[first] : 0, worst = first < last ? y[last - 1] : 1;
    for (size_t i = 0; i < first; i++)
        y[i] = best;
    for (size_t i = last; i < n; i++)
        y[i] = worst;
}

/* Losses as the process sees them: the distance from the best, in units of the median's, on a scale
 * that is linear near the best and logarithmic far away; then standardised. */
static void standardise(double *y, size_t n)
{
    double best = y[0], middle = y[n / 2] - best, mean = 0, square = 0;
    if (!(middle > 0))
        middle = y[n - 1] - best > 0 ? y[n - 1] - best : 1;
    for (size_t i = 0; i < n; i++) {
        y[i] = log(0.5 + fmin((y[i] - best) / middle, DBL_MAX));
        mean += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++)
        square += (y[i] - mean) * (y[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        y[i] = (y[i] - mean) / sqrt(square > 1e-24 ? square : 1);
}

int observations_open(const struct cube *c, size_t most, struct observations *d, struct err *err)
{
    *d = (struct observations){.x = calloc(most * c->d + 1, sizeof(double)),
                               .y = calloc(most + 1, sizeof(double))};
    return d->x != NULL && d->y != NULL ? 0 : err_set(err, ERR_NOMEM, "%zu observations", most);
}

void observations_add_complete(const struct cube *c, const struct history *h, int64_t last,
                               size_t n, size_t most, struct observations *d)
{
    size_t head = n <= most ? n : most / 2, rank = 0, next = 0, taken = 0;
    for (size_t i = 0; i < h->n_complete && taken < most; i++) {
        uint32_t row = h->complete[i];
        if (h->rows[row].number > last)
            continue;
        if (rank++ != next)
            continue;
        taken++;
        next =
            taken < head ? taken : head + (taken - head) * (n - head) / (most - head + (n == head));
        if (has_any(c, h, row))
            add_row(c, h, row, h->rows[row].loss, d);
    }
    make_finite(d->y, d->n);
    if (d->n > 0)
        standardise(d->y, d->n);
}

void observations_add_others(const struct cube *c, const struct history *h, int64_t number,
                             size_t most, struct observations *d)
{
    size_t stride = h->n_pruned / most + 1;
    for (size_t i = 0; i < h->n_pruned; i += stride) {
        if (has_any(c, h, h->pruned[i]))
            add_row(c, h, h->pruned[i], 0.7, d);
    }
    for (size_t i = h->n_rows, left = most; i-- > 0 && left > 0;) {
        uint32_t row = h->by_number[i];
        if (h->rows[row].state == TRIAL_RUNNING && h->rows[row].number != number &&
            has_any(c, h, row)) {
            add_row(c, h, row, 0, d);
            left--;
        }
    }
}
