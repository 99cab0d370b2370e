/* How rows are divided into training and validation, as index ranges.
 *
 * Rows are in order of time. With n rows:
 *   holdout f        the last ceil(f n) rows validate, those before train
 *   walk_forward k   k blocks of n / (k+1) rows at the end, one after another, validate; each model
 *                    trains on everything before its block (scikit-learn's TimeSeriesSplit)
 *   kfold k          k neighbouring blocks, the first n % k one row longer, validate; each model
 *                    trains on the rest (scikit-learn's KFold)
 * An embargo of m leaves out the m rows between training and validation (kfold: on both sides), so
 * that labels which look ahead m rows cannot leak. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum fold_kind { FOLDS_HOLDOUT, FOLDS_WALK_FORWARD, FOLDS_KFOLD };

struct fold_conf {
    enum fold_kind kind;
    double fraction; /* FOLDS_HOLDOUT: 0 < fraction < 1 */
    size_t n;        /* the others: >= 1, kfold >= 2 */
    size_t embargo;  /* rows */
    bool shuffle;    /* kfold alone: of rows in an order drawn once, always the same */
};

struct range {
    size_t from, to; /* rows from … to-1 */
};

struct fold {
    struct range train[2]; /* [n_train] not empty, ascending */
    int n_train;
    struct range test;
};

struct fold_plan {
    struct fold *folds; /* [n] */
    size_t n;
    uint32_t *order; /* ranges are of positions, order[position] is the row; NULL: the row itself */
};

/* Errors: ERR_INVALID when there are too few rows, saying how many are needed; ERR_NOMEM. */
int fold_plan_create(struct fold_plan *out, const struct fold_conf *conf, size_t rows,
                     struct err *err);
void fold_plan_finish(struct fold_plan *p);

size_t fold_train_rows(const struct fold *f);
static inline size_t range_rows(struct range r)
{
    return r.to - r.from;
}
