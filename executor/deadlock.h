/* The watch for proven deadlocks in a slot's tree: embedded in struct slot. */
#pragma once

#include <stdint.h>

#include "executor/evidence/job.h"

struct deadlock {
    struct evidence_job *look; /* under way; NULL: none */
    struct verdict verdict;    /* the last proof */
    uint64_t scanned_ms;       /* where forks are not seen: the last search for one */
    bool born;                 /* since then somebody was forked in its tree, or may have been */
    uint64_t stacks_ms;        /* not before then are processes stopped for their stacks */
    uint64_t stacks_wait_ms;   /* doubled when stacks proved nothing: a pool that waits for work */
    bool with_stacks;          /* this look */
};
