/* The sweep as a pure step: which trials start, when, and how it all ends. An event with its time
 * goes in, actions come out. No clock, no I/O, no sampler, no store: those are the shell's
 * (sweep_shell.c). The simulation in tests/executor/sim.c drives this very code with random faults.
 *
 * A slot is a place for one worker process. A trial's way through it:
 *
 *   free ─CLAIM▶ claiming ─claimed: START▶ running ─ended: FINISH▶ leaving ─gone▶ free
 *                   ▲                                    │ worker may go on
 *                   └────────────────CLAIM───────────────┘
 *
 * While trials are short the next one is claimed when one starts: it is held beside the running one
 * and starts as soon as the slot can take it. What is held is given back by a stop, and when the
 * slot needs a new worker for which there is no memory.
 *
 * The store decides: a claim is refused as soon as the study has its promised trials finished,
 * running or queued, over all processes. So the sweep keeps no truth of its own, only what the
 * store last said. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "trials/trial.h"

/* What to do with a failed trial of a class. */
struct sw_retry {
    int times;           /* -1 = without limit */
    uint64_t backoff_ms; /* before the first retry; doubled for each later one */
};

struct sw_study_conf {
    int64_t target;     /* trials to have in the end */
    bool complete_only; /* pruned trials don't count towards it */
    int64_t attempts; /* trials to try at most (preempted ones and those of dead executors aside); 0
                       = no limit */
};

struct sw_conf {
    int slots;
    int n_studies;
    const struct sw_study_conf *studies; /* [n_studies], borrowed */
    struct sw_retry retry[FAIL_CLASSES];
    const unsigned *rungs; /* [n_rungs], borrowed: the fallback ladder, and for each rung the bits
                              of the classes that lead to it; the first one is rung 1 */
    int n_rungs;           /* at most 63 */
    int flap;              /* stop when the first so many trials all fail the same way; 0 = never */
    uint64_t wall_ms;      /* of the sweep; 0 = no limit */
    bool until_wall; /* the targets are out of reach: the end of the time is a success to be proven
                      */
    uint64_t
        grace_ms; /* from the first signal to KILL; half of it is for trials to end by themselves */
    uint64_t poll_ms;  /* how often to ask again while other processes run the last trials */
    uint64_t brisk_ms; /* a trial that took less is short: the next ones are claimed ahead, and
                          expected to be short, too; 0 = none is */
};

/* The study's rows by state, as the store last counted them. */
struct sw_counts {
    int64_t complete, pruned, failed, running, waiting;
};

enum sw_claim {
    SW_CLAIM_OK,     /* a trial is ours */
    SW_CLAIM_FULL,   /* enough are finished or under way */
    SW_CLAIM_LATER,  /* only retries that are not due yet: again at due_ms */
    SW_CLAIM_FAILED, /* the store gave up */
};

enum sw_saved {
    SW_SAVED_OK,
    SW_SAVED_OTHERWISE, /* the trial ended, but not so: by somebody else, or the store refused a
                           part */
    SW_SAVED_FAILED,    /* the store gave up */
};

enum sw_event_type {
    SW_EV_OPENED,  /* study: counts, attempts */
    SW_EV_LOST,    /* the store gave up outside of a claim or an outcome */
    SW_EV_CLAIMED, /* slot: claim, counts, tries, due_ms */
    SW_EV_ENDED,   /* slot: the trial's outcome (state, fail, useful); goes_on: its worker can take
                      another; gone: it never had a worker, no GONE follows */
    SW_EV_SAVED,   /* study: the finished trial is durable, or given back (saved, counts) */
    SW_EV_GONE,    /* slot: the worker process is over; after ENDED */
    SW_EV_ADMIT,   /* admit: is there memory for another worker? */
    SW_EV_SIGNAL,  /* stop; the second one: now */
    SW_EV_TICK,
    SW_EV_PROVED, /* proven: were the promised rows re-read from the store? */
};

/* Tries of a trial before this one, by why they failed. Those of the first two classes say nothing
 * about the trial: they use up their own class's retries alone. */
struct sw_tries {
    int preempted, lost, others;
    int rung; /* of the fallback ladder, where the trial stands; 0: as it was asked for */
};

struct sw_event {
    enum sw_event_type type;
    uint64_t now_ms;
    int study, slot;
    struct sw_counts counts;
    int64_t attempts; /* OPENED: tries made by earlier runs */
    enum sw_claim claim;
    struct sw_tries tries; /* CLAIMED: of this trial */
    uint64_t useful;       /* ENDED: bits of the rungs that would change something for the trial */
    uint64_t due_ms;       /* CLAIMED/LATER */
    enum trial_state state;
    enum fail_class fail;
    bool goes_on, gone;
    enum sw_saved saved;
    bool admit, proven;
};

enum sw_action_type {
    SW_DO_CLAIM,   /* slot, study: ask the store for a trial; ahead: to be held, nobody waits */
    SW_DO_START,   /* slot: run the claimed trial, in the slot's live worker if it has one; brisk:
                      it is expected to be a short one */
    SW_DO_RETURN,  /* slot, study: give the claimed trial back; ends in SAVED with TRIAL_WAITING */
    SW_DO_FINISH,  /* slot, study: make the outcome durable; retry: queue it again at due_ms */
    SW_DO_RELEASE, /* slot: tell the idle worker to leave */
    SW_DO_STOP,    /* slot: TERM … KILL */
    SW_DO_KILL,    /* slot: now */
    SW_DO_PROVE,   /* re-read what was promised */
    SW_DO_EXIT,    /* all is over: reason */
};

/* Why the sweep ends. */
enum sw_reason {
    SW_RUNNING,
    SW_MET,       /* every study has its target and the proof holds */
    SW_UNPROVEN,  /* the target was met, the proof not */
    SW_UNMET,     /* attempts spent */
    SW_STALLED,   /* attempts or retries spent, by hangs above all */
    SW_TIME,      /* out of time */
    SW_HALTED,    /* the first trials all failed the same way */
    SW_STORE,     /* the store gave up */
    SW_PREEMPTED, /* stopped from outside */
};

struct sw_action {
    enum sw_action_type type;
    int slot, study;
    enum trial_state state;
    enum fail_class fail;
    bool retry, ahead, brisk;
    int rung;        /* retry: with the values of this rung; 0: as it was */
    uint64_t due_ms; /* retry: not before, on the sweep's clock */
    enum sw_reason reason;
};

struct sweep;

/* On success *out is the caller's. Errors: ERR_NOMEM. All memory is allocated here, once. */
int sw_create(struct sweep **out, const struct sw_conf *conf, uint64_t now_ms, struct err *err);
void sw_destroy(struct sweep *s);

/* Takes an event and returns the number of actions in *actions (the sweep's, valid until the next
 * step). */
int sw_step(struct sweep *s, const struct sw_event *ev, const struct sw_action **actions);

/* When the next TICK is needed; UINT64_MAX = not at all. */
uint64_t sw_due(const struct sweep *s);

/* Why it is ending, SW_RUNNING while it isn't. */
enum sw_reason sw_reason(const struct sweep *s);
const char *sw_reason_name(enum sw_reason r);
/* The class with which the first trials all failed (SW_HALTED). */
enum fail_class sw_flap_class(const struct sweep *s);
