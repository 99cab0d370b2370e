/* Runs a sweep: the shell around the pure machines (sweep.h, worker.h) that holds the loop, the
 * workers, the samplers and the store's thread. Never forks; loads neither XGBoost nor gRPC. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "executor/sweep.h"
#include "trials/spec.h"

/* How a study stands, for people. */
struct executor_study {
    const char *name;
    int64_t target; /* 0: none */
    bool known;     /* it was opened: else nothing of what follows has been read */
    uint64_t seed;
    struct sw_counts counts;
    int64_t done_before; /* of what counts towards it: before this run */
    int64_t interrupted; /* of counts.failed: preempted or lost, and no failures of a trial */
    bool has_best;
    double best_value;
    int64_t best_number;
};

/* Tries that failed by themselves. */
static inline int64_t executor_study_failed(const struct executor_study *s)
{
    return s->counts.failed - s->interrupted;
}

/* Forks that workers made, of this run. */
struct executor_forks {
    bool seen;        /* as they happen; else they are searched for, and `all` is unknown */
    int64_t all;      /* with threads or without */
    int64_t threaded; /* made by a process with threads */
    int64_t going_on; /* of those: the child did not exec */
    int64_t denied;   /* of those: refused */
};

/* How the sweep stands. */
struct executor_status {
    /* over all studies; done counts towards the targets, failed is without the interrupted */
    int64_t done, failed, running, target;
    const struct executor_study *studies;
    int n_studies;
    int best_study; /* whose best to show: the first with one; -1 = none */
    int signals;    /* how often it was told to stop: at once from the second time on */
    uint64_t elapsed_ms, quietest_ms; /* quietest: idle age of the most silent busy worker */
    struct executor_forks forks;
};

/* Who watches. All callbacks come from the loop's thread; NULL ones are skipped. */
struct executor_watcher {
    void *ctx;
    uint64_t tick_ms; /* how often `tick` is wanted; 0 = never */
    void (*tick)(void *ctx, const struct executor_status *s);
    /* A trial ended; fail is FAIL_NONE for a good one, message may be NULL. */
    void (*trial_end)(void *ctx, const struct executor_study *study, int64_t number,
                      enum trial_state state, enum fail_class fail, const char *message,
                      double value);
    void (*notice)(void *ctx, const char *text); /* something a person should read, once */
};

struct executor_conf {
    const struct spec
        *cells; /* [n_cells], borrowed: one study each; shared settings are those of the first */
    size_t n_cells;
    const char *run_id;
    int64_t prove_rows;   /* rows of prove.table that these cells must have in the end; 0: none */
    const char *base_env; /* JSON object of texts: environment variables of workers; NULL: none */
    const char *config_json;                /* the spec as it goes into finetune_runs */
    const struct executor_watcher *watcher; /* may be NULL */
};

struct executor_result {
    enum sw_reason reason;
    bool unbegun;                 /* executor_run failed, and somebody else says so in its place */
    enum fail_class flap_class;   /* SW_HALTED */
    int64_t done, failed, target; /* as in executor_status */
    int64_t proven_trials;        /* re-read from the store */
    int64_t proven_rows;          /* of prove.table; -1 = not asked for */
    struct executor_study *studies; /* [n_studies], owned: executor_result_free */
    int n_studies;
    uint64_t elapsed_ms;
    struct executor_forks forks;
    int64_t spooled; /* entries that the store has not taken: they are in the spool */
    char *spool;     /* its path, owned; NULL: nothing is in it */
    struct err err;  /* SW_STORE: what the store said, or unbegun: why; else code is ERR_NONE */
};

/* Runs to the end and fills *out. Errors are those of the start, before anything ran (the store
 * cannot be opened, a program is missing, the run directory cannot be made); whatever comes later
 * is a reason. */
int executor_run(const struct executor_conf *conf, struct executor_result *out, struct err *err);
void executor_result_free(struct executor_result *r);

/* How many workers run at once for these settings, and with how many threads each. */
struct executor_slots {
    int jobs, threads;
    double cpus;
};
struct executor_slots executor_plan_slots(const struct spec *s);
