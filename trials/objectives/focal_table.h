/* The table behind focal_round. For labels of either kind, one polynomial for each step of the
 * margin: of fourth degree for the gradient, so that its derivative is the second one. */
#pragma once

#include "trials/objectives/focal.h"

/* With t, -1/2 … 1/2, the distance to the middle of the step in steps:
 *     gradient = g + g_low + t (h + t (c2 + t (c3 + t c4)))
 *     Hessian  = (h + h_low + t (2 c2 + t (3 c3 + t 4 c4))) / step
 * g_low and h_low are what a float leaves of g and h. */
struct focal_piece {
    float g, g_low, h, h_low, c2, c3, c4, unused;
} __attribute__((aligned(32)));
#define FOCAL_PIECE_BITS 5 /* log2 of its size */
_Static_assert(sizeof(struct focal_piece) == 1 << FOCAL_PIECE_BITS, "FOCAL_PIECE_BITS");

struct focal_table {
    float steps_per_unit; /* a power of two, so that a margin is divided into steps exactly */
    int reach;            /* steps on either side of 0; nothing changes beyond */
    struct focal_piece *pieces[2]; /* by label; [reach] is that of margin 0 */
    struct focal_piece *block;     /* owned: both */
};

#define FOCAL_ROUNDER 0x1.8p23f /* adding it to a float rounds that to a whole number */

/* focal_round row by row, on any machine; tests compare. */
void focal_round_portable(const struct focal_table *t, const float *margin, const float *label,
                          size_t n, float *grad, float *hess);

enum { FOCAL_BLOCK = 128 };
/* The same to the bit, for n a multiple of FOCAL_BLOCK, on an x86-64 with AVX2 and FMA. */
void focal_blocks_avx2(const struct focal_table *t, const float *margin, const float *label,
                       size_t n, float *grad, float *hess);
