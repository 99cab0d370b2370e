/* The gradients of a boosting round, eight rows at a time in double precision.
 *
 * The formulas are those of focal.c. exp and log1p are polynomials here, exact to 3e-10 of
 * themselves: the results are single-precision numbers, which hold 6e-8. GCC's vector types compile
 * to AVX-512, AVX2 or SSE2, and do the same operations in the same order on all of them (the file
 * is built without fused multiply-add), so models do not depend on the machine. */
#include <stdint.h>
#include <string.h>

#include "trials/objectives/focal.h"

#define LANES 8
typedef double dlanes __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t ilanes __attribute__((vector_size(LANES * sizeof(double))));
typedef float flanes __attribute__((vector_size(LANES * sizeof(float))));

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

LANES_INLINE void eight_rows(const struct focal *f, const float *margin, const float *label,
                             float *grad, float *hess)
{
    flanes z, y;
    memcpy(&z, margin, sizeof(z));
    memcpy(&y, label, sizeof(y));
    dlanes u = __builtin_convertvector(z, dlanes), zero = {0};
    ilanes positive = __builtin_convertvector(y, dlanes) > 0.5;
    dlanes minus = -u, weight, up = zero + f->alpha, down = zero + (1 - f->alpha);
    choose(&u, &positive, &u, &minus);
    choose(&weight, &positive, &up, &down);
    struct points p;
    points_at(&p, &u);
    double g = f->gamma;
    dlanes focus = p.log_r * g;
    exp_of(&focus);
    focus *= weight;
    dlanes first = focus * (g * p.q * p.log_q - p.r);
    minus = -first;
    choose(&first, &positive, &first, &minus);
    dlanes second = focus * p.q * (p.r * (1 + 2 * g) + g * p.log_q * (p.r - g * p.q)),
           floor = zero + FOCAL_HESSIAN_FLOOR;
    ilanes above = second > floor;
    choose(&second, &above, &second, &floor);
    z = __builtin_convertvector(first, flanes);
    y = __builtin_convertvector(second, flanes);
    memcpy(grad, &z, sizeof(z));
    memcpy(hess, &y, sizeof(y));
}

LANES_INLINE void all_rows(const struct focal *f, const float *margin, const float *label, size_t n,
                           float *grad, float *hess)
{
    for (size_t i = 0; i < n; i += LANES)
        eight_rows(f, margin + i, label + i, grad + i, hess + i);
}

static void rows_any(const struct focal *f, const float *margin, const float *label, size_t n,
                     float *grad, float *hess)
{
    all_rows(f, margin, label, n, grad, hess);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void rows_avx2(const struct focal *f, const float *margin,
                                                      const float *label, size_t n, float *grad,
                                                      float *hess)
{
    all_rows(f, margin, label, n, grad, hess);
}

__attribute__((target("avx512f,avx512dq"))) static void rows_avx512(const struct focal *f,
                                                                    const float *margin,
                                                                    const float *label, size_t n,
                                                                    float *grad, float *hess)
{
    all_rows(f, margin, label, n, grad, hess);
}
#endif

/* n is a multiple of LANES. */
static void whole_lanes(const struct focal *f, const float *margin, const float *label, size_t n,
                        float *grad, float *hess)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        rows_avx512(f, margin, label, n, grad, hess);
    else if (__builtin_cpu_supports("avx2"))
        rows_avx2(f, margin, label, n, grad, hess);
    else
#endif
        rows_any(f, margin, label, n, grad, hess);
}

void focal_round(const struct focal *f, const float *margin, const float *label, size_t n,
                 float *grad, float *hess)
{
    size_t whole = n / LANES * LANES, rest = n - whole;
    whole_lanes(f, margin, label, whole, grad, hess);
    if (rest == 0)
        return;
    float z[LANES] = {0}, y[LANES] = {0}, g[LANES], h[LANES];
    memcpy(z, margin + whole, rest * sizeof(*z));
    memcpy(y, label + whole, rest * sizeof(*y));
    whole_lanes(f, z, y, LANES, g, h);
    memcpy(grad + whole, g, rest * sizeof(*g));
    memcpy(hess + whole, h, rest * sizeof(*h));
}
