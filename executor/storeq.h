/* The store's own threads: jobs go in from the loop, run in order in batched transactions, and come
 * back to the loop when what they wrote is committed, or has reached the disk where that is
 * promised. A slow disk delays no claim; a locked or vanished database makes jobs wait, never the
 * loop. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/err.h"
#include "storage/storage.h"

struct storeq;
struct spool;

enum storeq_kind {
    STOREQ_CLAIM, /* goes first, in a transaction of its own that need not reach the disk: a worker
                     waits */
    STOREQ_CLAIM_AHEAD, /* batched, and back before its batch has reached the disk */
    STOREQ_WRITE,   /* batched, may wait some milliseconds for company; need not reach the disk */
    STOREQ_DURABLE, /* batched; done when it has reached the disk */
    STOREQ_READ,    /* alone, outside a transaction */
};

/* Embedded in what the job carries; lives until done has been called. */
struct storeq_job {
    struct storeq_job *next;
    enum storeq_kind kind;
    /* On the writer's thread. May be called again when the batch could not be committed, so it must
     * not consume what it needs. A refusal (ERR_FINISHED …) is an answer, kept in rc. With any
     * other error but trouble the job is dropped with what it wrote, and its batch run without it.
     */
    int (*run)(struct storeq_job *job, struct store *s, struct err *err);
    /* On the writer's thread, once, when what run() wrote is committed; NULL = nothing. */
    void (*committed)(struct storeq_job *job);
    void (*done)(struct storeq_job *job); /* on the loop's thread; rc and err are set */
    /* Appends what run writes as a line of the spool, while the store refuses; on one of the
     * queue's threads. NULL: nothing to keep. */
    void (*spool)(struct storeq_job *job, unsigned generation, struct buf *out);
    int rc;
    struct err err;
    bool spooled;           /* it is in the spool */
    bool dropped, spooling; /* the queue's own */
};

struct storeq_conf {
    const char *url;
    struct spool *spool;  /* keeps what waits while the store refuses; NULL: nothing does */
    uint64_t open_ms;     /* how long it may be locked when it is opened; 0: a minute, the most */
    uint64_t patience_ms; /* how long a batch is tried again while the store is locked or away */
    /* On the loop's thread: the store began, or goes on (true), or ceased (false) to refuse. It
     * does not cease once something was given up. */
    void (*on_trouble)(void *ctx, bool trouble, const struct err *err);
    void *ctx;
};

/* Opens the store (on the calling thread, so that its errors come at once) and starts the
 * threads. SIGTERM and SIGINT are to be blocked: one of them ends the wait for a locked store with
 * ERR_STOPPED. */
int storeq_start(struct storeq **out, uv_loop_t *loop, const struct storeq_conf *conf,
                 struct err *err);
/* From the loop's thread. */
void storeq_push(struct storeq *q, struct storeq_job *job);
/* Jobs that are not done yet. */
int storeq_pending(const struct storeq *q);
/* No more patience: what the store refuses now fails. */
void storeq_give_up(struct storeq *q);
/* Waits for the threads to finish what was pushed, closes the store, calls the last done callbacks
 * and closes the handle; q is freed by the loop soon after. */
void storeq_stop(struct storeq *q);
