/* The shell of the sweep's machine (sweep.c): events go in with their time, its actions are done,
 * and its timers run. It decides nothing. */
#include <assert.h>

#include "base/cleanup.h"
#include "executor/internal.h"
#include "executor/limits.h"

#define POLL_MS                                                                                    \
    1000u /* how often other processes' trials are looked at while they are waited for */
#define BRISK_MS 100u       /* a trial that took less is short */
#define STORE_GRACE_MS 500u /* what a stop leaves the store beyond that of the workers */
#define LAST_WRITE_MS 2000u /* for the run's row, when all is over */
#define MEMORY_LOOK_MS 1000u
#define FREE_MEMORY_FLOOR (64u << 20)

/* --- its making ------------------------------------------------------------------------------- */

int sweep_make(struct executor *ex, struct err *err)
{
    const struct spec *spec = ex->spec;
    struct sw_conf conf = {
        .slots = ex->plan.jobs,
        .n_studies = ex->n_studies,
        .studies = ex->sweep_studies,
        .flap = (int)spec->flap,
        .wall_ms = spec->budget.wall_ms,
        .grace_ms = spec->watch.grace_ms,
        .poll_ms = POLL_MS,
        .brisk_ms = BRISK_MS,
    };
    conf.n_rungs = fallback_rungs(spec);
    for (int i = 0; i < conf.n_rungs; i++)
        ex->rungs[i] = fallback_step(spec, i + 1)->on;
    conf.rungs = ex->rungs;
    conf.until_wall = ex->studies[0].view.target == 0;
    for (int i = 0; i < FAIL_CLASSES; i++)
        conf.retry[i] = (struct sw_retry){.times = (int)spec->retry[i].times,
                                          .backoff_ms = spec->retry[i].backoff_ms};
    if (spec->watch.no_retry)
        conf.retry[FAIL_STALLED].times = conf.retry[FAIL_FORK_DEADLOCK].times = 0;
    for (int i = 0; i < ex->n_studies; i++) {
        const struct spec *cell = ex->studies[i].spec;
        int64_t target = ex->studies[i].view.target;
        ex->sweep_studies[i] = (struct sw_study_conf){
            .target = target > 0 ? target : INT64_MAX / 2, /* without one, time ends it */
            .complete_only = cell->budget.complete > 0,
            .attempts = cell->budget.attempts,
        };
    }
    return sw_create(&ex->sweep, &conf, executor_now(ex), err);
}

/* --- its time --------------------------------------------------------------------------------- */

static void on_sweep_timer(uv_timer_t *t)
{
    executor_feed(CONTAINER_OF(t, struct executor, sweep_timer),
                  (struct sw_event){.type = SW_EV_TICK});
}

void sweep_arm(struct executor *ex)
{
    uint64_t due = sw_due(ex->sweep), now = executor_now(ex);
    if (ex->over)
        return;
    if (due == UINT64_MAX)
        (void)uv_timer_stop(&ex->sweep_timer);
    else
        (void)uv_timer_start(&ex->sweep_timer, on_sweep_timer, due > now ? due - now : 1, 0);
}

static void on_stop_timer(uv_timer_t *t)
{
    storeq_give_up(CONTAINER_OF(t, struct executor, stop_timer)->storeq);
}

static bool any_worker(const struct executor *ex)
{
    for (int i = 0; i < ex->plan.jobs; i++) {
        if (ex->slots[i].alive)
            return true;
    }
    return false;
}

/* However the sweep came to its end: a store that refuses must not hold it much longer than the
 * workers may, and when the last is gone it has as long as they had to end by themselves. What it
 * has not taken then is in the spool. */
static void arm_stop_timer(struct executor *ex)
{
    uint64_t now = executor_now(ex), grace = ex->spec->watch.grace_ms;
    if (ex->over || sw_reason(ex->sweep) == SW_RUNNING)
        return;
    if (ex->stop_ms == 0)
        ex->stop_ms = now;
    if (any_worker(ex))
        ex->alone_ms = 0;
    else if (ex->alone_ms == 0)
        ex->alone_ms = now;
    uint64_t due = ex->stop_ms + grace;
    if (ex->alone_ms != 0 && ex->alone_ms + grace / 2 < due)
        due = ex->alone_ms + grace / 2;
    due += STORE_GRACE_MS;
    (void)uv_timer_start(&ex->stop_timer, on_stop_timer, due > now ? due - now : 0, 0);
}

/* --- its actions ------------------------------------------------------------------------------ */

static void leave(struct executor *ex, enum sw_reason reason)
{
    ex->over = true;
    ex->result->reason = reason;
    ex->result->flap_class = sw_flap_class(ex->sweep);
    if (reason == SW_STORE)
        storeq_give_up(ex->storeq);
    (void)uv_timer_start(&ex->stop_timer, on_stop_timer, LAST_WRITE_MS, 0);
    executor_end_run(ex, reason);
}

static void obey(struct executor *ex, const struct sw_action *a)
{
    struct slot *s = a->slot >= 0 ? &ex->slots[a->slot] : NULL;
    switch (a->type) {
    case SW_DO_CLAIM:
        claim_trial(&ex->studies[a->study], a->slot, a->ahead);
        break;
    case SW_DO_START:
        slot_start(s, a->brisk);
        break;
    case SW_DO_FINISH:
        assert(s != NULL);
        record_outcome(TAKE(s->run), a);
        break;
    case SW_DO_RETURN:
        assert(s != NULL);
        record_return(TAKE(s->claimed));
        break;
    case SW_DO_RELEASE:
        slot_release(s);
        break;
    case SW_DO_STOP:
        slot_feed(s, WK_EV_STOP);
        break;
    case SW_DO_KILL:
        slot_feed(s, WK_EV_KILL);
        break;
    case SW_DO_PROVE:
        executor_prove(ex);
        break;
    case SW_DO_EXIT:
        leave(ex, a->reason);
        break;
    }
}

/* --- its events ------------------------------------------------------------------------------- */

/* Obeying may bring up new events (a worker that cannot start has ended): they wait for their turn,
 * since a step's actions are valid only until the next step. */
static void enqueue(struct executor *ex, struct sw_event ev)
{
    assert(ex->n_queue < ex->cap_queue);
    ex->queue[ex->n_queue++] = ev;
}

/* Whether there is memory for one more worker as large as the largest so far. */
static bool memory_admits(const struct executor *ex)
{
    uint64_t need = ex->largest_rss + ex->largest_rss / 4;
    return limits_memory_free("") >= (need > FREE_MEMORY_FLOOR ? need : FREE_MEMORY_FLOOR);
}

/* Memory is looked at when a place becomes free, but not a thousand times a second. */
static void look_at_memory(struct executor *ex)
{
    uint64_t now = executor_now(ex);
    if (now - ex->memory_seen_ms < MEMORY_LOOK_MS)
        return;
    ex->memory_seen_ms = now;
    enqueue(ex, (struct sw_event){.type = SW_EV_ADMIT, .admit = memory_admits(ex)});
}

void executor_feed(struct executor *ex, struct sw_event ev)
{
    if (ev.type == SW_EV_GONE || ev.type == SW_EV_TICK)
        look_at_memory(ex);
    enqueue(ex, ev);
    if (ex->stepping)
        return;
    ex->stepping = true;
    for (size_t i = 0; i < ex->n_queue; i++) {
        const struct sw_action *actions;
        ex->queue[i].now_ms = executor_now(ex);
        int n = sw_step(ex->sweep, &ex->queue[i], &actions);
        for (int k = 0; k < n; k++)
            obey(ex, &actions[k]);
    }
    ex->n_queue = 0;
    ex->stepping = false;
    sweep_arm(ex);
    arm_stop_timer(ex);
}
