/* Gaussian process regression on the unit cube: Matérn 5/2 kernel, one length scale an axis, noise.
 * Choices are equal or not. Source: Rasmussen & Williams 2006, chapters 2, 4 and 5. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Hyperparameters. */
struct gp_scales {
    double *weight;   /* [d] owned: 1 / length scale^2 */
    double noise;     /* variance relative to the signal's */
    double explained; /* share of the variance that the others predict of each observation, at most
                         1 */
};

struct gp {
    size_t n, d;
    const bool *is_choice; /* [d] borrowed */
    const double *x;       /* [n * d] borrowed; a choice is its index */
    double *chol;          /* [n * n] lower triangle; owned */
    double *alpha;         /* [n] owned */
    double mean;           /* where nothing is known */
    double noise;          /* relative to the signal */
    double signal;         /* variance */
    double weight[];       /* [d] 1 / length scale^2 */
};

/* Finds the scales under which the observations y [n], standardised, are most probable, given a
 * prior that expects little of each of many axes. On success scales->weight is the caller's to
 * free. O(n^3) some thirty times: n should stay below a hundred. Errors: ERR_NOMEM. */
int gp_scales_fit(struct gp_scales *scales, const double *x, const double *y, size_t n, size_t d,
                  const bool *is_choice, struct err *err);

/* The process given the observations. O(n^3). Errors: ERR_NOMEM. */
int gp_create(struct gp **out, const struct gp_scales *scales, const double *x, const double *y,
              size_t n, size_t d, const bool *is_choice, struct err *err);
void gp_destroy(struct gp *g);
/* What gp_predict gives as the mean at the i-th observation, where y was observed. */
static inline double gp_mean_at(const struct gp *g, size_t i, double y)
{
    return y - g->noise * g->alpha[i];
}

/* Mean and standard deviation (of the function, without noise) at m points [m * d]. O(m n^2).
 * Errors: ERR_NOMEM. */
int gp_predict(const struct gp *g, const double *points, size_t m, double *mean, double *deviation,
               struct err *err);
