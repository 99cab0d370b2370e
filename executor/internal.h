/* What the files of the shell share. executor.c: the process and its loop; sweep_shell.c: the
 * sweep's actions; signals.c, keeper.c, environment.c, report.c: what a process has to do with;
 * study.c, claim.c, record.c, lost.c, beat.c: the store's jobs; ended.c: outcomes; slot.c: worker
 * processes; worker_shell.c: their machine's wishes; pipes.c: what is read of them; message.c: what
 * they say; conclude.c: what that and their end mean; forks.c: their forks; deadlock.c, hang.c:
 * what stands still in them; orphans.c: what they leave behind; run.c: one trial; ladder.c: its
 * fallbacks; training.c: it as a training; builtin.c: the XGBoost worker's settings. */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/buf.h"
#include "executor/attrs.h"
#include "executor/births.h"
#include "executor/deadlock.h"
#include "executor/evidence/job.h"
#include "executor/executor.h"
#include "executor/forks.h"
#include "executor/guardian.h"
#include "executor/hang.h"
#include "executor/known.h"
#include "executor/orphans.h"
#include "executor/pipes.h"
#include "executor/proc.h"
#include "executor/spawn.h"
#include "executor/spool/spool.h"
#include "executor/storeq.h"
#include "executor/watchset.h"
#include "executor/worker.h"
#include "trials/classify.h"
#include "trials/fallback.h"

struct executor;

/* A study (one cell of the spec) while it runs. */
struct study {
    struct executor *ex;
    int index;
    const struct spec *spec;
    struct executor_study view; /* name, counts, best */
    int64_t id;                 /* in the store */
    struct sampler *sampler;
    struct pruner *pruner; /* NULL: none */
    struct known known;    /* what its parameters are */
    char *dir;             /* <run dir>/<study> */
    int dir_fd;
    uint64_t waits_since_ms; /* others run all that is missing; 0 = not so */
    bool wait_told;
    bool training;           /* its trials have rows in training_runs */
    char *loss;              /* of trials that have none of their own; NULL: unknown */
    const char *loss_of_env; /* what the workers' environment says of it; NULL: nothing */
    char *overridden;        /* its factor, when it was told that the environment is over it */
    char *program;           /* of the worker, resolved; NULL: another one for each trial */
    char *xgboost_conf;      /* path of the worker's settings; NULL unless RUN_XGBOOST */
};

/* A parameter that a trial has. Never moves while its run lives: store jobs point to it. */
struct run_param {
    const char *name;        /* borrowed from the space, or own_name */
    const struct dist *dist; /* borrowed from the space, or &own_dist */
    double value;
    char *own_name; /* of a suggested one */
    struct dist own_dist;
};

/* One trial from its claim until its outcome is stored. */
struct run {
    struct study *study;
    int64_t id, number;
    int tries;                /* made before this one */
    enum fail_class retry_of; /* why the try before failed; FAIL_NONE on a first one */
    uint32_t seed;
    char *dir; /* <study dir>/<number> */
    int dir_fd;
    int params_fd;      /* of its params.json, until that is written */
    struct err dir_err; /* why it has no directory; ERR_NONE: it has */
    uint64_t started_ms;
    uint64_t took_ms; /* when it has ended */

    double *values; /* [space.n] */
    bool *active;   /* [space.n] */
    double *fixed;  /* [space.n], NaN = free; NULL = nothing is fixed */
    /* on the fallback ladder (ladder.c) */
    int rung; /* 0: as it was asked for */
    bool rolled_back;
    struct spec_fixed *instead; /* [n_instead], owned; texts are the ladder's or the spec's */
    size_t n_instead;
    json_t *ladder; /* ATTR_FALLBACK as it was claimed with; NULL: none */

    json_t *fixed_params;      /* enqueued values by name, for suggest; NULL */
    struct run_param **params; /* what the trial has: the active ones, then suggested ones */
    size_t n_params, cap_params, stored_params;

    struct trial_step *steps;
    size_t n_steps, cap_steps; /* not handed to the store yet */
    size_t all_steps;          /* reported so far; those beyond RUN_MAX_STEPS are not kept */
    struct trial_step last;    /* the largest step, when all_steps > 0 */
    bool prune_wanted;         /* the pruner said so */
    bool repeat_told;          /* that it reported a step twice */

    struct flush_job *flush; /* under way to the store: one at a time; NULL = none */
    bool saving;             /* the outcome is on its way, with all that is left */
    struct spool_chain spooled;
    struct err refused; /* why the store lacks something of this trial; ERR_NONE = all well */

    json_t *new_attrs; /* user attributes, not stored yet */
    json_t *new_rungs; /* system attributes of the pruner, not stored yet */
    struct fork_counts forks;
    unsigned n_attrs;  /* set so far */
    size_t kept_bytes; /* of attributes and rows */
    json_t *rows;      /* result rows, stored with the outcome */

    bool metric_found, metric_bad;
    double metric;  /* last value on stdout */
    char guess[80]; /* "accuracy=0.93", which may have been meant; a line whose metric is no number
                     */
    enum fail_class seen; /* strongest class given away by its output */
    char seen_line[200];  /* the line that did */

    bool ended; /* the outcome is known */
    enum trial_state state;
    enum fail_class fail;
    double value;
    char message[240];
    int refs; /* its slot, and store jobs that read it */
};

/* A place for one worker process. */
struct slot {
    struct executor *ex;
    int index;
    struct run *claimed; /* to be started next */
    struct run *run;     /* being run */
    struct study *study; /* of the live worker */
    bool alive;          /* a process stands behind it */
    struct wk fsm;
    struct spawned proc;
    struct spawned spare; /* waits for the next trial's orders; pid 0: none */
    unsigned life;        /* counts the processes of this slot: marks their descendants */
    int trials_left;
    struct proc_usage usage; /* of the tree at the last probe */
    uint64_t probed_ms;
    bool pruning;     /* it is being stopped because the pruner said so */
    bool sent_signal; /* TERM or KILL came from us */
    bool complained;  /* about a message: once a worker */
    uv_timer_t timer; /* of the machine, and of the pipes */
    uint64_t timer_due_ms;
    struct pipes pipes;
    struct forks forks;
    struct deadlock deadlock;
    struct hang hang;
};

struct executor {
    const struct executor_conf *conf;
    const struct spec *spec; /* of the first cell: what is shared */
    struct executor_slots plan;
    uv_loop_t loop;
    struct storeq *storeq;
    struct spool
        *spool; /* what the store has not taken is kept there; NULL: it could not be made */
    /* the store thread's: spools that stay, for what is in them is not for this store; and whether
     * somebody else replays one now */
    char **spools_left;
    size_t n_spools_left, cap_spools_left;
    bool spool_taken;
    struct sweep *sweep;
    struct sw_study_conf *sweep_studies;
    unsigned rungs[FALLBACK_RUNGS_MAX]; /* of the fallback ladder: bits of classes */
    struct study *studies;
    int n_studies;
    struct slot *slots;
    char *stub;
    char **base_env; /* the executor's environment without what workers get anew, and config_env */
    char **config_env; /* [n_config_env] "NAME=value" of conf.base_env, owned */
    size_t n_config_env;
    char owner[128]; /* who runs our trials, for the store */
    char mark[48];   /* in the environment of all our workers, before their slot and life */
    struct guardian guardian;
    uint64_t started_ms;
    uint64_t largest_rss;    /* of a worker so far, bytes */
    uint64_t memory_seen_ms; /* when free memory was last looked at */
    uint64_t worker_files;   /* soft RLIMIT_NOFILE as it was; 0: unchanged */
    struct orphans orphans;
    uint64_t oom_kills; /* of the cgroup, as far as we know of them */
    struct store_run run_row;
    atomic_bool entered; /* the store has it */
    uint64_t drawn_seed; /* for studies that have none */

    struct executor_study *views; /* [n_studies], for status and result */

    struct watchset workers; /* their descriptors */
    uv_timer_t sweep_timer, beat_timer, watch_timer, stop_timer;
    uv_signal_t sigint, sigterm, sigchld;
    uv_async_t forks_async; /* a lookout has something to report */
    int signals;
    uint64_t signal_ms;          /* when the first one came */
    uint64_t stop_ms;            /* since when the sweep ends; 0: it does not */
    uint64_t alone_ms;           /* since when no worker is there then; 0: there is one */
    struct executor_forks forks; /* all: without those of workers that live */
    bool forks_told;             /* a person has read of one */
    struct births births;        /* as of births_ms */
    uint64_t births_ms;
    bool forks_unseen;      /* told that the guard does not work here */
    bool beating;           /* a heartbeat job is under way */
    atomic_bool over;       /* the writer asks too: nothing is entered any more */
    struct sw_event *queue; /* events to step, those that come up meanwhile included */
    size_t n_queue, cap_queue;
    bool stepping;
    struct executor_result *result;
};

/* executor.c */
uint64_t executor_now(struct executor *ex);
/* Closes the loop's handles: the run ends when theirs are closed too. */
void executor_close(struct executor *ex);

/* sweep_shell.c */
int sweep_make(struct executor *ex, struct err *err);
/* Steps the sweep with the event, at once or after those that wait already. */
void executor_feed(struct executor *ex, struct sw_event ev);
/* The sweep's time passes. */
void sweep_arm(struct executor *ex);

/* report.c */
void report_start(struct executor *ex);
void report_status(struct executor *ex, struct executor_status *out);
/* For the store's queue: ctx is the executor. */
void report_store_trouble(void *ctx, bool trouble, const struct err *err);
void executor_notice(struct executor *ex, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* environment.c */
int environment_read(struct executor *ex, struct err *err);
void environment_free(struct executor *ex);

/* signals.c */
/* Requests to stop wait until the loop, or who waits for a locked store, sees to them: without a
 * handler they would end us without a word, or, as PID 1, be lost. */
void signals_hold(void);
/* The loop sees to them from now on. */
void signals_start(struct executor *ex);

/* keeper.c */
int keeper_start(struct executor *ex, struct err *err);
/* Starts the guardian again if it has died. Somebody who ends it once may have meant all small
 * processes; twice is told, and who goes on at it wins. */
void keeper_look(struct executor *ex);

/* study.c */
int study_init(struct study *st, struct executor *ex, int index, struct err *err);
void study_free(struct study *st);
/* Opens the study in the store and learns what it has; ends in SW_EV_OPENED or SW_EV_LOST. */
void study_open(struct study *st);
/* Trials finished, as the budget counts. */
int64_t study_done(const struct study *st);
/* What the study learns from: WANT_ bits for the store. */
unsigned study_want(const struct study *st);
/* The sampler and the pruner learn a trial; *view, the study's or a copy of it, learns the best. */
void study_learn(struct study *st, struct executor_study *view, const struct trial *t);
/* The same for a trial of this process: its reports the pruner knows already, and whether it is the
 * best counts only once it is stored. */
void study_learn_own(struct study *st, const struct trial *t);
/* Whether this is the best value so far; then *view has it. */
bool study_note_best(const struct study *st, struct executor_study *view, int64_t number,
                     double value);
struct sw_counts study_counts(const int64_t c[static TRIAL_STATES]);
/* The store gave up: the first error is told at the end. */
void study_store_lost(struct study *st, const struct err *err);

/* builtin.c */
/* Writes the settings of forkless-xgboost and has it read and check the data, before any trial
 * does. Errors: ERR_INVALID with what it said about the data. */
int builtin_prepare(struct study *st, struct err *err);

/* lost.c */
/* Trials whose executor is gone are failed and queued again; on the store's thread. */
int lost_reap(const struct study *st, struct store *s, struct err *err);
/* Names the trials of others for which the study has waited too long, if it has. */
void lost_tell_waiting(struct study *st);

/* spool/adopt.c */
/* Stores what executors of this run directory that are gone have left in their spools; on the
 * store's thread, outside of a transaction. Trials of which somebody else is storing the outcome so
 * are not taken for lost meanwhile. Errors: trouble. */
int spool_adopt(struct executor *ex, struct err *err);
/* The same as a job of its own. */
void spool_adopt_later(struct executor *ex);

/* tries.c */
struct tries {
    int64_t numbers[64]; /* of the trials before this one, the latest, oldest first */
    size_t n;
};
/* From Optuna's retry_history; t may be NULL. */
struct tries tries_of(const struct trial *t);
/* Those that failed with one of the classes (bits); on the store's thread. */
int tries_count(const struct study *st, struct store *s, const struct tries *t, unsigned classes);
/* Why the latest failed; FAIL_NONE when there was none. */
enum fail_class tries_last(const struct study *st, struct store *s, const struct tries *t);

/* claim.c */
/* Asks the store for a trial for the slot, one that is to be held if ahead; ends in SW_EV_CLAIMED.
 */
void claim_trial(struct study *st, int slot, bool ahead);

/* record.c */
/* The run's worker starts: its parameters are written, the sampler learns that it runs. */
void record_start(struct run *r);
/* Writes what the run reported since the last call. */
void record_reports(struct run *r);
/* The trial was claimed, but will not run: others may take it. Takes over the caller's reference.
 * Ends in SW_EV_SAVED. */
void record_return(struct run *r);
/* Makes the outcome durable; takes over the caller's reference. Ends in SW_EV_SAVED. */
void record_outcome(struct run *r, const struct sw_action *a);

/* ladder.c */
/* Where the trial that was claimed stands. False when out of memory. */
bool ladder_restore(struct run *r, const struct trial *t);
/* Bits of the rungs below that would change something. */
uint64_t ladder_useful(const struct run *r);
/* What it was first asked for, of what was changed since: an object, borrowed; NULL: nothing. */
const json_t *ladder_requested(const struct run *r);
/* What its next try has on the rung, for requeue.h; the caller's. NULL when out of memory. */
json_t *ladder_next(const struct run *r, int rung);

/* training.c */
int training_init(struct study *st, struct err *err);
/* NULL: none */
const char *training_crypto(const struct spec *spec);
const char *training_factor(const struct spec *spec);
/* entry_end.training of the trial, the caller's; NULL: it is none. */
json_t *training_of(const struct run *r, enum fail_class fail);
/* The event of a training that failed. */
void training_tell(const struct run *r);

/* ended.c */
/* Tells log and watcher how the trial ended, and notes the best. A failure is told at once, a good
 * outcome when it is stored: neither is taken back. */
void ended_tell(const struct run *r);

/* beat.c */
void executor_heartbeat(struct executor *ex);
void executor_prove(struct executor *ex);
/* Writes the end of the run and stops the store's thread. */
void executor_end_run(struct executor *ex, enum sw_reason reason);

/* run.c */
/* A runaway loop in a worker must fill neither memory nor the store. */
#define RUN_MAX_STEPS 100000u
#define RUN_MAX_PARAMS 1000u
struct run *run_create(struct study *st, const struct store_claim *c);
void run_unref(struct run *r); /* NULL is fine */
/* Tells people what is wrong with values that were enqueued for the trial, if something is. */
void run_tell_enqueued(struct run *r);
int run_sample(struct run *r, struct err *err);
/* Makes the trial's directory and an empty params.json in it; r->dir_err says why it could not. On
 * the store's thread. */
void run_make_dir(struct run *r);
/* Errors: those of run_make_dir, too. */
int run_write_params(struct run *r, struct err *err);
/* Takes the directory away again: the trial will not start. */
void run_drop_dir(struct run *r);
/* The value of a parameter by define-by-run; the same name again gives the same value. Takes over
 * what dist owns when it needs it, and empties it then. */
int run_suggest(struct run *r, const char *name, struct dist *dist, double *value, struct err *err);
/* Takes an intermediate value; *prune says whether the trial should stop. */
int run_report(struct run *r, int64_t step, double value, bool *prune, struct err *err);
void run_complete(struct run *r, double value);
void run_fail(struct run *r, enum fail_class fail, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void run_pruned(struct run *r);
/* Appends the trial's parameters, suggested ones too, as a JSON object. */
void run_put_params(struct buf *b, const struct run *r);
/* The trial as the spec's templates see it; valid as long as the run. */
struct spec_trial run_spec_trial(const struct run *r);
/* The trial as the sampler and the pruner see it. params [r->n_params] is filled. */
struct trial run_view(const struct run *r, struct trial_param *params);

/* launch.c */
/* Starts the worker of a trial, from the slot's spare process if it has one; the slot's index and
 * life mark it and its descendants. Errors: as spawn_worker, and ERR_NOTFOUND for the program. */
int launch_worker(struct spawned *out, struct slot *s, const struct run *r, struct err *err);

/* slot.c */
void slot_init(struct slot *s, struct executor *ex, int index);
void slot_free(struct slot *s);
/* Starts the claimed trial; brisk: it is expected to be a short one. Ends in SW_EV_ENDED. */
void slot_start(struct slot *s, bool brisk);
/* The trial's outcome is known. */
void slot_end_trial(struct slot *s);
/* The process has ended, and is to be collected. */
void slot_on_exit(struct slot *s);
void slot_release(struct slot *s);
/* Ends the slot's spare process, if it has one. */
void slot_drop_spare(struct slot *s);
/* SPAWN_ flags of its workers. */
unsigned slot_spawn_flags(const struct slot *s);

/* worker_shell.c */
void slot_feed(struct slot *s, enum wk_event_type type);
/* A look has proven a deadlock. */
void slot_feed_stuck(struct slot *s, const struct verdict *v);
/* Stops the worker because its trial is pruned and it has no channel to be told through. */
void slot_prune(struct slot *s);

/* pipes.c */
void pipes_init(struct slot *s);
void pipes_free(struct slot *s);
/* A new worker: what the last one left half-said is forgotten, and the descriptors are watched.
 * brisk: its output is read at its end, which wakes the loop in any case; a pipe holds what it may
 * print until it is known to be no short trial. Errors: as watchset_add. */
int pipes_begin(struct slot *s, bool brisk, struct err *err);
/* When pipes_listen is due; UINT64_MAX: not at all. */
uint64_t pipes_due(const struct slot *s);
/* It has turned out to be no short trial: its output is watched from now on. */
void pipes_listen(struct slot *s);
/* The logs of the trial in this directory (-1: none); what a worker says after its trial's end
 * still goes there. */
void pipes_log_to(struct slot *s, int dir);
/* Takes what the worker has printed so far. */
void pipes_drain_output(struct slot *s);
/* The same, after what its channel has: what it said last. */
void pipes_drain(struct slot *s);
/* A line for the channel: it goes out as the worker reads. */
void pipes_say(struct slot *s, const char *line);
/* A worker that goes on learns of its next trial: not before what it said of this one is taken. */
void pipes_tell_trial(struct slot *s);
/* For the watch set of the workers: ctx is the executor. */
void pipes_ready(void *ctx, uint64_t key, uint32_t events);

/* conclude.c */
/* A line of the trial's output: it may give away why it fails. */
void conclude_line(struct slot *s, const char *line, size_t n);
/* The outcome of a trial whose worker has ended, with this status or by this signal. */
void conclude_exit(struct slot *s, int status, int sig);

/* hang.c */
/* A new worker process. */
void hang_begin(struct slot *s);
/* Has the evidence collected; ends in WK_EV_EVIDENCE. */
void hang_write_down(struct slot *s);
/* The worker is over: what came too late is not waited for. */
void hang_end(struct slot *s);

/* forks.c */
void forks_count(const struct executor *ex, struct executor_forks *out);
void forks_init(struct executor *ex);
/* Whether the spec and the machine will have forks seen as they happen. */
bool forks_watched(const struct executor *ex);
/* A new worker process; watched: its stub says whether its forks are seen. */
void forks_begin(struct slot *s, bool watched);
/* Takes the stub's word from the channel, if it is due and there: before all reading. */
void forks_hello(struct slot *s);
/* A search found that a process with threads has forked, and the child goes on: told once a trial.
 */
void forks_found(struct slot *s, pid_t forker);
/* Takes what is known of them: before the worker's end is judged. */
void forks_take(struct slot *s);
/* The worker is over: those whose stacks are not named yet, too. */
void forks_take_last(struct slot *s);
/* Nobody can fork any more. */
void forks_end(struct slot *s);

/* orphans.c */
/* Notes who is there before any worker: nothing of them is ours. */
void orphans_inherit(struct executor *ex);
void orphans_init(struct executor *ex);
/* Looks for processes that workers left behind, shortly. */
void orphans_soon(struct executor *ex);
/* The loop's part ends. */
void orphans_forget(struct executor *ex);
/* At the very end: whoever is left is ended. */
void orphans_end(struct executor *ex);

/* deadlock.c */
void deadlock_begin(struct slot *s);
/* Looks for a proof, if there is reason to; ends in WK_EV_STUCK, _UNSURE or _FREE. */
void deadlock_look(struct slot *s);
void deadlock_end(struct slot *s);

/* message.c */
int message_line(void *slot, const char *line, size_t n);
/* A message was too long to be looked at. */
void message_dropped(struct slot *s);
/* Tells the slot's worker of its next trial. */
void message_trial(struct slot *s);
int stdout_line(void *slot, const char *line, size_t n);
