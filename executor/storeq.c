#include "executor/storeq.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/storeq/internal.h"

/* While it is locked when it is to be opened. */
#define OPEN_PATIENCE_MS 60000u

/* Writes that nobody waits for stay so long for company: a short trial's parameters and reports
 * then go into the transaction of its outcome. */
#define LINGER_MS 25

/* --- what comes back, and what goes over ------------------------------------------------------ */

static void deliver(struct storeq *q)
{
    (void)pthread_mutex_lock(&q->lock);
    struct jobs done = jobs_take(&q->done);
    bool trouble = q->trouble != 0, again = q->tell_again;
    struct err err = q->trouble_err;
    q->tell_again = false;
    (void)pthread_mutex_unlock(&q->lock);
    bool news = trouble != q->told_trouble || (trouble && again);
    q->told_trouble = trouble;
    if (news)
        q->conf.on_trouble(q->conf.ctx, trouble, &err);
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
    jobs_append(&q->urgent, jobs_take(&q->new_urgent));
    jobs_append(&q->normal, jobs_take(&q->new_normal));
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

void storeq_push(struct storeq *q, struct storeq_job *job)
{
    q->pending++;
    jobs_push(job->kind == STOREQ_CLAIM ? &q->new_urgent : &q->new_normal, job);
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

/* --- start and end ---------------------------------------------------------------------------- */

static struct storeq *create(const struct storeq_conf *conf)
{
    struct storeq *q = calloc(1, sizeof(*q));
    if (q == NULL)
        return NULL;
    q->conf = *conf;
    jobs_init(&q->urgent);
    jobs_init(&q->normal);
    jobs_init(&q->unsynced);
    jobs_init(&q->done);
    jobs_init(&q->new_urgent);
    jobs_init(&q->new_normal);
    (void)pthread_mutex_init(&q->lock, NULL);
    (void)pthread_mutex_init(&q->use, NULL);
    (void)pthread_cond_init(&q->wake, NULL);
    (void)pthread_cond_init(&q->wake_syncer, NULL);
    return q;
}

static void destroy(struct storeq *q)
{
    (void)pthread_mutex_destroy(&q->lock);
    (void)pthread_mutex_destroy(&q->use);
    (void)pthread_cond_destroy(&q->wake);
    (void)pthread_cond_destroy(&q->wake_syncer);
    free(q);
}

/* They are held back until the loop runs. */
static bool stop_waits(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

/* Others may hold the lock while they make the tables, or for longer. */
static int open_patiently(struct storeq *q, struct err *err)
{
    /* a wait of its own for the lock must be short, or giving up would take long */
    const struct store_opts opts = {.busy_ms = 1000};
    uint64_t start = clock_mono_ms(), patience = OPEN_PATIENCE_MS;
    if (q->conf.open_ms > 0 && q->conf.open_ms < patience)
        patience = q->conf.open_ms;
    int rc;
    do
        rc = store_open(&q->store, q->conf.url, &opts, err);
    while (rc == -ERR_BUSY && !stop_waits() && clock_mono_ms() - start < patience);
    if (rc == -ERR_BUSY && stop_waits())
        return err_set(err, ERR_STOPPED, "stopped while another program held the store");
    return rc;
}

static int open_store(struct storeq *q, struct err *err)
{
    int rc = open_patiently(q, err);
    if (rc < 0 || !store_in_memory(q->store))
        return rc;
    store_destroy(q->store);
    return err_set(err, ERR_INVALID,
                   "storage %s: what is in memory is gone when the run ends, name a file",
                   q->conf.url);
}

static void open_handles(struct storeq *q, uv_loop_t *loop)
{
    int rc = uv_async_init(loop, &q->async, on_async);
    assert(rc == 0);
    (void)uv_prepare_init(loop, &q->flush);
    (void)uv_prepare_start(&q->flush, on_tick_end);
    uv_unref((uv_handle_t *)&q->flush);
    (void)uv_timer_init(loop, &q->linger);
}

static void on_closed(uv_handle_t *h)
{
    struct storeq *q = h->data;
    if (--q->open_handles == 0)
        destroy(q);
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

static void end_writer(struct storeq *q)
{
    (void)pthread_mutex_lock(&q->lock);
    q->stop = true;
    (void)pthread_cond_signal(&q->wake);
    (void)pthread_mutex_unlock(&q->lock);
    (void)pthread_join(q->writer, NULL);
}

/* Both or none; returns an errno. */
static int start_threads(struct storeq *q)
{
    sigset_t all, before; /* signals are the loop's */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int sys = pthread_create(&q->writer, NULL, writer_run, q);
    if (sys == 0) {
        sys = pthread_create(&q->syncer, NULL, syncer_run, q);
        if (sys != 0)
            end_writer(q);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return sys;
}

int storeq_start(struct storeq **out, uv_loop_t *loop, const struct storeq_conf *conf,
                 struct err *err)
{
    struct storeq *q = create(conf);
    if (q == NULL)
        return err_set(err, ERR_NOMEM, "store thread");
    int rc = open_store(q, err);
    if (rc < 0) {
        destroy(q);
        return rc;
    }
    open_handles(q, loop);
    int sys = start_threads(q);
    if (sys != 0) {
        store_destroy(q->store);
        close_handles(q);
        return err_sys(err, sys, "store threads");
    }
    *out = q;
    return 0;
}

void storeq_stop(struct storeq *q)
{
    flush(q);
    end_writer(q);
    (void)pthread_join(q->syncer, NULL);
    store_destroy(q->store);
    deliver(q);
    close_handles(q);
}
