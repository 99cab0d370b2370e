/* Metrics of a model's predictions, as scikit-learn defines them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum task { TASK_BINARY = 1, TASK_REGRESSION = 2, TASK_MULTICLASS = 4 };

struct predictions {
    const float *pred;  /* binary: [rows] probability of 1; regression: [rows] value;
                           multi-class: [rows][classes] probabilities */
    const float *label; /* [rows] binary 0 or 1, multi-class 0 … classes-1 */
    size_t rows;
    size_t classes;    /* multi-class alone */
    const float *gain; /* [rows] what a row brings when it is bought; NULL: not known */
    double cost;       /* of buying and selling it, in the same unit */
    double threshold;  /* binary: a probability of at least this is a predicted 1 */
};

struct metric {
    const char *name;
    unsigned tasks; /* enum task bits */
    bool maximize;
    bool both_classes; /* undefined (NaN) unless the labels hold 0 and 1 */
    double (*eval)(const struct predictions *p); /* call metric_value */
};

/* Whether all predictions and labels are numbers: no measure of one that is not means anything,
 * though ranking or counting would give a finite one. */
bool predictions_sound(const struct predictions *p);
/* The metric's value; NaN where it is undefined, the predictions are not sound or memory ran out.
 */
double metric_value(const struct metric *m, const struct predictions *p);

/* One of: auc aucpr logloss brier ece f1 precision recall accuracy error expectancy (binary), rmse
 * mse mae mape r2 (regression), mlogloss merror accuracy (multi-class). NULL when there is none of
 * that name for the task. */
const struct metric *metric_find(const char *name, enum task task);
/* ece: expected calibration error over ten bins of equal width (Naeini et al. 2015). expectancy:
 * mean gain of the rows predicted positive, after costs; undefined without gains or without such
 * rows. */

/* The metrics a trial of the task always records: *n of them. The first is the default objective.
 */
const char *const *metric_defaults(enum task task, size_t *n);
/* All names, for did-you-mean. */
const struct metric *metric_all(size_t *n);

/* Rows with a probability of at least the threshold. Binary. */
size_t metric_predicted_positives(const struct predictions *p);
