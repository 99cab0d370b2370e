#include "executor/deadlock.h"

#include "base/log.h"
#include "executor/internal.h"
#include "executor/proc.h"

#define STACKS_MS 3000u /* for the stacks of one look */
#define SCAN_MS 2000u   /* between two searches for forked children, where forks are not seen */
#define STACKS_WAIT_MS 1250u /* after stacks that proved nothing; doubled each time */
#define STACKS_WAIT_MAX_MS 300000u
#define MAX_DEPTH 64 /* of a worker's tree, as far as it is looked at */

/* --- forked children, where forks are not seen -------------------------------------------------
 */

static void look_at_child(void *ctx, pid_t pid)
{
    struct proc_stat st;
    bool *forked = ctx;
    *forked = *forked || (proc_read_stat(pid, &st) && (st.flags & PROC_FORKED_NO_EXEC) != 0);
}

/* Of processes with threads: one that has a child made by fork which did not exec; 0: none. */
static void find_forker(void *ctx, pid_t pid)
{
    pid_t *forker = ctx;
    bool forked = false;
    if (*forker != 0)
        return;
    proc_each_child(pid, look_at_child, &forked);
    *forker = forked ? pid : 0;
}

/* The slot of the worker that has this process in its tree; NULL: none. */
static struct slot *slot_of(struct executor *ex, pid_t pid)
{
    struct proc_stat st;
    for (int depth = 0; depth < MAX_DEPTH && pid > 1; depth++) {
        for (int i = 0; i < ex->plan.jobs; i++) {
            if (ex->slots[i].alive && ex->slots[i].proc.pid == pid)
                return &ex->slots[i];
        }
        pid = proc_read_stat(pid, &st) ? st.ppid : 0;
    }
    return NULL;
}

static void on_birth(void *ctx, pid_t pid)
{
    struct slot *s = slot_of(ctx, pid);
    if (s != NULL)
        s->deadlock.born = true;
}

/* Workers are looked at together: what is read of the machine serves all of them, and where few
 * were born they are fewer than those who live. */
static void look_for_births(struct executor *ex)
{
    uint64_t now = executor_now(ex);
    if (ex->births_ms == now)
        return;
    ex->births_ms = now;
    bool known = births_look(&ex->births, 2 * (unsigned)ex->plan.jobs, on_birth, ex);
    for (int i = 0; i < ex->plan.jobs && !known; i++)
        ex->slots[i].deadlock.born = true;
}

/* Whether its tree may have forked children that it had not at the last search. */
static bool somebody_is_new(struct slot *s)
{
    look_for_births(s->ex);
    bool born = s->deadlock.born;
    s->deadlock.born = false;
    return born;
}

/* --- looks -------------------------------------------------------------------------------------
 */

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
    if (!somebody_is_new(s) && !s->forks.threaded)
        return false;
    proc_walk_threaded(s->proc.pid, find_forker, &forker);
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
    if (!r->verdict.unsure) /* else the next look begins with who was stuck before */
        d->verdict = r->verdict;
    if (!proven && d->with_stacks && r->verdict.look_closer && !r->verdict.unsure) {
        d->stacks_ms = executor_now(s->ex) + d->stacks_wait_ms;
        d->stacks_wait_ms =
            2 * d->stacks_wait_ms < STACKS_WAIT_MAX_MS ? 2 * d->stacks_wait_ms : STACKS_WAIT_MAX_MS;
    }
    if (proven)
        slot_feed_stuck(s, &r->verdict);
    else
        slot_feed(s, r->verdict.unsure ? WK_EV_UNSURE : WK_EV_FREE);
}

void deadlock_begin(struct slot *s)
{
    s->deadlock = (struct deadlock){.stacks_wait_ms = STACKS_WAIT_MS, .born = true};
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
