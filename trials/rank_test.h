/* Wilcoxon's signed-rank test of paired differences, two-sided.
 *
 * Zeros are left out, equal sizes share the mean of their ranks. Up to RANK_TEST_EXACT pairs p is
 * exact: the share of all 2^n ways to set the signs of these very ranks whose rank sum lies at
 * least as far out. Above, the normal approximation with the correction for ties and none for
 * continuity. Source: Wilcoxon 1945; Hollander & Wolfe, Nonparametric Statistical Methods, 3.1. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { RANK_TEST_EXACT = 60 };

struct rank_test {
    size_t n;           /* pairs that differ */
    double plus, minus; /* rank sums of the positive and the negative differences */
    double p;           /* 1 without pairs */
    bool exact;
};

/* diff [n], finite. Errors: ERR_NOMEM. */
int rank_test(const double *diff, size_t n, struct rank_test *out, struct err *err);
/* The q-quantile (0 … 1) of v [n], which is sorted by the call; between two values linearly, as
 * numpy has it. n > 0. */
double rank_quantile(double *v, size_t n, double q);
