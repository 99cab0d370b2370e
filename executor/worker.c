#include "executor/worker.h"

#include <assert.h>

/* A silent worker's CPU time is looked at so many times before the stall limit. */
#define PROBES_PER_STALL 12u

/* A deadlock is looked for so many times in the time that it has to last. */
#define LOOKS_PER_DEADLOCK 8u

/* A probe counts as progress from so much on, for each second. A page-in brings at least a page. */
#define BUSY_CPU_MS 10u
#define BUSY_PAGE_BYTES 4096u
#define BUSY_STORAGE_BYTES 4096u
#define BUSY_CALL_BYTES 65536u /* a monitor reads some KiB of /proc now and then */

bool wk_progressed(const struct wk_used *used, uint64_t elapsed_ms)
{
    uint64_t storage = used->storage_bytes + used->page_ins * BUSY_PAGE_BYTES;
    return (used->cpu_ms > 0 && used->cpu_ms * 1000 >= elapsed_ms * BUSY_CPU_MS) ||
           (storage > 0 && storage * 1000 >= elapsed_ms * BUSY_STORAGE_BYTES) ||
           (used->call_bytes > 0 && used->call_bytes * 1000 >= elapsed_ms * BUSY_CALL_BYTES);
}

typedef unsigned action_fn(struct wk *w, uint64_t now_ms);

/* clang-format off */
static const unsigned allowed[WK_STATES] = {
    [WK_IDLE]        = 1u << WK_RUNNING | 1u << WK_LEAVING | 1u << WK_TERMINATING | 1u << WK_KILLING | 1u << WK_DEAD,
    [WK_RUNNING]     = 1u << WK_IDLE | 1u << WK_EVIDENCE | 1u << WK_TERMINATING | 1u << WK_KILLING | 1u << WK_DEAD,
    [WK_LEAVING]     = 1u << WK_TERMINATING | 1u << WK_KILLING | 1u << WK_DEAD,
    [WK_EVIDENCE]    = 1u << WK_RUNNING | 1u << WK_TERMINATING | 1u << WK_KILLING | 1u << WK_DEAD,
    [WK_TERMINATING] = 1u << WK_KILLING | 1u << WK_DEAD,
    [WK_KILLING]     = 1u << WK_DEAD,
    [WK_DEAD]        = 0,
};
/* clang-format on */

static void move(struct wk *w, enum wk_state to)
{
    assert(allowed[w->state] & 1u << to);
    w->state = to;
    w->due_ms = 0;
}

static uint64_t probe_interval(const struct wk *w)
{
    uint64_t ms = w->conf.stall_ms / PROBES_PER_STALL;
    return ms > 0 ? ms : 1;
}

/* At times that are the same for all workers: who looks at many wakes up once. */
static uint64_t next_look(const struct wk *w, uint64_t now_ms)
{
    uint64_t ms = w->conf.deadlock_ms / LOOKS_PER_DEADLOCK;
    return ms > 0 ? (now_ms / ms + 1) * ms : now_ms + 1;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static unsigned ignore(struct wk *w, uint64_t now_ms)
{
    (void)w;
    (void)now_ms;
    return 0;
}

static unsigned begin_trial(struct wk *w, uint64_t now_ms)
{
    move(w, WK_RUNNING);
    w->started_ms = now_ms;
    w->active_ms = now_ms;
    w->last_look = false;
    w->probe_ms = now_ms + probe_interval(w);
    w->stuck = false;
    if (w->look_ms != UINT64_MAX)
        w->look_ms = next_look(w, now_ms);
    return 0;
}

static unsigned end_trial(struct wk *w, uint64_t now_ms)
{
    move(w, WK_IDLE);
    w->active_ms = now_ms;
    return 0;
}

static unsigned beat(struct wk *w, uint64_t now_ms)
{
    w->active_ms = now_ms;
    w->last_look = false;
    w->probe_ms = now_ms + probe_interval(w);
    return 0;
}

static unsigned terminate(struct wk *w, uint64_t now_ms)
{
    move(w, WK_TERMINATING);
    w->due_ms = now_ms + w->conf.grace_ms;
    return WK_DO_TERM;
}

static unsigned release(struct wk *w, uint64_t now_ms)
{
    move(w, WK_LEAVING);
    w->due_ms = now_ms + w->conf.grace_ms;
    return 0;
}

static unsigned stop(struct wk *w, uint64_t now_ms)
{
    w->reason = WK_STOPPED;
    return terminate(w, now_ms);
}

static unsigned kill_now(struct wk *w, uint64_t now_ms)
{
    (void)now_ms;
    if (w->reason == WK_BY_ITSELF || w->state == WK_EVIDENCE)
        w->reason = WK_STOPPED;
    move(w, WK_KILLING);
    return WK_DO_KILL;
}

static unsigned hang(struct wk *w, uint64_t now_ms, enum wk_reason reason)
{
    w->reason = reason;
    move(w, WK_EVIDENCE);
    w->due_ms = now_ms + w->conf.evidence_ms;
    return WK_DO_EVIDENCE;
}

/* A look that is under way may have stopped processes for their stacks: the evidence, which needs
 * the same, waits for its answer, but not long. */
static uint64_t hang_due(const struct wk *w, uint64_t limit_ms)
{
    return limit_ms + (w->look_ms == UINT64_MAX ? w->conf.evidence_ms : 0);
}

/* Silence has its own limit, and a probe before it. */
static unsigned watch_silence(struct wk *w, uint64_t now_ms)
{
    if (w->conf.stall_ms == 0)
        return 0;
    if (now_ms - w->active_ms >= w->conf.stall_ms) {
        if (w->last_look)
            return now_ms >= hang_due(w, w->active_ms + w->conf.stall_ms)
                       ? hang(w, now_ms, WK_STALLED)
                       : 0;
        w->last_look = true; /* what it did since the last probe counts too */
        return WK_DO_PROBE;
    }
    if (now_ms >= w->probe_ms) {
        w->probe_ms = now_ms + probe_interval(w);
        return WK_DO_PROBE;
    }
    return 0;
}

static unsigned watch(struct wk *w, uint64_t now_ms)
{
    if (w->conf.trial_ms > 0 && now_ms >= hang_due(w, w->started_ms + w->conf.trial_ms))
        return hang(w, now_ms, WK_TIMEOUT);
    unsigned todo = watch_silence(w, now_ms);
    if (w->state == WK_RUNNING && w->conf.deadlock_ms > 0 && now_ms >= w->look_ms) {
        w->look_ms = UINT64_MAX;
        todo |= WK_DO_LOOK;
    }
    return todo;
}

/* Not before the trial, and seen so itself for half of the time that it has to last. */
static uint64_t stuck_since(const struct wk *w, uint64_t now_ms)
{
    uint64_t unseen_ms = earlier(w->last.for_ms, w->conf.deadlock_ms / 2);
    return unseen_ms < now_ms - w->started_ms ? now_ms - unseen_ms : w->started_ms;
}

/* Activity proves nothing against it: other threads of the tree may burn CPU for ever. */
static unsigned found_stuck(struct wk *w, uint64_t now_ms)
{
    bool another = w->unsure && w->last.who != w->stuck_who; /* and not that one all the time */
    if (!w->stuck || another)
        w->stuck_ms = stuck_since(w, now_ms);
    w->stuck = true;
    w->stuck_who = w->last.who;
    w->unsure = false;
    w->look_ms = earlier(next_look(w, now_ms), w->stuck_ms + w->conf.deadlock_ms);
    return now_ms - w->stuck_ms >= w->conf.deadlock_ms ? hang(w, now_ms, WK_DEADLOCKED) : 0;
}

/* A machine that is busy does not make a deadlock younger. */
static unsigned found_unsure(struct wk *w, uint64_t now_ms)
{
    w->look_ms = next_look(w, now_ms);
    w->unsure = true;
    return 0;
}

static unsigned found_free(struct wk *w, uint64_t now_ms)
{
    w->look_ms = next_look(w, now_ms);
    w->stuck = false;
    return 0;
}

/* An answer that comes when no trial runs any more; the next one is looked at anew. */
static unsigned late_look(struct wk *w, uint64_t now_ms)
{
    w->look_ms = now_ms;
    return 0;
}

/* The evidence is written down, or its time is over. A time limit ends a trial in any case. */
static unsigned act_on_hang(struct wk *w, uint64_t now_ms)
{
    if (!w->conf.only_tell || w->reason == WK_TIMEOUT)
        return terminate(w, now_ms);
    if (w->must_end || w->over)
        return stop(w, now_ms);
    move(w, WK_RUNNING);
    w->reason = WK_BY_ITSELF;
    w->stuck = false;
    return beat(w, now_ms);
}

static unsigned evidence_over(struct wk *w, uint64_t now_ms)
{
    return now_ms >= w->due_ms ? act_on_hang(w, now_ms) : 0;
}

static unsigned stop_later(struct wk *w, uint64_t now_ms)
{
    (void)now_ms;
    w->must_end = true;
    return 0;
}

static unsigned over(struct wk *w, uint64_t now_ms)
{
    (void)now_ms;
    w->over = true;
    return 0;
}

static unsigned deadline(struct wk *w, uint64_t now_ms)
{
    return now_ms >= w->due_ms ? terminate(w, now_ms) : 0;
}

static unsigned grace_over(struct wk *w, uint64_t now_ms)
{
    return now_ms >= w->due_ms ? kill_now(w, now_ms) : 0;
}

static unsigned reap(struct wk *w, uint64_t now_ms)
{
    (void)now_ms;
    move(w, WK_DEAD);
    return WK_DO_REAP;
}

/* A wish to stop waits for the evidence, whose deadline is short; an order to end now does not, and
 * the trial then counts as stopped, not as hung: nothing is killed for a hang without its evidence.
 */
/* clang-format off */
static action_fn *const actions[WK_STATES][WK_EVENTS] = {
    /*                   TRIAL        RESULT     ACTIVITY TICK        RELEASE  STOP       KILL      EVIDENCE   STUCK        UNSURE        FREE        EXIT */
    [WK_IDLE]        = { begin_trial, ignore,    ignore,  ignore,     release, stop,      kill_now, ignore,    late_look,   late_look,    late_look,  reap },
    [WK_RUNNING]     = { ignore,      end_trial, beat,    watch,      ignore,  stop,      kill_now, ignore,    found_stuck, found_unsure, found_free, reap },
    [WK_LEAVING]     = { ignore,      ignore,    ignore,  deadline,   ignore,  terminate, kill_now, ignore,    late_look,   late_look,    late_look,  reap },
    [WK_EVIDENCE]    = { ignore,      over,      ignore,  evidence_over, over, stop_later, kill_now, act_on_hang, late_look,   late_look,    late_look,  reap },
    [WK_TERMINATING] = { ignore,      ignore,    ignore,  grace_over, ignore,  ignore,    kill_now, ignore,    late_look,   late_look,    late_look,  reap },
    [WK_KILLING]     = { ignore,      ignore,    ignore,  ignore,     ignore,  ignore,    ignore,   ignore,    late_look,   late_look,    late_look,  reap },
    [WK_DEAD]        = { ignore,      ignore,    ignore,  ignore,     ignore,  ignore,    ignore,   ignore,    ignore,      ignore,       ignore,     ignore },
};
/* clang-format on */

void wk_init(struct wk *w, const struct wk_conf *conf, uint64_t now_ms)
{
    *w = (struct wk){.conf = *conf, .state = WK_IDLE, .active_ms = now_ms};
}

unsigned wk_step(struct wk *w, struct wk_event ev)
{
    w->last = ev;
    return actions[w->state][ev.type](w, ev.now_ms);
}

/* The next probe, or the end of the patience. */
static uint64_t silence_due(const struct wk *w)
{
    uint64_t limit = w->active_ms + w->conf.stall_ms;
    return w->last_look ? hang_due(w, limit) : earlier(w->probe_ms, limit);
}

uint64_t wk_due(const struct wk *w)
{
    uint64_t due = UINT64_MAX;
    switch (w->state) {
    case WK_RUNNING:
        if (w->conf.trial_ms > 0)
            due = hang_due(w, w->started_ms + w->conf.trial_ms);
        if (w->conf.stall_ms > 0)
            due = earlier(due, silence_due(w));
        if (w->conf.deadlock_ms > 0)
            due = earlier(due, w->look_ms);
        return due;
    case WK_LEAVING:
    case WK_EVIDENCE:
    case WK_TERMINATING:
        return w->due_ms;
    default:
        return UINT64_MAX;
    }
}
