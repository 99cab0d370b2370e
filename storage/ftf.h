/* The tables of whoever operates trainings: training_runs, one row a training, and ftf_config, the
 * one row of settings that new runs start from, with the history of its changes. Their columns have
 * names that other programs rely on (docs/operations.md). The rules of storage.h hold here too.
 * Errors that every call can have beside those: ERR_INVALID, when the store keeps no such
 * tables. */
#pragma once

#include "storage/storage.h"

/* Whether the store keeps such tables; one behind a proxy does not. */
bool store_keeps_trainings(const struct store *s);

/* ---- training_runs ---- */

struct store_training {
    const char *run_id, *study;                         /* NULL: made by somebody else */
    int64_t trial_number;                               /* negative: none */
    const char *crypto_symbol, *factor, *loss_function; /* NULL: unknown */
    bool failed;                                        /* "FAILED", else "SUCCESS" */
    const char *failure_class;                          /* fail_class_name; NULL: it did not fail */
    const char *failure_mode;                           /* fail_class_mode; NULL: likewise */
    const char *message;                                /* NULL: none */
    const char *requested, *used;                       /* JSON objects of parameters; NULL: {} */
    bool rolled_back;   /* trained with the last resort of a fallback ladder */
    int64_t created_us; /* UTC; the store sets it when it is 0 */
};

/* Writes a row; one of the same study and trial number is replaced. Creates the tables when
 * missing. Errors: ERR_INVALID (not JSON). */
int store_training_put(struct store *s, const struct store_training *t, struct err *err);
/* Calls fn for each row since then, oldest first; none when there are no tables. */
int store_trainings_each(struct store *s, int64_t since_us,
                         int (*fn)(void *ctx, const struct store_training *t), void *ctx,
                         struct err *err);

/* Calls fn for each row of the run, in the order of study, variant and fold; run_id NULL: of all.
 */
int store_results_each(struct store *s, const char *run_id,
                       int (*fn)(void *ctx, const struct store_result *r), void *ctx,
                       struct err *err);

/* ---- ftf_config ---- */

struct store_config {
    char *base_env;     /* JSON object of texts, owned: store_config_free */
    int64_t version;    /* one more with each change, whoever makes it */
    int64_t changed_us; /* UTC */
};
static inline void store_config_free(struct store_config *c)
{
    free(c->base_env);
    c->base_env = NULL;
}
#define AUTO_STORE_CONFIG AUTO(store_config_free)

/* What base_env is before anybody has set it. */
#define STORE_CONFIG_FIRST                                                                         \
    "{\"CVN_LOSS_FUNCTION\": \"binary:logistic\", \"CVN_FOCAL_GAMMA\": \"2.0\","                   \
    " \"CVN_FOCAL_ALPHA\": \"0.25\", \"CVN_CLEANLAB_MODE\": \"off\"}"

/* Errors: ERR_NOTFOUND when there is no table yet, or somebody has deleted the row. */
int store_config_get(struct store *s, struct store_config *out, struct err *err);

struct store_config_change {
    const char *base_env;  /* JSON object */
    int64_t expected;      /* the version that it was made from; negative: whatever there is */
    const char *who, *why; /* for the history; why may be NULL */
};

/* Sets base_env and writes the history's row, in one transaction. Creates table and row when
 * missing; to be the first, expect version 0 or 1. *version, the new one, may be NULL. Errors:
 * ERR_CONFLICT when the version is another one by now, ERR_INVALID (not a JSON object). */
int store_config_set(struct store *s, const struct store_config_change *c, int64_t *version,
                     struct err *err);

struct store_config_event {
    int64_t version; /* that it made */
    int64_t changed_us;
    const char *who;     /* "SQL": a statement of somebody else */
    const char *why;     /* NULL: not said */
    const char *old_env; /* NULL: there was none */
    const char *new_env;
};

/* Calls fn for each change, newest first. */
int store_config_history(struct store *s, int (*fn)(void *ctx, const struct store_config_event *e),
                         void *ctx, struct err *err);
