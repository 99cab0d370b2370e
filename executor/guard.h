/* Forks of workers, looked at while the caller stands still in its call: stub_forks.c has them
 * stop, this side reads who calls, and answers. No loop and no policy of a sweep here: forks.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "executor/evidence/origin.h"

/* Libraries whose threads or locks do not survive a fork. */
enum {
    GUARD_GRPC = 1 << 0,
    GUARD_OPENMP = 1 << 1,
};

/* A fork that waits for its answer. What could not be read is 0 or empty. */
struct fork_call {
    uint64_t id;    /* for the answer */
    pid_t pid, tid; /* who calls; 0: in a namespace that is not seen from here */
    int threads;    /* of the process */
    unsigned mapped,
        live; /* GUARD_ bits: libraries in its memory; those with threads of their own */
    uint64_t start_ticks; /* the machine's clock at the call, as proc_stat counts */
    uint64_t looked_ms;   /* clock_mono_ms when names, mapped and live were read */
    char command[16];
    char names[160]; /* of the other threads: "event_engine 4, python 2" */
};

/* Whether a fork that waits for its answer cannot fail with EINTR, because the C library of this
 * machine forks with all signals blocked: glibc does since 2.41. The kernel lets a signal with a
 * handler that is not to restart calls end the wait until the call is received, however soon that
 * is. */
bool guard_is_harmless(void);
bool guard_blocks_signals(const char *glibc); /* its version: "2.41" */

/* Takes the first message of a watched stub from the channel: *listener is the caller's, or -1 and
 * *why the errno with which the kernel refused. Returns 1; 0 when it is not there yet; -1 when the
 * stub is gone without it. */
int guard_hello(int channel, int *listener, int *why);

/* Why forks are not seen here, for people; static. */
const char *guard_why(int sys);

/* Has the kernel change between callers and whoever answers as quickly as it can. */
void guard_prepare(int listener);

/* Takes the next call, once poll says POLLIN; false when its caller is gone (errno: ENOENT, EINTR)
 * or none can be taken. last is the call that
 * was taken before, or zeroed: a process that forks in a loop is not read anew each time. */
bool guard_receive(int listener, const struct fork_call *last, struct fork_call *out);

/* What a fork by this process's first thread would be, were it to call now: id is 0. */
void guard_look(pid_t pid, struct fork_call *out);

/* Whether the caller still stands in its call: what was read of it meanwhile is true. */
bool guard_waits(int listener, uint64_t id);

/* Lets the caller go on: sys 0 makes the fork, else it fails with this errno. Returns 0, or the
 * errno with which the kernel refused that: the caller waits still. */
int guard_answer(int listener, uint64_t id, int sys);

/* It has threads that the child would lack: locks may be left behind in its memory. */
bool guard_threaded(const struct fork_call *f);

/* It is known to hang children: a library that does not survive a fork is in use. */
bool guard_deadly(const struct fork_call *f);

/* "python (pid 12) forked with 7 threads alive, gRPC's among them (event_engine 4, …), at
 * train.py:12 in main". from: where the call comes from; NULL: not known. */
void guard_say(char *out, size_t n, const struct fork_call *f, const struct origin *from,
               const char *verb);

/* Appends the call as a JSON object; how: what became of it. */
void guard_put_json(struct buf *b, const struct fork_call *f, const struct origin *from,
                    const char *how);

/* Threaded forks whose child may yet exec, as most do: each is looked at several times, and judged
 * at the latest a moment later. Zeroed, it is empty. */
#define GUARD_PENDING 64

struct guard_pending {
    struct guard_pended {
        struct fork_call call;
        struct origin *origin; /* owned; NULL: not known */
        uint64_t at_ms, due_ms;
        pid_t suspect; /* a child of it that ran without exec when last looked at; 0: none */
        uint64_t suspect_start; /* its start_ticks */
        bool execs;             /* a child of it that had called exec was seen */
    } v[GUARD_PENDING];
    size_t n; /* the first is due first */
};

/* Whether a fork of the process can be noted. One at a time: forks of a loop are judged together.
 */
bool guard_has_room(const struct guard_pending *p, pid_t pid);

/* Notes a fork made at now_ms, where there is room; origin (may be NULL) is taken over in any case.
 */
void guard_pend(struct guard_pending *p, const struct fork_call *f, struct origin *origin,
                uint64_t now_ms);

/* Milliseconds until the first is due; -1: there is none. */
int guard_patience(const struct guard_pending *p, uint64_t now_ms);

/* Takes the first that is due; false when there is none. UINT64_MAX: the first. */
bool guard_take_due(struct guard_pending *p, uint64_t now_ms, struct guard_pended *out);

/* What a look at a fork that is due tells. */
enum guard_judged {
    GUARD_LATER,   /* it is noted again */
    GUARD_EXECS,   /* the child has called exec */
    GUARD_GOES_ON, /* the caller has a child of that fork or a later one that has not called exec,
                      or had one that ended without */
    GUARD_MISSED,  /* nobody saw whether the child called exec: it was over before, or its parent */
};

/* due->origin is taken unless GUARD_GOES_ON is returned. */
enum guard_judged guard_judge(struct guard_pending *p, const struct guard_pended *due,
                              uint64_t now_ms);

/* The same when all processes are gone, and nobody can be looked at any more. */
enum guard_judged guard_judge_last(const struct guard_pended *due);
