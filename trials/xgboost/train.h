/* One trial: all folds of a session trained with one set of parameters.
 *
 * The folds grow in lockstep, report_every rounds at a time: the intermediate value at step r is
 * the mean over all folds after r rounds, so a pruner compares what it will be judged by, and a
 * hopeless trial stops before any fold is trained to its end. A fold that stopped early counts with
 * its best value from then on. The price is memory: the matrices of all folds exist at once. */
#pragma once

#include "trials/xgboost/boost.h"

enum train_end { TRAIN_DONE, TRAIN_PRUNED };

struct fold_result {
    double *metrics;    /* [measures.n] at the best round */
    size_t best_rounds; /* rounds of the model that counts */
    size_t predicted_positives;
};

struct train_result {
    enum train_end end;
    struct measures measures;
    struct fold_result *folds; /* [n_folds]; TRAIN_DONE alone */
    size_t n_folds;
    double *mean; /* [measures.n] over the folds; mean[0] is the trial's value */
    double seconds;
};

struct train_args {
    const struct trial_conf *conf;
    const char *model_dir; /* where model.ubj and model.json go; NULL: nowhere */
    /* Called with the intermediate value every report_every rounds and after the last; *prune ends
     * the trial. */
    int (*on_value)(void *arg, int64_t step, double value, bool *prune, struct err *err);
    /* Called with what happens on the way, for the log; takes fields. */
    void (*on_event)(void *arg, const char *event, json_t *fields);
    void *arg;
};

/* *out is finished with train_result_finish. On failure *fail says of which class. */
int train_trial(struct session *s, const struct train_args *args, struct train_result *out,
                enum fail_class *fail, struct err *err);
void train_result_finish(struct train_result *r);
