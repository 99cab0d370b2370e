/* A thread with a store of its own that answers requests. What arrives while it works becomes the
 * next batch: its reads are answered first, its writes are one transaction, and their replies go
 * out when that is on disk. So many clients share one fsync, and none is told of what may yet be
 * lost. */
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
    void (*done)(struct lane_job *job); /* called by the lane's thread */
};

/* What it has done so far; read by other threads. */
struct lane_counts {
    _Atomic uint64_t batches;  /* transactions committed */
    _Atomic uint64_t written;  /* writes in them */
    _Atomic uint64_t failures; /* transactions that failed */
    _Atomic uint64_t waiting;  /* jobs that arrived and are not done */
};

/* Takes over the store. Errors: ERR_NOMEM, ERR_IO (no thread); then the store stays the caller's.
 */
int lane_start(struct lane **out, struct store *store, struct err *err);
void lane_put(struct lane *l, struct lane_job *job);
/* Answers what was put, ends the thread, and destroys the store. NULL is fine. */
void lane_stop(struct lane *l);
const struct lane_counts *lane_counts(const struct lane *l);
