/* One fold's model while it grows, round by round, with its metric and early stopping. */
#pragma once

#include "trials/objectives/calibration.h"
#include "trials/xgboost/session.h"

/* What a trial measures; metrics[0] is its objective value. */
struct measures {
    struct metric_ref *metrics; /* [n] owned */
    size_t n;
    const char **natives; /* [n_natives] owned: names of those XGBoost evaluates, in order;
                              metrics[0] first if it is one */
    size_t n_natives;
};

struct boost {
    const struct trial_conf *conf;
    const struct measures *measures;
    const struct part *train, *test; /* test NULL: nothing is measured */
    size_t classes;
    BoosterHandle booster;
    float *grad, *hess;   /* [train->rows] for a custom objective */
    int64_t rounds;       /* trained so far */
    bool finished;        /* all rounds trained, or stopped early */
    enum fail_class fail; /* of an error that is a numerical failure; else FAIL_NONE */
    double cost;          /* of a trade, a fraction of its price */
    double value;         /* metrics[0] after `rounds` */
    double best_value;
    int64_t best_rounds; /* rounds of the best value; without early stopping the last */
    float *best_pred;    /* [n_pred] test predictions after best_rounds */
    size_t n_pred;
    double *native_now, *native_best; /* [n_natives] */
    bool to_keep;                     /* boost_model will be asked for */
    struct buf best_model; /* of best_rounds, where the grown model does not hold it; else empty */
};

/* Starts a model. *b is finished with boost_finish, also when this fails. */
int boost_start(struct boost *b, const struct trial_conf *conf, const struct measures *measures,
                const struct part *train, const struct part *test, size_t classes, struct err *err);
void boost_finish(struct boost *b);

/* Trains until `rounds` are done or early stopping says enough, and measures.
 * Errors: xgb_error's; ERR_NOMEM. A value that is not finite is no error here. */
int boost_until(struct boost *b, int64_t rounds, struct err *err);

/* Puts the calibrator's probabilities in the place of the ones after best_rounds, in every measure
 * but XGBoost's own. Errors: ERR_NOMEM. */
int boost_calibrate(struct boost *b, const struct calibrator *c, struct err *err);

/* Metric i after best_rounds. */
double boost_metric(const struct boost *b, size_t i);
/* Rounds of the model that counts. */
int64_t boost_rounds(const struct boost *b);
/* That model as UBJSON, appended to out. to_keep must have been set before training. */
int boost_model(const struct boost *b, const char *const *names, size_t cols, struct buf *out,
                struct err *err);
/* Binary: validation rows predicted positive at the threshold after best_rounds. */
size_t boost_predicted_positives(const struct boost *b);
