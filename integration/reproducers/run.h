/* One run of a victim's program, step by step: started without fork, watched through its pidfd,
 * ended whole. */
#pragma once

#include "executor/spawn.h"
#include "integration/reproducers/profile.h"
#include "integration/reproducers/reproducers.h"

/* More output of a victim than this is dropped. */
enum { RUN_OUTPUT_MAX = 1 << 20 };

struct running {
    struct repro_session *session;
    struct spawned proc;
    struct buf out, log, events; /* its stdout, stderr and channel */
    bool echo;                   /* pass on what it prints, to our stderr */
    struct profile *profile;     /* NULL: none is wanted */
    bool child_started;          /* it said so: then the clock starts again */
    uint64_t since_ms;
    int status; /* after run_end: as wait says */
};

/* what: "describe", "prepare" or "run"; name: the case, NULL: none. On failure nothing is running.
 * Errors: ERR_NOTFOUND, ERR_IO, ERR_NOMEM. */
int run_start(struct running *w, struct repro_session *s, const struct reproducer *r,
              const struct repro_arm *arm, const char *what, const char *name, struct err *err);

/* Waits without polling. Returns 1 when the process is over, 0 when limit_ms have gone by since
 * since_ms (before the child starts: at least SETUP_MS), or -ERR_STOPPED when a stop signal came.
 */
int run_watch(struct running *w, uint64_t limit_ms, struct err *err);

/* Kills what is left of all that it started, collects it, and reads the rest of its output. */
void run_end(struct running *w);
void run_free(struct running *w);
