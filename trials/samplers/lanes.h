/* Eight floats at a time, and the few functions of them that the kernels need. GCC's vector types
 * compile to AVX2 or to pairs of SSE2 operations; both do the same operations in the same order, so
 * results do not depend on the machine. Fused multiply-add, which would, is not enabled. */
#pragma once

#include <stdint.h>
#include <string.h>

#define LANES 8
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ilanes __attribute__((vector_size(LANES * sizeof(float))));

#define LANES_INLINE static inline __attribute__((always_inline))

/* Arguments go by pointer: passing a vector by value has another convention under AVX. */
LANES_INLINE void lanes_load(lanes *out, const float *p)
{
    memcpy(out, p, sizeof(*out));
}

LANES_INLINE void lanes_store(float *p, const lanes *x)
{
    memcpy(p, x, sizeof(*x));
}

/* *x = yes where mask is set, else no. */
LANES_INLINE void lanes_select(lanes *x, const ilanes *mask, const lanes *yes, const lanes *no)
{
    *x = (lanes)((*mask & (ilanes)*yes) | (~*mask & (ilanes)*no));
}

LANES_INLINE void lanes_max(lanes *x, const lanes *a, const lanes *b)
{
    ilanes above = *a > *b;
    lanes_select(x, &above, a, b);
}

/* e^x within 2e-7 of itself for -87 <= x <= 88; below that 0. Range reduction by log 2 and the
 * Taylor polynomial on |r| <= log(2) / 2. */
LANES_INLINE void lanes_exp(lanes *x)
{
    ilanes live = *x >= -87.0f;
    lanes zero = {0},
          shifter = zero + 12582912.0f; /* 1.5 * 2^23: adding it rounds to whole numbers */
    lanes v;
    lanes_select(&v, &live, x, &zero);
    lanes n = v * 1.44269504f + shifter;
    ilanes exponent = ((ilanes)n - (ilanes)shifter + 127) << 23;
    n -= shifter;
    lanes r = v - n * 0.693359375f + n * 2.12194440e-4f;
    lanes p = r * (1.0f / 5040) + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    *x = (lanes)((ilanes)(p * (lanes)exponent) & live);
}

/* log x within 3e-7 (absolute below 1) for x >= 1e-37; smaller ones count as 1e-37. The series of
 * atanh((m - 1) / (m + 1)) with m in [sqrt(1/2), sqrt(2)). */
LANES_INLINE void lanes_log(lanes *x)
{
    lanes zero = {0}, least = zero + 1e-37f;
    lanes v;
    lanes_max(&v, x, &least);
    ilanes bits = (ilanes)v - 0x3f3504f3; /* sqrt(1/2) */
    ilanes n = bits >> 23;
    lanes m = (lanes)((bits & 0x7fffff) + 0x3f3504f3);
    lanes t = (m - 1.0f) / (m + 1.0f), t2 = t * t;
    lanes p = t2 * (2.0f / 9) + 2.0f / 7;
    p = p * t2 + 2.0f / 5;
    p = p * t2 + 2.0f / 3;
    p = p * t2 + 2.0f;
    lanes e = __builtin_convertvector(n, lanes);
    *x = e * 0.693359375f + (p * t - e * 2.12194440e-4f);
}

/* erfc(x) for x >= 0 within 1e-6 of itself, down to 1e-37 and then 0. The polynomial in t = 1 / (1
 * + x/2) is a Chebyshev fit of log(erfc(x) exp(x^2) / t), the form of Numerical Recipes' erfcc. */
LANES_INLINE void lanes_erfc(lanes *x)
{
    lanes t = 1.0f / (1.0f + 0.5f * *x);
    lanes p = t * 0.17087718f - 0.822173054f;
    p = p * t + 1.4885573f;
    p = p * t - 1.13524897f;
    p = p * t + 0.278897046f;
    p = p * t - 0.186299294f;
    p = p * t + 0.0967867332f;
    p = p * t + 0.374091651f;
    p = p * t + 1.0000237f;
    p = p * t - 1.26551223f;
    lanes e = p - *x * *x;
    lanes_exp(&e);
    *x = t * e;
}

/* *p = the mass between *p and *q of the density exp(-x^2) / sqrt(pi); *p <= *q. */
LANES_INLINE void lanes_mass(lanes *p, const lanes *q)
{
    ilanes straddles = (*p <= 0.0f) & (*q >= 0.0f);
    ilanes absolute = {0};
    absolute += 0x7fffffff;
    lanes a = (lanes)((ilanes)*p & absolute), b = (lanes)((ilanes)*q & absolute);
    ilanes swap = a > b;
    lanes near, far;
    lanes_select(&near, &swap, &b, &a);
    lanes_select(&far, &swap, &a, &b);
    lanes_erfc(&near);
    lanes_erfc(&far);
    lanes inside = 1.0f - 0.5f * (near + far), outside = 0.5f * (near - far);
    lanes_select(p, &straddles, &inside, &outside);
}
