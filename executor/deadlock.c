#include "executor/deadlock.h"

#include "base/log.h"
#include "executor/internal.h"
#include "executor/proc.h"

#define STACKS_MS 3000u /* for the stacks of one look */
#define SCAN_MS 2000u   /* between two searches for forked children, where forks are not seen */
#define STACKS_WAIT_MS 1250u /* after stacks that proved nothing; doubled each time */
#define STACKS_WAIT_MAX_MS 300000u

/* A process with threads that has a child made by fork which did not exec; 0: none. */
static void find_forker(void *ctx, pid_t pid)
{
    struct proc_stat st, parent;
    pid_t *forker = ctx;
    if (*forker == 0 && proc_read_stat(pid, &st) && (st.flags & PROC_FORKED_NO_EXEC) != 0 &&
        proc_read_stat(st.ppid, &parent) && parent.threads > 1)
        *forker = st.ppid;
}

/* Workers are looked at together: what is read of the machine serves all of them. */
static int64_t newest(struct executor *ex)
{
    uint64_t now = executor_now(ex);
    if (ex->newest_ms != now)
        ex->newest = proc_newest();
    ex->newest_ms = now;
    return ex->newest;
}

/* Whether it has no forked children because nobody at all was born since the last search. */
static bool nobody_is_new(struct slot *s)
{
    int64_t now = newest(s->ex), before = s->deadlock.newest;
    s->deadlock.newest = now;
    return !s->forks.threaded && now != 0 && now == before;
}

/* Whether there is any reason to look closely: most workers never fork, and cost nothing here. */
static bool has_grounds(struct slot *s)
{
    uint64_t now = executor_now(s->ex);
    pid_t forker = 0;
    if (s->forks.lookout != NULL)
        return s->forks.threaded;
    if (now - s->deadlock.scanned_ms < SCAN_MS)
        return s->forks.threaded;
    s->deadlock.scanned_ms = now;
    if (nobody_is_new(s))
        return false;
    proc_walk(s->proc.pid, find_forker, &forker);
    s->forks.threaded = forker != 0;
    if (forker != 0)
        forks_found(s, forker);
    return forker != 0;
}

static void on_look(void *ctx, const struct evidence_result *r)
{
    struct slot *s = ctx;
    struct deadlock *d = &s->deadlock;
    bool proven = r->verdict.kind == VERDICT_PROVEN;
    d->look = NULL;
    log_event(LOG_DEBUG, "deadlock_look", LOG_INT("pid", s->proc.pid),
              LOG_TEXT("deadlock", verdict_name(r->verdict.kind)),
              LOG_FLAG("stacks", d->with_stacks), LOG_FLAG("unsure", r->verdict.unsure),
              LOG_TEXT("why", r->verdict.why), LOG_INT("ms", r->took_ms));
    d->verdict = r->verdict;
    if (!proven && d->with_stacks && r->verdict.look_closer && !r->verdict.unsure) {
        d->stacks_ms = executor_now(s->ex) + d->stacks_wait_ms;
        d->stacks_wait_ms =
            2 * d->stacks_wait_ms < STACKS_WAIT_MAX_MS ? 2 * d->stacks_wait_ms : STACKS_WAIT_MAX_MS;
    }
    if (proven)
        slot_feed_stuck(s, r->verdict.in_fork ? proc_age_ms(r->verdict.pid) : 0);
    else
        slot_feed(s, r->verdict.unsure ? WK_EV_UNSURE : WK_EV_FREE);
}

void deadlock_begin(struct slot *s)
{
    s->deadlock = (struct deadlock){.stacks_wait_ms = STACKS_WAIT_MS};
}

void deadlock_look(struct slot *s)
{
    struct deadlock *d = &s->deadlock;
    if (has_grounds(s)) {
        d->with_stacks = executor_now(s->ex) >= d->stacks_ms;
        d->look = evidence_look(&s->ex->loop, s->proc.pid, &d->verdict,
                                d->with_stacks ? STACKS_MS : 0, on_look, s);
    }
    if (d->look == NULL)
        slot_feed(s, WK_EV_FREE);
}

void deadlock_end(struct slot *s)
{
    struct evidence_result nothing;
    evidence_cancel(s->deadlock.look, &nothing);
    s->deadlock.look = NULL;
}
