/* The forks of a slot's worker: what the guard sees goes into the trial's row, its directory and
 * the events. */
#pragma once

#include <stdbool.h>

#include "base/json.h"
#include "executor/aside.h"
#include "executor/lookout.h"

/* Of one worker process. Embedded in struct slot. */
struct forks {
    bool hello_due;          /* the stub has not told yet whether its forks are seen */
    bool threaded;           /* a process with threads has forked: a child may be deadlocked */
    struct lookout *lookout; /* NULL: its forks are not seen */
    bool failed;             /* that one is over before its time: told */
    struct aside *look; /* at a process that has forked, which a search has found; NULL: none */
};

/* Of one trial. */
struct fork_counts {
    unsigned threaded; /* made by a process with threads */
    unsigned going_on; /* of them: the child did not exec, the findings */
    unsigned denied;   /* refused */
    json_t *from;      /* where the last one came from that is known; owned, NULL: none */
};
