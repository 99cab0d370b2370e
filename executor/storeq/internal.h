/* What the files of the store's queue share. Two threads: the writer (writer.c) runs the jobs and
 * commits; the syncer (syncer.c) then makes their commits durable, as many as have come together,
 * while the writer goes on. So a claim, for which a worker's place stands empty, never waits for
 * the disk. While the store refuses, what waits is spooled (keep.c). The loop's side is storeq.c.
 *
 *   loop ─push▶ urgent ─▶ writer ──────────────────────▶ done ─▶ loop
 *        └────▶ normal ─▶ writer ─▶ unsynced ─▶ syncer ─┘
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "executor/storeq.h"
#include "executor/storeq/jobs.h"

struct storeq {
    pthread_t writer, syncer;
    pthread_mutex_t lock; /* guards the lists but the new ones, stop, written, syncing, trouble */
    pthread_cond_t wake, wake_syncer;
    struct jobs urgent, normal, unsynced, done;
    struct jobs new_urgent, new_normal; /* the loop's: pushed in this tick */
    bool awaited;                       /* one of them is not content to linger */
    uv_timer_t linger;
    uv_prepare_t flush;
    bool stop;    /* no job comes any more */
    bool written; /* and the writer has run all of them */
    bool syncing; /* the syncer has some that are not in done yet */
    atomic_bool impatient;
    atomic_bool lost;                    /* something was given up */
    atomic_bool spool_failed;            /* it was told */
    atomic_uint_fast64_t spool_again_ms; /* and is not tried before */
    struct store *store;                 /* store_sync is called without `use` */
    pthread_mutex_t use; /* of the store: the writer's, but for what a failed sync demands */
    uv_async_t async;
    struct storeq_conf conf;
    int pending;
    size_t open_handles; /* the loop's */
    unsigned trouble;    /* TROUBLE_… */
    bool told_trouble;   /* the loop's */
    bool tell_again;
    uint64_t trouble_ms; /* when it was last to be told */
    struct err trouble_err;
};

/* writer.c, syncer.c: threads. They end when `stop` is set and nothing is left. */
void *writer_run(void *queue);
void *syncer_run(void *queue);

/* keep.c */
/* The store refuses: what these jobs write, and those that wait behind them, goes to the spool.
 * Before the first of them, what is committed is made as durable as they are: it leads to them. */
void keep_waiting(struct storeq *q, struct storeq_job *first, struct jobs *behind);
/* The store has these jobs, or has answered them. */
void keep_settle(struct storeq *q, const struct jobs *l);

/* trouble.c */
/* Who is refused by the store. */
enum { TROUBLE_WRITE = 1, TROUBLE_SYNC = 2 };
/* The store refuses for a while, rather than this job for good. */
bool trouble_is(int rc);
/* What the store says to a whole batch answers none of its jobs: only what a job's own run was
 * refused with does, and is as good as stored. Returns rc, or trouble in place of a refusal. */
int trouble_of_batch(int rc, struct err *err);
/* err NULL: it is over, unless something was given up in it: a smaller write that fits afterwards
 * brings that not back. */
void trouble_set(struct storeq *q, unsigned whose, const struct err *err);
/* Whether it is not worth another try. */
bool trouble_given_up(struct storeq *q, int rc, uint64_t since_ms);
/* Between two tries. */
void trouble_nap(void);
