/* The sampler `auto`: a Gaussian process and the Parzen estimator in turn. */
#pragma once

#include "trials/samplers/surrogate.h"

/* A trial whose turn it may be. */
struct turn {
    struct surrogate **model; /* owned by the caller; made when needed, made anew for other axes */
    struct history *history;
    int64_t number;  /* of the trial */
    struct rng *rng; /* used by a choice only */
};

/* Lets the process choose all parameters of the space, active or not, if it is its turn: *chosen
 * says whether. fixed [space->n], if not NaN, are kept; NULL: none. Errors: ERR_NOMEM. */
int turn_choose_space(struct turn *t, const struct space *space, const double *fixed,
                      double *values, bool *chosen, struct err *err);
/* The same for parameters [n] that all trials have. */
int turn_choose_joint(struct turn *t, const struct joint *at, size_t n, double *values,
                      bool *chosen, struct err *err);
