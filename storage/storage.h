/* The store: studies, trials and their values in Optuna's schema, and the results tables.
 *
 * Calls block (on a lock, on the disk), so the executor makes them on its one store thread; a
 * handle is used by one thread at a time (but for store_sync), never by a forked child. Strings are
 * UTF-8; JSON texts are taken as they are. Out-parameters change only on success. What a callback
 * or an out-parameter borrows lives until the callback returns, or the next call on the handle. A
 * callback must not call the store.
 *
 * Writes. Each write is a transaction of its own and durable when it returns, unless it stands
 * between store_begin and store_commit. Errors that every write can have: ERR_BUSY (another process
 * held the lock longer than busy_ms), ERR_UNAVAILABLE (disk full, I/O error), ERR_NOMEM, and
 * ERR_UNSUPPORTED (opened read-only, or the system does not let us write). Refusals (see
 * store_refused) write nothing and leave a batch as it was. Any other error breaks the batch: what
 * follows in it fails with the same error, until it is rolled back. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "trials/trial.h"

struct store;

/* What opening with `upgrade` did. */
struct store_upgraded {
    char from[33], to[33]; /* revisions of Optuna's schema; the same when nothing was to be done */
    int tables_from, tables_to; /* versions of the tables beside Optuna's; 0 = there are none */
};

struct store_opts {
    bool read_only; /* never creates or changes the file; works while others write */
    int busy_ms;    /* how long a call waits for another writer; 0 = 60 000 */
    struct store_upgraded *upgrade; /* brings an older schema to ours, in one transaction, creates
                                       nothing where nothing is, and tells here; NULL: refuses */
};

/* Opens the store named by url: `sqlite:///relative.db`, `sqlite:////absolute.db` (Optuna's form,
 * `?timeout=SECONDS` allowed), a bare path, `memory:` (this handle's own) or `memory:NAME` (shared
 * by the handles of this process while there is one; no file, nothing durable). Creates file and
 * tables when missing; opts may be NULL. On success *out is the caller's, on failure it is
 * untouched. Errors: ERR_INVALID (url, no directory for the file, or not a database), ERR_NOTFOUND
 * (read-only and no such file, or no studies in it), ERR_CORRUPT, ERR_UNSUPPORTED (another schema
 * revision, or not writable), ERR_BUSY, ERR_UNAVAILABLE. */
int store_open(struct store **out, const char *url, const struct store_opts *opts, struct err *err);
void store_destroy(struct store *s); /* NULL is fine; an open batch is rolled back */
static inline void store_destroy_p(struct store **s)
{
    store_destroy(*s);
}
#define AUTO_STORE AUTO(store_destroy_p)

/* Whether the store lives in this handle alone: opening its url again would give another one. */
bool store_is_private(const struct store *s);
/* Whether the store ends with the process. */
bool store_in_memory(const struct store *s);

/* Whether rc is a refusal: an answer, given before anything was written. */
static inline bool store_refused(int rc)
{
    return rc == -ERR_INVALID || rc == -ERR_NOTFOUND || rc == -ERR_EXISTS || rc == -ERR_FINISHED ||
           rc == -ERR_CONFLICT;
}

/* ---- batches: the writes of one loop tick in one transaction ---- */

/* Takes the write lock. Errors: ERR_BUSY, ERR_UNAVAILABLE. */
int store_begin(struct store *s, struct err *err);
/* Ends the batch. durable: it has reached the disk when this returns; otherwise a power cut (not
 * kill -9) may lose it, and the file stays consistent. On an error nothing of the batch is stored,
 * except that ERR_UNAVAILABLE after a failed fsync leaves that open, and that on PostgreSQL a claim
 * stands at once, with all before it: writing the batch again must be harmless. */
int store_commit(struct store *s, bool durable, struct err *err);
/* Makes durable what was committed so far, durable or not. The one call that may be made from
 * another thread while the handle's own uses it, so that a slow disk need not keep that waiting.
 * Errors: ERR_UNAVAILABLE (the sync failed: what was committed may be lost by a power cut). Then it
 * goes on failing until a durable commit, of an empty batch too, has written all of it anew. */
int store_sync(struct store *s, struct err *err);
/* Gives the batch up; no batch is fine. */
void store_rollback(struct store *s);

/* ---- studies ---- */

enum attr_kind { ATTR_USER, ATTR_SYSTEM };

struct study_info {
    int64_t id;
    const char *name;
    const enum direction *directions; /* [n_directions] */
    size_t n_directions;
    int64_t counts[TRIAL_STATES]; /* trials by state */
    int64_t first_start_us;       /* earliest start of a trial, UTC; 0 = none */
    int64_t last_complete_us;     /* latest end; 0 = none */
};

/* Errors: ERR_EXISTS, ERR_INVALID (no directions, name over 512 characters). */
int store_study_create(struct store *s, const char *name, const enum direction *directions,
                       size_t n_directions, int64_t *study, struct err *err);
/* Errors: ERR_NOTFOUND. */
int store_study_find(struct store *s, const char *name, int64_t *study, struct err *err);
/* Finds or creates. Errors: ERR_CONFLICT when it exists with other directions. */
int store_study_open(struct store *s, const char *name, const enum direction *directions,
                     size_t n_directions, int64_t *study, struct err *err);
/* Calls fn for each study by id; a non-zero return of fn stops and is returned. */
int store_studies_each(struct store *s, int (*fn)(void *ctx, const struct study_info *info),
                       void *ctx, struct err *err);
/* The same without counts and times, which cost a look at each trial. */
int store_studies_look(struct store *s, int (*fn)(void *ctx, const struct study_info *info),
                       void *ctx, struct err *err);
/* One study by id, likewise. Errors: ERR_NOTFOUND. */
int store_study_look(struct store *s, int64_t study,
                     int (*fn)(void *ctx, const struct study_info *info), void *ctx,
                     struct err *err);
/* Deletes the study with its trials and attributes; rows of the results tables stay. Its ids may be
 * used again. Errors: ERR_NOTFOUND. */
int store_study_delete(struct store *s, int64_t study, struct err *err);
/* Errors: ERR_NOTFOUND, ERR_INVALID (json is not JSON). */
int store_study_attr_set(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                         const char *json, struct err *err);
/* *json is the caller's to free. Errors: ERR_NOTFOUND. */
int store_study_attr_get(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                         char **json, struct err *err);
/* Calls fn for each attribute of the study by key. Errors: ERR_NOTFOUND (study). */
int store_study_attrs_each(struct store *s, int64_t study, enum attr_kind kind,
                           int (*fn)(void *ctx, const struct trial_attr *attr), void *ctx,
                           struct err *err);
/* Trials of the study by state, exact at the time of the call; O(1) unless others wrote.
 * Errors: ERR_NOTFOUND. */
int store_study_counts(struct store *s, int64_t study, int64_t counts[static TRIAL_STATES],
                       struct err *err);

/* ---- trials: writing ---- */

#define STORE_ATTR_OWNER "forkless:owner"           /* system: who runs the trial, a JSON string */
#define STORE_ATTR_NOT_BEFORE "forkless:not_before" /* system: do not claim before, UTC seconds */
#define STORE_STATE_BIT(state) (1u << (state))

/* Creates a trial. tmpl gives state, values, params, steps, attributes and times (its id and number
 * are ignored); NULL makes a RUNNING one that starts now. id and number may be NULL. Errors:
 * ERR_NOTFOUND (study), ERR_CONFLICT (incompatible distribution), ERR_INVALID. */
int store_trial_create(struct store *s, int64_t study, const struct trial *tmpl, int64_t *id,
                       int64_t *number, struct err *err);

struct store_claim_opts {
    int64_t target;         /* wanted number of trials in target_states; negative: no limit */
    unsigned target_states; /* STORE_STATE_BIT(TRIAL_COMPLETE), perhaps with TRIAL_PRUNED */
    const char *owner;      /* written as STORE_ATTR_OWNER; NULL: nothing */
};

enum claim_kind {
    CLAIM_NEW,    /* a new RUNNING trial: ask the sampler */
    CLAIM_QUEUED, /* a WAITING trial, now RUNNING: enqueued by a user, or a retry */
    CLAIM_LATER,  /* nothing now: others run what is missing, or a retry is not due before due_us */
    CLAIM_FULL,   /* the target is reached */
};

struct store_claim {
    enum claim_kind kind;
    int64_t id, number;
    int64_t due_us; /* CLAIM_LATER: UTC time of the next retry; 0 = none queued */
    const struct trial
        *trial; /* CLAIM_QUEUED: its stored params and attributes, borrowed; else NULL */
    const char
        *fixed_params; /* CLAIM_QUEUED: JSON object name -> external value, or NULL; borrowed */
};

/* Takes the next trial to run, in one transaction against all other processes: nothing while
 * trials in target_states + RUNNING >= target; else the oldest WAITING trial that is due; else a
 * new one, unless retries that are not due yet will fill the target. O(log trials). Errors:
 * ERR_NOTFOUND (study). */
int store_trial_claim(struct store *s, int64_t study, const struct store_claim_opts *opts,
                      struct store_claim *out, struct err *err);

/* Sets parameters; one that the trial already has keeps its value, as in Optuna.
 * Errors: ERR_NOTFOUND, ERR_FINISHED, ERR_CONFLICT (distribution of another kind than the study's).
 */
int store_trial_params(struct store *s, int64_t trial, const struct trial_param *params, size_t n,
                       struct err *err);
/* Sets intermediate values; a step that the trial already has keeps its value, as with Optuna's
 * Trial.report. Errors: ERR_NOTFOUND, ERR_FINISHED. */
int store_trial_steps(struct store *s, int64_t trial, const struct trial_step *steps, size_t n,
                      struct err *err);
/* The same, but a step that is there gets the new value, as with Optuna's storages. */
int store_trial_steps_set(struct store *s, int64_t trial, const struct trial_step *steps, size_t n,
                          struct err *err);
/* Sets attributes. Errors: ERR_NOTFOUND, ERR_FINISHED, ERR_INVALID (not JSON). */
int store_trial_attrs(struct store *s, int64_t trial, enum attr_kind kind,
                      const struct trial_attr *attrs, size_t n, struct err *err);
/* Ends a trial, once. COMPLETE needs a value for each objective, PRUNED may have them (Optuna: the
 * last reported one), FAIL has none. Errors: ERR_FINISHED (somebody did it before), ERR_NOTFOUND,
 * ERR_INVALID (a NaN, a wrong count, or a state that is not final). */
int store_trial_finish(struct store *s, int64_t trial, enum trial_state state, const double *values,
                       size_t n_values, struct err *err);

/* How a trial ends: see store_trial_finish. */
struct store_end {
    enum trial_state state;
    const double *values;
    size_t n_values;
};

/* What a trial leaves behind at one time. */
struct store_write {
    const struct trial_param *params;
    size_t n_params;
    const struct trial_step *steps;
    size_t n_steps;
    const struct trial_attr *system_attrs, *user_attrs;
    size_t n_system_attrs, n_user_attrs;
    const struct store_end *end; /* NULL: it goes on */
};

/* The same as store_trial_params, _steps, _attrs and _finish one after the other, until one fails;
 * but one call of a server, where there is one, instead of many. */
int store_trial_write(struct store *s, int64_t trial, const struct store_write *w, struct err *err);

/* Sets a trial's state as Optuna's storages do: WAITING -> RUNNING starts it now and is a claim
 * that one caller alone wins; RUNNING of a trial that does not wait changes nothing (*changed =
 * false); a final state is store_trial_finish; WAITING puts a running trial back into the queue,
 * without a start and an owner, unless it was ours and is somebody else's by now (*changed =
 * false).
 * values may stand only with COMPLETE and PRUNED. changed may be NULL. Errors: as
 * store_trial_finish. */
int store_trial_state(struct store *s, int64_t trial, enum trial_state state, const double *values,
                      size_t n_values, bool *changed, struct err *err);

struct store_retry {
    int max_retries;       /* retries that a trial may have in all; negative: no limit */
    int64_t not_before_us; /* UTC; 0 = at once */
};

/* Ends a trial as FAIL and queues a clone of it with its params, as Optuna's retry callback does
 * (failed_trial, retry_history), in one transaction. Attributes `forkless:*` stay with the failed
 * one. *retry_id and *retry_number are -1 when max_retries is spent; both may be NULL. Errors: as
 * store_trial_finish. */
int store_trial_retry(struct store *s, int64_t trial, const struct store_retry *retry,
                      int64_t *retry_id, int64_t *retry_number, struct err *err);

/* ---- life signs ---- */

/* Writes Optuna's heartbeat rows, time by the database. */
int store_heartbeat(struct store *s, const int64_t *trials, size_t n, struct err *err);

struct store_running {
    int64_t id, number;
    const char *owner;    /* text of STORE_ATTR_OWNER; NULL = none (a Python process runs it) */
    double heartbeat_age; /* seconds since the last heartbeat; negative = it has none */
    int64_t start_us;     /* UTC; 0 = unknown */
};

/* Calls fn for each RUNNING trial of the study by id, whoever runs it. */
int store_running_each(struct store *s, int64_t study,
                       int (*fn)(void *ctx, const struct store_running *r), void *ctx,
                       struct err *err);
/* ---- trials: reading ---- */

enum { WANT_PARAMS = 1, WANT_STEPS = 2, WANT_USER_ATTRS = 4, WANT_SYSTEM_ATTRS = 8, WANT_ALL = 15 };

struct store_each_opts {
    int64_t after_id;    /* only trials with a larger id; 0 = all */
    unsigned states;     /* STORE_STATE_BIT mask; 0 = all */
    unsigned want;       /* WANT_ mask of what is filled in besides state, values and times */
    const int64_t *also; /* [n_also] besides, before the others and in any order: trials with ids */
    size_t n_also;       /* up to after_id; those that are not of the study are left out */
};

/* Streams the trials of a study by id, after those of `also`, from one snapshot, in constant
 * memory. A non-zero return of fn stops and is returned. Errors: ERR_NOTFOUND, ERR_CORRUPT with
 * trial and column. */
int store_trials_each(struct store *s, int64_t study, const struct store_each_opts *opts,
                      int (*fn)(void *ctx, const struct trial *t), void *ctx, struct err *err);
/* One trial by id. Errors: ERR_NOTFOUND. */
int store_trial_get(struct store *s, int64_t trial, unsigned want,
                    int (*fn)(void *ctx, const struct trial *t), void *ctx, struct err *err);
struct trial_head {
    int64_t study, number;
    enum trial_state state;
};

/* What trial that is. Errors: ERR_NOTFOUND. */
int store_trial_look(struct store *s, int64_t trial, struct trial_head *out, struct err *err);
/* Errors: ERR_NOTFOUND. */
int store_trial_find(struct store *s, int64_t study, int64_t number, int64_t *trial,
                     struct err *err);
/* What other processes did: the first call on a handle tells all trials of the study, later ones
 * tell what others finished, created or are running since the last; trials claimed or created
 * through this handle are left out until somebody else ends them. Costs next to nothing when nobody
 * else wrote. What was told in a batch that is rolled back is told again. */
int store_trials_sync(struct store *s, int64_t study, unsigned want,
                      int (*fn)(void *ctx, const struct trial *t), void *ctx, struct err *err);

/* ---- results: finetune_runs and finetune_results ---- */

struct store_run {
    const char *run_id;           /* required */
    const char *status;           /* "running", "success", "failed", "preempted" … */
    const char *config;           /* JSON snapshot of the spec; required on start */
    const char *dag_id;           /* what scheduled it; may be NULL */
    int64_t started_us, ended_us; /* UTC; 0 = none; set by the store on start and end */
};

/* Writes the run's row with status "running", started now; a run that is continued keeps its
 * started_at and gets the new config. Creates the results tables when missing. */
int store_run_start(struct store *s, const struct store_run *run, struct err *err);
/* Sets status and ended_at: of several processes with one run_id the last one's stand. Errors:
 * ERR_NOTFOUND. */
int store_run_end(struct store *s, const char *run_id, const char *status, struct err *err);
/* Calls fn for each run, oldest first; none when there are no tables. */
int store_runs_each(struct store *s, int (*fn)(void *ctx, const struct store_run *run), void *ctx,
                    struct err *err);

struct store_result {
    const char *run_id, *study; /* study by name */
    const char *variant;        /* NULL = "" */
    int64_t fold;
    const char *crypto_symbol, *factor; /* NULL = unknown */
    int64_t trial_number;
    double objective;             /* of the whole trial; NaN = none (a failed one) */
    enum direction direction;     /* which objective is better */
    const char *run_status;       /* "success" or "failed" */
    const char *params, *metrics; /* JSON objects; NULL = {} */
    int64_t buy_trades;           /* negative = unknown */
};

/* Upserts rows, one for each run_id × study × variant × fold: a row is replaced when the new
 * trial's objective is better, or it is the same trial again, or the stored one has no objective.
 * Errors: ERR_NOTFOUND (run), ERR_INVALID (not JSON). */
int store_results_put(struct store *s, const struct store_result *rows, size_t n, struct err *err);
/* Counts rows; NULL for any run, study, status. 0 when there are no tables. */
int store_results_count(struct store *s, const char *run_id, const char *study, const char *status,
                        int64_t *n, struct err *err);
