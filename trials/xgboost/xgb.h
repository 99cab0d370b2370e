/* The part of XGBoost's C API that is used, with our errors. Handles are XGBoost's. */
#pragma once

#include <stddef.h>
#include <xgboost/c_api.h>

#include "base/buf.h"
#include "base/err.h"
#include "trials/trial.h"
#include "trials/xgboost/params.h"

/* Fills err from a call that failed: the first line of what XGBoost says, without its time stamp.
 * ERR_NOMEM when it ran out of memory, else ERR_INVALID. */
int xgb_error(struct err *err, const char *doing);
/* Which failure class such a message speaks of. */
enum fail_class xgb_fail_class(const struct err *err);

/* A matrix of x[rows][cols], NaN missing, with labels; both are copied. */
int xgb_matrix(DMatrixHandle *out, const float *x, const float *label, size_t rows, size_t cols,
               int threads, struct err *err);

/* Gives the rows weights [rows], which are copied. */
int xgb_weigh(DMatrixHandle m, const float *weight, size_t rows, struct err *err);

/* A booster for the trial's settings that remembers its predictions of train and test (test may be
 * NULL). classes: of a multi-class objective, else 0. natives[n]: metrics XGBoost shall evaluate.
 */
int xgb_booster(BoosterHandle *out, const struct trial_conf *conf, DMatrixHandle train,
                DMatrixHandle test, size_t classes, const char *const *natives, size_t n_natives,
                struct err *err);

/* Predictions after the link function; *out is the booster's until its next call, [rows] or
 * [rows][classes]. margin: before the link function, as training sees it (dart drops trees). */
int xgb_predict(BoosterHandle b, DMatrixHandle m, bool margin, const float **out, size_t *n,
                struct err *err);

/* XGBoost's own metrics on the test matrix, in the order given to xgb_booster. */
int xgb_evaluate(BoosterHandle b, DMatrixHandle test, int round, double *values, size_t n,
                 struct err *err);

/* The model as bytes, for xgb_restore: where its rounds cannot be cut off later, because later ones
 * change earlier ones (dart scales the trees that it dropped, gblinear has one set of weights). */
int xgb_snapshot(BoosterHandle b, struct buf *out, struct err *err);
int xgb_restore(BoosterHandle *out, const struct buf *snapshot, struct err *err);

/* The model's first `rounds` rounds as UBJSON, appended to out. It remembers the names [cols] of
 * its features, so Python refuses data whose columns are others. */
int xgb_model(BoosterHandle b, int64_t rounds, const char *const *names, size_t cols,
              struct buf *out, struct err *err);
