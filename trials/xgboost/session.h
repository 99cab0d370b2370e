/* What trials of one sweep share: settings, mapped data, folds, and XGBoost's matrices of the
 * folds. */
#pragma once

#include "trials/xgboost/config.h"
#include "trials/xgboost/matrix.h"
#include "trials/xgboost/xgb.h"

struct part {
    DMatrixHandle matrix; /* NULL until session_matrices */
    const float *label;   /* [rows] in the mapped data, or in `gathered` */
    const float *weight;  /* [rows] in `gathered`; NULL: all 1 */
    const float *gain;    /* [rows] in the mapped data; NULL: not known */
    size_t rows;
    float *gathered; /* owned labels, and weights, of rows that do not stand together; or NULL */
};

struct session {
    struct config *config; /* borrowed */
    struct matrix data;
    struct fold_plan plan;
    struct part *train, *test;       /* [plan.n] */
    struct part all;                 /* every row; made when a model is trained on all of them */
    const char **names;              /* [data.cols] for XGBoost */
    const struct objective *checked; /* its label rule is known to hold */
    size_t classes;                  /* of `checked` */
    struct buf matrix_path;
    bool made; /* the matrix file was made by this session */
    bool told; /* that labels are looked for in one process */
    int threads;
};

/* Opens (or makes) the matrix and plans the folds. *s is finished with session_close, also when
 * this fails. Errors: those of cache_matrix and fold_plan_create. */
int session_open(struct session *s, struct config *config, int threads, struct err *err);
void session_close(struct session *s);

/* Checks that the labels suit the objective, and every fold the metrics that need both classes. */
int session_check(struct session *s, const struct objective *o, const struct metric_ref *main,
                  struct err *err);

/* Builds XGBoost's matrices of all folds, once; those to train on only when asked for. */
int session_matrices(struct session *s, bool train, struct err *err);
/* Builds the matrix of all rows, once. */
int session_all_rows(struct session *s, struct err *err);

/* The matrix of some rows [n] with labels and weights (NULL: all 1) of their own, which are copied.
 * *out is finished with session_part_finish. */
int session_part(const struct session *s, const uint32_t *row, size_t n, const float *label,
                 const float *weight, struct part *out, struct err *err);
void session_part_finish(struct part *p);

/* Positives (label 1) among the validation rows of a fold, and its first row's number. */
size_t session_test_positives(const struct session *s, size_t fold);
