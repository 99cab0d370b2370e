#include "storage/grpc/server/crew.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

/* Work that takes longer than this, or at most twice as long, goes on beside the waiting. */
enum { TICK_MS = 10 };

struct member {
    struct crew *crew;
    pthread_t thread;
};

struct crew {
    struct crew_task task;
    size_t n;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t woken; /* the watcher need not rest any more */
    pthread_cond_t free;  /* there is no watcher */
    const struct member *charge, *watcher;
    uint64_t turn; /* goes up when who is in charge begins to work, and when it waits again: odd
                      while it works */
    bool resting;  /* nothing came for a tick: the watcher waits for `woken` */
    bool over;
    struct member members[];
};

/* ---- in charge ---- */

static void work(struct crew *c, const struct member *m)
{
    c->turn++;
    if (c->resting) {
        c->resting = false;
        (void)pthread_cond_signal(&c->woken);
    }
    (void)pthread_mutex_unlock(&c->lock);
    c->task.work(c->task.ctx);
    (void)pthread_mutex_lock(&c->lock);
    if (c->charge == m)
        c->turn++;
}

static void lead(struct crew *c, const struct member *m)
{
    (void)pthread_mutex_unlock(&c->lock);
    bool more = c->task.wait(c->task.ctx);
    (void)pthread_mutex_lock(&c->lock);
    if (more) {
        work(c, m);
        return;
    }
    c->over = true;
    (void)pthread_cond_broadcast(&c->woken);
    (void)pthread_cond_broadcast(&c->free);
}

/* ---- standing by ---- */

static void wait_tick(struct crew *c)
{
    uint64_t until = clock_mono_ns() + TICK_MS * UINT64_C(1000000);
    const struct timespec at = {.tv_sec = (time_t)(until / 1000000000),
                                .tv_nsec = (long)(until % 1000000000)};
    (void)pthread_cond_clockwait(&c->woken, &c->lock, CLOCK_MONOTONIC, &at);
}

static void rest(struct crew *c)
{
    c->resting = true;
    while (c->resting && !c->over)
        (void)pthread_cond_wait(&c->woken, &c->lock);
    c->resting = false;
}

/* Returns when the one in charge is held up, and this thread is in charge now; or at the end. */
static void watch(struct crew *c, const struct member *m)
{
    c->watcher = m;
    for (uint64_t seen = c->turn; !c->over; seen = c->turn) {
        wait_tick(c);
        if (c->turn != seen)
            continue;
        if (c->turn % 2 == 1) {
            c->charge = m;
            break;
        }
        rest(c);
    }
    c->watcher = NULL;
    (void)pthread_cond_signal(&c->free);
}

static void stand_by(struct crew *c, const struct member *m)
{
    if (c->watcher != NULL) {
        (void)pthread_cond_wait(&c->free, &c->lock);
        return;
    }
    watch(c, m);
    if (c->charge != m)
        return;
    c->turn++; /* what the other left undone comes first */
    work(c, m);
}

static void *run(void *ctx)
{
    const struct member *m = ctx;
    struct crew *c = m->crew;
    (void)pthread_mutex_lock(&c->lock);
    while (!c->over) {
        if (c->charge == m)
            lead(c, m);
        else
            stand_by(c, m);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- beginning and end ---- */

static void join(struct crew *c)
{
    for (size_t i = 0; i < c->n; i++)
        (void)pthread_join(c->members[i].thread, NULL);
    (void)pthread_cond_destroy(&c->woken);
    (void)pthread_cond_destroy(&c->free);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

/* Those that there are by then do nothing yet. */
static int give_up(struct crew *c, int sys, struct err *err)
{
    c->over = true;
    (void)pthread_mutex_unlock(&c->lock);
    join(c);
    return err_sys(err, sys, "a thread of the server");
}

int crew_start(struct crew **out, const struct crew_task *task, size_t n, struct err *err)
{
    struct crew *c = calloc(1, sizeof(*c) + n * sizeof(c->members[0]));
    if (c == NULL)
        return err_set(err, ERR_NOMEM, "the server's threads");
    c->task = *task;
    c->charge = &c->members[0];
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->woken, NULL);
    (void)pthread_cond_init(&c->free, NULL);
    (void)pthread_mutex_lock(&c->lock);
    for (; c->n < n; c->n++) {
        struct member *m = &c->members[c->n];
        m->crew = c;
        int sys = pthread_create(&m->thread, NULL, run, m);
        if (sys != 0)
            return give_up(c, sys, err);
    }
    (void)pthread_mutex_unlock(&c->lock);
    *out = c;
    return 0;
}

void crew_join(struct crew *c)
{
    if (c != NULL)
        join(c);
}
