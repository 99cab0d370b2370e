/* Trials copied out of the store's thread, for the loop's to learn from. */
#pragma once

#include "trials/trial.h"

/* A trial with what samplers and pruners look at, in memory of its own. */
struct copied {
    struct copied *next;
    struct trial t;
    double value;
    struct trial_param *params;
    struct dist *dists;
    struct trial_step *steps;
    struct trial_attr *attrs; /* the system attributes: a pruner may keep its rungs there */
};

struct copies {
    struct copied *head;
};

/* A callback for store_trials_sync: ctx is a struct copies. Returns 0 or -ERR_NOMEM. */
int copy_trial(void *ctx, const struct trial *t);
void copies_free(struct copies *all);
