/* What is done to labels and losses around the training itself: the factors that sweeps compare. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"
#include "trials/objectives/calibration.h"
#include "trials/objectives/confident.h"

/* A name for a set of settings. */
enum factor {
    FACTOR_NONE, /* the single settings alone speak */
    FACTOR_BASELINE,
    FACTOR_CLEANLAB,
    FACTOR_FOCAL_LOSS,
    FACTOR_LABEL_SMOOTHING,
};
#define FACTORS 5

enum cleanlab_mode {
    CLEANLAB_OFF,
    CLEANLAB_PRUNE,   /* rows with a suspect label are left out of training */
    CLEANLAB_WEIGHT,  /* they weigh as much as their label's quality */
    CLEANLAB_RELABEL, /* they get the other label */
};
#define CLEANLAB_MODES 4

struct cleanlab_conf {
    enum cleanlab_mode mode;
    bool mode_given;
    enum confident_filter filter;
    enum confident_quality quality;
    size_t folds;   /* of the out-of-fold probabilities, inside the training part alone */
    double cap_pct; /* at most so many percent of a class are touched */
};

struct factor_conf {
    enum factor factor;
    struct cleanlab_conf cleanlab;
    double smoothing; /* 0: labels as they are; negative: not given */
    enum calibration calibrate;
    size_t min_buys;             /* fewer BUY signals in a fold are warned of; 0: never */
    const char *env_objective;   /* CVN_LOSS_FUNCTION; NULL: not set */
    double env_gamma, env_alpha; /* CVN_FOCAL_GAMMA, CVN_FOCAL_ALPHA; NaN: not set */
};

const char *factor_name(enum factor f);
const char *cleanlab_mode_name(enum cleanlab_mode m);
/* Errors: ERR_INVALID with did-you-mean. */
int factor_find(enum factor *out, const char *name, struct err *err);

/* The keys factor, cleanlab, label_smoothing, calibrate and min_buys of a worker's settings.
 * Errors: ERR_INVALID "key: expected …, found …". */
int factor_read(struct factor_conf *out, const json_t *root, struct err *err);
/* What the environment sets over the settings: CVN_LOSS_FUNCTION, CVN_FOCAL_GAMMA, CVN_FOCAL_ALPHA
 * and CVN_CLEANLAB_MODE, which is how a deployment's base configuration reaches every sweep.
 * Errors: ERR_INVALID "CVN_…: expected …". */
int factor_read_environment(struct factor_conf *f, struct err *err);

/* What the factor's name says where the settings do not. */
double factor_smoothing(const struct factor_conf *c, enum factor f);
enum cleanlab_mode factor_cleanlab(const struct factor_conf *c, enum factor f);
