/* Reproducers: programs that fork after threads on purpose, run and watched from outside. What a
 * victim does is its own file's; here is how one is described, run and judged. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "executor/guardian.h"

struct reproducer {
    const char *name;    /* "grpc-fork" */
    const char *program; /* one of ours, see spawn_find_own */
};

/* Every one there is, whether its program is installed or not; a NULL name ends. Made by CMake from
 * the files of integration/reproducers/. */
extern const struct reproducer reproducers[];

/* How a victim starts its child, and with what. */
struct repro_arm {
    bool fork;     /* else posix_spawn */
    bool backstop; /* GRPC_ENABLE_FORK_SUPPORT=1 GRPC_POLL_STRATEGY=poll in its environment; without
                      it neither is there, whatever we were started with */
    int64_t jobs, samples;
    uint64_t timeout_ms; /* from the child's start; what stands before it has a minute at least */
};

struct repro_case {
    char *name, *about;
    bool hangs; /* what should happen */
};

struct repro_plan {
    char *summary;
    char *prepare; /* what must be done before it can run, a sentence; NULL: nothing */
    struct repro_case *cases;
    size_t n_cases;
};

enum repro_end {
    REPRO_PASSED,
    REPRO_HUNG,   /* a child that was forked and never called exec waits, and nothing moves */
    REPRO_FAILED, /* ended with another code than 0, or by a signal */
    REPRO_SLOW,   /* time was up, and no hang to be seen */
};

struct repro_result {
    enum repro_end end;
    int status;            /* REPRO_FAILED: as wait says */
    uint64_t ms;           /* from the child's start to the end, or to the verdict */
    struct buf events;     /* what the victim told: JSON objects, a line each */
    struct buf log;        /* its stdout and stderr */
    struct buf evidence;   /* REPRO_HUNG: one JSON object */
    pid_t child, parent;   /* REPRO_HUNG: who waits, and who forked it */
    int parent_threads;    /* at the verdict */
    bool handlers_skipped; /* gRPC said that it skips its fork handlers */
};

/* What all runs of one command share: the stop signals, and the end of whatever a victim leaves
 * behind, however we end. */
struct repro_session {
    char *stub; /* forkless-exec */
    char mark[64];
    struct guardian guardian;
    int signals; /* signalfd of SIGINT, SIGTERM and SIGHUP */
};

/* Blocks the stop signals of this process. Errors: ERR_NOTFOUND, ERR_IO, ERR_NOMEM. */
int repro_open(struct repro_session *s, struct err *err);
void repro_close(struct repro_session *s);

/* Asks the victim what it does in this arm. Errors: ERR_NOTFOUND: its program is not installed;
 * ERR_STOPPED; ERR_INVALID. */
int repro_describe(struct repro_session *s, const struct reproducer *r, const struct repro_arm *arm,
                   struct repro_plan *out, struct err *err);
void repro_plan_free(struct repro_plan *plan);

/* Does what plan->prepare said, with its output on our stderr. */
int repro_prepare(struct repro_session *s, const struct reproducer *r, const struct repro_arm *arm,
                  struct err *err);

struct profile;

/* Runs one case once and ends all that it started. profile: NULL or begun. *out is the caller's to
 * free. Errors: ERR_STOPPED: a signal came, and the victim is gone. */
int repro_try(struct repro_session *s, const struct reproducer *r, const struct repro_arm *arm,
              const char *name, struct profile *profile, struct repro_result *out, struct err *err);
void repro_result_free(struct repro_result *r);

/* "passed", "hung", "failed", "slow". Static. */
const char *repro_end_name(enum repro_end end);
