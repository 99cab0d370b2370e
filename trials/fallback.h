/* The fallback ladder: a trial that failed is run again with other values. Its rungs are the steps
 * of the spec, each as often as its `times`, numbered from 1; 0 is the trial as it was asked for. A
 * trial only ever goes down, to a rung whose step names the class that it failed with and changes
 * something. A number that is lowered stops at its parameter's bound; a fixed one at 0. */
#pragma once

#include "trials/spec.h"

enum { FALLBACK_RUNGS_MAX = 63 };

int fallback_rungs(const struct spec *s);
/* The step of a rung from 1. */
const struct spec_fallback *fallback_step(const struct spec *s, int rung);

/* What a trial is run with beside the sampled values: see spec_trial.instead. */
struct fallback_values {
    double *values;             /* [space.n] of the trial; changed */
    const bool *active;         /* [space.n] */
    struct spec_fixed *instead; /* [n_instead], room for fallback_room(); changed */
    size_t n_instead;
};
size_t fallback_room(const struct spec *s);

/* Takes the values one step down, to the rung. Whether that changed anything; with only_ask they
 * stay as they are. */
bool fallback_take(const struct spec *s, int rung, struct fallback_values *v, bool only_ask);
