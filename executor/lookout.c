#include "executor/lookout.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* Reports that nobody has taken yet; what comes above is not told one by one. */
#define MAX_REPORTS 256u

/* It looks into /proc and little else. */
#define STACK_BYTES (128u << 10)

/* Belongs to its owner and to the thread: who is done with it last frees it. The thread is not
 * waited for: a process in an uninterruptible wait can hold it up in /proc. */
struct lookout {
    struct lookout_conf conf;
    atomic_int refs;
    int listener; /* the thread's */
    int stop;     /* an eventfd */
    atomic_uint_fast64_t forks;
    atomic_bool over;
    struct guard_pending pending; /* the thread's */
    struct fork_call last;        /* the thread's */

    pthread_mutex_t lock; /* of what follows */
    bool ended;
    struct lookout_report reports[MAX_REPORTS]; /* a ring */
    size_t first, n;
};

static void unref(struct lookout *l)
{
    if (atomic_fetch_sub(&l->refs, 1) > 1)
        return;
    cleanup_close(&l->listener);
    cleanup_close(&l->stop);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

static struct lookout_report *last_report(struct lookout *l)
{
    return l->n > 0 ? &l->reports[(l->first + l->n - 1) % MAX_REPORTS] : NULL;
}

static void report(struct lookout *l, int how, const struct fork_call *f, uint64_t at_ms)
{
    (void)pthread_mutex_lock(&l->lock);
    struct lookout_report *last = last_report(l);
    bool same = last != NULL && last->how == LOOKOUT_CALLED && how == LOOKOUT_CALLED;
    if (same) /* a loop of forks is one report */
        last->n++;
    else if (l->n < MAX_REPORTS) {
        l->n++;
        *last_report(l) = (struct lookout_report){.how = how, .n = 1, .call = *f, .at_ms = at_ms};
    }
    if (!same && !l->ended)
        l->conf.wake(l->conf.ctx);
    (void)pthread_mutex_unlock(&l->lock);
}

/* --- the thread ------------------------------------------------------------------------------- */

static void judge_due(struct lookout *l)
{
    uint64_t now = clock_mono_ms();
    struct guard_pended due;
    while (guard_take_due(&l->pending, now, &due)) {
        if (guard_goes_on(&l->pending, &due, now))
            report(l, LOOKOUT_GOES_ON, &due.call, due.at_ms);
    }
}

/* Whoever had run without exec has ended so. */
static void judge_last(struct lookout *l)
{
    struct guard_pended last;
    while (guard_take_due(&l->pending, UINT64_MAX, &last)) {
        if (last.suspect != 0)
            report(l, LOOKOUT_GOES_ON, &last.call, last.at_ms);
    }
    atomic_store(&l->over, true);
    (void)pthread_mutex_lock(&l->lock);
    if (!l->ended)
        l->conf.wake(l->conf.ctx);
    (void)pthread_mutex_unlock(&l->lock);
}

static void serve(struct lookout *l)
{
    struct fork_call f;
    if (!guard_receive(l->listener, &l->last, &f))
        return;
    if (guard_threaded(&f))
        l->last = f;
    bool deny = l->conf.deny && guard_deadly(&f);
    uint64_t now = guard_threaded(&f) ? clock_mono_ms() : 0;
    (void)atomic_fetch_add_explicit(&l->forks, 1, memory_order_relaxed);
    if (guard_threaded(&f))
        report(l, deny ? LOOKOUT_DENIED : LOOKOUT_CALLED, &f, now);
    guard_answer(l->listener, f.id, deny ? EAGAIN : 0);
    if (guard_threaded(&f) && !deny)
        guard_pend(&l->pending, &f, now);
}

static void *stand(void *arg)
{
    struct lookout *l = arg;
    for (;;) {
        struct pollfd p[] = {{.fd = l->listener, .events = POLLIN},
                             {.fd = l->stop, .events = POLLIN}};
        if (poll(p, ARRAY_LEN(p), guard_patience(&l->pending, clock_mono_ms())) < 0 &&
            errno != EINTR)
            break;
        if (p[1].revents != 0)
            break;
        if ((p[0].revents & POLLIN) != 0)
            serve(l);
        else if (p[0].revents != 0) { /* all who could fork are gone */
            judge_last(l);
            break;
        }
        judge_due(l);
    }
    unref(l);
    return NULL;
}

static bool start_thread(struct lookout *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    if (pthread_attr_init(&attr) != 0)
        return false;
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    int rc = pthread_create(&thread, &attr, stand, l);
    (void)pthread_attr_destroy(&attr);
    return rc == 0;
}

/* --- its owner -------------------------------------------------------------------------------- */

struct lookout *lookout_start(int listener, const struct lookout_conf *conf)
{
    struct lookout *l = calloc(1, sizeof(*l));
    int stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l == NULL || stop < 0) {
        free(l);
        cleanup_close(&stop);
        cleanup_close(&listener);
        return NULL;
    }
    l->conf = *conf;
    l->listener = listener;
    l->stop = stop;
    atomic_store(&l->refs, 2);
    (void)pthread_mutex_init(&l->lock, NULL);
    guard_prepare(listener);
    if (start_thread(l))
        return l;
    unref(l);
    unref(l);
    return NULL;
}

bool lookout_take(struct lookout *l, struct lookout_report *out)
{
    (void)pthread_mutex_lock(&l->lock);
    bool any = l->n > 0;
    if (any) {
        *out = l->reports[l->first];
        l->first = (l->first + 1) % MAX_REPORTS;
        l->n--;
    }
    (void)pthread_mutex_unlock(&l->lock);
    return any;
}

uint64_t lookout_forks(struct lookout *l)
{
    return atomic_load_explicit(&l->forks, memory_order_relaxed);
}

bool lookout_watches(const struct lookout *l)
{
    struct pollfd p = {.fd = l->listener};
    return poll(&p, 1, 0) >= 0 && (p.revents & POLLHUP) == 0;
}

bool lookout_is_over(const struct lookout *l)
{
    return atomic_load(&l->over);
}

void lookout_end(struct lookout *l)
{
    if (l == NULL)
        return;
    (void)pthread_mutex_lock(&l->lock);
    l->ended = true;
    (void)pthread_mutex_unlock(&l->lock);
    (void)eventfd_write(l->stop, 1);
    unref(l);
}
