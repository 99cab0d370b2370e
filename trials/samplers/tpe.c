#include "trials/samplers/tpe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BEST 25
/* So many changes that sorting n rows anew costs less than inserting each of them. */
#define MANY(n) (64 + (n) / 8)

size_t tpe_n_best(size_t n)
{
    return (size_t)fmin(ceil(0.1 * (double)n),
                        MOST_BEST); /* 8 of 70: 0.1 is a little more than a tenth */
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "sampler");
}

int tpe_create(struct tpe **out, const struct dist *const *dists, const size_t *columns, size_t d,
               struct err *err)
{
    struct tpe *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return no_memory(err);
    m->except = -1;
    m->dists = calloc(d, sizeof(*m->dists));
    m->axes = calloc(d, sizeof(*m->axes));
    m->columns = calloc(d, sizeof(*m->columns));
    m->best = calloc(MOST_BEST, sizeof(*m->best));
    bool ok = m->dists != NULL && m->axes != NULL && m->columns != NULL && m->best != NULL;
    for (; ok && m->d < d; m->d++) {
        ok = dist_copy(&m->dists[m->d], dists[m->d], NULL) == 0;
        m->axes[m->d] = axis_of(dists[m->d]);
        m->columns[m->d] = columns[m->d];
    }
    if (!ok || kernels_init(&m->above, m->axes, d, NULL) < 0) {
        tpe_destroy(m);
        return no_memory(err);
    }
    *out = m;
    return 0;
}

void tpe_destroy(struct tpe *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; m->dists != NULL && i < m->d; i++)
        dist_free(&m->dists[i]);
    kernels_free(&m->above);
    parzen_free(&m->below);
    free(m->dists);
    free(m->axes);
    free(m->columns);
    free(m->is_above);
    free(m->best);
    free(m);
}

bool tpe_is_for(const struct tpe *m, const struct dist *const *dists, const size_t *columns,
                size_t d)
{
    if (m == NULL || m->d != d)
        return false;
    for (size_t i = 0; i < d; i++) {
        if (m->columns[i] != columns[i] || !dist_equal(&m->dists[i], dists[i]))
            return false;
    }
    return true;
}

/* The row's places on the axes; false when it lacks a parameter. */
static bool places_of(const struct tpe *m, const struct history *h, uint32_t row, double *places)
{
    for (size_t i = 0; i < m->d; i++) {
        places[i] = axis_place(&m->axes[i], h->columns[m->columns[i]].values[row]);
        if (isnan(places[i]))
            return false;
    }
    return true;
}

static bool is_best(const struct tpe *m, uint32_t row)
{
    for (size_t i = 0; i < m->n_best; i++) {
        if (m->best[i] == row)
            return true;
    }
    return false;
}

static bool grow_rows(struct tpe *m, size_t n)
{
    if (n <= m->n_rows)
        return true;
    size_t capacity = n + n / 2 + 64;
    bool *p = realloc(m->is_above, capacity * sizeof(*p));
    if (p == NULL)
        return false;
    memset(p + m->n_rows, 0, (capacity - m->n_rows) * sizeof(*p));
    m->is_above = p;
    m->n_rows = capacity;
    return true;
}

/* Puts the row where it belongs now. A changed row is taken out first: its values may be others. */
static int place_row(struct tpe *m, const struct history *h, uint32_t row, bool changed,
                     double *places, struct err *err)
{
    const struct row *r = &h->rows[row];
    bool above = r->state != TRIAL_WAITING && r->number != m->except && !is_best(m, row) &&
                 places_of(m, h, row, places);
    if (m->is_above[row] && (changed || !above)) {
        kernels_remove(&m->above, r->number);
        m->is_above[row] = false;
    }
    if (above && !m->is_above[row]) {
        int rc = kernels_add(&m->above, r->number, places, err);
        if (rc < 0)
            return rc;
        m->is_above[row] = true;
    }
    return 0;
}

static int fit_below(struct tpe *m, const struct history *h, double *places, struct err *err)
{
    uint32_t rows[MOST_BEST];
    size_t n = 0;
    for (size_t i = 0; i < m->n_best; i++) {
        if (!places_of(m, h, m->best[i], places))
            continue;
        size_t at = n++;
        for (; at > 0 && h->rows[rows[at - 1]].number > h->rows[m->best[i]].number; at--)
            rows[at] = rows[at - 1];
        rows[at] = m->best[i];
    }
    AUTO_FREE double *all = calloc(n * m->d + 1, sizeof(double));
    if (all == NULL)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        (void)places_of(m, h, rows[i], places);
        for (size_t dim = 0; dim < m->d; dim++)
            all[dim * n + i] = places[dim];
    }
    int rc = parzen_fit(&m->below, m->axes, m->d, all, n, err);
    m->below_known = rc == 0;
    return rc;
}

/* The new list of the best; true when it differs. A trial that is being chosen is none of them. */
static bool update_best(struct tpe *m, const struct history *h, uint32_t *old, size_t *n_old)
{
    uint32_t best[MOST_BEST];
    int64_t except = m->except >= 0 ? history_row(h, m->except) : -1;
    size_t finished = history_finished(h), n = 0;
    bool excepted = except >= 0 && (h->rows[except].state == TRIAL_COMPLETE ||
                                    h->rows[except].state == TRIAL_PRUNED);
    size_t wanted = tpe_n_best(finished - excepted);
    for (size_t i = 0; i < finished && n < wanted; i++) {
        uint32_t row = history_best(h, i);
        if ((int64_t)row != except)
            best[n++] = row;
    }
    *n_old = m->n_best;
    memcpy(old, m->best, m->n_best * sizeof(*old));
    bool same = n == m->n_best && memcmp(best, m->best, n * sizeof(*best)) == 0;
    memcpy(m->best, best, n * sizeof(*best));
    m->n_best = n;
    return !same;
}

int tpe_sync(struct tpe *m, const struct history *h, int64_t except, struct err *err)
{
    AUTO_FREE double *places = calloc(m->d + 1, sizeof(double));
    if (places == NULL || !grow_rows(m, h->n_rows))
        return no_memory(err);
    int64_t back = m->except >= 0 && m->except != except ? history_row(h, m->except) : -1;
    m->except = except;
    uint32_t old[MOST_BEST];
    size_t n_old;
    bool refit = update_best(m, h, old, &n_old) || !m->below_known;
    int rc = 0;
    if (h->n_changes - m->cursor > MANY(h->n_rows))
        kernels_expect_many(&m->above);
    for (; rc == 0 && m->cursor < h->n_changes; m->cursor++) {
        uint32_t row = h->changes[m->cursor];
        refit = refit || is_best(m, row);
        rc = place_row(m, h, row, true, places, err);
    }
    for (size_t i = 0; rc == 0 && i < n_old; i++)
        rc = place_row(m, h, old[i], false, places, err);
    for (size_t i = 0; rc == 0 && i < m->n_best; i++)
        rc = place_row(m, h, m->best[i], false, places, err);
    int64_t left = except >= 0 ? history_row(h, except) : -1;
    if (rc == 0 && left >= 0)
        rc = place_row(m, h, (uint32_t)left, false, places, err);
    if (rc == 0 && back >= 0)
        rc = place_row(m, h, (uint32_t)back, false, places, err);
    if (rc == 0 && refit)
        rc = fit_below(m, h, places, err);
    return rc;
}

int tpe_score(struct tpe *m, const double *points, size_t n, double *scores, struct err *err)
{
    int rc = kernels_log_pdf(&m->above, points, n, scores, err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        scores[i] = parzen_log_pdf(&m->below, points + i * m->d) - scores[i];
    return rc;
}

int tpe_choose(struct tpe *m, struct rng *rng, size_t n_candidates, double *values, struct err *err)
{
    AUTO_FREE double *points = calloc(n_candidates * m->d + 1, sizeof(double));
    AUTO_FREE double *scores = calloc(n_candidates + 1, sizeof(double));
    if (points == NULL || scores == NULL)
        return no_memory(err);
    for (size_t i = 0; i < n_candidates; i++)
        parzen_sample(&m->below, rng, points + i * m->d);
    int rc = tpe_score(m, points, n_candidates, scores, err);
    if (rc < 0)
        return rc;
    size_t best = 0;
    for (size_t i = 1; i < n_candidates; i++) {
        if (scores[i] > scores[best])
            best = i;
    }
    memcpy(values, points + best * m->d, m->d * sizeof(double));
    return 0;
}
