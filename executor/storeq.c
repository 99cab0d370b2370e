#include "executor/storeq.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* Between two tries while the store refuses. */
#define RETRY_MS 200

/* Writes that nobody waits for stay so long for company: a short trial's parameters and reports
 * then go into the transaction of its outcome. */
#define LINGER_MS 25

struct list {
    struct storeq_job *head, **tail;
};

struct storeq {
    pthread_t thread;
    pthread_mutex_t lock; /* guards urgent, normal, done, stop, trouble */
    pthread_cond_t wake;
    struct list urgent, normal, done;
    struct list new_urgent, new_normal; /* the loop's: pushed in this tick */
    bool awaited;                       /* one of them is not content to linger */
    uv_timer_t linger;
    uv_prepare_t flush;
    bool stop;
    atomic_bool impatient;
    struct store *store; /* the thread's */
    uv_async_t async;
    struct storeq_conf conf;
    int pending;
    size_t open_handles; /* the loop's */
    bool trouble, told_trouble;
    struct err trouble_err;
};

static void list_init(struct list *l)
{
    l->head = NULL;
    l->tail = &l->head;
}

static void list_push(struct list *l, struct storeq_job *job)
{
    job->next = NULL;
    *l->tail = job;
    l->tail = &job->next;
}

static struct list list_take(struct list *l)
{
    struct list out = *l;
    if (out.head == NULL)
        out.tail = NULL;
    list_init(l);
    return out;
}

/* Moves all of from to the end of to. */
static void list_append(struct list *to, struct list from)
{
    if (from.head == NULL)
        return;
    *to->tail = from.head;
    to->tail = from.tail;
}

/* The store refuses for a while, rather than this job for good. */
static bool is_trouble(int rc)
{
    return rc == -ERR_BUSY || rc == -ERR_UNAVAILABLE;
}

static void set_trouble(struct storeq *q, bool trouble, const struct err *err)
{
    (void)pthread_mutex_lock(&q->lock);
    bool changed = q->trouble != trouble;
    q->trouble = trouble;
    if (err != NULL)
        q->trouble_err = *err;
    (void)pthread_mutex_unlock(&q->lock);
    if (changed)
        (void)uv_async_send(&q->async);
}

/* Runs the jobs up to `end` in one transaction. On trouble nothing is stored and all have to run
 * again. */
static int run_batch(struct storeq *q, struct storeq_job *first, const struct storeq_job *end,
                     bool durable, struct err *err)
{
    int rc = store_begin(q->store, err);
    if (rc < 0)
        return rc;
    for (struct storeq_job *j = first; j != end; j = j->next) {
        j->err = (struct err){0};
        j->rc = j->run(j, q->store, &j->err);
        if (is_trouble(j->rc)) {
            *err = j->err;
            rc = j->rc;
            store_rollback(q->store);
            return rc;
        }
    }
    rc = store_commit(q->store, durable, err);
    if (rc < 0)
        store_rollback(q->store);
    return rc;
}

static void nap(void)
{
    const struct timespec ts = {.tv_nsec = RETRY_MS * 1000000L};
    (void)nanosleep(&ts, NULL);
}

static void run_until_stored(struct storeq *q, struct storeq_job *first,
                             const struct storeq_job *end, bool durable)
{
    struct err err = {0};
    uint64_t start = clock_mono_ms();
    for (;;) {
        int rc = run_batch(q, first, end, durable, &err);
        if (rc == 0) {
            set_trouble(q, false, NULL);
            return;
        }
        set_trouble(q, true, &err);
        if (!is_trouble(rc) || atomic_load(&q->impatient) ||
            clock_mono_ms() - start >= q->conf.patience_ms) {
            for (struct storeq_job *j = first; j != end; j = j->next) {
                j->rc = rc;
                j->err = err;
            }
            return;
        }
        nap();
    }
}

static void run_read(struct storeq *q, struct storeq_job *job)
{
    uint64_t start = clock_mono_ms();
    for (;;) {
        job->err = (struct err){0};
        job->rc = job->run(job, q->store, &job->err);
        if (!is_trouble(job->rc) || atomic_load(&q->impatient) ||
            clock_mono_ms() - start >= q->conf.patience_ms)
            return;
        nap();
    }
}

/* Runs a list: reads alone, runs of writes between them in one transaction each. */
static void run_list(struct storeq *q, const struct list *l)
{
    for (struct storeq_job *j = l->head; j != NULL;) {
        if (j->kind == STOREQ_READ) {
            run_read(q, j);
            j = j->next;
            continue;
        }
        struct storeq_job *end = j;
        bool durable = false;
        for (; end != NULL && end->kind != STOREQ_READ; end = end->next)
            durable = durable || end->kind == STOREQ_DURABLE;
        run_until_stored(q, j, end, durable);
        j = end;
    }
}

static void *store_thread(void *arg)
{
    struct storeq *q = arg;
    for (;;) {
        (void)pthread_mutex_lock(&q->lock);
        while (q->urgent.head == NULL && q->normal.head == NULL && !q->stop)
            (void)pthread_cond_wait(&q->wake, &q->lock);
        bool urgent = q->urgent.head != NULL;
        struct list work = list_take(urgent ? &q->urgent : &q->normal);
        bool over = work.head == NULL; /* only when told to stop */
        (void)pthread_mutex_unlock(&q->lock);
        if (over)
            break;
        run_list(q, &work);
        (void)pthread_mutex_lock(&q->lock);
        list_append(&q->done, work);
        (void)pthread_mutex_unlock(&q->lock);
        (void)uv_async_send(&q->async);
    }
    store_destroy(q->store);
    return NULL;
}

static void deliver(struct storeq *q)
{
    (void)pthread_mutex_lock(&q->lock);
    struct list done = list_take(&q->done);
    bool trouble = q->trouble;
    struct err err = q->trouble_err;
    (void)pthread_mutex_unlock(&q->lock);
    if (trouble != q->told_trouble) {
        q->told_trouble = trouble;
        q->conf.on_trouble(q->conf.ctx, trouble, &err);
    }
    for (struct storeq_job *j = done.head, *next; j != NULL; j = next) {
        next = j->next;
        q->pending--;
        j->done(j); /* may free the job, and push new ones */
    }
}

static void on_async(uv_async_t *a)
{
    deliver(CONTAINER_OF(a, struct storeq, async));
}

/* What one tick of the loop pushed goes over at its end: claims are seen before the writes that
 * were pushed ahead of them, and the writes share a transaction. */
static void flush(struct storeq *q)
{
    if (q->new_urgent.head == NULL && q->new_normal.head == NULL)
        return;
    (void)pthread_mutex_lock(&q->lock);
    list_append(&q->urgent, list_take(&q->new_urgent));
    list_append(&q->normal, list_take(&q->new_normal));
    q->awaited = false;
    (void)pthread_cond_signal(&q->wake);
    (void)pthread_mutex_unlock(&q->lock);
}

static void on_linger(uv_timer_t *t)
{
    flush(CONTAINER_OF(t, struct storeq, linger));
}

static void on_tick_end(uv_prepare_t *p)
{
    struct storeq *q = CONTAINER_OF(p, struct storeq, flush);
    if (q->awaited)
        flush(q);
    else if (q->new_normal.head != NULL && !uv_is_active((uv_handle_t *)&q->linger))
        (void)uv_timer_start(&q->linger, on_linger, LINGER_MS, 0);
}

static void on_closed(uv_handle_t *h)
{
    struct storeq *q = h->data;
    if (--q->open_handles > 0)
        return;
    (void)pthread_mutex_destroy(&q->lock);
    (void)pthread_cond_destroy(&q->wake);
    free(q);
}

/* q is gone when the last handle is closed. */
static void close_handles(struct storeq *q)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&q->async, (uv_handle_t *)&q->flush,
                              (uv_handle_t *)&q->linger};
    q->open_handles = ARRAY_LEN(handles);
    for (size_t i = 0; i < ARRAY_LEN(handles); i++) {
        handles[i]->data = q;
        uv_close(handles[i], on_closed);
    }
}

int storeq_start(struct storeq **out, uv_loop_t *loop, const struct storeq_conf *conf,
                 struct err *err)
{
    struct storeq *q = calloc(1, sizeof(*q));
    if (q == NULL)
        return err_set(err, ERR_NOMEM, "store thread");
    /* a wait of its own for the lock must be short, or giving up would take long */
    const struct store_opts opts = {.busy_ms = 1000};
    q->conf = *conf;
    list_init(&q->urgent);
    list_init(&q->normal);
    list_init(&q->done);
    list_init(&q->new_urgent);
    list_init(&q->new_normal);
    int rc = store_open(&q->store, conf->url, &opts, err);
    if (rc < 0) {
        free(q);
        return rc;
    }
    (void)pthread_mutex_init(&q->lock, NULL);
    (void)pthread_cond_init(&q->wake, NULL);
    rc = uv_async_init(loop, &q->async, on_async);
    assert(rc == 0);
    (void)uv_prepare_init(loop, &q->flush);
    (void)uv_prepare_start(&q->flush, on_tick_end);
    uv_unref((uv_handle_t *)&q->flush);
    (void)uv_timer_init(loop, &q->linger);
    sigset_t all, before; /* signals are the loop's */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int sys = pthread_create(&q->thread, NULL, store_thread, q);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (sys != 0) {
        store_destroy(q->store);
        close_handles(q);
        return err_sys(err, sys, "store thread");
    }
    *out = q;
    return 0;
}

void storeq_push(struct storeq *q, struct storeq_job *job)
{
    q->pending++;
    list_push(job->kind == STOREQ_CLAIM ? &q->new_urgent : &q->new_normal, job);
    q->awaited = q->awaited || job->kind != STOREQ_WRITE;
}

int storeq_pending(const struct storeq *q)
{
    return q->pending;
}

void storeq_give_up(struct storeq *q)
{
    atomic_store(&q->impatient, true);
}

void storeq_stop(struct storeq *q)
{
    flush(q);
    (void)pthread_mutex_lock(&q->lock);
    q->stop = true;
    (void)pthread_cond_signal(&q->wake);
    (void)pthread_mutex_unlock(&q->lock);
    (void)pthread_join(q->thread, NULL);
    deliver(q);
    close_handles(q);
}
