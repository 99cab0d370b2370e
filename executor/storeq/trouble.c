/* A store that refuses for a while: how long it is tried again, and what the loop is told. */
#include <time.h>

#include "base/clock.h"
#include "executor/storeq/internal.h"

#define RETRY_MS 200         /* between two tries while the store refuses */
#define TELL_AGAIN_MS 15000u /* while it refuses it is said again and again */

bool trouble_is(int rc)
{
    return rc == -ERR_BUSY || rc == -ERR_UNAVAILABLE;
}

int trouble_of_batch(int rc, struct err *err)
{
    if (!store_refused(rc))
        return rc;
    err->code = ERR_UNAVAILABLE;
    return -ERR_UNAVAILABLE;
}

void trouble_set(struct storeq *q, unsigned whose, const struct err *err)
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

bool trouble_given_up(struct storeq *q, int rc, uint64_t since_ms)
{
    if (!trouble_is(rc))
        return true;
    bool over = atomic_load(&q->impatient) || clock_mono_ms() - since_ms >= q->conf.patience_ms;
    if (over)
        atomic_store(&q->lost, true);
    return over;
}

void trouble_nap(void)
{
    const struct timespec ts = {.tv_nsec = RETRY_MS * 1000000L};
    (void)nanosleep(&ts, NULL);
}
