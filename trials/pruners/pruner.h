/* Pruners decide from intermediate values whether a trial should go on. They compute only. */
#pragma once

#include "base/err.h"
#include "trials/trial.h"

enum pruner_kind { PRUNER_NONE, PRUNER_MEDIAN, PRUNER_ASHA };

struct pruner_conf {
    enum pruner_kind kind;
    enum direction direction;
    int startup_trials;     /* median: finished trials before any pruning; Optuna's 5 */
    int64_t warmup_steps;   /* median: steps of a trial before it may be pruned; Optuna's 0 */
    int64_t interval_steps; /* median: prune at every n-th step after the warm-up; Optuna's 1 */
    int64_t min_resource;   /* asha: first rung; Optuna's 1 */
    int reduction_factor;   /* asha: eta; Optuna's 4 */
    int min_early_stopping_rate; /* asha: Optuna's 0 */
};

#define PRUNER_CONF_DEFAULT                                                                        \
    ((struct pruner_conf){.kind = PRUNER_NONE,                                                     \
                          .direction = DIRECTION_MINIMIZE,                                         \
                          .startup_trials = 5,                                                     \
                          .interval_steps = 1,                                                     \
                          .min_resource = 1,                                                       \
                          .reduction_factor = 4})

struct pruner;

int pruner_create(struct pruner **out, const struct pruner_conf *conf, struct err *err);
void pruner_destroy(struct pruner *p);

/* Learns the steps and state of a trial of another process or an earlier run; repeated calls
 * replace. Errors: ERR_NOMEM. */
int pruner_observe(struct pruner *p, const struct trial *t, struct err *err);

/* Our trial reports a value (NaN allowed) at a step; a second report of a step changes nothing.
 * *prune says whether the trial should stop. *rung, if not NULL, is the highest ASHA rung completed
 * with this value (Optuna's system attribute completed_rung_N), or -1; a long stride completes
 * several at once, all those from pruner_rungs before the call. O(log trials). Errors: ERR_NOMEM.
 */
int pruner_report(struct pruner *p, int64_t number, int64_t step, double value, bool *prune,
                  int *rung, struct err *err);

/* How many ASHA rungs the trial has completed: numbers 0 … n-1. */
int pruner_rungs(const struct pruner *p, int64_t number);

/* Our trial ended. */
int pruner_finish(struct pruner *p, int64_t number, enum trial_state state, struct err *err);
