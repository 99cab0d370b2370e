/* The worker's settings, read from the JSON form of a spec's `run:` mapping. README.md lists the
 * keys. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "trials/xgboost/bars.h"
#include "trials/xgboost/factor.h"
#include "trials/xgboost/folds.h"
#include "trials/xgboost/objective.h"
#include "trials/xgboost/table.h"

/* More kinds of objective than there are. */
#define OBJECTIVES_MAX 32

struct config {
    json_t *root; /* owned; every string here points into it */
    struct table_conf table;
    const struct objective *objective;                  /* of a trial that is given none */
    const struct objective *objectives[OBJECTIVES_MAX]; /* [n_objectives] that trials may have */
    size_t n_objectives;
    struct fold_conf folds;
    int64_t rounds, early_stop, report_every;
    double threshold;
    const json_t *fixed;       /* object or NULL */
    struct names eval_metrics; /* fixed.eval_metric */
    const char *metric;        /* NULL: the objective's default */
    const char *variant;       /* NULL: the factor's name, else the objective's */
    struct factor_conf factor;
    struct bars_conf bars; /* where the file holds prices: then table.bars points here */
    double cost;           /* of a trade, a fraction of its price */
    const char *cache;     /* NULL: see cache_matrix */
    bool save_model;
};

/* Takes root, also when it fails. name: of the file, for errors.
 * Errors: ERR_INVALID "name: key: found …, expected …", with did-you-mean for unknown keys. */
int config_read(struct config *out, json_t *root, const char *name, struct err *err);
/* The same from a file. params: those of the only trial, when it is known already; else NULL. */
int config_load(struct config *out, const char *path, const json_t *params, struct err *err);
/* What trials of the objective are compared by. Errors: ERR_INVALID when they do not go together.
 */
int config_metric(struct metric_ref *out, const struct config *c, const struct objective *o,
                  struct err *err);
void config_finish(struct config *c);
