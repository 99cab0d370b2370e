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

/* The prior stands in the middle, as wide as the axis. */
double kernels_prior_density(double u)
{
    return -0.5 * (u - 0.5) * (u - 0.5) - 0.5 * log(2 * M_PI) - normal_log_mass(-0.5, 0.5);
}

double kernels_prior_mass(double left, double right)
{
    return normal_log_mass(left - 0.5, right - 0.5) - normal_log_mass(-0.5, 0.5);
}

struct block {
    const struct kernels *k;
    size_t from; /* first component; a multiple of KERNEL_BLOCK */
    float weight[KERNEL_BLOCK];
    float scale[KERNEL_BLOCK]; /* summed over the axes */
};

LANES_INLINE void block_open(struct block *b, const struct kernels *k, size_t from)
{
    size_t n = k->n - from < KERNEL_BLOCK ? k->n - from : KERNEL_BLOCK;
    b->k = k;
    b->from = from;
    for (size_t i = 0; i < KERNEL_BLOCK; i++) {
        b->weight[i] = i < n ? (float)parzen_weight(from + i, k->n) : 0;
        b->scale[i] = i < n ? 0 : ABSENT;
    }
    for (size_t dim = 0; dim < k->d; dim++) {
        const float *scale = k->of[dim].scale + from;
        for (size_t i = 0; i < n; i++)
            b->scale[i] += scale[i];
    }
}

/* out [POINTS][KERNEL_BLOCK]: minus the squared distances on all point axes, minus the scale. */
LANES_INLINE void add_points(const struct block *b, const struct kernel_point *p, float *out)
{
    const struct kernels *k = b->k;
    for (size_t i = 0; i < KERNEL_BLOCK; i += LANES) {
        lanes scale, sum[POINTS];
        lanes_load(&scale, b->scale + i);
        for (size_t c = 0; c < POINTS; c++)
            sum[c] = -scale;
        for (size_t dim = 0; dim < k->d; dim++) {
            if (p->at[dim].kind != KERNEL_POINT)
                continue;
            lanes mu, sharp;
            lanes_load(&mu, k->of[dim].mu + b->from + i);
            lanes_load(&sharp, k->of[dim].sharp + b->from + i);
            for (size_t c = 0; c < POINTS; c++) {
                lanes z = (p[c].at[dim].at - mu) * sharp;
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

LANES_INLINE void sum_blocks(const struct kernels *k, const struct kernel_point *points, size_t m,
                             struct total *totals)
{
    struct block b;
    float exponents[POINTS * KERNEL_BLOCK];
    for (size_t from = 0; from < k->n; from += KERNEL_BLOCK) {
        block_open(&b, k, from);
        for (size_t c = 0; c < m; c += POINTS) {
            add_points(&b, points + c, exponents);
            for (size_t i = 0; i < POINTS; i++) {
                add_discrete(&b, &points[c + i], exponents + i * KERNEL_BLOCK);
                add_exponentials(&totals[c + i], &b, exponents + i * KERNEL_BLOCK);
            }
        }
    }
}

static void sum_any(const struct kernels *k, const struct kernel_point *points, size_t m,
                    struct total *totals)
{
    sum_blocks(k, points, m, totals);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void
sum_avx2(const struct kernels *k, const struct kernel_point *points, size_t m, struct total *totals)
{
    sum_blocks(k, points, m, totals);
}
#endif

int kernels_sum(const struct kernels *k, const struct kernel_point *points, size_t m, double *out,
                struct err *err)
{
    size_t padded = (m + POINTS - 1) / POINTS * POINTS;
    AUTO_FREE struct total *totals = calloc(padded + 1, sizeof(*totals));
    AUTO_FREE struct kernel_point *all = calloc(padded + 1, sizeof(*all));
    if (totals == NULL || all == NULL)
        return err_set(err, ERR_NOMEM, "density at %zu points", m);
    double weights = 1;
    for (size_t i = 0; i < k->n; i++)
        weights += parzen_weight(i, k->n);
    for (size_t i = 0; i < padded; i++) {
        totals[i].top = -ABSENT / 2;
        all[i] = points[i < m ? i : m - 1];
    }
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        sum_avx2(k, all, padded, totals);
    else
#endif
        sum_any(k, all, padded, totals);
    for (size_t i = 0; i < m; i++) {
        double top = fmax(points[i].prior, (double)totals[i].top);
        double sum = exp(points[i].prior - top) + totals[i].sum * exp((double)totals[i].top - top);
        out[i] = top + log(sum / weights);
    }
    return 0;
}
