/* A Parzen estimator: a mixture of products of truncated normals (numbers) and categorical
 * distributions (choices), one component for each observation and a wide prior. In double
 * precision, for the few best trials; the many others have trials/samplers/kernels.h. Source:
 * Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", section 4, with the
 * bandwidths, weights and prior of Optuna 5's TPESampler. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"
#include "trials/samplers/axis.h"

struct parzen {
    const struct axis *axes; /* [d], borrowed */
    size_t d;
    size_t n;           /* components; the prior is the last */
    double *weight;     /* [n], sum 1 */
    double *log_weight; /* [n] */
    double *mu;         /* [d * n], on the axis; a choice's index */
    double *sigma;      /* [d * n]; unused for choices */
    double *scale;      /* [d * n]: log of what normalises a component on its axis */
    double *sums;       /* [n], scratch */
};

/* places [d * n_obs], axis after axis, observations in order of trial number, none NaN. Replaces
 * what p held; {0} holds nothing. Errors: ERR_NOMEM. */
int parzen_fit(struct parzen *p, const struct axis *axes, size_t d, const double *places,
               size_t n_obs, struct err *err);
void parzen_free(struct parzen *p);

/* Draws the values [d] of one point, rounded to what the parameters can be. */
void parzen_sample(const struct parzen *p, struct rng *rng, double *values);
/* Log density (log mass on discrete axes) of the values [d]; on a log axis, of the logarithm. */
double parzen_log_pdf(const struct parzen *p, const double *values);

/* Weights, before normalising, of n observations: the i-th oldest counts least + i * slope while i
 * < n, the newest 25 count 1. */
struct parzen_ramp {
    size_t n;
    double least, slope;
    double total; /* of all observations */
};
struct parzen_ramp parzen_ramp(size_t n);
/* Bandwidth of the i-th of n sorted observations on an axis, given the gaps to its neighbours;
 * beside the first and the last these are the ends of the axis. */
double parzen_bandwidth_of(const struct axis *a, double left, double right, size_t i, size_t n);
/* The least bandwidth is the axis' length divided by this. */
double parzen_sharpest(size_t n);
