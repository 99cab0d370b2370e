/* Samplers choose parameters. They compute only: no clock, no I/O, no global state. The random
 * stream of a trial is rng_mix(seed, trial number), so a choice depends on the seed, the number and
 * what has been observed, never on timing. All calls come from one thread. */
#pragma once

#include "base/err.h"
#include "trials/trial.h"

enum sampler_kind { SAMPLER_AUTO, SAMPLER_TPE, SAMPLER_RANDOM };

struct sampler_conf {
    enum sampler_kind kind;
    uint64_t seed;
    enum direction direction;
    int startup;               /* random trials first; Optuna's 10 */
    int candidates;            /* expected-improvement candidates; Optuna's 24 */
    const struct space *space; /* borrowed, outlives the sampler; may be empty (define-by-run) */
};

/* The values a spec has when it says nothing else. */
#define SAMPLER_CONF_DEFAULT                                                                       \
    ((struct sampler_conf){                                                                        \
        .kind = SAMPLER_AUTO, .direction = DIRECTION_MINIMIZE, .startup = 10, .candidates = 24})

struct sampler;

/* On success *out is the caller's. Errors: ERR_INVALID, ERR_NOMEM. */
int sampler_create(struct sampler **out, const struct sampler_conf *conf, struct err *err);
void sampler_destroy(struct sampler *s);
/* Another seed than conf's: before the first choice. */
void sampler_set_seed(struct sampler *s, uint64_t seed);

/* Learns a trial, ours or another process's; a later call with the same number replaces the earlier
 * one (RUNNING, then finished). FAIL and WAITING trials are forgotten. Uses number, state,
 * values[0], params and the last step; copies what it needs. Amortised O(params). Errors:
 * ERR_NOMEM. */
int sampler_observe(struct sampler *s, const struct trial *t, struct err *err);

/* Chooses the whole space for the trial: values[i] in internal representation, active[i] false
 * where the condition of parameter i does not hold. fixed[i], if not NaN, is taken as it is
 * (enqueued trials); fixed may be NULL. The trial itself is not observed by this. Errors:
 * ERR_NOMEM. */
int sampler_ask(struct sampler *s, int64_t number, const double *fixed, double *values,
                bool *active, struct err *err);

/* Chooses one parameter of a define-by-run trial. The same (number, name) gives the same value
 * until something new is observed. Errors: ERR_NOMEM. */
int sampler_suggest(struct sampler *s, int64_t number, const char *name, const struct dist *dist,
                    double *value, struct err *err);
