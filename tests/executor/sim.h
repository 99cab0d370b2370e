/* What the simulation's world (sim.c) is made of: trials in a store, executors with their workers,
 * events. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "executor/sweep.h"
#include "executor/worker.h"

enum {
    MAX_SLOTS = 4,
    MAX_STUDIES = 3,
    MAX_TRIALS = 4096,
    MAX_EXECUTORS = 2,
    MAX_QUEUE = 4096,
    MAX_RUNGS = 5
};

struct model_trial {
    enum trial_state state;
    enum fail_class fail;  /* FAIL_NONE unless it failed */
    struct sw_tries tries; /* of its lineage, before this one; and its rung */
    int owner;             /* executor, -1 = none */
    uint64_t not_before;
};

struct model_study {
    struct model_trial trials[MAX_TRIALS];
    int n;
    int64_t target;
};

#define LOOK_MS ((uint64_t)500) /* a look for a deadlock takes less */

struct sim_worker {
    bool alive;
    struct wk fsm;
    bool has_trial;
    int study, trial;
    unsigned life; /* distinguishes this process from its predecessors in the slot */
    bool hangs, burns_cpu, ignores_term, exiting;
    bool deadlocked; /* and that can be proven */
    unsigned unsure; /* looks of the trial that were not done in time */
    bool evidence;
    uint64_t hang_seen;
    uint64_t useful; /* rungs that would change something for its trial */
    int trials_left;
};

struct executor {
    bool up;
    unsigned epoch;
    struct sweep *sweep;
    struct sim_worker workers[MAX_SLOTS];
    int claimed[MAX_SLOTS];  /* trial claimed for the slot, to be started */
    int started[MAX_SLOTS];  /* the one that was started in it last */
    int study_of[MAX_SLOTS]; /* its study */
    uint64_t started_ms[MAX_SLOTS];
    bool brisk[MAX_STUDIES]; /* the trial of the study that ended last was short */
    bool asks[MAX_SLOTS];    /* a claim for it is under way */
    bool tight;              /* there is no memory for another worker, as the sweep was told last */
    bool by_gone;            /* the sweep takes a worker's end */
    uint64_t store_free;
    uint64_t tick_at; /* the next that is posted; UINT64_MAX: none */
    bool signalled, over;
    uint64_t signal_ms;
    bool unaware[MAX_SLOTS]; /* there is no process, but the sweep does not know yet */
    enum sw_reason reason;
};

enum what {
    TO_SWEEP,
    STORE_CLAIM,
    STORE_FINISH,
    STORE_RETURN,
    WORKER_OUTCOME,
    WORKER_EXIT,
    EVIDENCE,
    LOOK,
    TICK,
    CRASH,
    SIGNAL
};

struct event {
    uint64_t at, order;
    enum what what;
    int executor, slot;
    unsigned epoch, life;
    struct sw_event ev;
    struct sw_action action;
    int trial;
};
