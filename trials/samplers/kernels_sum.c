#include "trials/samplers/kernels_sum.h"

#include <math.h>
#include <stdlib.h>

#include "trials/samplers/lanes.h"
#include "trials/samplers/parzen.h"
#include "trials/samplers/truncnorm.h"

#define POINTS 4       /* points that share one load of the components */
#define SHARPEST 71.0f /* 100 / sqrt(2): no component is narrower */
#define NARROW 0.1f    /* half a cell times sharp: below it the density at the middle will do */
#define ABSENT 1e30f   /* scale of the places behind the last component */

void kernels_scale(const float *mu, const float *sharp, bool mass_only, float *scale)
{
    lanes m, s;
    lanes_load(&m, mu);
    lanes_load(&s, sharp);
    lanes p = (0.0f - m) * s, q = (1.0f - m) * s;
    lanes_mass(&p, &q);
    if (!mass_only)
        p *= 1.77245385f / s; /* sqrt(pi) */
    lanes_log(&p);
    lanes_store(scale, &p);
}

/* The prior stands in the middle, as wide as the axis: log(Phi(1/2) - Phi(-1/2)) of it lies within.
 */
#define PRIOR_LOG_MASS -0.9599163336956223
#define HALF_LOG_2PI 0.9189385332046727

double kernels_prior_density(double u)
{
    return -0.5 * (u - 0.5) * (u - 0.5) - HALF_LOG_2PI - PRIOR_LOG_MASS;
}

double kernels_prior_mass(double left, double right)
{
    return normal_log_mass(left - 0.5, right - 0.5) - PRIOR_LOG_MASS;
}

/* POINTS points, their coordinates on the point axes side by side. */
struct group {
    const struct kernel_point *points;
    size_t n_axes;
    const size_t *axes; /* [n_axes] that are points */
    const float *at;    /* [n_axes * POINTS] */
};

struct block {
    const struct kernels *k;
    size_t from; /* first component; a multiple of KERNEL_BLOCK */
    float weight[KERNEL_BLOCK];
    float scale[KERNEL_BLOCK]; /* summed over the axes */
};

LANES_INLINE void block_open(struct block *b, const struct kernels *k, size_t from)
{
    size_t n = k->n - from < KERNEL_BLOCK ? k->n - from : KERNEL_BLOCK;
    struct parzen_ramp ramp = parzen_ramp(k->n);
    b->k = k;
    b->from = from;
    for (size_t i = 0; i < KERNEL_BLOCK; i++)
        b->weight[i] = (float)(ramp.least + (double)(int)(from + i) * ramp.slope);
    for (size_t i = ramp.n > from ? ramp.n - from : 0; i < KERNEL_BLOCK; i++)
        b->weight[i] = 1;
    for (size_t i = 0; i < KERNEL_BLOCK; i++)
        b->scale[i] = 0;
    for (size_t dim = 0; dim < k->d; dim++) {
        const float *scale = k->of[dim].scale + from;
        for (size_t i = 0; i < n; i++)
            b->scale[i] += scale[i];
    }
    for (size_t i = n; i < KERNEL_BLOCK; i++) {
        b->weight[i] = 0;
        b->scale[i] = ABSENT;
    }
}

/* out [POINTS][KERNEL_BLOCK]: minus the squared distances on all point axes, minus the scale. */
LANES_INLINE void add_points(const struct block *b, const struct group *g, float *out)
{
    const struct kernel_axis *of = b->k->of;
    const float *scales = b->scale;
    size_t n_axes = g->n_axes;
    for (size_t i = 0; i < KERNEL_BLOCK; i += LANES) {
        lanes scale, sum[POINTS];
        lanes_load(&scale, scales + i);
        for (size_t c = 0; c < POINTS; c++)
            sum[c] = -scale;
        const float *at = g->at;
        for (size_t a = 0; a < n_axes; a++, at += POINTS) {
            const struct kernel_axis *x = &of[g->axes[a]];
            lanes mu, sharp;
            lanes_load(&mu, x->mu + b->from + i);
            lanes_load(&sharp, x->sharp + b->from + i);
            for (size_t c = 0; c < POINTS; c++) {
                lanes z = (at[c] - mu) * sharp;
                sum[c] -= z * z;
            }
        }
        for (size_t c = 0; c < POINTS; c++)
            lanes_store(out + c * KERNEL_BLOCK + i, &sum[c]);
    }
}

LANES_INLINE void add_choice(const float *mu, const struct kernel_coordinate *at, float *out)
{
    for (size_t i = 0; i < KERNEL_BLOCK; i += LANES) {
        lanes m, sum, zero = {0}, hit = zero + at->hit, miss = zero + at->miss, term;
        lanes_load(&m, mu + i);
        lanes_load(&sum, out + i);
        ilanes same = m == at->at;
        lanes_select(&term, &same, &hit, &miss);
        sum += term;
        lanes_store(out + i, &sum);
    }
}

LANES_INLINE void add_cell(const float *mu, const float *sharp, const struct kernel_coordinate *at,
                           float *out)
{
    float half = (at->to - at->at) / 2, middle = (at->to + at->at) / 2;
    bool narrow = half * SHARPEST < NARROW;
    for (size_t i = 0; i < KERNEL_BLOCK; i += LANES) {
        lanes m, s, sum;
        lanes_load(&m, mu + i);
        lanes_load(&s, sharp + i);
        lanes_load(&sum, out + i);
        if (narrow) {
            /* midpoint rule with its second-order term: 2h f(m) (1 + h^2 (4 m^2 - 2) / 6) */
            lanes z = (middle - m) * s, h = half * s;
            lanes f = 1.12837917f * h * (1.0f + h * h * (4.0f * z * z - 2.0f) * (1.0f / 6));
            lanes_log(&f);
            sum += f - z * z;
        } else {
            lanes p = (at->at - m) * s, q = (at->to - m) * s;
            lanes_mass(&p, &q);
            lanes_log(&p);
            sum += p;
        }
        lanes_store(out + i, &sum);
    }
}

LANES_INLINE void add_discrete(const struct block *b, const struct kernel_point *p, float *out)
{
    for (size_t dim = 0; dim < b->k->d; dim++) {
        const struct kernel_axis *x = &b->k->of[dim];
        if (p->at[dim].kind == KERNEL_CHOICE)
            add_choice(x->mu + b->from, &p->at[dim], out);
        else if (p->at[dim].kind == KERNEL_CELL)
            add_cell(x->mu + b->from, x->sharp + b->from, &p->at[dim], out);
    }
}

/* A running sum of weighted exponentials, relative to the greatest exponent so far. */
struct total {
    float top;
    double sum;
};

LANES_INLINE void add_exponentials(struct total *t, const struct block *b, const float *exponents)
{
    lanes top, x;
    lanes_load(&top, exponents);
    for (size_t i = LANES; i < KERNEL_BLOCK; i += LANES) {
        lanes_load(&x, exponents + i);
        lanes_max(&top, &top, &x);
    }
    float best = t->top;
    for (size_t i = 0; i < LANES; i++)
        best = top[i] > best ? top[i] : best;
    if (best > t->top) {
        t->sum *= exp((double)t->top - (double)best);
        t->top = best;
    }
    lanes sum = {0}, w;
    for (size_t i = 0; i < KERNEL_BLOCK; i += LANES) {
        lanes_load(&x, exponents + i);
        lanes_load(&w, b->weight + i);
        x -= best;
        lanes_exp(&x);
        sum += w * x;
    }
    for (size_t i = 0; i < LANES; i++)
        t->sum += (double)sum[i];
}

LANES_INLINE void sum_blocks(const struct kernels *k, const struct group *groups, size_t n,
                             struct total *totals)
{
    struct block b;
    float exponents[POINTS * KERNEL_BLOCK];
    for (size_t from = 0; from < k->n; from += KERNEL_BLOCK) {
        block_open(&b, k, from);
        for (size_t g = 0; g < n; g++) {
            add_points(&b, &groups[g], exponents);
            for (size_t i = 0; i < POINTS; i++) {
                if (groups[g].n_axes < k->d)
                    add_discrete(&b, &groups[g].points[i], exponents + i * KERNEL_BLOCK);
                add_exponentials(&totals[g * POINTS + i], &b, exponents + i * KERNEL_BLOCK);
            }
        }
    }
}

static void sum_any(const struct kernels *k, const struct group *groups, size_t n,
                    struct total *totals)
{
    sum_blocks(k, groups, n, totals);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void
sum_avx2(const struct kernels *k, const struct group *groups, size_t n, struct total *totals)
{
    sum_blocks(k, groups, n, totals);
}
#endif

/* Everything that one call needs; the last group is filled up with copies of the last point. */
struct work {
    struct total *totals;        /* [n * POINTS] */
    struct kernel_point *points; /* [n * POINTS] */
    struct group *groups;        /* [n] */
    float *at;                   /* [n * n_axes * POINTS] */
    size_t *axes;                /* [n_axes] */
    size_t n, n_axes;
};

static void work_free(struct work *w)
{
    free(w->totals);
    free(w->points);
    free(w->groups);
    free(w->at);
    free(w->axes);
}

static int work_open(struct work *w, const struct kernels *k, const struct kernel_point *points,
                     size_t m, struct err *err)
{
    w->n = (m + POINTS - 1) / POINTS;
    w->totals = calloc(w->n * POINTS, sizeof(*w->totals));
    w->points = calloc(w->n * POINTS, sizeof(*w->points));
    w->groups = calloc(w->n, sizeof(*w->groups));
    w->at = calloc(w->n * POINTS * k->d + 1, sizeof(*w->at));
    w->axes = calloc(k->d + 1, sizeof(*w->axes));
    if (w->totals == NULL || w->points == NULL || w->groups == NULL || w->at == NULL ||
        w->axes == NULL)
        return err_set(err, ERR_NOMEM, "density at %zu points", m);
    for (size_t dim = 0; dim < k->d; dim++) {
        if (points[0].at[dim].kind == KERNEL_POINT)
            w->axes[w->n_axes++] = dim;
    }
    for (size_t i = 0; i < w->n * POINTS; i++) {
        w->totals[i].top = -ABSENT / 2;
        w->points[i] = points[i < m ? i : m - 1];
    }
    for (size_t g = 0; g < w->n; g++) {
        float *at = w->at + g * w->n_axes * POINTS;
        w->groups[g] = (struct group){
            .points = w->points + g * POINTS, .n_axes = w->n_axes, .axes = w->axes, .at = at};
        for (size_t a = 0; a < w->n_axes; a++) {
            for (size_t c = 0; c < POINTS; c++)
                at[a * POINTS + c] = /* NOLINTNEXTLINE: every point was set above */
                    w->groups[g].points[c].at[w->axes[a]].at;
        }
    }
    return 0;
}

int kernels_sum(const struct kernels *k, const struct kernel_point *points, size_t m, double *out,
                struct err *err)
{
    AUTO(work_free) struct work w = {0};
    int rc = work_open(&w, k, points, m, err);
    if (rc < 0)
        return rc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        sum_avx2(k, w.groups, w.n, w.totals);
    else
#endif
        sum_any(k, w.groups, w.n, w.totals);
    double weights = parzen_ramp(k->n).total + 1;
    for (size_t i = 0; i < m; i++) {
        const struct total *t = &w.totals[i];
        double top = fmax(points[i].prior, (double)t->top);
        double sum = exp(points[i].prior - top) + t->sum * exp((double)t->top - top);
        out[i] = top + log(sum / weights);
    }
    return 0;
}
