/* The writer: runs the jobs in order, many in one transaction, until the store has taken them. */
#include "base/clock.h"
#include "executor/storeq/internal.h"

/* A batch lost a job. */
#define BATCH_AGAIN 1

/* Runs one of a batch. Returns 0, trouble, or BATCH_AGAIN when the job was dropped. */
static int run_job(struct storeq *q, struct storeq_job *j, struct err *err)
{
    j->err = (struct err){0};
    j->rc = j->run(j, q->store, &j->err);
    if (j->rc >= 0 || store_refused(j->rc))
        return 0;
    *err = j->err;
    j->dropped = !trouble_is(j->rc);
    return j->dropped ? BATCH_AGAIN : j->rc;
}

static int run_jobs(struct storeq *q, struct storeq_job *first, const struct storeq_job *end,
                    struct err *err)
{
    int rc = trouble_of_batch(store_begin(q->store, err), err);
    if (rc < 0)
        return rc;
    for (struct storeq_job *j = first; j != end && rc == 0; j = j->next) {
        if (!j->dropped)
            rc = run_job(q, j, err);
    }
    if (rc == 0)
        rc = trouble_of_batch(store_commit(q->store, false, err), err);
    if (rc != 0)
        store_rollback(q->store);
    return rc;
}

/* Runs the jobs up to `end` in one transaction. On trouble, or when one had to be dropped, nothing
 * is stored and they have to run again. */
static int run_batch(struct storeq *q, struct storeq_job *first, const struct storeq_job *end,
                     struct err *err)
{
    (void)pthread_mutex_lock(&q->use);
    int rc = run_jobs(q, first, end, err);
    (void)pthread_mutex_unlock(&q->use);
    return rc;
}

static void run_until_stored(struct storeq *q, struct storeq_job *first,
                             const struct storeq_job *end)
{
    struct err err = {0};
    uint64_t start = clock_mono_ms();
    for (;;) {
        int rc = run_batch(q, first, end, &err);
        if (rc == BATCH_AGAIN)
            continue;
        if (rc == 0) {
            trouble_set(q, TROUBLE_WRITE, NULL);
            return;
        }
        trouble_set(q, TROUBLE_WRITE, trouble_is(rc) ? &err : NULL);
        if (trouble_is(rc))
            keep_waiting(q, first, &q->normal);
        if (trouble_given_up(q, rc, start)) {
            for (struct storeq_job *j = first; j != end; j = j->next) {
                j->rc = j->dropped ? j->rc : rc;
                j->err = j->dropped ? j->err : err;
            }
            return;
        }
        trouble_nap();
    }
}

static void run_read(struct storeq *q, struct storeq_job *job)
{
    uint64_t start = clock_mono_ms();
    for (;;) {
        job->err = (struct err){0};
        (void)pthread_mutex_lock(&q->use);
        job->rc = job->run(job, q->store, &job->err);
        (void)pthread_mutex_unlock(&q->use);
        trouble_set(q, TROUBLE_WRITE, trouble_is(job->rc) ? &job->err : NULL);
        if (trouble_is(job->rc))
            keep_waiting(q, job, &q->normal);
        if (trouble_given_up(q, job->rc, start))
            return;
        trouble_nap();
    }
}

/* Runs a list: reads alone, runs of writes between them in one transaction each. */
static void run_list(struct storeq *q, const struct jobs *l)
{
    for (struct storeq_job *j = l->head; j != NULL;) {
        if (j->kind == STOREQ_READ) {
            run_read(q, j);
            j = j->next;
            continue;
        }
        struct storeq_job *end = j;
        while (end != NULL && end->kind != STOREQ_READ)
            end = end->next;
        run_until_stored(q, j, end);
        j = end;
    }
}

static void tell_committed(const struct jobs *l)
{
    for (struct storeq_job *j = l->head; j != NULL; j = j->next) {
        if (j->committed != NULL && j->rc == 0)
            j->committed(j);
    }
}

/* Takes the jobs out of a list that do not wait for the disk, whatever came with them. */
static struct jobs take_claims(struct jobs *l)
{
    struct jobs claims, rest;
    jobs_init(&claims);
    jobs_init(&rest);
    for (struct storeq_job *j = l->head, *next; j != NULL; j = next) {
        next = j->next;
        jobs_push(j->kind == STOREQ_CLAIM_AHEAD ? &claims : &rest, j);
    }
    jobs_init(l);
    jobs_append(l, rest);
    return claims;
}

/* Jobs that were run go on, to the syncer when one of them has to be durable, or when earlier ones
 * are there still: all but claims come back in order. */
static void pass_on(struct storeq *q, struct jobs work, bool urgent)
{
    tell_committed(&work);
    struct jobs claims = take_claims(&work);
    (void)pthread_mutex_lock(&q->lock);
    bool by_sync = !urgent && work.head != NULL &&
                   (jobs_any_durable(&work) || q->unsynced.head != NULL || q->syncing);
    (void)pthread_mutex_unlock(&q->lock);
    if (!by_sync)
        keep_settle(q, &work);
    bool news = claims.head != NULL || !by_sync;
    (void)pthread_mutex_lock(&q->lock);
    jobs_append(&q->done, claims);
    jobs_append(by_sync ? &q->unsynced : &q->done, work);
    if (by_sync)
        (void)pthread_cond_signal(&q->wake_syncer);
    (void)pthread_mutex_unlock(&q->lock);
    if (news)
        (void)uv_async_send(&q->async);
}

void *writer_run(void *arg)
{
    struct storeq *q = arg;
    for (;;) {
        (void)pthread_mutex_lock(&q->lock);
        while (q->urgent.head == NULL && q->normal.head == NULL && !q->stop)
            (void)pthread_cond_wait(&q->wake, &q->lock);
        bool urgent = q->urgent.head != NULL;
        struct jobs work = jobs_take(urgent ? &q->urgent : &q->normal);
        bool over = work.head == NULL; /* only when told to stop */
        q->written = over;
        if (over)
            (void)pthread_cond_signal(&q->wake_syncer);
        (void)pthread_mutex_unlock(&q->lock);
        if (over)
            return NULL;
        run_list(q, &work);
        pass_on(q, work, urgent);
    }
}
