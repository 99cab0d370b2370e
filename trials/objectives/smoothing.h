/* Label smoothing: soft targets for training, so that a model is never pushed to certainty.
 * Source: Szegedy et al., "Rethinking the Inception Architecture", 2016, section 7, for two
 * classes. */
#pragma once

#include <stddef.h>

#include "base/err.h"

/* At 1 every target would be one half. */
#define SMOOTHING_MAX 0.99

/* Errors: ERR_INVALID when eps is not in 0 … SMOOTHING_MAX. */
int smoothing_check(double eps, struct err *err);

/* soft [n] out: label (1 - eps) + eps / 2, for label [n] 0 or 1. The labels themselves stay as they
 * are, for whatever must see discrete ones. */
void smoothing_apply(double eps, const float *label, size_t n, float *soft);
