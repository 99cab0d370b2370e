/* Threads of which one is in charge: it waits for what comes, and does it itself, so that nothing
 * is handed from one thread to another. When that takes long (a lock, a slow disk, a large study),
 * another takes charge meanwhile, and who comes back joins those that stand by.
 *
 * Nobody wakes up while nothing comes. While something does, one that stands by looks at the one in
 * charge some times a second. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct crew;

struct crew_task {
    /* Waits, and takes in what came; false: nothing will come any more. Called by who is in charge,
     * so never by two threads at once. */
    bool (*wait)(void *ctx);
    /* Does what is there to be done. Several threads may be in it, when it takes long. */
    void (*work)(void *ctx);
    void *ctx;
};

/* Starts n threads, at least 1: one more than can be held up at once. Errors: ERR_NOMEM, ERR_IO (no
 * threads to be had). */
int crew_start(struct crew **out, const struct crew_task *task, size_t n, struct err *err);
/* Waits until `wait` has said that nothing comes any more and all work is done. NULL is fine. */
void crew_join(struct crew *c);
