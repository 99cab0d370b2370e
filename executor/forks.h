/* The forks of a slot's worker: what the guard sees goes into the trial's row, its directory and
 * the events. */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "executor/guard.h"

/* Of one worker process. Embedded in struct slot. */
struct forks {
    bool hello_due; /* the stub has not told yet whether its forks are seen */
    bool watching;
    bool threaded; /* a process with threads has forked: a child may be deadlocked */
    int listener;
    uv_poll_t poll;
    uv_timer_t look;
    struct guard_pending pending; /* owner: the trial that made the fork */
};

/* Of one trial. */
struct fork_counts {
    unsigned threaded; /* made by a process with threads */
    unsigned going_on; /* of them: the child did not exec, the findings */
    unsigned denied;   /* refused */
};
