/* The shell of the worker machine (worker.c): events go in with their time, what it wishes is done,
 * and its timer runs. It decides nothing. */
#include <signal.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executor/internal.h"
#include "executor/proc.h"

enum { PID_BITS = 22 }; /* the kernel has no larger numbers */

/* A timer later than that: we were stopped (Ctrl-Z, docker pause), perhaps the worker with us. */
#define ASLEEP_MS 2000u

/* Less: a descendant ended that nobody awaited. */
static uint64_t grown(uint64_t before, uint64_t now)
{
    return now > before ? now - before : 0;
}

static void probe(struct slot *s)
{
    struct proc_usage before = s->usage;
    uint64_t now = executor_now(s->ex), elapsed = now - s->probed_ms;
    proc_tree_usage(s->proc.pid, &s->usage);
    const struct wk_used used = {.cpu_ms = grown(before.cpu_ms, s->usage.cpu_ms),
                                 .page_ins = grown(before.page_ins, s->usage.page_ins),
                                 .storage_bytes =
                                     grown(before.storage_bytes, s->usage.storage_bytes),
                                 .call_bytes = grown(before.call_bytes, s->usage.call_bytes)};
    s->probed_ms = now;
    if (wk_progressed(&used, elapsed))
        slot_feed(s, WK_EV_ACTIVITY);
}

static void send_signal(struct slot *s, int sig)
{
    s->sent_signal = true;
    if (sig == SIGKILL)
        log_event(LOG_WARNING, "worker_killed", LOG_INT("pid", s->proc.pid),
                  LOG_INT("slot", s->index));
    proc_kill_tree(s->proc.pid, sig);
}

static void obey(struct slot *s, unsigned todo)
{
    if (todo & WK_DO_PROBE)
        probe(s);
    if (todo & WK_DO_LOOK)
        deadlock_look(s);
    if (todo & WK_DO_EVIDENCE)
        hang_write_down(s);
    if (todo & WK_DO_TERM)
        send_signal(s, SIGTERM);
    if (todo & WK_DO_KILL)
        send_signal(s, SIGKILL);
    if (todo & WK_DO_REAP) /* before the leader is collected: the group's number is ours */
        (void)kill(-s->proc.pid, SIGKILL);
}

static void on_timer(uv_timer_t *t)
{
    struct slot *s = CONTAINER_OF(t, struct slot, timer);
    if (executor_now(s->ex) > s->timer_due_ms + ASLEEP_MS)
        slot_feed(s, WK_EV_ACTIVITY); /* silence proves nothing while nobody listened */
    pipes_listen(s);
    slot_feed(s, WK_EV_TICK);
}

static void arm_timer(struct slot *s)
{
    uint64_t due = wk_due(&s->fsm), listen = pipes_due(s), now = executor_now(s->ex);
    if (listen < due)
        due = listen;
    s->timer_due_ms = due > now ? due : now;
    if (due == UINT64_MAX)
        (void)uv_timer_stop(&s->timer);
    else
        (void)uv_timer_start(&s->timer, on_timer, due > now ? due - now : 1, 0);
}

static void feed(struct slot *s, struct wk_event ev)
{
    if (!s->alive)
        return;
    ev.now_ms = executor_now(s->ex);
    obey(s, wk_step(&s->fsm, ev));
    if (ev.type != WK_EV_ACTIVITY) /* which only moves deadlines away: the timer finds that out */
        arm_timer(s);
}

void slot_feed(struct slot *s, enum wk_event_type type)
{
    feed(s, (struct wk_event){.type = type});
}

void slot_feed_stuck(struct slot *s, const struct verdict *v)
{
    uint64_t born = v->start_ticks, now = proc_now_ticks();
    struct wk_event ev = {.type = WK_EV_STUCK, .who = born << PID_BITS | (uint64_t)v->pid};
    if (v->in_fork && born > 0 && born < now)
        ev.for_ms = proc_ticks_ms(now - born);
    feed(s, ev);
}

void slot_prune(struct slot *s)
{
    s->pruning = true;
    slot_feed(s, WK_EV_STOP);
}
