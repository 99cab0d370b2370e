#include "executor/lookout.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
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

/* Where calls of one process come from is looked at so often: it takes longer than a fork. */
#define ORIGIN_EVERY_MS 1000u
#define ORIGIN_PROCESSES 8u

/* A call that is refused waits so long for its names: its caller may end with the error. */
#define DENIED_NAMES_MS 500u

/* Belongs to its owner and to the thread: who is done with it last frees it. The thread is not
 * waited for: a process in an uninterruptible wait can hold it up in /proc. */
struct lookout {
    struct lookout_conf conf;
    atomic_int refs;
    int listener; /* the thread's, which closes it with the lock; -1: closed */
    int stop;     /* an eventfd */
    atomic_uint_fast64_t forks;
    atomic_bool over;
    struct guard_pending pending; /* the thread's */
    struct fork_call last;        /* the thread's */
    struct asked {
        pid_t pid;
        uint64_t ms;
    } asked[ORIGIN_PROCESSES]; /* the thread's: the last ones, a ring */
    size_t n_asked;

    pthread_mutex_t lock; /* of what follows */
    int failed;           /* errno of what ended the thread early; 0: nothing */
    bool ended;
    bool hurried; /* names are not waited for */
    bool naming;  /* a thread looks for names */
    struct entry {
        struct lookout_report report;
        uint64_t serial;
        bool unnamed;       /* its stack is to be named */
    } reports[MAX_REPORTS]; /* a ring */
    size_t first, n;
    uint64_t serial; /* of the next one */
};

static struct entry *entry_at(struct lookout *l, size_t i)
{
    return &l->reports[(l->first + i) % MAX_REPORTS];
}

static void unref(struct lookout *l)
{
    if (atomic_fetch_sub(&l->refs, 1) > 1)
        return;
    cleanup_close(&l->listener);
    cleanup_close(&l->stop);
    for (size_t i = 0; i < l->pending.n; i++)
        origin_free(l->pending.v[i].origin);
    for (size_t i = 0; i < l->n; i++)
        origin_free(entry_at(l, i)->report.origin);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

static bool start_thread(struct lookout *l, void *(*run)(void *arg))
{
    pthread_attr_t attr;
    pthread_t thread;
    if (pthread_attr_init(&attr) != 0)
        return false;
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    int rc = pthread_create(&thread, &attr, run, l);
    (void)pthread_attr_destroy(&attr);
    return rc == 0;
}

/* With the lock. */
static void wake(struct lookout *l)
{
    if (!l->ended)
        l->conf.wake(l->conf.ctx);
}

/* --- names ------------------------------------------------------------------------------------ */

/* With the lock: the first report that waits for them. */
static struct entry *find_unnamed(struct lookout *l)
{
    for (size_t i = 0; i < l->n && !l->hurried; i++) {
        if (entry_at(l, i)->unnamed)
            return entry_at(l, i);
    }
    return NULL;
}

/* With the lock; stacks may be NULL. */
static void named(struct lookout *l, uint64_t serial, const struct stacks *names)
{
    for (size_t i = 0; i < l->n; i++) {
        struct entry *e = entry_at(l, i);
        if (e->serial != serial)
            continue;
        if (names != NULL)
            origin_put_names(e->report.origin, names);
        e->unnamed = false;
    }
}

/* A thread of its own, which lasts as long as there is something to be named. */
static void *find_names(void *arg)
{
    struct lookout *l = arg;
    struct entry *e;
    (void)pthread_mutex_lock(&l->lock);
    while ((e = find_unnamed(l)) != NULL) {
        struct stacks names;
        uint64_t serial = e->serial;
        AUTO_CLOSE int copy = origin_copy(e->report.origin);
        (void)pthread_mutex_unlock(&l->lock);
        origin_find_names(copy, clock_mono_ms() + LOOKOUT_NAMES_MS, &names);
        (void)pthread_mutex_lock(&l->lock);
        named(l, serial, &names);
        stacks_free(&names);
        wake(l);
    }
    l->naming = false;
    (void)pthread_mutex_unlock(&l->lock);
    unref(l);
    return NULL;
}

/* With the lock. */
static void have_named(struct lookout *l, struct entry *e)
{
    e->unnamed = true;
    if (l->naming)
        return;
    (void)atomic_fetch_add(&l->refs, 1);
    l->naming = start_thread(l, find_names);
    if (l->naming)
        return;
    (void)atomic_fetch_sub(&l->refs, 1);
    e->unnamed = false;
}

/* --- reports ---------------------------------------------------------------------------------- */

static struct entry *add_entry(struct lookout *l)
{
    if (l->n == MAX_REPORTS)
        return NULL;
    struct entry *e = entry_at(l, l->n++);
    *e = (struct entry){.serial = l->serial++};
    return e;
}

/* A loop of forks is one report. */
static bool is_tally(const struct lookout_report *r)
{
    return r->how == LOOKOUT_CALLED || r->how == LOOKOUT_MISSED;
}

/* Takes the origin over. */
static void report(struct lookout *l, const struct lookout_report *r)
{
    (void)pthread_mutex_lock(&l->lock);
    struct entry *last = l->n > 0 ? entry_at(l, l->n - 1) : NULL;
    bool same = last != NULL && is_tally(r) && last->report.how == r->how;
    struct entry *e = same ? NULL : add_entry(l);
    if (same) {
        last->report.n++;
    } else if (e != NULL) {
        e->report = *r;
        if (r->how == LOOKOUT_GOES_ON && origin_lacks_names(r->origin))
            have_named(l, e);
    } else {
        origin_free(r->origin);
    }
    if (!same)
        wake(l);
    (void)pthread_mutex_unlock(&l->lock);
}

static void report_found(struct lookout *l, const struct guard_pended *g)
{
    report(l, &(struct lookout_report){.how = LOOKOUT_GOES_ON,
                                       .n = 1,
                                       .call = g->call,
                                       .at_ms = g->at_ms,
                                       .origin = g->origin});
}

static void report_missed(struct lookout *l, const struct guard_pended *g)
{
    report(l, &(struct lookout_report){
                  .how = LOOKOUT_MISSED, .n = 1, .call = g->call, .at_ms = g->at_ms});
}

static void report_judged(struct lookout *l, const struct guard_pended *g, enum guard_judged how)
{
    if (how == GUARD_GOES_ON)
        report_found(l, g);
    else if (how == GUARD_MISSED)
        report_missed(l, g);
}

static void report_call(struct lookout *l, const struct fork_call *f, uint64_t at_ms, bool denied,
                        struct origin *origin)
{
    report(l, &(struct lookout_report){.how = denied ? LOOKOUT_DENIED : LOOKOUT_CALLED,
                                       .n = 1,
                                       .call = *f,
                                       .at_ms = at_ms,
                                       .origin = origin});
}

/* --- the thread ------------------------------------------------------------------------------- */

static void judge_due(struct lookout *l)
{
    uint64_t now = clock_mono_ms();
    struct guard_pended due;
    while (guard_take_due(&l->pending, now, &due))
        report_judged(l, &due, guard_judge(&l->pending, &due, now));
}

/* Whoever had run without exec has ended so. */
static void judge_last(struct lookout *l)
{
    struct guard_pended last;
    while (guard_take_due(&l->pending, UINT64_MAX, &last))
        report_judged(l, &last, guard_judge_last(&last));
    atomic_store(&l->over, true);
    (void)pthread_mutex_lock(&l->lock);
    wake(l);
    (void)pthread_mutex_unlock(&l->lock);
}

/* Whether the process was asked where it forks a moment ago. */
static bool was_asked(struct lookout *l, pid_t pid, uint64_t now)
{
    for (size_t i = 0; i < ORIGIN_PROCESSES; i++) {
        if (l->asked[i].pid == pid && now - l->asked[i].ms < ORIGIN_EVERY_MS)
            return true;
    }
    l->asked[l->n_asked++ % ORIGIN_PROCESSES] = (struct asked){pid, now};
    return false;
}

/* While it stands in its call; NULL: not now. */
static struct origin *find_origin(struct lookout *l, const struct fork_call *f, uint64_t now)
{
    struct origin *o = was_asked(l, f->pid, now) ? NULL : origin_take(f->pid, f->tid);
    if (o == NULL || guard_waits(l->listener, f->id))
        return o;
    origin_free(o); /* somebody else may have its number */
    return NULL;
}

static void name_now(struct origin *o)
{
    AUTO_CLOSE int copy = origin_copy(o);
    struct stacks names;
    if (copy < 0)
        return;
    origin_find_names(copy, clock_mono_ms() + DENIED_NAMES_MS, &names);
    origin_put_names(o, &names);
    stacks_free(&names);
}

/* A fork with threads. Returns 0, or the errno with which the kernel refused the answer. */
static int serve_threaded(struct lookout *l, const struct fork_call *f)
{
    bool deny = l->conf.deny && guard_deadly(f);
    uint64_t now = clock_mono_ms();
    struct origin *o = deny || guard_has_room(&l->pending, f->pid) ? find_origin(l, f, now) : NULL;
    if (deny)
        name_now(o);
    l->last = *f;
    report_call(l, f, now, deny, deny ? o : NULL);
    int sys = guard_answer(l->listener, f->id, deny ? EAGAIN : 0);
    if (!deny)
        guard_pend(&l->pending, f, o, now);
    return sys;
}

/* Returns 0, or an errno: callers cannot be answered. */
static int serve(struct lookout *l)
{
    struct fork_call f;
    if (!guard_receive(l->listener, &l->last, &f))
        return errno == ENOENT || errno == EINTR ? 0 : errno; /* its caller is gone */
    (void)atomic_fetch_add_explicit(&l->forks, 1, memory_order_relaxed);
    return guard_threaded(&f) ? serve_threaded(l, &f) : guard_answer(l->listener, f.id, 0);
}

/* Until it is told to stop, or all who could fork are gone; else returns the errno of what failed.
 */
static int answer_forks(struct lookout *l)
{
    for (;;) {
        struct pollfd p[] = {{.fd = l->listener, .events = POLLIN},
                             {.fd = l->stop, .events = POLLIN}};
        if (poll(p, ARRAY_LEN(p), guard_patience(&l->pending, clock_mono_ms())) < 0 &&
            errno != EINTR)
            return errno;
        if (p[1].revents != 0)
            return 0;
        int sys = (p[0].revents & POLLIN) != 0 ? serve(l) : 0;
        if (sys != 0)
            return sys;
        if (p[0].revents != 0 && (p[0].revents & POLLIN) == 0)
            return 0;
        judge_due(l);
    }
}

/* Nobody answers any more. Whoever stands in a fork, or comes to one, would wait for ever: once the
 * listener is closed the kernel lets it fail (ENOSYS). */
static void leave(struct lookout *l, int sys)
{
    (void)pthread_mutex_lock(&l->lock);
    cleanup_close(&l->listener);
    l->listener = -1;
    l->failed = sys;
    (void)pthread_mutex_unlock(&l->lock);
    judge_last(l);
}

static void *stand(void *arg)
{
    struct lookout *l = arg;
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL); /* an answer is not to be interrupted */
    leave(l, answer_forks(l));
    unref(l);
    return NULL;
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
    if (start_thread(l, stand))
        return l;
    unref(l);
    unref(l);
    return NULL;
}

bool lookout_take(struct lookout *l, struct lookout_report *out)
{
    (void)pthread_mutex_lock(&l->lock);
    bool any = l->n > 0 && (l->hurried || !entry_at(l, 0)->unnamed);
    if (any) {
        *out = entry_at(l, 0)->report;
        l->first = (l->first + 1) % MAX_REPORTS;
        l->n--;
    }
    (void)pthread_mutex_unlock(&l->lock);
    return any;
}

bool lookout_names(struct lookout *l)
{
    (void)pthread_mutex_lock(&l->lock);
    bool names = find_unnamed(l) != NULL;
    (void)pthread_mutex_unlock(&l->lock);
    return names;
}

void lookout_hurry(struct lookout *l)
{
    (void)pthread_mutex_lock(&l->lock);
    l->hurried = true;
    (void)pthread_mutex_unlock(&l->lock);
}

uint64_t lookout_forks(struct lookout *l)
{
    return atomic_load_explicit(&l->forks, memory_order_relaxed);
}

bool lookout_watches(struct lookout *l)
{
    (void)pthread_mutex_lock(&l->lock);
    struct pollfd p = {.fd = l->listener};
    bool watches = p.fd >= 0 && poll(&p, 1, 0) >= 0 && (p.revents & POLLHUP) == 0;
    (void)pthread_mutex_unlock(&l->lock);
    return watches;
}

int lookout_failed(struct lookout *l)
{
    (void)pthread_mutex_lock(&l->lock);
    int failed = l->failed;
    (void)pthread_mutex_unlock(&l->lock);
    return failed;
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
