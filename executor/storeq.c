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
#include "base/log.h"
#include "executor/spool/spool.h"

/* Between two tries while the store refuses. */
#define RETRY_MS 200

/* While it is locked when it is to be opened. */
#define OPEN_PATIENCE_MS 60000u

/* A batch lost a job. */
#define BATCH_AGAIN 1

/* Between two tries to spool after one that failed: all that waits is encoded for each. */
#define SPOOL_AGAIN_MS 2000

/* While it refuses it is said again and again. */
#define TELL_AGAIN_MS 15000

/* Writes that nobody waits for stay so long for company: a short trial's parameters and reports
 * then go into the transaction of its outcome. */
#define LINGER_MS 25

struct list {
    struct storeq_job *head, **tail;
};

/* Who is refused by the store at the moment. */
enum { TROUBLE_WRITE = 1, TROUBLE_SYNC = 2 };

/* Two threads: the writer runs the jobs and commits; the syncer then makes their commits durable,
 * as many as have come together, while the writer goes on. So a claim, for which a worker's place
 * stands empty, never waits for the disk.
 *
 *   loop ─push▶ urgent ─▶ writer ──────────────────────▶ done ─▶ loop
 *        └────▶ normal ─▶ writer ─▶ unsynced ─▶ syncer ─┘
 */
struct storeq {
    pthread_t writer, syncer;
    pthread_mutex_t lock; /* guards the lists but the new ones, stop, written, syncing, trouble */
    pthread_cond_t wake, wake_syncer;
    struct list urgent, normal, unsynced, done;
    struct list new_urgent, new_normal; /* the loop's: pushed in this tick */
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

/* err NULL: it is over, unless something was given up in it: a smaller write that fits afterwards
 * brings that not back. */
static void set_trouble(struct storeq *q, unsigned whose, const struct err *err)
{
    uint64_t now_ms = clock_mono_ms();
    if (err == NULL && atomic_load(&q->lost))
        return;
    (void)pthread_mutex_lock(&q->lock);
    unsigned now = err != NULL ? q->trouble | whose : q->trouble & ~whose;
    bool changed = (q->trouble != 0) != (now != 0);
    bool again = err != NULL && !changed && now_ms - q->trouble_ms >= TELL_AGAIN_MS;
    bool news = changed || again;
    q->trouble = now;
    q->tell_again = q->tell_again || again;
    if (err != NULL)
        q->trouble_err = *err;
    if (news)
        q->trouble_ms = now_ms;
    (void)pthread_mutex_unlock(&q->lock);
    if (news)
        (void)uv_async_send(&q->async);
}

/* Runs one of a batch. Returns 0, trouble, or BATCH_AGAIN when the job was dropped. */
static int run_job(struct storeq *q, struct storeq_job *j, struct err *err)
{
    j->err = (struct err){0};
    j->rc = j->run(j, q->store, &j->err);
    if (j->rc >= 0 || store_refused(j->rc))
        return 0;
    *err = j->err;
    j->dropped = !is_trouble(j->rc);
    return j->dropped ? BATCH_AGAIN : j->rc;
}

/* What the store says to a whole batch answers none of its jobs: only what a job's own run was
 * refused with does, and is as good as stored. */
static int of_batch(int rc, struct err *err)
{
    if (!store_refused(rc))
        return rc;
    err->code = ERR_UNAVAILABLE;
    return -ERR_UNAVAILABLE;
}

static int run_jobs(struct storeq *q, struct storeq_job *first, const struct storeq_job *end,
                    struct err *err)
{
    int rc = of_batch(store_begin(q->store, err), err);
    if (rc < 0)
        return rc;
    for (struct storeq_job *j = first; j != end && rc == 0; j = j->next) {
        if (!j->dropped)
            rc = run_job(q, j, err);
    }
    if (rc == 0)
        rc = of_batch(store_commit(q->store, false, err), err);
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

/* Puts what these jobs write into lines, unless it is in the spool already. Returns how many. */
static int64_t put_lines(struct storeq_job *first, unsigned generation, struct buf *lines)
{
    int64_t n = 0;
    for (struct storeq_job *j = first; j != NULL; j = j->next) {
        if (j->spool == NULL || j->spooled || j->dropped)
            continue;
        j->spool(j, generation, lines);
        j->spooling = true;
        n++;
    }
    return n;
}

static void mark_spooled(struct storeq_job *first, bool spooled)
{
    for (struct storeq_job *j = first; j != NULL; j = j->next) {
        j->spooled = j->spooled || (j->spooling && spooled);
        j->spooling = false;
    }
}

/* The store refuses: what these jobs write, and those that wait behind them, goes to the spool.
 * Before the first of them, what is committed is made as durable as they are: it leads to them. */
static void keep(struct storeq *q, struct storeq_job *first, struct list *behind)
{
    AUTO(buf_free) struct buf lines = BUF_INIT;
    struct spool *sp = q->conf.spool;
    struct err err = {0};
    if (sp == NULL || (clock_mono_ms() < atomic_load(&q->spool_again_ms) &&
                       !atomic_load(&q->impatient))) /* then it is the last chance */
        return;
    unsigned generation = spool_begin(sp);
    int64_t n = put_lines(first, generation, &lines);
    if (behind != NULL) {
        (void)pthread_mutex_lock(&q->lock); /* the loop appends to it */
        n += put_lines(behind->head, generation, &lines);
        (void)pthread_mutex_unlock(&q->lock);
    }
    if (n > 0)
        (void)store_sync(q->store, NULL); /* as well as it can be */
    bool spooled = spool_append(sp, &lines, n, &err) == 0;
    mark_spooled(first, spooled);
    if (behind != NULL) {
        (void)pthread_mutex_lock(&q->lock);
        mark_spooled(behind->head, spooled);
        (void)pthread_mutex_unlock(&q->lock);
    }
    atomic_store(&q->spool_again_ms, spooled ? 0 : clock_mono_ms() + SPOOL_AGAIN_MS);
    bool failed_before = n > 0 && atomic_exchange(&q->spool_failed, !spooled);
    if (n > 0 && spooled)
        log_event(LOG_INFO, "spooled", LOG_INT("entries", n), LOG_TEXT("file", spool_path(sp)));
    else if (n > 0 && !failed_before)
        log_event(LOG_ERROR, "spool_failed", LOG_INT("entries", n), LOG_TEXT("error", err.msg));
}

/* The store has these jobs, or has answered them. */
static void settle(struct storeq *q, const struct list *l)
{
    int64_t n = 0;
    for (const struct storeq_job *j = l->head; j != NULL; j = j->next)
        n += j->spooled && (j->rc >= 0 || store_refused(j->rc));
    if (n > 0)
        spool_settle(q->conf.spool, n);
}

static void nap(void)
{
    const struct timespec ts = {.tv_nsec = RETRY_MS * 1000000L};
    (void)nanosleep(&ts, NULL);
}

/* Whether it is not worth another try. */
static bool given_up(struct storeq *q, int rc, uint64_t since_ms)
{
    if (!is_trouble(rc))
        return true;
    bool over = atomic_load(&q->impatient) || clock_mono_ms() - since_ms >= q->conf.patience_ms;
    if (over)
        atomic_store(&q->lost, true);
    return over;
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
            set_trouble(q, TROUBLE_WRITE, NULL);
            return;
        }
        set_trouble(q, TROUBLE_WRITE, is_trouble(rc) ? &err : NULL);
        if (is_trouble(rc))
            keep(q, first, &q->normal);
        if (given_up(q, rc, start)) {
            for (struct storeq_job *j = first; j != end; j = j->next) {
                j->rc = j->dropped ? j->rc : rc;
                j->err = j->dropped ? j->err : err;
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
        (void)pthread_mutex_lock(&q->use);
        job->rc = job->run(job, q->store, &job->err);
        (void)pthread_mutex_unlock(&q->use);
        set_trouble(q, TROUBLE_WRITE, is_trouble(job->rc) ? &job->err : NULL);
        if (is_trouble(job->rc))
            keep(q, job, &q->normal);
        if (given_up(q, job->rc, start))
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
        while (end != NULL && end->kind != STOREQ_READ)
            end = end->next;
        run_until_stored(q, j, end);
        j = end;
    }
}

static void tell_committed(const struct list *l)
{
    for (struct storeq_job *j = l->head; j != NULL; j = j->next) {
        if (j->committed != NULL && j->rc == 0)
            j->committed(j);
    }
}

/* Takes the jobs out of a list that do not wait for the disk, whatever came with them. */
static struct list take_claims(struct list *l)
{
    struct list claims, rest;
    list_init(&claims);
    list_init(&rest);
    for (struct storeq_job *j = l->head, *next; j != NULL; j = next) {
        next = j->next;
        list_push(j->kind == STOREQ_CLAIM_AHEAD ? &claims : &rest, j);
    }
    list_init(l);
    list_append(l, rest);
    return claims;
}

static bool any_durable(const struct list *l)
{
    for (const struct storeq_job *j = l->head; j != NULL; j = j->next) {
        if (j->kind == STOREQ_DURABLE)
            return true;
    }
    return false;
}

/* Jobs that were run go on, to the syncer when one of them has to be durable, or when earlier ones
 * are there still: all but claims come back in order. */
static void pass_on(struct storeq *q, struct list work, bool urgent)
{
    tell_committed(&work);
    struct list claims = take_claims(&work);
    (void)pthread_mutex_lock(&q->lock);
    bool by_sync = !urgent && work.head != NULL &&
                   (any_durable(&work) || q->unsynced.head != NULL || q->syncing);
    (void)pthread_mutex_unlock(&q->lock);
    if (!by_sync)
        settle(q, &work);
    bool news = claims.head != NULL || !by_sync;
    (void)pthread_mutex_lock(&q->lock);
    list_append(&q->done, claims);
    list_append(by_sync ? &q->unsynced : &q->done, work);
    if (by_sync)
        (void)pthread_cond_signal(&q->wake_syncer);
    (void)pthread_mutex_unlock(&q->lock);
    if (news)
        (void)uv_async_send(&q->async);
}

static void *write_thread(void *arg)
{
    struct storeq *q = arg;
    for (;;) {
        (void)pthread_mutex_lock(&q->lock);
        while (q->urgent.head == NULL && q->normal.head == NULL && !q->stop)
            (void)pthread_cond_wait(&q->wake, &q->lock);
        bool urgent = q->urgent.head != NULL;
        struct list work = list_take(urgent ? &q->urgent : &q->normal);
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
    return of_batch(rc, err);
}

static void sync_list(struct storeq *q, const struct list *l)
{
    struct err err = {0};
    uint64_t start = clock_mono_ms();
    for (;;) {
        int rc = sync_store(q, &err);
        set_trouble(q, TROUBLE_SYNC, rc < 0 ? &err : NULL);
        if (rc == 0)
            return;
        keep(q, l->head, &q->unsynced);
        if (given_up(q, rc, start)) {
            for (struct storeq_job *j = l->head; j != NULL; j = j->next) {
                if (j->kind == STOREQ_DURABLE && j->rc == 0) {
                    j->rc = rc;
                    j->err = err;
                }
            }
            return;
        }
        nap();
    }
}

static void *sync_thread(void *arg)
{
    struct storeq *q = arg;
    (void)pthread_mutex_lock(&q->lock);
    for (;;) {
        while (q->unsynced.head == NULL && !q->written)
            (void)pthread_cond_wait(&q->wake_syncer, &q->lock);
        struct list work = list_take(&q->unsynced);
        if (work.head == NULL)
            break;
        q->syncing = true;
        (void)pthread_mutex_unlock(&q->lock);
        if (any_durable(&work))
            sync_list(q, &work);
        settle(q, &work);
        (void)pthread_mutex_lock(&q->lock);
        q->syncing = false;
        list_append(&q->done, work);
        (void)uv_async_send(&q->async);
    }
    (void)pthread_mutex_unlock(&q->lock);
    return NULL;
}

static void deliver(struct storeq *q)
{
    (void)pthread_mutex_lock(&q->lock);
    struct list done = list_take(&q->done);
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

static void end_writer(struct storeq *q)
{
    (void)pthread_mutex_lock(&q->lock);
    q->stop = true;
    (void)pthread_cond_signal(&q->wake);
    (void)pthread_mutex_unlock(&q->lock);
    (void)pthread_join(q->writer, NULL);
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
    (void)pthread_mutex_destroy(&q->use);
    (void)pthread_cond_destroy(&q->wake);
    (void)pthread_cond_destroy(&q->wake_syncer);
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

/* Both or none; returns an errno. */
static int start_threads(struct storeq *q)
{
    sigset_t all, before; /* signals are the loop's */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int sys = pthread_create(&q->writer, NULL, write_thread, q);
    if (sys == 0) {
        sys = pthread_create(&q->syncer, NULL, sync_thread, q);
        if (sys != 0)
            end_writer(q);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return sys;
}

/* They are held back until the loop runs. */
static bool stop_waits(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

/* Others may hold the lock while they make the tables, or for longer. */
static int open_patiently(struct store **out, const struct storeq_conf *conf,
                          const struct store_opts *opts, struct err *err)
{
    uint64_t start = clock_mono_ms(), patience = OPEN_PATIENCE_MS;
    if (conf->open_ms > 0 && conf->open_ms < patience)
        patience = conf->open_ms;
    int rc;
    do
        rc = store_open(out, conf->url, opts, err);
    while (rc == -ERR_BUSY && !stop_waits() && clock_mono_ms() - start < patience);
    if (rc == -ERR_BUSY && stop_waits())
        return err_set(err, ERR_STOPPED, "stopped while another program held the store");
    return rc;
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
    list_init(&q->unsynced);
    list_init(&q->done);
    list_init(&q->new_urgent);
    list_init(&q->new_normal);
    int rc = open_patiently(&q->store, conf, &opts, err);
    if (rc == 0 && store_in_memory(q->store)) {
        store_destroy(q->store);
        rc = err_set(err, ERR_INVALID,
                     "storage %s: what is in memory is gone when the run ends, name a file",
                     conf->url);
    }
    if (rc < 0) {
        free(q);
        return rc;
    }
    (void)pthread_mutex_init(&q->lock, NULL);
    (void)pthread_mutex_init(&q->use, NULL);
    (void)pthread_cond_init(&q->wake, NULL);
    (void)pthread_cond_init(&q->wake_syncer, NULL);
    rc = uv_async_init(loop, &q->async, on_async);
    assert(rc == 0);
    (void)uv_prepare_init(loop, &q->flush);
    (void)uv_prepare_start(&q->flush, on_tick_end);
    uv_unref((uv_handle_t *)&q->flush);
    (void)uv_timer_init(loop, &q->linger);
    int sys = start_threads(q);
    if (sys != 0) {
        store_destroy(q->store);
        close_handles(q);
        return err_sys(err, sys, "store threads");
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
    end_writer(q);
    (void)pthread_join(q->syncer, NULL);
    store_destroy(q->store);
    deliver(q);
    close_handles(q);
}
