/* A trial's settings: XGBoost's parameters, fixed and sampled, and the ones that are ours. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "trials/objectives/focal.h"
#include "trials/xgboost/factor.h"
#include "trials/xgboost/objective.h"

struct config;

struct setting {
    const char *name; /* a constant of params.c */
    char *value;      /* owned; as XGBoost reads it */
};

struct trial_conf {
    const struct objective *objective;
    enum factor factor;
    struct focal focal;
    struct focal_table *focal_table; /* of `focal`, where the objective is focal; else NULL */
    struct cleanlab_conf cleanlab;
    double smoothing; /* 0: the labels as they are */
    enum calibration calibrate;
    int64_t rounds, early_stop;
    int64_t classes; /* that the labels must have, as num_class says; 0: it is not said */
    double threshold;
    struct setting *params; /* [n_params] for XGBoost, in a fixed order */
    size_t n_params;
};

/* Whether a parameter of that name may be given; XGBoost itself takes any name and ignores it.
 * Errors: ERR_INVALID with did-you-mean. */
int params_check_name(const char *name, struct err *err);
/* The names that params_check_name accepts. */
const char *const *params_known(size_t *n);

/* What XGBoost is told for `sampled` (object or NULL) over the config's `fixed` over the defaults;
 * seed and threads count unless a parameter says otherwise. *out is finished with
 * trial_conf_finish. Errors: ERR_INVALID, ERR_NOMEM. */
int trial_conf_make(struct trial_conf *out, const struct config *config, const json_t *sampled,
                    uint32_t seed, int threads, struct err *err);
void trial_conf_finish(struct trial_conf *t);
/* What XGBoost is told for the parameter (its first name), or NULL. */
const char *trial_conf_param(const struct trial_conf *t, const char *name);
