#include "trials/samplers/kernels.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "trials/samplers/kernels_sum.h"
#include "trials/samplers/parzen.h"
#include "trials/samplers/rank.h"

/* From 99 observations on parzen_sharpest is constant, and bandwidths change locally only. */
#define LOCAL_FROM 99

int kernels_init(struct kernels *k, const struct axis *axes, size_t d, struct err *err)
{
    *k = (struct kernels){.axes = axes, .d = d, .stale = true, .unordered = true};
    k->of = calloc(d > 0 ? d : 1, sizeof(*k->of));
    return k->of != NULL ? 0 : err_set(err, ERR_NOMEM, "kernels of %zu axes", d);
}

void kernels_free(struct kernels *k)
{
    for (size_t dim = 0; k->of != NULL && dim < k->d; dim++) {
        free(k->of[dim].place);
        free(k->of[dim].mu);
        free(k->of[dim].sharp);
        free(k->of[dim].scale);
        free(k->of[dim].order);
    }
    free(k->of);
    free(k->number);
    *k = (struct kernels){0};
}

static bool reserve(struct kernels *k)
{
    if (k->n < k->capacity)
        return true;
    size_t n = k->capacity + (k->capacity / 2 > 64 ? k->capacity / 2 : 64);
    n = (n + KERNEL_BLOCK - 1) / KERNEL_BLOCK * KERNEL_BLOCK;
    for (size_t dim = 0; dim < k->d; dim++) {
        struct kernel_axis *x = &k->of[dim];
        if (!array_resize(&x->place, n, sizeof(double)) ||
            !array_resize(&x->mu, n, sizeof(float)) || !array_resize(&x->sharp, n, sizeof(float)) ||
            !array_resize(&x->scale, n, sizeof(float)) ||
            !array_resize(&x->order, n, sizeof(uint32_t)))
            return false;
        /* the sums run over whole blocks: what lies behind the last component must be a number */
        memset(x->mu + k->n, 0, (n - k->n) * sizeof(float));
        memset(x->sharp + k->n, 0, (n - k->n) * sizeof(float));
    }
    if (!array_resize(&k->number, n, sizeof(int64_t)))
        return false;
    k->capacity = n;
    return true;
}

static size_t number_position(const struct kernels *k, int64_t number)
{
    return LOWER_BOUND(i, k->n, k->number[i] < number);
}

static struct ranked ranked(const struct kernels *k, size_t dim, uint32_t i)
{
    return (struct ranked){
        .place = k->of[dim].place[i], .tie = rank_tie((uint64_t)k->number[i], dim), .i = i};
}

static bool before(const struct kernels *k, size_t dim, uint32_t i, const struct ranked *other)
{
    struct ranked r = ranked(k, dim, i);
    return rank_before(&r, other);
}

/* Where component i stands, or would stand, among the first n of the order. */
static size_t order_position(const struct kernels *k, size_t dim, size_t n, uint32_t i)
{
    struct ranked r = ranked(k, dim, i);
    return LOWER_BOUND(rank, n, before(k, dim, k->of[dim].order[rank], &r));
}

static bool order_all(struct kernels *k)
{
    AUTO_FREE struct ranked *all = calloc(k->n + 1, sizeof(*all));
    if (all == NULL)
        return false;
    for (size_t dim = 0; dim < k->d; dim++) {
        if (k->axes[dim].kind == DIST_CHOICE)
            continue;
        for (size_t i = 0; i < k->n; i++)
            all[i] = ranked(k, dim, (uint32_t)i);
        rank_sort(all, k->n);
        for (size_t i = 0; i < k->n; i++)
            k->of[dim].order[i] = all[i].i;
    }
    k->unordered = false;
    return true;
}

void kernels_expect_many(struct kernels *k)
{
    k->unordered = k->stale = true;
}

static double bandwidth_at(const struct kernels *k, size_t dim, size_t rank)
{
    const struct kernel_axis *x = &k->of[dim];
    const struct axis *a = &k->axes[dim];
    double place = x->place[x->order[rank]];
    double left = place - (rank == 0 ? a->from : x->place[x->order[rank - 1]]);
    double right = (rank + 1 == k->n ? a->to : x->place[x->order[rank + 1]]) - place;
    return parzen_bandwidth_of(a, left, right, rank, k->n);
}

/* Computes the bandwidths of ranks first … last, LANES at a time. */
static void refresh(struct kernels *k, size_t dim, size_t first, size_t last)
{
    struct kernel_axis *x = &k->of[dim];
    double range = k->axes[dim].to - k->axes[dim].from;
    for (size_t r = first; r <= last; r += KERNEL_BATCH) {
        float mu[KERNEL_BATCH] = {0}, sharp[KERNEL_BATCH] = {0}, scale[KERNEL_BATCH];
        size_t n = last - r + 1 < KERNEL_BATCH ? last - r + 1 : KERNEL_BATCH;
        for (size_t i = 0; i < n; i++) {
            mu[i] = x->mu[x->order[r + i]];
            sharp[i] = (float)(range / bandwidth_at(k, dim, r + i) * M_SQRT1_2);
        }
        kernels_scale(mu, sharp, k->axes[dim].step > 0, scale);
        for (size_t i = 0; i < n; i++) {
            x->sharp[x->order[r + i]] = sharp[i];
            x->scale[x->order[r + i]] = scale[i];
        }
    }
}

static void refresh_around(struct kernels *k, size_t dim, size_t rank)
{
    if (k->n < LOCAL_FROM || k->stale) {
        k->stale = true; /* until the next density */
        return;
    }
    refresh(k, dim, rank > 0 ? rank - 1 : 0, rank + 1 < k->n ? rank + 1 : k->n - 1);
}

static void refresh_all(struct kernels *k)
{
    for (size_t dim = 0; dim < k->d && k->n > 0; dim++) {
        if (k->axes[dim].kind != DIST_CHOICE)
            refresh(k, dim, 0, k->n - 1);
    }
    k->stale = false;
}

static void axis_add(struct kernels *k, size_t dim, uint32_t at, double place)
{
    struct kernel_axis *x = &k->of[dim];
    const struct axis *a = &k->axes[dim];
    ARRAY_OPEN(x->place, at, k->n);
    ARRAY_OPEN(x->mu, at, k->n);
    ARRAY_OPEN(x->sharp, at, k->n);
    ARRAY_OPEN(x->scale, at, k->n);
    x->place[at] = place;
    x->sharp[at] = 0;
    x->scale[at] = 0;
    x->mu[at] = (float)(a->kind == DIST_CHOICE ? place : (place - a->from) / (a->to - a->from));
}

/* Puts component `at`, which has just been added, into the order. */
static void order_add(struct kernels *k, size_t dim, uint32_t at)
{
    uint32_t *order = k->of[dim].order;
    size_t n = k->n - 1;
    for (size_t r = 0; at < n && r < n; r++)
        order[r] += order[r] >= at;
    size_t rank = order_position(k, dim, n, at);
    ARRAY_OPEN(order, rank, n);
    order[rank] = at;
    refresh_around(k, dim, rank);
}

int kernels_add(struct kernels *k, int64_t number, const double *places, struct err *err)
{
    if (!reserve(k))
        return err_set(err, ERR_NOMEM, "kernels of %zu trials", k->n + 1);
    uint32_t at = (uint32_t)number_position(k, number);
    ARRAY_OPEN(k->number, at, k->n);
    k->number[at] = number;
    for (size_t dim = 0; dim < k->d; dim++)
        axis_add(k, dim, at, places[dim]);
    k->n++;
    for (size_t dim = 0; dim < k->d && !k->unordered; dim++) {
        if (k->axes[dim].kind != DIST_CHOICE)
            order_add(k, dim, at);
    }
    return 0;
}

static void axis_remove(struct kernels *k, size_t dim, uint32_t at)
{
    struct kernel_axis *x = &k->of[dim];
    if (k->axes[dim].kind != DIST_CHOICE && !k->unordered) {
        x->gap = order_position(k, dim, k->n, at);
        ARRAY_CLOSE(x->order, x->gap, k->n);
        for (size_t r = 0; r + 1 < k->n; r++)
            x->order[r] -= x->order[r] > at;
    }
    ARRAY_CLOSE(x->place, at, k->n);
    ARRAY_CLOSE(x->mu, at, k->n);
    ARRAY_CLOSE(x->sharp, at, k->n);
    ARRAY_CLOSE(x->scale, at, k->n);
}

void kernels_remove(struct kernels *k, int64_t number)
{
    uint32_t at = (uint32_t)number_position(k, number);
    assert(at < k->n && k->number[at] == number);
    for (size_t dim = 0; dim < k->d; dim++)
        axis_remove(k, dim, at);
    ARRAY_CLOSE(k->number, at, k->n);
    k->n--;
    for (size_t dim = 0; dim < k->d && !k->unordered; dim++) {
        size_t rank = k->of[dim].gap;
        if (k->axes[dim].kind != DIST_CHOICE && k->n > 0)
            refresh_around(k, dim, rank < k->n ? rank : k->n - 1);
    }
}

/* One point as the sum wants it. */
static void prepare(const struct kernels *k, const double *values, struct kernel_point *out)
{
    double prior = 0, kernels = (double)k->n + 1;
    for (size_t dim = 0; dim < k->d; dim++) {
        const struct axis *a = &k->axes[dim];
        struct kernel_coordinate *c = &out->at[dim];
        double range = a->to - a->from;
        if (a->kind == DIST_CHOICE) {
            double choices = (double)a->n_choices;
            double miss = 1 / kernels / (1 + choices / kernels);
            *c = (struct kernel_coordinate){.kind = KERNEL_CHOICE, .at = (float)values[dim]};
            c->hit = (float)log((1 + 1 / kernels) / (1 + choices / kernels));
            c->miss = (float)log(miss);
            prior -= log(choices);
        } else if (a->step == 0) {
            double u = (axis_place(a, values[dim]) - a->from) / range;
            *c = (struct kernel_coordinate){.kind = KERNEL_POINT, .at = (float)u};
            prior += kernels_prior_density(u);
        } else {
            double left = (axis_place(a, values[dim] - a->step / 2) - a->from) / range;
            double right = (axis_place(a, values[dim] + a->step / 2) - a->from) / range;
            *c = (struct kernel_coordinate){
                .kind = KERNEL_CELL, .at = (float)left, .to = (float)right};
            prior += kernels_prior_mass(left, right);
        }
    }
    out->prior = prior;
}

int kernels_log_pdf(struct kernels *k, const double *values, size_t m, double *out, struct err *err)
{
    AUTO_FREE struct kernel_coordinate *at = calloc(m * k->d + 1, sizeof(*at));
    AUTO_FREE struct kernel_point *points = calloc(m + 1, sizeof(*points));
    if (at == NULL || points == NULL)
        return err_set(err, ERR_NOMEM, "density at %zu points", m);
    if (k->unordered && !order_all(k))
        return err_set(err, ERR_NOMEM, "kernels of %zu trials", k->n);
    if (k->stale)
        refresh_all(k);
    for (size_t i = 0; i < m; i++) {
        points[i].at = at + i * k->d;
        prepare(k, values + i * k->d, &points[i]);
    }
    return kernels_sum(k, points, m, out, err);
}
