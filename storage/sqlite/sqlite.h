/* Inside the SQLite backend: the handle, its statements and transactions, and what its files share.
 */
#pragma once

#include <sqlite3.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "storage/backend.h"
#include "storage/sqlite/sql.h"
#include "storage/times.h"

struct trial_index;
struct reader;

struct store_sqlite {
    struct store base;
    sqlite3 *db;
    sqlite3_stmt *stmts[SQL_COUNT]; /* prepared at first use, kept for the handle's life */
    char *path;
    int busy_ms;
    bool must_exist; /* the file */
    bool in_memory;  /* there is no file */
    bool made_file;  /* it was not there when it was opened */
    bool wal;
    sqlite3_file *log;       /* the write-ahead log; NULL without one */
    atomic_bool sync_failed; /* what is committed may never reach the disk, unless written anew */
    bool results_ready; /* the results tables are there, in our version: were they to go, that is
                           trouble, and no answer */
    bool results_made;  /* by the transaction that is open */
    bool in_batch;
    struct err broken;            /* why the batch cannot be committed; a write failed half way */
    struct trial_index **indexes; /* one for each study that was used */
    size_t n_indexes;
    int64_t data_version;  /* PRAGMA data_version when the indexes were last checked */
    struct reader *reader; /* memory for reading trials, reused; NULL until needed */
};

int store_sqlite_open(struct store **out, const char *url, const struct store_opts *opts,
                      struct err *err);

/* ---- sql.c: statements ---- */

/* The statement, reset and without bindings. Errors: as sql_fail. */
int sql_get(struct store_sqlite *q, enum sql id, sqlite3_stmt **out, struct err *err);
/* 1 = a row, 0 = done, negative = error. A statement that is done or failed is reset. */
int sql_step(struct store_sqlite *q, sqlite3_stmt *st, struct err *err);
/* Runs a statement that needs no binding and returns no row. */
int sql_run(struct store_sqlite *q, enum sql id, struct err *err);
/* Steps a statement for the one integer it returns. 1 = there was a row, 0 = none. */
int sql_int(struct store_sqlite *q, sqlite3_stmt *st, int64_t *out, struct err *err);
/* Runs SQL text that is used once. */
int sql_exec(struct store_sqlite *q, const char *sql, struct err *err);
/* Sets err from the connection's last error. */
int sql_fail(struct store_sqlite *q, struct err *err);
/* The system does not let us write (or read) the file: ERR_UNSUPPORTED, and why. */
int sql_forbidden(struct store_sqlite *q, struct err *err);
/* The text is not copied: it must live until the statement is reset. NULL binds NULL. */
void sql_bind_text(sqlite3_stmt *st, int i, const char *text);
/* Column i as text, never NULL. */
const char *sql_text(sqlite3_stmt *st, int i);
const char *sql_text_or_null(sqlite3_stmt *st, int i);
/* As decode_time. */
bool sql_time(sqlite3_stmt *st, int i, int64_t *utc_us);

static inline void sql_reset_p(sqlite3_stmt **st)
{
    if (*st != NULL)
        (void)sqlite3_reset(*st); /* repeats the error of the last step */
}
#define AUTO_RESET AUTO(sql_reset_p)

/* ---- tx.c: transactions ---- */

/* Begins a write transaction unless a batch is open. */
int tx_enter(struct store_sqlite *q, struct err *err);
/* Ends what tx_enter began: commits, or rolls back when rc is an error. In a batch an error that
 * may have left a half-done write breaks the batch. Returns rc or the commit's error. */
int tx_leave(struct store_sqlite *q, int rc, struct err *err);
/* The same for a snapshot over several reads. */
int tx_enter_read(struct store_sqlite *q, struct err *err);
int tx_leave_read(struct store_sqlite *q, int rc);

/* For sqlite3_wal_hook: a checkpoint now and then, as SQLite does it without a hook; but that would
 * keep a failed sync to itself. */
int tx_log_grown(void *q, sqlite3 *db, const char *name, int frames);

int sqlite_begin(struct store *s, struct err *err);
int sqlite_commit(struct store *s, bool durable, struct err *err);
int sqlite_sync(struct store *s, struct err *err);
void sqlite_rollback(struct store *s);

/* ---- schema.c ---- */

/* Creates or checks the tables, or upgrades them when `upgraded` is not NULL. Errors:
 * ERR_UNSUPPORTED, ERR_NOTFOUND (read-only, none there). */
int schema_open(struct store_sqlite *q, struct store_upgraded *upgraded, struct err *err);

/* ---- encode.c: values and times as Optuna stores them ---- */

/* Binds a value and its type at i and i + 1. */
void encode_value(sqlite3_stmt *st, int i, double v);
/* Reads the columns i and i + 1; false when they are no pair that Optuna writes. */
bool decode_value(sqlite3_stmt *st, int i, double *out);
/* Binds the time; 0 is NULL. text is the memory of the binding. */
void encode_time(sqlite3_stmt *st, int i, int64_t utc_us, char text[static CLOCK_TEXT_MAX]);

/* ---- the operations, by file ---- */

int sqlite_study_create(struct store *s, const char *name, const enum direction *directions,
                        size_t n_directions, int64_t *study, struct err *err);
int sqlite_study_find(struct store *s, const char *name, int64_t *study, struct err *err);
int sqlite_study_directions(struct store *s, int64_t study, enum direction *directions,
                            size_t *n_directions, struct err *err);
int sqlite_studies_each(struct store *s, store_study_fn *fn, void *ctx, struct err *err);
int sqlite_study_look(struct store *s, const int64_t *study, store_study_fn *fn, void *ctx,
                      struct err *err);
int sqlite_study_delete(struct store *s, int64_t study, struct err *err);
int sqlite_study_attr_set(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                          const char *json, struct err *err);
int sqlite_study_attr_get(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                          char **json, struct err *err);
int sqlite_study_attrs_each(struct store *s, int64_t study, enum attr_kind kind, store_attr_fn *fn,
                            void *ctx, struct err *err);
int sqlite_study_counts(struct store *s, int64_t study, int64_t counts[static TRIAL_STATES],
                        struct err *err);

int sqlite_trial_create(struct store *s, int64_t study, const struct trial *tmpl, int64_t *id,
                        int64_t *number, struct err *err);
int sqlite_trial_claim(struct store *s, int64_t study, const struct store_claim_opts *opts,
                       struct store_claim *out, struct err *err);
int sqlite_trial_params(struct store *s, int64_t trial, const struct trial_param *params, size_t n,
                        struct err *err);
int sqlite_trial_steps(struct store *s, int64_t trial, const struct trial_step *steps, size_t n,
                       bool replace, struct err *err);
int sqlite_trial_attrs(struct store *s, int64_t trial, enum attr_kind kind,
                       const struct trial_attr *attrs, size_t n, struct err *err);
int sqlite_trial_finish(struct store *s, int64_t trial, enum trial_state state,
                        const double *values, size_t n_values, struct err *err);
int sqlite_trial_state(struct store *s, int64_t trial, enum trial_state state, bool *changed,
                       struct err *err);
int sqlite_trial_retry(struct store *s, int64_t trial, const struct store_retry *retry,
                       int64_t *retry_id, int64_t *retry_number, struct err *err);

int sqlite_heartbeat(struct store *s, const int64_t *trials, size_t n, struct err *err);
int sqlite_running_each(struct store *s, int64_t study, store_running_fn *fn, void *ctx,
                        struct err *err);

int sqlite_trials_each(struct store *s, int64_t study, const struct store_each_opts *opts,
                       store_trial_fn *fn, void *ctx, struct err *err);
int sqlite_trial_get(struct store *s, int64_t trial, unsigned want, store_trial_fn *fn, void *ctx,
                     struct err *err);
int sqlite_trial_look(struct store *s, int64_t trial, struct trial_head *out, struct err *err);
int sqlite_trial_find(struct store *s, int64_t study, int64_t number, int64_t *trial,
                      struct err *err);
int sqlite_trials_sync(struct store *s, int64_t study, unsigned want, store_trial_fn *fn, void *ctx,
                       struct err *err);

int sqlite_run_start(struct store *s, const struct store_run *run, struct err *err);
int sqlite_run_end(struct store *s, const char *run_id, const char *status, struct err *err);
int sqlite_runs_each(struct store *s, store_run_fn *fn, void *ctx, struct err *err);
int sqlite_results_put(struct store *s, const struct store_result *rows, size_t n, struct err *err);
int sqlite_results_count(struct store *s, const char *run_id, const char *study, const char *status,
                         int64_t *n, struct err *err);

int sqlite_training_put(struct store *s, const struct store_training *t, struct err *err);
int sqlite_trainings_each(struct store *s, int64_t since_us, store_training_fn *fn, void *ctx,
                          struct err *err);
int sqlite_results_each(struct store *s, const char *run_id, store_result_fn *fn, void *ctx,
                        struct err *err);
int sqlite_config_get(struct store *s, struct store_config *out, struct err *err);
int sqlite_config_set(struct store *s, const struct store_config_change *c, int64_t *version,
                      struct err *err);
int sqlite_config_history(struct store *s, store_config_event_fn *fn, void *ctx, struct err *err);
extern const struct store_ftf_ops sqlite_ftf_ops; /* (ftf_config.c) */

/* ---- migrate.c: the tables beside Optuna's ---- */

/* Brings them to our version, inside a write transaction. */
int migrate_tables(struct store_sqlite *q, struct err *err);
/* Does that only where they are; the versions before and after, 0 = none. */
int migrate_there(struct store_sqlite *q, int *from, int *to, struct err *err);
/* Whether they are there, of a version from which there is something to read. */
enum { TABLES_RESULTS = 1, TABLES_FTF = 2 };
int migrate_has(struct store_sqlite *q, int version, bool *has, struct err *err);

/* Inside a transaction: what trial that is, and when it was started (0 = it was not). Errors:
 * ERR_NOTFOUND. (index.c) */
int trial_look(struct store_sqlite *q, int64_t trial, struct trial_head *out, struct err *err);
int trial_look_start(struct store_sqlite *q, int64_t trial, struct trial_head *out,
                     int64_t *start_us, struct err *err);
/* Inserts a study; *study as *id in trial_write. Errors: ERR_EXISTS (the name). (study.c) */
int study_insert(struct store_sqlite *q, const char *name, const enum direction *directions,
                 size_t n_directions, int64_t *study, struct err *err);
/* Errors: ERR_NOTFOUND. (study.c) */
int study_check(struct store_sqlite *q, int64_t study, struct err *err);
