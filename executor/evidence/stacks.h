/* Native stacks of whole processes with the names of their functions. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "executor/evidence/snapshot.h"

struct frame {
    uint64_t pc, offset;  /* offset: from the beginning of the function */
    const char *function; /* "": unknown */
    const char *file;     /* the program or library; "": none */
};

struct stack {
    pid_t pid, tid;
    size_t first, n; /* frames, from the innermost */
};

struct stacks {
    struct buf text; /* that names point into */
    struct stack *v;
    size_t n, cap;
    struct frame *frames;
    size_t n_frames, cap_frames;
};

struct stacks_req {
    const pid_t *pids;
    size_t n;
    uint64_t deadline_ms; /* clock_mono_ms: then what is known by then is the answer */
    /* Called for each process while it stands still, and once it goes on again; may be NULL. */
    void (*look)(void *ctx, pid_t pid);
    void (*seen)(void *ctx, pid_t pid, int rc, const struct snap_result *r);
    void *ctx;
};

/* Stops each process for some milliseconds and has forkless-dump name the frames. *out is to be
 * freed on errors too: what there is of it counts. Errors: ERR_NOTFOUND (no forkless-dump), ERR_IO.
 */
int stacks_collect(const struct stacks_req *req, struct stacks *out, struct err *err);
void stacks_free(struct stacks *s);

/* The second half alone: names the frames of a snapshot. The same *out and errors. */
int stacks_name(int fd, uint64_t deadline_ms, struct stacks *out, struct err *err);

/* The stack of a thread; NULL when there is none. */
const struct stack *stacks_find(const struct stacks *s, pid_t pid, pid_t tid);

/* Its frames, from the innermost; not NULL. */
const struct frame *stacks_frames(const struct stacks *s, const struct stack *stack);

/* Adds what forkless-dump said: text is changed. */
int stacks_parse(struct stacks *s, char *text);
