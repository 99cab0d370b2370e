/* What the store has not taken is kept in the spool meanwhile. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "executor/spool/spool.h"
#include "executor/storeq/internal.h"

/* Between two tries to spool after one that failed: all that waits is encoded for each. */
#define SPOOL_AGAIN_MS 2000

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

void keep_waiting(struct storeq *q, struct storeq_job *first, struct jobs *behind)
{
    AUTO(buf_free) struct buf lines = BUF_INIT;
    struct spool *sp = q->conf.spool;
    struct err err = {0};
    if (sp == NULL || (clock_mono_ms() < atomic_load(&q->spool_again_ms) &&
                       !atomic_load(&q->impatient))) /* then it is the last chance */
        return;
    unsigned generation = spool_begin(sp);
    int64_t n = put_lines(first, generation, &lines);
    (void)pthread_mutex_lock(&q->lock); /* the loop appends to it */
    n += put_lines(behind->head, generation, &lines);
    (void)pthread_mutex_unlock(&q->lock);
    if (n > 0)
        (void)store_sync(q->store, NULL); /* as well as it can be */
    bool spooled = spool_append(sp, &lines, n, &err) == 0;
    mark_spooled(first, spooled);
    (void)pthread_mutex_lock(&q->lock);
    mark_spooled(behind->head, spooled);
    (void)pthread_mutex_unlock(&q->lock);
    atomic_store(&q->spool_again_ms, spooled ? 0 : clock_mono_ms() + SPOOL_AGAIN_MS);
    bool failed_before = n > 0 && atomic_exchange(&q->spool_failed, !spooled);
    if (n > 0 && spooled)
        log_event(LOG_INFO, "spooled", LOG_INT("entries", n), LOG_TEXT("file", spool_path(sp)));
    else if (n > 0 && !failed_before)
        log_event(LOG_ERROR, "spool_failed", LOG_INT("entries", n), LOG_TEXT("error", err.msg));
}

void keep_settle(struct storeq *q, const struct jobs *l)
{
    int64_t n = 0;
    for (const struct storeq_job *j = l->head; j != NULL; j = j->next)
        n += j->spooled && (j->rc >= 0 || store_refused(j->rc));
    if (n > 0)
        spool_settle(q->conf.spool, n);
}
