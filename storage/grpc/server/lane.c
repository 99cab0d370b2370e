#include "storage/grpc/server/lane.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "storage/grpc/service.h"

/* More than that are several transactions, so that nobody waits for a thousand others. */
enum { BATCH_MAX = 256 };
/* How often one is tried that another's lock, or the news that a trial was taken away, undid. */
enum { TRIES = 3 };

struct queue {
    struct lane_job *head, **tail;
    size_t n;
};

struct lane {
    struct store *store;
    pthread_mutex_t lock; /* of what follows */
    struct queue in;
    bool busy; /* a thread works here */
    struct lane_counts counts;
};

static void queue_init(struct queue *q)
{
    *q = (struct queue){.tail = &q->head};
}

static void queue_put(struct queue *q, struct lane_job *job)
{
    job->next = NULL;
    *q->tail = job;
    q->tail = &job->next;
    q->n++;
}

static struct lane_job *queue_take(struct queue *q)
{
    struct lane_job *job = q->head;
    if (job == NULL)
        return NULL;
    q->head = job->next;
    if (q->head == NULL)
        q->tail = &q->head;
    q->n--;
    return job;
}

static void finish(struct lane *l, struct lane_job *job)
{
    (void)atomic_fetch_sub(&l->counts.waiting, 1);
    job->done(job);
}

static void fail(struct lane_job *job, const struct err *err)
{
    buf_clear(&job->reply);
    job->rc = -(int)err->code;
    job->err = *err;
}

static void answer(struct lane *l, struct lane_job *job)
{
    buf_clear(&job->reply);
    job->rc =
        service_answer(l->store, job->method, job->request, job->n_request, &job->reply, &job->err);
}

/* Whether it undoes the transaction that it stands in. */
static bool breaks(const struct lane_job *job)
{
    if (job->method == WIRE_BATCH) /* the items before the one that failed are to be undone */
        return job->rc < 0;
    return job->rc < 0 && !store_refused(job->rc) && job->rc != -ERR_NOMEM;
}

/* The writes in the transaction that was begun. Returns false when one broke it: none is stored. */
static bool write_once(struct lane *l, struct queue *writes, struct err *err)
{
    int rc = 0;
    for (struct lane_job *job = writes->head; job != NULL && rc == 0; job = job->next) {
        answer(l, job);
        rc = breaks(job) ? job->rc : 0;
        if (rc < 0)
            *err = job->err;
    }
    if (rc < 0)
        store_rollback(l->store);
    else
        rc = store_commit(l->store, true, err);
    return rc == 0;
}

/* A deadlock with another server, or one client's trial that was taken away, is no trouble of all
 * the others, who do not ask a second time. */
static bool write_together(struct lane *l, struct queue *writes, struct err *err)
{
    bool done = false;
    for (int i = 0; i < TRIES && !done; i++) {
        *err = (struct err){0};
        if (store_begin(l->store, err) < 0) /* which waits as long as it may */
            break;
        done = write_once(l, writes, err);
        if (err->code != ERR_BUSY)
            break;
    }
    return done;
}

static void finish_all(struct lane *l, struct queue *writes)
{
    for (struct lane_job *job; (job = queue_take(writes)) != NULL;)
        finish(l, job);
}

static void fail_all(struct lane *l, struct queue *writes, const struct err *err)
{
    for (struct lane_job *job = writes->head; job != NULL; job = job->next)
        fail(job, err);
    finish_all(l, writes);
}

static void write_batch(struct lane *l, struct queue *writes);

/* Each write in a transaction of its own. */
static void write_singly(struct lane *l, struct queue *writes)
{
    for (struct lane_job *job; (job = queue_take(writes)) != NULL;) {
        struct queue one;
        queue_init(&one);
        queue_put(&one, job);
        write_batch(l, &one);
    }
}

/* What breaks a transaction may be one client's alone (a row of its study that cannot be read), so
 * the others get another chance; but not when the store itself is away. */
static void write_batch(struct lane *l, struct queue *writes)
{
    struct err err = {0};
    size_t n = writes->n;
    if (write_together(l, writes, &err)) {
        finish_all(l, writes);
    } else if (n > 1 && err.code != ERR_BUSY && err.code != ERR_UNAVAILABLE) {
        write_singly(l, writes);
        return;
    } else {
        (void)atomic_fetch_add(&l->counts.failures, 1);
        fail_all(l, writes, &err);
        return;
    }
    (void)atomic_fetch_add(&l->counts.batches, 1);
    (void)atomic_fetch_add(&l->counts.written, n);
}

/* Nobody waits for it any more: to write it now would surprise who has given it up. */
static bool expired(const struct lane_job *job)
{
    return job->due_ns != UINT64_MAX && clock_mono_ns() > job->due_ns;
}

static void serve(struct lane *l, struct queue *jobs)
{
    struct queue writes;
    queue_init(&writes);
    for (struct lane_job *job; (job = queue_take(jobs)) != NULL;) {
        struct err late = {.code = ERR_UNAVAILABLE, .msg = "the deadline has passed"};
        if (expired(job)) {
            fail(job, &late);
        } else if (wire_writes(job->method)) {
            queue_put(&writes, job);
            continue;
        } else {
            answer(l, job);
        }
        finish(l, job);
    }
    if (writes.n > 0)
        write_batch(l, &writes);
}

/* Moves jobs into *jobs; false: there are none. */
static bool take_batch(struct lane *l, struct queue *jobs)
{
    while (l->in.head != NULL && jobs->n < BATCH_MAX)
        queue_put(jobs, queue_take(&l->in));
    return jobs->n > 0;
}

int lane_open(struct lane **out, struct store *store, struct err *err)
{
    struct lane *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return err_set(err, ERR_NOMEM, "a store's requests");
    l->store = store;
    queue_init(&l->in);
    (void)pthread_mutex_init(&l->lock, NULL);
    *out = l;
    return 0;
}

void lane_put(struct lane *l, struct lane_job *job)
{
    (void)atomic_fetch_add(&l->counts.waiting, 1);
    (void)pthread_mutex_lock(&l->lock);
    queue_put(&l->in, job);
    (void)pthread_mutex_unlock(&l->lock);
}

void lane_work(struct lane *l)
{
    struct queue jobs;
    queue_init(&jobs);
    (void)pthread_mutex_lock(&l->lock);
    if (!l->busy) {
        l->busy = true;
        while (take_batch(l, &jobs)) {
            (void)pthread_mutex_unlock(&l->lock);
            serve(l, &jobs);
            (void)pthread_mutex_lock(&l->lock);
        }
        l->busy = false;
    }
    (void)pthread_mutex_unlock(&l->lock);
}

void lane_close(struct lane *l)
{
    if (l == NULL)
        return;
    store_destroy(l->store);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

const struct lane_counts *lane_counts(const struct lane *l)
{
    return &l->counts;
}
