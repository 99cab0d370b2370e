/* A parameter as an axis of the space in which samplers compute: logarithms taken, and a discrete
 * range widened by half a step on either side, so that every value owns an equal cell. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/rng.h"
#include "trials/space.h"

struct axis {
    enum dist_kind kind;
    bool log;
    double step;      /* 0: continuous, or a choice */
    double low, high; /* of the parameter, inclusive */
    double from, to;  /* of the axis; for a choice 0 and 1 */
    size_t n_choices;
};

struct axis axis_of(const struct dist *d);
bool axis_equal(const struct axis *a, const struct axis *b);
/* The place of a parameter's internal value on the axis; NaN when it has none (log of -1). A choice
 * is its index. */
double axis_place(const struct axis *a, double value);
/* The parameter's value nearest to a place, within its bounds. */
double axis_value(const struct axis *a, double place);
/* Uniform over the axis: what Optuna's random sampler draws. */
double axis_random(const struct axis *a, struct rng *rng);
