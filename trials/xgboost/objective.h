/* The objectives a model may be trained for, and what they ask of labels and metrics. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "trials/xgboost/metrics.h"

enum label_rule {
    LABEL_ANY,          /* any number */
    LABEL_BINARY,       /* 0 or 1, both of them present */
    LABEL_CLASS,        /* 0, 1 … K-1, none of them absent */
    LABEL_UNIT,         /* 0 … 1 */
    LABEL_NOT_NEGATIVE, /* >= 0 */
    LABEL_POSITIVE,     /* > 0 */
};

struct objective {
    const char *name;
    const char *native; /* what XGBoost is told: it then predicts with the right link function */
    enum task task;
    enum label_rule labels;
    bool focal; /* gradients come from trials/objectives/focal.h */
};

/* Errors: ERR_INVALID for a name that is unknown (with did-you-mean) or not supported here (why).
 */
int objective_find(const struct objective **out, const char *name, struct err *err);

/* Checks that labels [rows] obey the objective's rule. *classes is K for LABEL_CLASS, else 0.
 * Errors: ERR_INVALID with the row (the first below the header is 1) and the label. */
int objective_check_labels(const struct objective *o, const float *label, size_t rows,
                           size_t *classes, struct err *err);

/* A metric by name, ours or one of XGBoost's own. */
struct metric_ref {
    const char *name;         /* borrowed */
    const struct metric *own; /* NULL: XGBoost evaluates it */
    bool maximize;
};
/* Errors: ERR_INVALID when the objective has no such metric, with did-you-mean. */
int objective_metric(struct metric_ref *out, const struct objective *o, const char *name,
                     struct err *err);
