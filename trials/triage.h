/* What failing trainings call for: the runbook's decision, from counts alone. Pure.
 *
 *   worst rate of a crypto > 50 %                     roll back to the baseline (path A)
 *   most failures are numerical, or 20 to 50 % of     lower gamma by one step (path B); when it
 *   a crypto's trainings and some are numerical       cannot be lowered any more, path A
 *   else                                              investigate, change nothing (path C)
 *   no training at all                                no data: neither healthy nor not
 *
 * Numerical are the modes "hessian" and "numerical". Rates count from TRIAGE_LEAST trainings on,
 * of a crypto or of all together: one that failed of one says nothing, of five cryptos one each do;
 * and of numerical failures it takes two. Somebody is paged when all of five cryptos or more fail
 * at over 50 %, or when trainings fail at over 50 % without the focal loss, after a rollback for
 * example: then a rollback is advised only if a crypto that fails with it does not fail without. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRIAGE_LEAST = 3 };

enum triage_mode {
    TRIAGE_CALIBRATION, /* in the runbook's order of priority */
    TRIAGE_HESSIAN,
    TRIAGE_DEPENDENCY,
    TRIAGE_NUMERICAL,
    TRIAGE_OTHER,
    TRIAGE_MODES,
};

enum triage_mode triage_mode_of(const char *failure_mode); /* NULL and unknown: TRIAGE_OTHER */
const char *triage_mode_name(enum triage_mode m);

struct triage_crypto {
    char symbol[64];
    int64_t failed, succeeded;               /* trainings with the focal loss */
    int64_t others_failed, others_succeeded; /* with another loss function */
    int64_t modes[TRIAGE_MODES];             /* of `failed` */
};

struct triage {
    struct triage_crypto *cryptos; /* [n], owned: triage_free */
    size_t n;
};
void triage_free(struct triage *t);

/* Counts a training. symbol and failure_mode may be NULL. False when out of memory. */
bool triage_add(struct triage *t, const char *symbol, bool focal, bool failed,
                const char *failure_mode);
/* The most failures first, then by name. */
void triage_sort(struct triage *t);
/* failed / (failed + succeeded); 0 without trainings. */
double triage_rate(int64_t failed, int64_t succeeded);

enum triage_path {
    TRIAGE_HEALTHY,
    TRIAGE_ROLLBACK,
    TRIAGE_LOWER_GAMMA,
    TRIAGE_INVESTIGATE,
    TRIAGE_NO_DATA, /* no training ended: nothing is known */
};

struct triage_config {
    bool focal;   /* new runs train with the focal loss */
    double gamma; /* NaN: unknown */
};

struct triage_verdict {
    enum triage_path path;
    bool page;        /* P1: somebody must look now */
    bool has_pattern; /* more than half of at least two failures share the mode */
    enum triage_mode pattern;
    double worst;  /* rate of the crypto that fails most */
    double gamma;  /* TRIAGE_LOWER_GAMMA: the next step */
    char why[200]; /* a sentence */
};
void triage_judge(const struct triage *t, const struct triage_config *now,
                  struct triage_verdict *out);
/* Whether the verdict asks for a change of settings, be it in ftf_config or in a spec. */
bool triage_asks_for_change(const struct triage_verdict *v);
/* Whether a change of ftf_config can do what the verdict asks for: not when it names another loss
 * function already, and what fails takes the focal loss from its own spec. */
bool triage_applies(const struct triage_verdict *v, const struct triage_config *now);
const char *triage_path_name(enum triage_path p); /* "healthy", "rollback" … */
