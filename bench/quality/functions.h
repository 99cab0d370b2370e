/* Functions on which samplers are compared; bench/quality/functions.py computes the same. */
#pragma once

#include <stddef.h>

struct quality_param {
    const char *name;
    const char *dist; /* Optuna's abbreviated JSON */
    const char *when; /* condition, or NULL */
};

struct quality_function {
    const char *name;
    /* "tune": looked at while the samplers were built; "held": only at the end; "fresh": written
     * then, and led to a change; "last": written after it */
    const char *set;
    /* v: the values in internal representation (a choice is its index); an inactive one is 0 */
    double (*eval)(const double *v);
    const struct quality_param *params;
    size_t n;
    double noise; /* standard deviation of what is added when a trial observes it */
};

/* The i-th of all sets; NULL beyond the last. */
const struct quality_function *quality_function(size_t i);

extern const struct quality_function quality_fresh[];
extern const size_t n_quality_fresh;
extern const struct quality_function quality_last[];
extern const size_t n_quality_last;

/* Reads the table of the XGBoost task. Returns 0, or -1 with errno set. */
int quality_load_table(const char *path);
