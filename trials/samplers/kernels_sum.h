/* The inner loops of trials/samplers/kernels.h, for AVX2 and for any x86-64. */
#pragma once

#include "trials/samplers/kernels.h"

#define KERNEL_BLOCK                                                                               \
    128                /* components summed at a time: their exponents stay in the first cache     \
                        */
#define KERNEL_BATCH 8 /* scales computed at a time */

struct kernel_coordinate {
    enum { KERNEL_POINT, KERNEL_CELL, KERNEL_CHOICE } kind;
    float at, to;    /* a point; a cell's ends; a choice's index */
    float hit, miss; /* choice: log mass of a component of this choice, of another */
};

struct kernel_point {
    struct kernel_coordinate *at; /* [d] */
    double prior;                 /* log density of the prior component */
};

/* scale[i] = log of the mass of a component that lies within 0 … 1, plus, for a density, log of its
 * sigma sqrt(2 pi). [KERNEL_BATCH] each. */
void kernels_scale(const float *mu, const float *sharp, bool mass_only, float *scale);
double kernels_prior_density(double u);
double kernels_prior_mass(double left, double right);
int kernels_sum(const struct kernels *k, const struct kernel_point *points, size_t m, double *out,
                struct err *err);
