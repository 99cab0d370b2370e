/* The life of one worker process, as a pure step: an event with its time goes in, what to do comes
 * out. No clock, no I/O, no allocation; worker_shell.c translates.
 *
 *          TRIAL                    RESULT            RELEASE
 *   idle ─────────▶ running ───────────────────▶ idle ────────▶ leaving (≤ grace)
 *                     │ stalled, out of time                       │ still there
 *                     ▼                 ask to stop, from anywhere ▼
 *                  evidence (≤ 5 s) ──────────────────────▶ terminating ──▶ killing ──▶ dead
 *                                                             (≤ grace)     (until it is gone)
 *   EXIT leads to dead from anywhere. With only_tell a hang leads back from evidence to running,
 *   unless the trial ended meanwhile: nobody waits for that worker any more.
 *
 * A silent worker is probed (PROBE: the shell looks at the CPU time, page-ins and I/O of its
 * process tree and reports ACTIVITY if wk_progressed says so) before it is called stalled. Whether
 * it moves or not, it is looked at for the proof of a deadlock (LOOK: the shell answers STUCK or
 * FREE), which has to stand for a while. Evidence comes before every kill for a hang. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum wk_state {
    WK_IDLE,
    WK_RUNNING,
    WK_LEAVING,
    WK_EVIDENCE,
    WK_TERMINATING,
    WK_KILLING,
    WK_DEAD,
    WK_STATES,
};

enum wk_event_type {
    WK_EV_TRIAL,    /* a trial was given to the worker */
    WK_EV_RESULT,   /* the trial's outcome arrived; the worker lives on */
    WK_EV_ACTIVITY, /* channel, output, CPU time, page-ins or I/O moved */
    WK_EV_TICK,     /* time passed */
    WK_EV_RELEASE,  /* it was told that there is no more to do */
    WK_EV_STOP,     /* end it: TERM, grace, KILL (preempted, pruned, broken channel) */
    WK_EV_KILL,     /* end it now */
    WK_EV_EVIDENCE, /* stacks are written down */
    WK_EV_STUCK,    /* the look found a proven deadlock in its tree */
    WK_EV_UNSURE,   /* the look was not done in time: it proves nothing, nor the opposite */
    WK_EV_FREE,     /* the look found none */
    WK_EV_EXIT,     /* the process is gone */
    WK_EVENTS,
};

/* Why the worker is being ended by us. */
enum wk_reason { WK_BY_ITSELF, WK_STALLED, WK_DEADLOCKED, WK_TIMEOUT, WK_STOPPED };

/* What to do, in this order. */
enum {
    WK_DO_PROBE = 1 << 0,    /* look what it used since the last probe */
    WK_DO_EVIDENCE = 1 << 1, /* collect stacks; answer with WK_EV_EVIDENCE */
    WK_DO_TERM = 1 << 2,     /* SIGTERM to the whole tree */
    WK_DO_KILL = 1 << 3,     /* SIGKILL to the whole tree */
    WK_DO_REAP = 1 << 4,     /* end what is left of the tree; the worker is over */
    WK_DO_LOOK = 1 << 5,     /* look for a proof of deadlock; answer STUCK, UNSURE or FREE */
};

/* Milliseconds; 0 = never. */
struct wk_conf {
    uint64_t stall_ms;    /* no progress for so long is a hang */
    uint64_t deadlock_ms; /* a proven deadlock that lasts so long is one */
    uint64_t trial_ms;    /* hard limit of one trial */
    uint64_t grace_ms;    /* from TERM to KILL */
    uint64_t evidence_ms; /* at most so long for the evidence */
    bool only_tell;       /* a hang is written down, and the worker goes on */
};

struct wk_event {
    enum wk_event_type type;
    uint64_t now_ms; /* the loop's clock; never runs backwards */
    uint64_t for_ms; /* STUCK: so long it has been so already, as far as is known */
    uint64_t who;    /* STUCK: tells processes apart */
};

struct wk {
    struct wk_conf conf;
    enum wk_state state;
    enum wk_reason reason;
    uint64_t started_ms;  /* of the current trial */
    uint64_t active_ms;   /* last progress */
    uint64_t probe_ms;    /* next probe; 0 = none due */
    bool last_look;       /* the stall limit is reached, and one more probe was asked for */
    uint64_t look_ms;     /* next look for a deadlock; UINT64_MAX: one is under way */
    uint64_t stuck_ms;    /* since when; found by the first look in a row that found one */
    uint64_t stuck_who;   /* the process that was found last */
    bool unsure;          /* the looks since then were not done in time */
    struct wk_event last; /* the event that is taken in */
    bool stuck;
    bool must_end;   /* asked to stop while the evidence was collected */
    bool over;       /* its trial ended then */
    uint64_t due_ms; /* deadline of leaving, evidence, terminating */
};

/* What a worker's tree used between two probes. */
struct wk_used {
    uint64_t cpu_ms;
    uint64_t page_ins;      /* major faults */
    uint64_t storage_bytes; /* read from disks and written to them */
    uint64_t call_bytes;    /* through read and write */
};

/* Whether that is progress: more than what polling threads, loggers and monitors of an idle process
 * use in so long. */
bool wk_progressed(const struct wk_used *used, uint64_t elapsed_ms);

void wk_init(struct wk *w, const struct wk_conf *conf, uint64_t now_ms);
/* Returns WK_DO_* bits. */
unsigned wk_step(struct wk *w, struct wk_event ev);
/* When the next TICK is needed; UINT64_MAX = not at all. O(1). */
uint64_t wk_due(const struct wk *w);
