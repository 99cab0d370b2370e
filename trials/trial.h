/* What a trial is: its states (Optuna's), why it failed (ours), and its data as the store knows it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trials/space.h"

/* Optuna's numbers. */
enum trial_state { TRIAL_RUNNING, TRIAL_COMPLETE, TRIAL_PRUNED, TRIAL_FAIL, TRIAL_WAITING };
enum { TRIAL_STATES = 5 };

enum direction { DIRECTION_MINIMIZE = 1, DIRECTION_MAXIMIZE = 2 };

enum fail_class {
    FAIL_NONE,
    FAIL_FORK_DEADLOCK,
    FAIL_STALLED,
    FAIL_TIMEOUT,
    FAIL_OOM,
    FAIL_SIGNAL,
    FAIL_EXIT,
    FAIL_NAN,
    FAIL_HESSIAN,
    FAIL_OVERFLOW,
    FAIL_CALIBRATION,
    FAIL_MISSING_DEPENDENCY,
    FAIL_BAD_DATA,
    FAIL_PREEMPTED,
    FAIL_LOST,
    FAIL_STORAGE,
    FAIL_PRUNED_BY_WORKER,
    FAIL_CLASSES,
};

/* "RUNNING", … as the database writes it. */
const char *trial_state_name(enum trial_state s);
bool trial_state_from_name(const char *name, enum trial_state *out);
static inline bool trial_state_finished(enum trial_state s)
{
    return s == TRIAL_COMPLETE || s == TRIAL_PRUNED || s == TRIAL_FAIL;
}

/* "fork_deadlock", … ; FAIL_NONE is "none". */
const char *fail_class_name(enum fail_class c);
bool fail_class_from_name(const char *name, enum fail_class *out);
/* What people who operate trainings call it: "calibration", "hessian", "dependency" and "numerical"
 * (overflow, nan); of other classes their name. */
const char *fail_class_mode(enum fail_class c);
/* Cut short from outside, which says nothing about the trial: no attempt of it, no failure. */
static inline bool fail_class_is_interruption(enum fail_class c)
{
    return c == FAIL_PREEMPTED || c == FAIL_LOST;
}

struct trial_param {
    const char *name;        /* borrowed from the owner of the trial */
    const struct dist *dist; /* borrowed */
    double value;            /* internal representation */
};

struct trial_step {
    int64_t step;
    double value; /* NaN is allowed */
};

struct trial_attr {
    const char *key;
    const char *json; /* JSON text */
};

/* A trial as read from a store; everything it points to belongs to the reader for the time of the
 * call. */
struct trial {
    int64_t id;     /* unique in the store */
    int64_t number; /* 0, 1, 2 … in its study */
    enum trial_state state;
    const double *values; /* [n_values], one for each objective; none unless COMPLETE or PRUNED */
    size_t n_values;
    const struct trial_param *params;
    size_t n_params;
    const struct trial_step *steps; /* intermediate values by step */
    size_t n_steps;
    const struct trial_attr *user_attrs;
    size_t n_user_attrs;
    const struct trial_attr *system_attrs;
    size_t n_system_attrs;
    int64_t start_us, complete_us; /* UTC, microseconds; 0 = none */
};
