/* Prunes a trial whose best value so far is worse than the median of what the complete trials had
 * at the same step: Optuna's MedianPruner. Losses: values to be minimised. */
#pragma once

#include "trials/pruners/pruner.h"
#include "trials/pruners/sorted.h"

struct median_step {
    int64_t step;
    struct sorted losses; /* of complete trials */
};

struct median {
    struct median_step *steps; /* [n_steps] ascending */
    size_t n_steps, capacity;
    size_t n_complete;
};

/* What a trial has reported so far. */
struct median_progress {
    int64_t last, before_last; /* the two highest steps; -1 when there is none */
    double best;               /* NaN when all losses were */
};

/* Learns a complete trial's losses, NaN among them allowed. Errors: ERR_NOMEM. */
int median_complete(struct median *m, const struct trial_step *losses, size_t n, struct err *err);
bool median_prunes(const struct median *m, const struct pruner_conf *conf,
                   const struct median_progress *p);
void median_free(struct median *m);
