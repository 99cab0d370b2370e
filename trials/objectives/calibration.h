/* Calibration of a binary classifier's scores to probabilities.
 *
 * Platt: p = 1 / (1 + exp(a s + b)), a and b by maximum likelihood against targets that are drawn
 * in by Bayes' rule, (N₊+1)/(N₊+2) and 1/(N₋+2), with Newton's method and backtracking. Source:
 * Platt, "Probabilistic Outputs for Support Vector Machines", 1999; Lin, Lin, Weng, "A note on
 * Platt's probabilistic outputs", 2007. Isotonic: the non-decreasing step function with the least
 * squares, by pooling adjacent violators, linear between its points and constant beyond them, as
 * scikit-learn's IsotonicRegression. Source: Zadrozny, Elkan, "Transforming classifier scores into
 * accurate multiclass probability estimates", 2002.
 *
 * The contract: a calibrator learns from what happened, never from soft targets. */
#pragma once

#include <stddef.h>

#include "base/err.h"

enum calibration { CALIBRATE_NONE, CALIBRATE_PLATT, CALIBRATE_ISOTONIC };

struct calibrator {
    enum calibration kind;
    double a, b;   /* Platt */
    double *x, *y; /* isotonic: [n] points, owned; x increases, y does not decrease */
    size_t n;
};

/* Errors: ERR_INVALID "Calibration contract violation: target y must be discrete: …" with the row
 * (the first is 1) and the target. */
int calibration_check(const float *y, size_t n, struct err *err);

/* Learns from score [n] (log-odds) and y [n]. Looks at y before anything else.
 * *out is finished with calibrator_finish. Errors: those of calibration_check; ERR_INVALID for a
 * score that is not finite or a y of one class alone; ERR_NOMEM. */
int calibrator_fit(struct calibrator *out, enum calibration kind, const float *score,
                   const float *y, size_t n, struct err *err);
void calibrator_finish(struct calibrator *c);

/* prob [n] out: probabilities for score [n]. CALIBRATE_NONE: 1 / (1 + exp(-score)). */
void calibrator_apply(const struct calibrator *c, const float *score, size_t n, float *prob);
