/* Fits the table's polynomials to the formulas of focal.c, eight steps of the margin at a time in
 * double precision. exp and log1p are polynomials here, exact to 3e-10 of themselves: what is made
 * of them are single-precision numbers, which hold 6e-8. GCC's vector types do the same operations
 * in the same order on every machine (the file is built without fused multiply-add), so models do
 * not depend on it. */
#include "trials/objectives/focal_table.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define LANES 8
typedef double dlanes __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t ilanes __attribute__((vector_size(LANES * sizeof(double))));

#define LANES_INLINE static inline __attribute__((always_inline))

/* Arguments go by pointer: passing a vector by value has another convention under AVX. */
LANES_INLINE void choose(dlanes *x, const ilanes *mask, const dlanes *yes, const dlanes *no)
{
    *x = (dlanes)((*mask & (ilanes)*yes) | (~*mask & (ilanes)*no));
}

#define EXP_LEAST (-700.0) /* below: 0 */

/* e^x for x <= 0: range reduction by ln 2 and a Chebyshev fit on |r| <= ln(2) / 2. */
LANES_INLINE void exp_of(dlanes *x)
{
    dlanes zero = {0}, shifter = zero + 0x1.8p52; /* adding it rounds to whole numbers */
    ilanes live = *x >= EXP_LEAST;
    dlanes v;
    choose(&v, &live, x, &zero);
    dlanes n = v * 0x1.71547652b82fep0 + shifter;
    ilanes exponent = ((ilanes)n - (ilanes)shifter + 1023) << 52;
    n -= shifter;
    dlanes r = v - n * 0x1.62e42fefa38p-1 - n * 0x1.ef35793c7673p-45;
    dlanes p = r * 0.00019907569694023133 + 0.0013948578671547215;
    p = p * r + 0.008333283538133252;
    p = p * r + 0.04166621831411108;
    p = p * r + 0.16666666786310658;
    p = p * r + 0.5000000107731032;
    p = p * r + 0.9999999999955089;
    p = p * r + 0.9999999999595608;
    *x = (dlanes)((ilanes)(p * (dlanes)exponent) & live);
}

/* What the formulas share: r, q and ln q of eight rows, from u. */
struct points {
    dlanes q, r, log_q, log_r;
};

LANES_INLINE void points_at(struct points *p, const dlanes *u)
{
    ilanes right = *u >= 0.0;
    dlanes minus = -*u, e;
    choose(&e, &right, &minus, u); /* -|u| */
    dlanes least = e;
    exp_of(&e);
    dlanes one = 1.0 + e, two = 2.0 + e, d = 1.0 / (one * two);
    /* log1p(e) = 2 atanh(t), t = e / (2 + e) <= 1/3, by a Chebyshev fit in t²: exact for
     * the smallest e too */
    dlanes t = e * one * d, t2 = t * t;
    dlanes s = t2 * 0.24393908084023025 + 0.21398560506678543;
    s = s * t2 + 0.28620207408437237;
    s = s * t2 + 0.39998711246862334;
    s = s * t2 + 0.6666667902643397;
    s = s * t2 + 1.9999999998090061;
    dlanes near = -(s * t),
           far = least + near; /* ln of the larger and of the smaller probability */
    dlanes large = two * d, small = e * large;
    choose(&p->q, &right, &large, &small);
    choose(&p->r, &right, &small, &large);
    choose(&p->log_q, &right, &near, &far);
    choose(&p->log_r, &right, &far, &near);
}

/* Both derivatives by u of the loss with weight 1. */
LANES_INLINE void derivatives_at(double gamma, const dlanes *u, dlanes *first, dlanes *second)
{
    struct points p;
    points_at(&p, u);
    dlanes focus = p.log_r * gamma;
    exp_of(&focus);
    *first = focus * (gamma * p.q * p.log_q - p.r);
    *second = focus * p.q * (p.r * (1 + 2 * gamma) + gamma * p.log_q * (p.r - gamma * p.q));
}

/* ---- one polynomial a step ---- */

/* Eight steps: the gradient in the middle, and the Hessian as b[0] + b[1] t + b[2] t² + b[3] t³,
 * through its values at the Chebyshev points of the step. */
struct fit {
    dlanes g, b[4];
};

#define FAR 0.46193976625564337  /* cos(pi / 8) / 2 */
#define NEAR 0.19134171618254489 /* cos(3 pi / 8) / 2 */

/* What is even and odd in t of the Hessian `at` steps from the middle. */
LANES_INLINE void parts_at(double gamma, double step, double at, const dlanes *middle, dlanes *even,
                           dlanes *odd)
{
    dlanes left = *middle - at * step, right = *middle + at * step, unused, below, above;
    derivatives_at(gamma, &left, &unused, &below);
    derivatives_at(gamma, &right, &unused, &above);
    *even = (above + below) * 0.5;
    *odd = (above - below) * (0.5 / at);
}

static void fit_steps(struct fit *f, double gamma, double step, const double *middle)
{
    dlanes u, unused, even[2], odd[2];
    memcpy(&u, middle, sizeof(u));
    derivatives_at(gamma, &u, &f->g, &unused);
    parts_at(gamma, step, NEAR, &u, &even[0], &odd[0]);
    parts_at(gamma, step, FAR, &u, &even[1], &odd[1]);
    f->b[2] = (even[1] - even[0]) * (1 / (FAR * FAR - NEAR * NEAR));
    f->b[3] = (odd[1] - odd[0]) * (1 / (FAR * FAR - NEAR * NEAR));
    f->b[0] = even[0] - f->b[2] * (NEAR * NEAR);
    f->b[1] = odd[0] - f->b[3] * (NEAR * NEAR);
}

/* sign -1: of the mirrored function, -g(-z), whose derivative is h(-z). */
static struct focal_piece piece_of(const struct fit *f, int lane, double weight, double step,
                                   double sign)
{
    double g = sign * weight * f->g[lane], h = weight * step * f->b[0][lane];
    struct focal_piece p = {.g = (float)g, .h = (float)h};
    p.g_low = (float)(g - (double)p.g);
    p.h_low = (float)(h - (double)p.h);
    p.c2 = (float)(sign * weight * step * f->b[1][lane] / 2);
    p.c3 = (float)(weight * step * f->b[2][lane] / 3);
    p.c4 = (float)(sign * weight * step * f->b[3][lane] / 4);
    return p;
}

static void fill(struct focal_table *t, const struct focal *f)
{
    double step = 1 / (double)t->steps_per_unit;
    for (int from = -t->reach; from <= t->reach; from += LANES) {
        double middle[LANES];
        struct fit fit;
        for (int k = 0; k < LANES; k++)
            middle[k] = (from + k) * step;
        fit_steps(&fit, f->gamma, step, middle);
        for (int k = 0; k < LANES && from + k <= t->reach; k++) {
            t->pieces[1][t->reach + from + k] = piece_of(&fit, k, f->alpha, step, 1);
            t->pieces[0][t->reach - from - k] = piece_of(&fit, k, 1 - f->alpha, step, -1);
        }
    }
}

/* To the right both derivatives fall as e^(-(gamma + 1) u): steps of 1/16 of its length leave
 * nothing of the fourth power that a float could hold. They end where it is below every float; to
 * the left the gradient is constant and the Hessian below its floor. */
#define PIECES_PER_FALL 16
#define FALLS 106
#define LEFT_END 40

int focal_table_create(struct focal_table **out, const struct focal *f, struct err *err)
{
    double falls = f->gamma + 1, steps = exp2(ceil(log2(PIECES_PER_FALL * falls)));
    AUTO_FREE struct focal_table *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the focal loss");
    t->steps_per_unit = (float)steps;
    t->reach = (int)ceil(fmax(LEFT_END, FALLS / falls + 1) * steps);
    size_t n = 2 * (size_t)t->reach + 1;
    t->block = aligned_alloc(_Alignof(struct focal_piece), 2 * n * sizeof(*t->block));
    if (t->block == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a table of %zu steps", n);
    t->pieces[0] = t->block;
    t->pieces[1] = t->block + n;
    fill(t, f);
    *out = TAKE(t);
    return 0;
}

void focal_table_destroy(struct focal_table *t)
{
    if (t != NULL)
        free(t->block);
    free(t);
}
