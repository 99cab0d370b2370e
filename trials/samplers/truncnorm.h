/* The normal distribution cut off at two points, in double precision. Arguments are in units of
 * the standard deviation from the mean. */
#pragma once

#include "base/rng.h"

/* log(Phi(b) - Phi(a)) for a < b, to about 1e-14 of its value also far out in a tail. */
double normal_log_mass(double a, double b);
/* A draw of a standard normal variable given that it lies in [a, b], a < b. */
double normal_truncated(struct rng *rng, double a, double b);
