#include "trials/samplers/parzen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trials/samplers/rank.h"
#include "trials/samplers/truncnorm.h"

#define FLAT_WEIGHTS 25 /* the newest observations count fully */

struct parzen_ramp parzen_ramp(size_t n)
{
    if (n <= FLAT_WEIGHTS)
        return (struct parzen_ramp){.total = (double)n};
    struct parzen_ramp r = {.n = n - FLAT_WEIGHTS, .least = 1 / (double)n};
    r.slope = r.n > 1 ? (1 - r.least) / (double)(r.n - 1) : 0;
    double last = r.least + (double)(r.n - 1) * r.slope;
    r.total = FLAT_WEIGHTS + (double)r.n * (r.least + last) / 2;
    return r;
}

double parzen_sharpest(size_t n)
{
    return fmin(100, 2 + (double)n);
}

double parzen_bandwidth_of(const struct axis *a, double left, double right, size_t i, size_t n)
{
    double sigma = fmax(left, right);
    if (n > 1 && i == 0) /* the ends of the axis do not count, but for a lone observation */
        sigma = right;
    else if (n > 1 && i == n - 1)
        sigma = left;
    double range = a->to - a->from;
    return fmin(fmax(sigma, range / parzen_sharpest(n)), range);
}

static void fit_numbers(struct parzen *p, size_t dim, struct ranked *ranked)
{
    const struct axis *a = &p->axes[dim];
    size_t n = p->n - 1;
    double *mu = p->mu + dim * p->n, *sigma = p->sigma + dim * p->n, *scale = p->scale + dim * p->n;
    for (size_t i = 0; i < n; i++)
        ranked[i] = (struct ranked){.place = mu[i], .tie = rank_tie(i, dim), .i = (uint32_t)i};
    rank_sort(ranked, n);
    for (size_t i = 0; i < n; i++) {
        double left = ranked[i].place - (i == 0 ? a->from : ranked[i - 1].place);
        double right = (i == n - 1 ? a->to : ranked[i + 1].place) - ranked[i].place;
        sigma[ranked[i].i] = parzen_bandwidth_of(a, left, right, i, n);
    }
    mu[n] = (a->from + a->to) / 2;
    sigma[n] = a->to - a->from;
    for (size_t i = 0; i <= n; i++) {
        scale[i] = normal_log_mass((a->from - mu[i]) / sigma[i], (a->to - mu[i]) / sigma[i]);
        if (a->step == 0)
            scale[i] += log(sigma[i]) + 0.5 * log(2 * M_PI);
    }
}

/* Reserves a p for n components; the observations go to mu. */
static int reserve(struct parzen *p, size_t n, size_t d, struct err *err)
{
    parzen_free(p);
    double *all = calloc(3 * n + 3 * n * d, sizeof(double));
    if (all == NULL)
        return err_set(err, ERR_NOMEM, "estimator of %zu components", n);
    *p = (struct parzen){.d = d, .n = n, .weight = all, .log_weight = all + n};
    p->mu = p->log_weight + n;
    p->sigma = p->mu + n * d;
    p->scale = p->sigma + n * d;
    p->sums = p->scale + n * d;
    return 0;
}

int parzen_fit(struct parzen *p, const struct axis *axes, size_t d, const double *places,
               size_t n_obs, struct err *err)
{
    AUTO_FREE struct ranked *ranked = calloc(n_obs + 1, sizeof(*ranked));
    if (ranked == NULL)
        return err_set(err, ERR_NOMEM, "estimator of %zu components", n_obs + 1);
    int rc = reserve(p, n_obs + 1, d, err);
    if (rc < 0)
        return rc;
    p->axes = axes;
    struct parzen_ramp ramp = parzen_ramp(n_obs);
    for (size_t i = 0; i < n_obs; i++)
        p->weight[i] = (i < ramp.n ? ramp.least + (double)i * ramp.slope : 1) / (ramp.total + 1);
    p->weight[n_obs] = 1 / (ramp.total + 1);
    for (size_t i = 0; i < p->n; i++)
        p->log_weight[i] = log(p->weight[i]);
    for (size_t dim = 0; dim < d; dim++) {
        for (size_t i = 0; i < n_obs; i++)
            p->mu[dim * p->n + i] = places[dim * n_obs + i];
        if (axes[dim].kind != DIST_CHOICE)
            fit_numbers(p, dim, ranked);
    }
    return 0;
}

void parzen_free(struct parzen *p)
{
    free(p->weight); /* the one block */
    *p = (struct parzen){0};
}

/* A component of an observation gives its own choice 1 + 1/n, each other one 1/n, before
 * normalising; the prior gives all the same. */
static double choice_mass(const struct parzen *p, const struct axis *a, double mu, size_t i,
                          double v)
{
    double n = (double)p->n, c = (double)a->n_choices;
    if (i == p->n - 1)
        return 1 / c;
    return ((mu == v ? 1 : 0) + 1 / n) / (1 + c / n);
}

static double sample_choice(const struct parzen *p, const struct axis *a, double mu, size_t i,
                            struct rng *rng)
{
    double n = (double)p->n, c = (double)a->n_choices;
    bool own = i < p->n - 1 && rng_unit(rng) * (1 + c / n) < 1;
    return own ? mu : (double)rng_below(rng, a->n_choices);
}

static size_t pick_component(const struct parzen *p, struct rng *rng)
{
    double u = rng_unit(rng);
    for (size_t i = 0; i + 1 < p->n; i++) {
        if (u < p->weight[i])
            return i;
        u -= p->weight[i];
    }
    return p->n - 1;
}

void parzen_sample(const struct parzen *p, struct rng *rng, double *values)
{
    size_t i = pick_component(p, rng);
    for (size_t dim = 0; dim < p->d; dim++) {
        const struct axis *a = &p->axes[dim];
        double mu = p->mu[dim * p->n + i], sigma = p->sigma[dim * p->n + i];
        if (a->kind == DIST_CHOICE)
            values[dim] = sample_choice(p, a, mu, i, rng);
        else
            values[dim] = axis_value(a, mu + sigma * normal_truncated(rng, (a->from - mu) / sigma,
                                                                      (a->to - mu) / sigma));
    }
}

/* Adds the log density of every component at a number to sums [n]. */
static void add_number(const struct parzen *p, size_t dim, double value, double *sums)
{
    const struct axis *a = &p->axes[dim];
    const double *mu = p->mu + dim * p->n, *sigma = p->sigma + dim * p->n,
                 *scale = p->scale + dim * p->n;
    if (a->step == 0) {
        double x = axis_place(a, value);
        for (size_t i = 0; i < p->n; i++) {
            double z = (x - mu[i]) / sigma[i];
            sums[i] += -0.5 * z * z - scale[i];
        }
        return;
    }
    double left = axis_place(a, value - a->step / 2), right = axis_place(a, value + a->step / 2);
    for (size_t i = 0; i < p->n; i++)
        sums[i] +=
            normal_log_mass((left - mu[i]) / sigma[i], (right - mu[i]) / sigma[i]) - scale[i];
}

double parzen_log_pdf(const struct parzen *p, const double *values)
{
    double *sums = p->sums;
    memcpy(sums, p->log_weight, p->n * sizeof(*sums));
    for (size_t dim = 0; dim < p->d; dim++) {
        const struct axis *a = &p->axes[dim];
        if (a->kind != DIST_CHOICE) {
            add_number(p, dim, values[dim], sums);
            continue;
        }
        for (size_t i = 0; i < p->n; i++)
            sums[i] += log(choice_mass(p, a, p->mu[dim * p->n + i], i, values[dim]));
    }
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < p->n; i++)
        top = sums[i] > top ? sums[i] : top;
    for (size_t i = 0; i < p->n; i++)
        sum += exp(sums[i] - top);
    return top + log(sum);
}
