/* The operations, by file: what they promise is in storage.h. */
#pragma once

#include "storage/postgres/pg.h"

int pg_study_create(struct store *s, const char *name, const enum direction *directions,
                    size_t n_directions, int64_t *study, struct err *err);
int pg_study_find(struct store *s, const char *name, int64_t *study, struct err *err);
int pg_study_directions(struct store *s, int64_t study, enum direction *directions,
                        size_t *n_directions, struct err *err);
int pg_studies_each(struct store *s, store_study_fn *fn, void *ctx, struct err *err);
int pg_study_look(struct store *s, const int64_t *study, store_study_fn *fn, void *ctx,
                  struct err *err);
int pg_study_delete(struct store *s, int64_t study, struct err *err);
int pg_study_attr_set(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                      const char *json, struct err *err);
int pg_study_attr_get(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                      char **json, struct err *err);
int pg_study_attrs_each(struct store *s, int64_t study, enum attr_kind kind, store_attr_fn *fn,
                        void *ctx, struct err *err);
int pg_study_counts(struct store *s, int64_t study, int64_t counts[static TRIAL_STATES],
                    struct err *err);

int pg_trial_create(struct store *s, int64_t study, const struct trial *tmpl, int64_t *id,
                    int64_t *number, struct err *err);
int pg_trial_claim(struct store *s, int64_t study, const struct store_claim_opts *opts,
                   struct store_claim *out, struct err *err);
int pg_trial_params(struct store *s, int64_t trial, const struct trial_param *params, size_t n,
                    struct err *err);
int pg_trial_steps(struct store *s, int64_t trial, const struct trial_step *steps, size_t n,
                   bool replace, struct err *err);
int pg_trial_attrs(struct store *s, int64_t trial, enum attr_kind kind,
                   const struct trial_attr *attrs, size_t n, struct err *err);
int pg_trial_finish(struct store *s, int64_t trial, enum trial_state state, const double *values,
                    size_t n_values, struct err *err);
int pg_trial_state(struct store *s, int64_t trial, enum trial_state state, bool *changed,
                   struct err *err);
int pg_trial_retry(struct store *s, int64_t trial, const struct store_retry *retry,
                   int64_t *retry_id, int64_t *retry_number, struct err *err);

int pg_heartbeat(struct store *s, const int64_t *trials, size_t n, struct err *err);
int pg_running_each(struct store *s, int64_t study, store_running_fn *fn, void *ctx,
                    struct err *err);

int pg_trials_each(struct store *s, int64_t study, const struct store_each_opts *opts,
                   store_trial_fn *fn, void *ctx, struct err *err);
int pg_trial_get(struct store *s, int64_t trial, unsigned want, store_trial_fn *fn, void *ctx,
                 struct err *err);
int pg_trial_look(struct store *s, int64_t trial, struct trial_head *out, struct err *err);
int pg_trial_find(struct store *s, int64_t study, int64_t number, int64_t *trial, struct err *err);
int pg_trials_sync(struct store *s, int64_t study, unsigned want, store_trial_fn *fn, void *ctx,
                   struct err *err);

int pg_run_start(struct store *s, const struct store_run *run, struct err *err);
int pg_run_end(struct store *s, const char *run_id, const char *status, struct err *err);
int pg_runs_each(struct store *s, store_run_fn *fn, void *ctx, struct err *err);
int pg_results_put(struct store *s, const struct store_result *rows, size_t n, struct err *err);
int pg_results_count(struct store *s, const char *run_id, const char *study, const char *status,
                     int64_t *n, struct err *err);
int pg_results_each(struct store *s, const char *run_id, store_result_fn *fn, void *ctx,
                    struct err *err);

int pg_study_import(struct store *s, const struct study_info *info, struct err *err);
int pg_trial_import(struct store *s, int64_t study, const struct trial *t, struct err *err);
int pg_check(struct store *s, bool quick, store_problem_fn *fn, void *ctx, struct err *err);
int pg_rows_each(struct store *s, enum store_table table, const char *study, store_row_fn *fn,
                 void *ctx, struct err *err);
int pg_row_put(struct store *s, enum store_table table, const char *const *cells, struct err *err);
int pg_rows_clear(struct store *s, enum store_table table, struct err *err);
extern const struct store_care_ops pg_care_ops;
extern const struct store_ftf_ops pg_ftf_ops;
/* The version in which the tables of pg_ftf_ops are there. */
enum { TABLES_FTF = 2 };

int pg_training_put(struct store *s, const struct store_training *t, struct err *err);
int pg_trainings_each(struct store *s, int64_t since_us, store_training_fn *fn, void *ctx,
                      struct err *err);
int pg_config_get(struct store *s, struct store_config *out, struct err *err);
int pg_config_set(struct store *s, const struct store_config_change *c, int64_t *version,
                  struct err *err);
int pg_config_history(struct store *s, store_config_event_fn *fn, void *ctx, struct err *err);
