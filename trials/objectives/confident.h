/* Confident learning: which labels are probably wrong, from probabilities of models that have not
 * seen them.
 * Source: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
 * JAIR 70 (2021), equations 1-4 and section 3.2. Where the paper leaves something open, this is
 * what the package cleanlab 2.9 computes (find_label_issues with n_jobs=1), to the last bit of its
 * sums; among rows that tie at a cut the first ones are taken, where the package takes any. In one
 * thread, in time O(n k + k²), with memory for 3 words a row taken once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CONFIDENT_CLASSES_MAX 1000u

struct confident {
    const double *prob;    /* [n][k] out-of-fold probabilities, 0 … 1 */
    const uint32_t *label; /* [n] given labels, below k */
    size_t n, k;           /* rows; classes, 2 … CONFIDENT_CLASSES_MAX */
};

enum confident_filter {
    CONFIDENT_PRUNE_BY_NOISE_RATE, /* as many of each pair of classes as are estimated wrong, by
                                      largest margin of the other class */
    CONFIDENT_PRUNE_BY_CLASS,      /* as many of each class, by smallest probability of the label */
    CONFIDENT_BOTH,                /* what both of these name */
    CONFIDENT_LEARNING,            /* what the confident joint counts off its diagonal */
};
#define CONFIDENT_FILTERS 4

enum confident_quality {
    CONFIDENT_SELF_CONFIDENCE,   /* probability of the given label */
    CONFIDENT_NORMALIZED_MARGIN, /* (that minus the largest of another class + 1) / 2 */
};
#define CONFIDENT_QUALITIES 2

/* Names as cleanlab has them, for settings and events. */
const char *confident_filter_name(enum confident_filter f);
const char *confident_quality_name(enum confident_quality q);

/* issue [n] out: the labels that the filter names.
 * Errors: ERR_INVALID for a probability outside of 0 … 1 or a label that is no class, with its row
 * (the first is 1); ERR_NOMEM. */
int confident_find(const struct confident *c, enum confident_filter filter, bool *issue,
                   struct err *err);

/* joint [k][k] out: estimated counts of rows by given label and true label, calibrated: row i sums
 * to the number of rows labelled i. threshold [k] out: mean probability of the class among the rows
 * that are labelled so, 2 for a class without rows. Errors: as confident_find's. */
int confident_joint(const struct confident *c, double *threshold, int64_t *joint, struct err *err);

/* quality [n] out, 0 … 1, low where the label is probably wrong. The input must be valid. */
void confident_scores(const struct confident *c, enum confident_quality q, double *quality);

/* Keeps at most cap_pct percent (0 … 100, rounded down to whole rows) of each class named in
 * issue [n], those of the lowest quality [n]; takes the others out of issue. dropped [k] out: how
 * many rows of each class are left in it. Errors: ERR_NOMEM. */
int confident_cap(const struct confident *c, const double *quality, double cap_pct, bool *issue,
                  size_t *dropped, struct err *err);
