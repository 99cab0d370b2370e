/* Tree-structured Parzen estimator over a set of parameters: draws candidates from the density of
 * the best trials and takes the one where it is greatest relative to the density of the others.
 * With one parameter it is the independent, with several the multivariate estimator. Source:
 * Bergstra et al. 2011; Watanabe 2023 (arXiv:2304.11127); defaults of Optuna 5's TPESampler. */
#pragma once

#include "trials/samplers/history.h"
#include "trials/samplers/kernels.h"
#include "trials/samplers/parzen.h"

struct tpe {
    struct dist *dists; /* [d] owned */
    struct axis *axes;  /* [d] */
    size_t *columns;    /* [d] of the history */
    size_t d;
    struct kernels above; /* all but the best */
    bool *is_above;       /* [rows] */
    size_t n_rows;
    size_t cursor;  /* of history.changes */
    uint32_t *best; /* rows, finished, best first: below or, when they lack a parameter, nowhere */
    size_t n_best;
    struct parzen below; /* the best that have all parameters */
    bool below_known;
    int64_t except; /* number of the trial that was left out last, or -1 */
};

/* How many of n finished trials count as the best. */
size_t tpe_n_best(size_t n);

/* dists [d] are copied. Errors: ERR_NOMEM. */
int tpe_create(struct tpe **out, const struct dist *const *dists, const size_t *columns, size_t d,
               struct err *err);
void tpe_destroy(struct tpe *m);
bool tpe_is_for(const struct tpe *m, const struct dist *const *dists, const size_t *columns,
                size_t d);

/* Takes in what the history learnt since the last call, leaving out the trial `except`. Errors:
 * ERR_NOMEM. */
int tpe_sync(struct tpe *m, const struct history *h, int64_t except, struct err *err);
/* Chooses the values [d] among n_candidates. Errors: ERR_NOMEM. */
int tpe_choose(struct tpe *m, struct rng *rng, size_t n_candidates, double *values,
               struct err *err);
/* log l(x) - log g(x), up to a constant, of m points [m * d]. Errors: ERR_NOMEM. */
int tpe_score(struct tpe *m, const double *points, size_t n, double *scores, struct err *err);
