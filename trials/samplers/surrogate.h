/* Chooses whole points by a Gaussian process of the trials so far: what improves most in
 * expectation. */
#pragma once

#include "base/rng.h"
#include "trials/samplers/cube.h"
#include "trials/samplers/history.h"

struct surrogate;

/* axes [d] are copied, space (NULL: no conditions) is borrowed. Errors: ERR_NOMEM. */
int surrogate_create(struct surrogate **out, const struct cube_axis *axes, size_t d,
                     const struct space *space, struct err *err);
void surrogate_destroy(struct surrogate *s);
/* s may be NULL. */
bool surrogate_is_for(const struct surrogate *s, const struct cube_axis *axes, size_t d);

/* The fewest complete trials from which it learns. */
#define SURROGATE_LEAST 8

/* Learns the trials that have come since the last call, if they are enough for a change. *trusted
 * says whether the process explains what it sees: not so on a landscape of many narrow valleys.
 * Errors: ERR_NOMEM. */
int surrogate_learn(struct surrogate *s, const struct history *h, bool *trusted, struct err *err);

/* After surrogate_learn: chooses values [d] for the trial `number`, which is not learnt from; fixed
 * [d], if not NaN, are kept; NULL: none. What it chooses for a parameter that is inactive then has
 * no meaning. Errors: ERR_NOMEM. */
int surrogate_choose(struct surrogate *s, const struct history *h, int64_t number, struct rng *rng,
                     const double *fixed, double *values, struct err *err);
