/* Inside the backend for grpc:// urls: a client of Optuna's storage proxy, of ours or of Optuna's
 * own server.
 *
 * The protocol has no transactions, no counts, no heartbeats, no results and no claim with a
 * target. So: each write is stored when its call returns, a batch binds nothing together and
 * cannot be taken back; what must be known of a study is read in increments, as Optuna's client
 * does (mirror.c); a claim is made first and checked after, and given back when it was one too
 * many (claim.c); heartbeats are a system attribute with the client's time (life.c), and runs and
 * result rows are attributes of their study (results.c). */
#pragma once

#include <grpc/grpc.h>

#include "base/cleanup.h"
#include "storage/backend.h"
#include "storage/grpc/wire.h"

#define ATTR_BEAT "forkless:beat"   /* system: last sign of life, UTC seconds by its client */
#define ATTR_CLAIM "forkless:claim" /* system: which call created the trial */
#define ATTR_RUN "forkless:run:"    /* system, of a study: a run's row as JSON */
#define ATTR_ROW "forkless:row:"    /* user, of a study: a row of results as JSON */

/* A trial that is not finished, as last seen. */
struct known {
    int64_t id, number;
    enum trial_state state;
    bool own;              /* claimed or created through this handle */
    bool seen;             /* in the reply that is being read */
    int64_t not_before_us; /* WAITING: not to be claimed before; 0 = at once */
    int64_t start_us;
    double beat_s;       /* UTC seconds of the last heartbeat; 0 = none */
    char *owner, *claim; /* owned; NULL = none */
};

/* The newest trial of a study, by which the study is known again. */
struct newest {
    int64_t id; /* 0 = there was none */
    int64_t number;
    int64_t start_us; /* when it has ended, which leaves it as it is; 0 = not known */
};

/* What is known of a study. */
struct mirror {
    int64_t study;
    bool loaded; /* all its trials were read once */
    bool fresh;  /* in this batch */
    bool told;   /* store_trials_sync has told all, in this batch if told_now */
    bool told_now;
    bool run_noted;      /* the run's row stands in the study */
    size_t n_directions; /* 0 = not asked yet */
    int64_t counts[TRIAL_STATES];
    struct newest newest;
    struct known *open; /* RUNNING and WAITING, by id */
    size_t n_open, cap_open;
    int64_t *ended; /* ended by others, and not told yet */
    size_t n_ended, cap_ended;
    int64_t *told_ids; /* told in this batch */
    size_t n_told, cap_told;
    char *doubt; /* the claim whose outcome is unknown: perhaps it made a trial */
};

struct store_grpc {
    struct store base;
    char *target; /* "host:port", for messages too */
    char *token;  /* "Bearer …"; NULL = none */
    int timeout_ms;
    grpc_channel *channel;
    grpc_completion_queue *queue;
    bool in_batch;
    bool plain;              /* the server takes one call at a time: it is not ours */
    struct mirror **mirrors; /* owned; each keeps its address */
    size_t n_mirrors;
    uint64_t n_claims; /* made so far, to tell them apart */
    int64_t *doubtful; /* trials whose end may have been stored although the call failed */
    size_t n_doubtful, cap_doubtful;
    struct pool *pool; /* of the trial that the last claim returned */
    struct wire_trial claimed;
    char *run_id, *run_row; /* the run that was begun here; its row as JSON */
};

#define SELF(s) CONTAINER_OF(s, struct store_grpc, base)

/* ---- call.c ---- */

struct rpc {
    enum wire_method method;
    struct buf request;
    bool keep;        /* of an intermediate value, in rpc_as_one: one that is there stays */
    grpc_slice reply; /* when rc is 0 */
    int rc;
    struct err err;
    struct call_state *state;
};

/* Prepares a call with a message as request. */
void rpc_init(struct rpc *c, enum wire_method m, const void *message);
void rpc_free(struct rpc *c);
/* Makes the calls at once, as one where the server can do that, and waits for all; the first error
 * in their order. */
int rpc_all(struct store_grpc *g, struct rpc *calls, size_t n, struct err *err);
/* The same, but one after the other, until one fails. */
int rpc_in_order(struct store_grpc *g, struct rpc *calls, size_t n, struct err *err);
/* What a study must have for a new trial: see Room in batch.proto. */
struct rpc_room {
    int64_t study, target;
    unsigned states; /* STORE_STATE_BIT */
};
/* The same as one call, or not at all. room: only if the study has it, else 1 is returned; NULL: at
 * any rate. Errors: the first refusal; ERR_UNSUPPORTED (the server takes
 * one at a time); what broke the one call: then all are undone, or after ERR_UNAVAILABLE nobody
 * knows. */
int rpc_as_one(struct store_grpc *g, struct rpc *calls, size_t n, const struct rpc_room *room,
               struct err *err);
/* The reply of a call that was made: a message that lives as long as the pool. */
int rpc_reply(const struct rpc *c, struct pool *pool, void *reply, struct err *err);
/* Makes one; *reply (NULL: it is not wanted) lives as long as the pool. */
int rpc_one(struct store_grpc *g, enum wire_method m, const void *message, struct pool *pool,
            void *reply, struct err *err);
/* Whether the server is there; patient: waits for it for some seconds. Errors: ERR_UNAVAILABLE. */
int rpc_connect(struct store_grpc *g, bool patient, struct err *err);

/* ---- mirror.c ---- */

/* NULL when out of memory. */
struct mirror *mirror_of(struct store_grpc *g, int64_t study);
/* The study's mirror that has the trial among its open ones; NULL: none has. */
struct mirror *mirror_with(struct store_grpc *g, int64_t trial);
struct known *mirror_find(struct mirror *m, int64_t trial);
/* Brings it up to date. Errors: ERR_NOTFOUND (study). */
int mirror_refresh(struct store_grpc *g, struct mirror *m, struct err *err);
/* The same after a call that is made first, whose error it returns too. room: nothing is done
 * without it, and 1 returned, see rpc_as_one; NULL: at any rate. */
int mirror_refresh_after(struct store_grpc *g, struct mirror *m, struct rpc *first,
                         const struct rpc_room *room, struct err *err);
/* The same, and tells what store_trials_sync tells. */
int mirror_sync(struct store_grpc *g, struct mirror *m, store_trial_fn *fn, void *ctx,
                struct err *err);
/* Nothing to do when this batch has brought it up to date. */
int mirror_freshen(struct store_grpc *g, struct mirror *m, struct err *err);
/* This handle changed a trial, or created one. */
void mirror_set_state(struct mirror *m, int64_t trial, enum trial_state state);
int mirror_add(struct mirror *m, const struct trial *t, bool own, struct err *err);
void mirrors_begin(struct store_grpc *g);
void mirrors_commit(struct store_grpc *g);
void mirrors_roll_back(struct store_grpc *g);
void mirrors_free(struct store_grpc *g);
void mirror_forget(struct store_grpc *g, int64_t study);

/* ---- trial.c ---- */

/* Which trials are read: those of `also`, and those behind after_id. */
struct client_range {
    int64_t study;
    const int64_t *also;
    size_t n_also;
    int64_t after_id;            /* -1: all */
    struct rpc *first;           /* a call that is made before; NULL: none */
    const struct rpc_room *room; /* for both, as in rpc_as_one */
};

/* Reads trials; fn gets each. Returns 1 when there was no room. Errors: those of `first` too. */
int client_trials(struct store_grpc *g, const struct client_range *range, store_trial_fn *fn,
                  void *ctx, struct err *err);
/* Reads one trial; it lives as long as the pool and *out. */
int client_trial(struct store_grpc *g, int64_t trial, struct pool *pool, struct wire_trial *out,
                 struct err *err);
/* The JSON of an attribute, or NULL. */
const char *client_attr(const struct trial_attr *attrs, size_t n, const char *key);
/* Prepares a call that creates a trial; NULL: a RUNNING one that starts now. Errors: ERR_NOMEM;
 * then *c is to be freed as well. */
int client_create_init(struct rpc *c, int64_t study, const struct trial *t, struct err *err);
/* The id that the call has answered. */
int client_created(const struct rpc *c, int64_t *id, struct err *err);
/* Prepares the call that sets it. */
void client_state_init(struct rpc *c, int64_t trial, enum trial_state state, const double *values,
                       size_t n);
int client_set_state(struct store_grpc *g, int64_t trial, enum trial_state state,
                     const double *values, size_t n, bool *changed, struct err *err);
/* Takes the owner off a trial, before it goes back into the queue: the protocol deletes nothing. */
int client_disown(struct store_grpc *g, int64_t trial, struct err *err);

/* Tells that a trial has ended. Returns -ERR_FINISHED. */
int client_refuse_finished(int64_t trial, enum trial_state state, struct err *err);
/* The values that end a trial: as many as its study has directions? Errors: ERR_INVALID. */
int client_check_end(struct store_grpc *g, int64_t trial, const struct store_end *end,
                     struct err *err);
/* What the call that was to end a trial has come to: rc, or better when an earlier one, whose
 * answer was lost, had ended it so. */
int client_ended(struct store_grpc *g, int64_t trial, const struct store_end *end, int rc,
                 struct err *err);

/* ---- the operations, by file ---- */

int grpc_study_create(struct store *s, const char *name, const enum direction *directions,
                      size_t n_directions, int64_t *study, struct err *err);
int grpc_study_find(struct store *s, const char *name, int64_t *study, struct err *err);
int grpc_study_directions(struct store *s, int64_t study, enum direction *directions,
                          size_t *n_directions, struct err *err);
int grpc_studies_each(struct store *s, store_study_fn *fn, void *ctx, struct err *err);
int grpc_study_look(struct store *s, const int64_t *study, store_study_fn *fn, void *ctx,
                    struct err *err);
int grpc_study_delete(struct store *s, int64_t study, struct err *err);
int grpc_study_attr_set(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                        const char *json, struct err *err);
int grpc_study_attr_get(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                        char **json, struct err *err);
int grpc_study_attrs_each(struct store *s, int64_t study, enum attr_kind kind, store_attr_fn *fn,
                          void *ctx, struct err *err);
int grpc_study_counts(struct store *s, int64_t study, int64_t counts[static TRIAL_STATES],
                      struct err *err);

int grpc_trial_create(struct store *s, int64_t study, const struct trial *tmpl, int64_t *id,
                      int64_t *number, struct err *err);
int grpc_trial_params(struct store *s, int64_t trial, const struct trial_param *params, size_t n,
                      struct err *err);
int grpc_trial_steps(struct store *s, int64_t trial, const struct trial_step *steps, size_t n,
                     bool replace, struct err *err);
int grpc_trial_attrs(struct store *s, int64_t trial, enum attr_kind kind,
                     const struct trial_attr *attrs, size_t n, struct err *err);
int grpc_trial_write(struct store *s, int64_t trial, const struct store_write *w, struct err *err);
int grpc_trial_finish(struct store *s, int64_t trial, enum trial_state state, const double *values,
                      size_t n_values, struct err *err);
int grpc_trial_state(struct store *s, int64_t trial, enum trial_state state, bool *changed,
                     struct err *err);
int grpc_trials_each(struct store *s, int64_t study, const struct store_each_opts *opts,
                     store_trial_fn *fn, void *ctx, struct err *err);
int grpc_trial_get(struct store *s, int64_t trial, unsigned want, store_trial_fn *fn, void *ctx,
                   struct err *err);
int grpc_trial_look(struct store *s, int64_t trial, struct trial_head *out, struct err *err);
int grpc_trial_find(struct store *s, int64_t study, int64_t number, int64_t *trial,
                    struct err *err);
int grpc_trials_sync(struct store *s, int64_t study, unsigned want, store_trial_fn *fn, void *ctx,
                     struct err *err);

int grpc_trial_claim(struct store *s, int64_t study, const struct store_claim_opts *opts,
                     struct store_claim *out, struct err *err);
int grpc_trial_retry(struct store *s, int64_t trial, const struct store_retry *retry,
                     int64_t *retry_id, int64_t *retry_number, struct err *err);
int grpc_heartbeat(struct store *s, const int64_t *trials, size_t n, struct err *err);
int grpc_running_each(struct store *s, int64_t study, store_running_fn *fn, void *ctx,
                      struct err *err);

int grpc_run_start(struct store *s, const struct store_run *run, struct err *err);
int grpc_run_end(struct store *s, const char *run_id, const char *status, struct err *err);
int grpc_runs_each(struct store *s, store_run_fn *fn, void *ctx, struct err *err);
int grpc_results_put(struct store *s, const struct store_result *rows, size_t n, struct err *err);
int grpc_results_count(struct store *s, const char *run_id, const char *study, const char *status,
                       int64_t *n, struct err *err);
/* Writes the run's row into a study that is about to hold trials of it. */
int run_note(struct store_grpc *g, struct mirror *m, struct err *err);
