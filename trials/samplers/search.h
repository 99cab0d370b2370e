/* Looks on the cube for the point that improves most, in expectation, on the best mean at an
 * observation. */
#pragma once

#include "base/rng.h"
#include "trials/samplers/gp.h"
#include "trials/samplers/observations.h"

struct search_conf {
    const struct cube *cube;
    const struct gp *gp;             /* of the observations */
    const struct observations *seen; /* at least one */
    const double *fixed; /* [d] values that are kept, NaN where there is none; or NULL */
    struct rng *rng;
};

/* Finds the values [d]. Errors: ERR_NOMEM. */
int search_improvement(const struct search_conf *conf, double *values, struct err *err);
