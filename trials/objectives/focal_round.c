/* The gradients of a boosting round: a row's label and margin choose a piece of the table.
 *
 * Every operation is one that all machines round alike, fused multiply-adds among them, and the
 * same as in focal_avx2.c, so models do not depend on the machine. */
#include <math.h>
#include <string.h>

#include "trials/objectives/focal_table.h"

static void one_row(const struct focal_table *table, float margin, float label, float *grad,
                    float *hess)
{
    float steps = table->steps_per_unit, reach = (float)table->reach, x = margin * steps;
    x = x > -reach ? x : -reach; /* NaN too */
    x = x < reach ? x : reach;
    float whole = (x + FOCAL_ROUNDER) - FOCAL_ROUNDER, t = x - whole;
    const struct focal_piece *p = &table->pieces[label > 0.5f][table->reach + (int)whole];
    float end = fmaf(t, p->c4, p->c3);
    *grad = p->g + fmaf(t, fmaf(t, fmaf(t, end, p->c2), p->h), p->g_low);
    float h = steps * (p->h + fmaf(t, fmaf(t, fmaf(t, p->c4, 3 * end), p->c2 + p->c2), p->h_low));
    *hess = h > (float)FOCAL_HESSIAN_FLOOR ? h : (float)FOCAL_HESSIAN_FLOOR;
}

void focal_round_portable(const struct focal_table *t, const float *margin, const float *label,
                          size_t n, float *grad, float *hess)
{
    for (size_t i = 0; i < n; i++)
        one_row(t, margin[i], label[i], &grad[i], &hess[i]);
}

#if defined(__x86_64__)
static void blocks(const struct focal_table *t, const float *margin, const float *label, size_t n,
                   float *grad, float *hess)
{
    float z[FOCAL_BLOCK] = {0}, y[FOCAL_BLOCK] = {0}, g[FOCAL_BLOCK], h[FOCAL_BLOCK];
    size_t whole = n / FOCAL_BLOCK * FOCAL_BLOCK, rest = n - whole;
    focal_blocks_avx2(t, margin, label, whole, grad, hess);
    memcpy(z, margin + whole, rest * sizeof(*z));
    memcpy(y, label + whole, rest * sizeof(*y));
    focal_blocks_avx2(t, z, y, FOCAL_BLOCK, g, h);
    memcpy(grad + whole, g, rest * sizeof(*g));
    memcpy(hess + whole, h, rest * sizeof(*h));
}
#endif

void focal_round(const struct focal_table *t, const float *margin, const float *label, size_t n,
                 float *grad, float *hess)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        blocks(t, margin, label, n, grad, hess);
        return;
    }
#endif
    focal_round_portable(t, margin, label, n, grad, hess);
}
