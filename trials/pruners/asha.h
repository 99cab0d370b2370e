/* Asynchronous successive halving, as Optuna's SuccessiveHalvingPruner: at each rung only the best
 * 1/reduction_factor of the trials that came so far go on. Losses: values to be minimised.
 * Source: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2. */
#pragma once

#include "trials/pruners/pruner.h"
#include "trials/pruners/sorted.h"

struct asha {
    struct sorted *rungs; /* [n_rungs] losses of all trials that completed the rung */
    size_t n_rungs;
};

/* Learns that a trial completed a rung. Errors: ERR_NOMEM. */
int asha_add(struct asha *a, int rung, double loss, struct err *err);
/* A trial with *rungs completed ones stands at step with this loss: completes those that it has
 * reached, and stops at the first that it loses. Errors: ERR_NOMEM. */
int asha_climb(struct asha *a, const struct pruner_conf *conf, int64_t step, double loss,
               int *rungs, bool *prune, struct err *err);
void asha_free(struct asha *a);
