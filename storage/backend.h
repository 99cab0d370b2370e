/* For implementers of a store: the operations that a backend fills in. The public calls (store.c)
 * check arguments first, so a backend may trust them; see storage.h for what each operation
 * promises. */
#pragma once

#include <sys/types.h>

#include "storage/care.h"
#include "storage/ftf.h"
#include "storage/storage.h"

typedef int store_trial_fn(void *ctx, const struct trial *t);
typedef int store_running_fn(void *ctx, const struct store_running *r);
typedef int store_study_fn(void *ctx, const struct study_info *info);
typedef int store_attr_fn(void *ctx, const struct trial_attr *attr);
typedef int store_run_fn(void *ctx, const struct store_run *run);

typedef int store_training_fn(void *ctx, const struct store_training *t);
typedef int store_result_fn(void *ctx, const struct store_result *r);
typedef int store_config_event_fn(void *ctx, const struct store_config_event *e);

/* training_runs and ftf_config. */
struct store_ftf_ops {
    int (*training_put)(struct store *s, const struct store_training *t, struct err *err);
    int (*trainings_each)(struct store *s, int64_t since_us, store_training_fn *fn, void *ctx,
                          struct err *err);
    int (*results_each)(struct store *s, const char *run_id, store_result_fn *fn, void *ctx,
                        struct err *err);
    int (*config_get)(struct store *s, struct store_config *out, struct err *err);
    int (*config_set)(struct store *s, const struct store_config_change *c, int64_t *version,
                      struct err *err);
    int (*config_history)(struct store *s, store_config_event_fn *fn, void *ctx, struct err *err);
};

typedef int store_problem_fn(void *ctx, const struct store_problem *p);

typedef int store_row_fn(void *ctx, const char *const *cells);

/* What is in care.h; NULL: not to be had. */
struct store_care_ops {
    int (*check)(struct store *s, bool quick, store_problem_fn *fn, void *ctx, struct err *err);
    int (*vacuum)(struct store *s, struct store_vacuumed *out, struct err *err);
    int (*study_import)(struct store *s, const struct study_info *info, struct err *err);
    int (*trial_import)(struct store *s, int64_t study, const struct trial *t, struct err *err);
    int (*rows_each)(struct store *s, enum store_table table, const char *study, store_row_fn *fn,
                     void *ctx, struct err *err);
    int (*row_put)(struct store *s, enum store_table table, const char *const *cells,
                   struct err *err);
    int (*rows_clear)(struct store *s, enum store_table table, struct err *err);
    void (*discard)(struct store *s); /* NULL: there is no file */
};

struct store_ops {
    const char *scheme; /* "sqlite" */
    void (*destroy)(struct store *s);

    int (*begin)(struct store *s, struct err *err);
    int (*commit)(struct store *s, bool durable, struct err *err);
    int (*sync)(struct store *s, struct err *err); /* may run beside any other operation */
    void (*rollback)(struct store *s);

    int (*study_create)(struct store *s, const char *name, const enum direction *directions,
                        size_t n_directions, int64_t *study, struct err *err);
    int (*study_find)(struct store *s, const char *name, int64_t *study, struct err *err);
    /* *n_directions: in the room of directions, out the number there is. */
    int (*study_directions)(struct store *s, int64_t study, enum direction *directions,
                            size_t *n_directions, struct err *err);
    int (*studies_each)(struct store *s, store_study_fn *fn, void *ctx, struct err *err);
    /* Without counts and times; study NULL = all. */
    int (*study_look)(struct store *s, const int64_t *study, store_study_fn *fn, void *ctx,
                      struct err *err);
    int (*study_delete)(struct store *s, int64_t study, struct err *err);
    int (*study_attr_set)(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                          const char *json, struct err *err);
    int (*study_attr_get)(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                          char **json, struct err *err);
    int (*study_attrs_each)(struct store *s, int64_t study, enum attr_kind kind, store_attr_fn *fn,
                            void *ctx, struct err *err);
    int (*study_counts)(struct store *s, int64_t study, int64_t counts[static TRIAL_STATES],
                        struct err *err);

    /* Whether id and number may be NULL in the calls that make a trial, when nobody asks for them:
     * then it may be written as late as the batch's commit. */
    bool ids_optional;
    int (*trial_create)(struct store *s, int64_t study, const struct trial *tmpl, int64_t *id,
                        int64_t *number, struct err *err);
    int (*trial_claim)(struct store *s, int64_t study, const struct store_claim_opts *opts,
                       struct store_claim *out, struct err *err);
    int (*trial_params)(struct store *s, int64_t trial, const struct trial_param *params, size_t n,
                        struct err *err);
    /* replace: a step that is there gets the new value. */
    int (*trial_steps)(struct store *s, int64_t trial, const struct trial_step *steps, size_t n,
                       bool replace, struct err *err);
    int (*trial_attrs)(struct store *s, int64_t trial, enum attr_kind kind,
                       const struct trial_attr *attrs, size_t n, struct err *err);
    int (*trial_finish)(struct store *s, int64_t trial, enum trial_state state,
                        const double *values, size_t n_values, struct err *err);
    /* NULL: backend_write_parts serves. */
    int (*trial_write)(struct store *s, int64_t trial, const struct store_write *w,
                       struct err *err);
    /* To a state that is not final. */
    int (*trial_state)(struct store *s, int64_t trial, enum trial_state state, bool *changed,
                       struct err *err);
    int (*trial_retry)(struct store *s, int64_t trial, const struct store_retry *retry,
                       int64_t *retry_id, int64_t *retry_number, struct err *err);

    int (*heartbeat)(struct store *s, const int64_t *trials, size_t n, struct err *err);
    int (*running_each)(struct store *s, int64_t study, store_running_fn *fn, void *ctx,
                        struct err *err);

    int (*trials_each)(struct store *s, int64_t study, const struct store_each_opts *opts,
                       store_trial_fn *fn, void *ctx, struct err *err);
    int (*trial_get)(struct store *s, int64_t trial, unsigned want, store_trial_fn *fn, void *ctx,
                     struct err *err);
    int (*trial_look)(struct store *s, int64_t trial, struct trial_head *out, struct err *err);
    int (*trial_find)(struct store *s, int64_t study, int64_t number, int64_t *trial,
                      struct err *err);
    int (*trials_sync)(struct store *s, int64_t study, unsigned want, store_trial_fn *fn, void *ctx,
                       struct err *err);

    int (*run_start)(struct store *s, const struct store_run *run, struct err *err);
    int (*run_end)(struct store *s, const char *run_id, const char *status, struct err *err);
    int (*runs_each)(struct store *s, store_run_fn *fn, void *ctx, struct err *err);
    int (*results_put)(struct store *s, const struct store_result *rows, size_t n, struct err *err);
    int (*results_count)(struct store *s, const char *run_id, const char *study, const char *status,
                         int64_t *n, struct err *err);
    const struct store_ftf_ops *ftf;   /* NULL: it has no such tables */
    const struct store_care_ops *care; /* NULL: nothing of it */
};

struct store {
    const struct store_ops *ops;
    pid_t owner; /* a forked child must not use the handle */
    bool read_only;
    bool in_memory;  /* it ends with the process */
    bool is_private; /* another handle with the same url would be another store */
};

/* What store_trial_write does, by the other operations. */
int backend_write_parts(struct store *s, int64_t trial, const struct store_write *w,
                        struct err *err);
