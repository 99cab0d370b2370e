/* Forks of one worker, answered by a thread that has nothing else to do: a fork does not wait for
 * whoever is busy, and nobody waits for what is read of its caller. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "executor/evidence/origin.h"
#include "executor/guard.h"

/* At most so long for the names of a stack. */
#define LOOKOUT_NAMES_MS 3000u

struct lookout; /* opaque */

struct lookout_report {
    enum {
        LOOKOUT_CALLED,  /* forks of processes with threads: so many */
        LOOKOUT_DENIED,  /* one of them that was refused */
        LOOKOUT_GOES_ON, /* such a fork's child has not called exec */
        LOOKOUT_MISSED,  /* whether it has is not known: nobody saw the child. So many */
    } how;
    uint64_t n;
    struct fork_call call; /* the last one */
    uint64_t at_ms;        /* of the call: clock_mono_ms */
    /* Where it comes from; NULL: not known, as of a process that was asked a moment ago. Whoever
     * takes the report frees it. */
    struct origin *origin;
};

struct lookout_conf {
    bool deny; /* refuse what guard_deadly knows */
    /* There is something to take. Called from the thread, but never after lookout_end. */
    void (*wake)(void *ctx);
    void *ctx;
};

/* Begins to answer. The listener, as guard_hello gave it, is taken over, also on failure: then the
 * forks of those who have the filter fail. NULL when there is no memory or no thread to be had. */
struct lookout *lookout_start(int listener, const struct lookout_conf *conf);

/* The next report; false when there is none, or its stack is being named. What led to an answer is
 * there before the answer, except the names. */
bool lookout_take(struct lookout *l, struct lookout_report *out);

/* Whether the stack of a report is being named: wake is called when that is done. */
bool lookout_names(struct lookout *l);

/* Names are not waited for any more. */
void lookout_hurry(struct lookout *l);

/* Forks so far, with threads or without. */
uint64_t lookout_forks(struct lookout *l);

/* Whether somebody who could fork is alive. */
bool lookout_watches(struct lookout *l);

/* Why forks are not answered any more: an errno, when the thread had to leave before the last one
 * who could fork; wake is called then. Their forks fail since (ENOSYS). 0: it did not. */
int lookout_failed(struct lookout *l);

/* Whether nobody can fork any more, and all forks are judged; wake is called then. */
bool lookout_is_over(const struct lookout *l);

/* Who lives on can fork no more: the listener closes. NULL is fine. */
void lookout_end(struct lookout *l);
