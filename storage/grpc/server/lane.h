/* A store and the requests that wait for it. What was put when a thread comes to work, and what
 * arrives while it does, is done in batches: reads are answered first, writes are one transaction,
 * and their replies go out when that is on disk. So many clients share one fsync, and none is told
 * of what may yet be lost. */
#pragma once

#include "base/buf.h"
#include "storage/grpc/wire.h"
#include "storage/storage.h"

struct lane;

/* A request. It is the asker's, who may free it from `done` on. */
struct lane_job {
    struct lane_job *next;
    enum wire_method method;
    const void *request; /* stays until done */
    size_t n_request;
    uint64_t due_ns; /* CLOCK_MONOTONIC: nobody waits for an answer after this; UINT64_MAX: never */
    struct buf reply; /* set when rc is 0; for done to take */
    int rc;
    struct err err;
    void (*done)(struct lane_job *job); /* called by the thread that works */
};

/* What it has done so far; read by other threads. */
struct lane_counts {
    _Atomic uint64_t batches;  /* transactions committed */
    _Atomic uint64_t written;  /* writes in them */
    _Atomic uint64_t failures; /* transactions that failed */
    _Atomic uint64_t waiting;  /* jobs that arrived and are not done */
};

/* Takes over the store. Errors: ERR_NOMEM; then the store stays the caller's. */
int lane_open(struct lane **out, struct store *store, struct err *err);
/* Any thread may put a job, and see to it that lane_work is called after. */
void lane_put(struct lane *l, struct lane_job *job);
/* Does all that was put, unless another thread is at it: then that one does it. */
void lane_work(struct lane *l);
/* Destroys the store; no jobs are left. NULL is fine. */
void lane_close(struct lane *l);
const struct lane_counts *lane_counts(const struct lane *l);
