/* The syncer: makes durable what the writer has committed. */
#include "base/clock.h"
#include "executor/storeq/internal.h"

/* Makes durable what is committed; after a failed sync that takes a durable commit. */
static int sync_store(struct storeq *q, struct err *err)
{
    int rc = store_sync(q->store, err);
    if (rc == 0)
        return 0;
    (void)pthread_mutex_lock(&q->use);
    rc = store_begin(q->store, err);
    if (rc == 0)
        rc = store_commit(q->store, true, err);
    (void)pthread_mutex_unlock(&q->use);
    return trouble_of_batch(rc, err);
}

static void sync_list(struct storeq *q, const struct jobs *l)
{
    struct err err = {0};
    uint64_t start = clock_mono_ms();
    for (;;) {
        int rc = sync_store(q, &err);
        trouble_set(q, TROUBLE_SYNC, rc < 0 ? &err : NULL);
        if (rc == 0)
            return;
        keep_waiting(q, l->head, &q->unsynced);
        if (trouble_given_up(q, rc, start)) {
            for (struct storeq_job *j = l->head; j != NULL; j = j->next) {
                if (j->kind == STOREQ_DURABLE && j->rc == 0) {
                    j->rc = rc;
                    j->err = err;
                }
            }
            return;
        }
        trouble_nap();
    }
}

void *syncer_run(void *arg)
{
    struct storeq *q = arg;
    (void)pthread_mutex_lock(&q->lock);
    for (;;) {
        while (q->unsynced.head == NULL && !q->written)
            (void)pthread_cond_wait(&q->wake_syncer, &q->lock);
        struct jobs work = jobs_take(&q->unsynced);
        if (work.head == NULL)
            break;
        q->syncing = true;
        (void)pthread_mutex_unlock(&q->lock);
        if (jobs_any_durable(&work))
            sync_list(q, &work);
        keep_settle(q, &work);
        (void)pthread_mutex_lock(&q->lock);
        q->syncing = false;
        jobs_append(&q->done, work);
        (void)uv_async_send(&q->async);
    }
    (void)pthread_mutex_unlock(&q->lock);
    return NULL;
}
