/* The forks of a slot's worker: what the guard sees goes into the trial's row, its directory and
 * the events. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "executor/guard.h"

/* Forks that may turn out to have been followed by an exec, as they mostly are. */
#define FORKS_PENDING 8

/* Of one worker process. Embedded in struct slot. */
struct forks {
    bool hello_due; /* the stub has not told yet whether its forks are seen */
    bool watching;
    bool threaded; /* a process with threads has forked: a child may be deadlocked */
    int listener;
    uv_poll_t poll;
    uv_timer_t look;
    struct fork_pending {
        struct fork_call call;
        int64_t trial; /* that made it */
        uint64_t due_ms;
    } pending[FORKS_PENDING];
    size_t n_pending;
};

/* Of one trial. */
struct fork_counts {
    unsigned threaded; /* made by a process with threads */
    unsigned going_on; /* of them: the child did not exec, the findings */
    unsigned denied;   /* refused */
};
