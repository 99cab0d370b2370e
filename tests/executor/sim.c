/* Drives the sweep and the worker machines with a virtual clock through random sweeps: workers that
 * die, hang, ignore SIGTERM or linger; a store that is slow or gives up; memory that is short at
 * times; signals; executors that are killed and started again, also two on one study. After every
 * event the design's invariants are checked.
 *
 *   sim [SWEEPS [SEED]]      SWEEPS random sweeps from SEED (printed)
 *   sim -v SEED              replays one, with its trace */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/rng.h"
#include "executor/sweep.h"
#include "executor/worker.h"
#include "tests/executor/sim.h"
#include "tests/executor/wk_name.h"

/* --- the modelled world -------------------------------------------------------------------------
 */

static struct {
    struct rng rng;
    uint64_t now, order;
    struct event queue[MAX_QUEUE];
    int queued;
    struct model_study studies[MAX_STUDIES];
    struct sw_study_conf study_conf[MAX_STUDIES];
    struct sw_conf conf;
    unsigned rungs[MAX_RUNGS];
    struct wk_conf wk_conf;
    struct executor executors[MAX_EXECUTORS];
    int n_executors, reuse;
    int p_fail, p_hang, p_store_fail, p_start_fail, p_taken, p_refused, p_tight; /* per mille */
    enum fail_class start_fail;
    bool friendly; /* no fault that could prevent the target */
    bool proof_fails;
    uint64_t seed;
    bool verbose;
    uint64_t events;
} w;

static void trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void trace(const char *fmt, ...)
{
    if (!w.verbose)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)printf("[%" PRIu64 "] ", w.now);
    (void)vprintf(fmt, ap);
    (void)putchar('\n');
    va_end(ap);
}

#define CHECK(cond, ...)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)fprintf(stderr, "sweep of seed %" PRIu64 " at %" PRIu64 " ms: ", w.seed, w.now); \
            (void)fprintf(stderr, __VA_ARGS__);                                                    \
            (void)fprintf(stderr, " (%s)\nreplay: sim -v %" PRIu64 "\n", #cond, w.seed);           \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static uint64_t below(uint64_t n)
{
    return rng_below(&w.rng, n);
}

static bool per_mille(int p)
{
    return (int)below(1000) < p;
}

static struct event *post(uint64_t at, enum what what, int executor, int slot)
{
    CHECK(w.queued < MAX_QUEUE, "event queue is full");
    struct event *e = &w.queue[w.queued++];
    *e = (struct event){.at = at,
                        .order = w.order++,
                        .what = what,
                        .executor = executor,
                        .slot = slot,
                        .epoch = w.executors[executor].epoch};
    return e;
}

static bool next_event(struct event *out)
{
    if (w.queued == 0)
        return false;
    int first = 0;
    for (int i = 1; i < w.queued; i++) {
        const struct event *a = &w.queue[i], *b = &w.queue[first];
        if (a->at < b->at || (a->at == b->at && a->order < b->order))
            first = i;
    }
    *out = w.queue[first];
    w.queue[first] = w.queue[--w.queued];
    return true;
}

/* --- the model store: the rules of store_trial_claim and store_trial_finish
 * ---------------------------- */

static struct sw_counts count(const struct model_study *m)
{
    struct sw_counts c = {0};
    for (int i = 0; i < m->n; i++) {
        switch (m->trials[i].state) {
        case TRIAL_COMPLETE:
            c.complete++;
            break;
        case TRIAL_PRUNED:
            c.pruned++;
            break;
        case TRIAL_FAIL:
            c.failed++;
            break;
        case TRIAL_RUNNING:
            c.running++;
            break;
        case TRIAL_WAITING:
            c.waiting++;
            break;
        }
    }
    return c;
}

static int64_t good(int study)
{
    struct sw_counts c = count(&w.studies[study]);
    return c.complete + (w.study_conf[study].complete_only ? 0 : c.pruned);
}

static int add_trial(struct model_study *m, struct model_trial t)
{
    CHECK(m->n < MAX_TRIALS, "more trials than any sweep needs");
    t.owner = -1;
    m->trials[m->n] = t;
    return m->n++;
}

/* Tries that a restarted executor counts: those that say something about the trial. */
static int64_t attempts(const struct model_study *m)
{
    struct sw_counts c = count(m);
    int64_t n = c.complete + c.pruned + c.failed;
    for (int i = 0; i < m->n; i++)
        n -= m->trials[i].fail == FAIL_PREEMPTED || m->trials[i].fail == FAIL_LOST;
    return n;
}

static int *tries_of_class(struct sw_tries *t, enum fail_class fail)
{
    return fail == FAIL_PREEMPTED ? &t->preempted : fail == FAIL_LOST ? &t->lost : &t->others;
}

static bool retry_left(struct sw_tries tries, enum fail_class fail)
{
    int times = w.conf.retry[fail].times;
    return times < 0 || *tries_of_class(&tries, fail) < times;
}

/* Only for a class that leads there, and only down: so a ladder ends. */
static void check_rung(const struct model_trial *t, enum fail_class fail, int rung)
{
    CHECK(rung > t->tries.rung && rung <= w.conf.n_rungs, "from rung %d to %d", t->tries.rung,
          rung);
    CHECK(w.rungs[rung - 1] >> fail & 1u, "rung %d is not for class %s", rung,
          fail_class_name(fail));
}

/* Ends it as failed; with a retry, its successor is queued, on a rung of the fallback ladder or, 0,
 * where it was. */
static void fail_trial(struct model_study *m, int trial, enum fail_class fail, bool retry, int rung,
                       uint64_t not_before)
{
    struct model_trial *t = &m->trials[trial];
    struct model_trial next = {.state = TRIAL_WAITING, .tries = t->tries, .not_before = not_before};
    t->state = TRIAL_FAIL;
    t->fail = fail;
    CHECK(!retry || fail != FAIL_CALIBRATION, "a soft label is tried again");
    CHECK(retry || rung == 0, "a rung without a retry");
    if (rung > 0)
        check_rung(t, fail, rung);
    else
        CHECK(!retry || retry_left(t->tries, fail), "a retry too many for class %s",
              fail_class_name(fail));
    next.tries.rung = rung > 0 ? rung : t->tries.rung;
    ++*tries_of_class(&next.tries, fail);
    if (retry)
        (void)add_trial(m, next);
}

static struct sw_event model_claim(int executor, int study, int *trial)
{
    struct model_study *m = &w.studies[study];
    struct sw_counts c = count(m);
    struct sw_event ev = {.type = SW_EV_CLAIMED, .study = study, .claim = SW_CLAIM_FULL};
    uint64_t soonest = UINT64_MAX;
    if (good(study) + c.running < m->target) {
        for (int i = 0; i < m->n && ev.claim != SW_CLAIM_OK; i++) {
            struct model_trial *t = &m->trials[i];
            if (t->state != TRIAL_WAITING)
                continue;
            if (t->not_before > w.now) {
                soonest = t->not_before < soonest ? t->not_before : soonest;
                continue;
            }
            *trial = i;
            ev.claim = SW_CLAIM_OK;
        }
        if (ev.claim != SW_CLAIM_OK && good(study) + c.running + c.waiting < m->target) {
            *trial = add_trial(m, (struct model_trial){.state = TRIAL_RUNNING});
            ev.claim = SW_CLAIM_OK;
        } else if (ev.claim != SW_CLAIM_OK && soonest != UINT64_MAX) {
            ev.claim = SW_CLAIM_LATER;
            ev.due_ms = soonest;
        }
    }
    if (ev.claim == SW_CLAIM_OK) {
        m->trials[*trial].state = TRIAL_RUNNING;
        m->trials[*trial].owner = executor;
        ev.tries = m->trials[*trial].tries;
    }
    ev.counts = count(m);
    return ev;
}

/* Returns whether the outcome stands as it is. */
static bool model_finish(int study, int trial, const struct sw_action *a)
{
    struct model_study *m = &w.studies[study];
    CHECK(m->trials[trial].state == TRIAL_RUNNING, "trial %d of study %d finished twice", trial,
          study);
    bool refused = a->state != TRIAL_FAIL && per_mille(w.p_refused);
    if (refused)
        fail_trial(m, trial, FAIL_STORAGE, false, 0, 0);
    else if (a->state == TRIAL_FAIL)
        fail_trial(m, trial, a->fail, a->retry, a->rung, a->due_ms);
    else
        m->trials[trial].state = a->state;
    CHECK(good(study) <= m->target, "study %d has more than its target", study);
    int64_t most = w.study_conf[study].attempts;
    CHECK(most == 0 || w.n_executors > 1 || attempts(m) <= most,
          "study %d has %" PRId64 " attempts of %" PRId64, study, attempts(m), most);
    return !refused;
}

/* Somebody thinks that its executor is dead. */
static void model_lose(int study, int trial)
{
    struct model_study *m = &w.studies[study];
    fail_trial(m, trial, FAIL_LOST, retry_left(m->trials[trial].tries, FAIL_LOST), 0, 0);
}

/* --- the modelled shell -------------------------------------------------------------------------
 */

static void feed_sweep(int executor, struct sw_event ev);

static uint64_t store_latency(struct executor *x)
{
    uint64_t latency = per_mille(5) ? 30000 : 1 + below(40);
    uint64_t at = (x->store_free > w.now ? x->store_free : w.now) + latency;
    x->store_free = at;
    return at;
}

/* One that comes earlier serves, too. */
static void schedule_tick(int executor, uint64_t due)
{
    uint64_t at = due > w.now ? due : w.now + 1;
    if (due == UINT64_MAX || at >= w.executors[executor].tick_at)
        return;
    w.executors[executor].tick_at = at;
    (void)post(at, TICK, executor, -1);
}

static void feed_worker(int executor, int slot, enum wk_event_type type);

/* Only what is deadlocked is ended for it, not before its time and soon after. */
static void check_deadlock(const struct sim_worker *k)
{
    uint64_t age = w.now - k->fsm.started_ms, limit = w.wk_conf.deadlock_ms;
    CHECK(k->deadlocked, "a healthy worker counts as deadlocked");
    bool again = k->evidence; /* it was only told of, and stands still */
    uint64_t lost = (uint64_t)k->unsure * (limit / 4 + LOOK_MS);
    CHECK(age >= limit && (again || age <= limit + limit / 2 + 4 * LOOK_MS + lost),
          "a deadlock was acted on after %" PRIu64 " ms", age);
}

static void do_worker(int executor, int slot, unsigned bits)
{
    struct sim_worker *k = &w.executors[executor].workers[slot];
    if (bits != 0)
        trace("x%d w%d %s: do %x", executor, slot, wk_state_name(k->fsm.state), bits);
    if ((bits & WK_DO_PROBE) && k->burns_cpu)
        feed_worker(executor, slot, WK_EV_ACTIVITY);
    if (bits & WK_DO_LOOK)
        post(w.now + below(LOOK_MS), LOOK, executor, slot)->life = k->life;
    if (bits & WK_DO_EVIDENCE) {
        CHECK(k->has_trial, "a hang of a worker that runs no trial");
        if (k->fsm.reason == WK_DEADLOCKED)
            check_deadlock(k);
        k->hang_seen = w.now;
        struct event *e = post(w.now + below(8000), EVIDENCE, executor, slot);
        e->life = k->life;
        k->evidence = true;
    }
    if (bits & (WK_DO_TERM | WK_DO_KILL)) {
        bool hang = k->fsm.reason == WK_STALLED || k->fsm.reason == WK_DEADLOCKED ||
                    k->fsm.reason == WK_TIMEOUT;
        CHECK(!hang || k->evidence, "killed for a hang without evidence");
        if (hang)
            CHECK(w.now - k->hang_seen <= 5000 + w.wk_conf.grace_ms + 1 &&
                      w.now - k->hang_seen < 60000,
                  "%" PRIu64 " ms from hang to kill", w.now - k->hang_seen);
    }
    if (((bits & WK_DO_KILL) || ((bits & WK_DO_TERM) && !k->ignores_term)) && !k->exiting) {
        k->exiting = !!(bits & WK_DO_KILL);
        struct event *e =
            post(w.now + 1 + below(bits & WK_DO_KILL ? 50 : 3000), WORKER_EXIT, executor, slot);
        e->life = k->life;
        e->trial = -1;
    }
}

static void feed_worker(int executor, int slot, enum wk_event_type type)
{
    struct sim_worker *k = &w.executors[executor].workers[slot];
    do_worker(executor, slot, wk_step(&k->fsm, (struct wk_event){.type = type, .now_ms = w.now}));
    schedule_tick(executor, wk_due(&k->fsm));
}

static void begin_trial(int executor, int slot, int study, int trial)
{
    struct executor *x = &w.executors[executor];
    struct sim_worker *k = &x->workers[slot];
    if (!k->alive) {
        unsigned life = k->life + 1;
        *k = (struct sim_worker){.alive = true, .life = life, .trials_left = w.reuse};
        wk_init(&k->fsm, &w.wk_conf, w.now);
    }
    CHECK(!k->has_trial, "slot %d runs two trials", slot);
    CHECK(k->fsm.state == WK_IDLE, "a trial for a worker that is %s", wk_state_name(k->fsm.state));
    k->has_trial = true;
    k->study = study;
    k->trial = trial;
    k->trials_left--;
    k->hangs = per_mille(w.p_hang);
    k->unsure = 0;
    k->deadlocked = k->hangs && w.wk_conf.deadlock_ms > 0 && per_mille(500);
    /* other threads of a deadlocked tree may go on */
    k->burns_cpu = k->hangs ? k->deadlocked && per_mille(500) : per_mille(100);
    k->ignores_term = per_mille(200);
    feed_worker(executor, slot, WK_EV_TRIAL);
    if (!k->hangs) {
        struct event *e =
            post(w.now + 1 + below(per_mille(50) ? 400000 : 5000), WORKER_OUTCOME, executor, slot);
        e->life = k->life;
    }
}

static void store_action(int executor, enum what what, const struct sw_action *a, int trial)
{
    struct event *e = post(store_latency(&w.executors[executor]), what, executor, a->slot);
    e->action = *a;
    e->trial = trial;
}

/* A worker that is gone, or could not start, may be told to end before the sweep knows. */
static void end_worker(int executor, int slot, enum wk_event_type how)
{
    struct executor *x = &w.executors[executor];
    CHECK(x->workers[slot].alive || x->unaware[slot], "slot %d is to end, without a process", slot);
    if (x->workers[slot].alive)
        feed_worker(executor, slot, how);
}

static int take_trial(int *place)
{
    int trial = *place;
    CHECK(trial >= 0, "a slot has no trial to end or to give back");
    *place = -1;
    return trial;
}

/* A failure with a rung left goes down to the first that is of use. */
static void check_answered(const struct sw_action *a, const struct model_trial *t, uint64_t useful)
{
    int first = 0;
    for (int i = w.conf.n_rungs; i > t->tries.rung; i--) {
        if ((w.rungs[i - 1] >> a->fail & 1u) && (useful >> i & 1u) && a->fail != FAIL_CALIBRATION)
            first = i;
    }
    CHECK(a->rung == (a->state == TRIAL_FAIL ? first : 0), "rung %d, not %d", a->rung, first);
}

static bool others_busy(const struct executor *x, int slot)
{
    for (int i = 0; i < w.conf.slots; i++) {
        if (i != slot && (x->workers[i].alive || x->unaware[i] || x->claimed[i] >= 0 || x->asks[i]))
            return true;
    }
    return false;
}

static void obey(int executor, const struct sw_action *a, bool *failed_start)
{
    struct executor *x = &w.executors[executor];
    trace("x%d action %d slot %d study %d state %d class %s%s", executor, a->type, a->slot,
          a->study, a->state, fail_class_name(a->fail), a->retry ? " retry" : "");
    switch (a->type) {
    case SW_DO_CLAIM:
        CHECK(!x->signalled, "a claim after the signal");
        CHECK(!x->asks[a->slot] && x->claimed[a->slot] < 0, "slot %d asks for two", a->slot);
        CHECK(!x->tight || (x->workers[a->slot].alive && !a->ahead) || !others_busy(x, a->slot),
              "a place is filled for which there is no memory");
        x->asks[a->slot] = true;
        store_action(executor, STORE_CLAIM, a, -1);
        break;
    case SW_DO_START:
        CHECK(!x->signalled, "a start after the signal");
        CHECK(x->claimed[a->slot] >= 0, "slot %d starts without a trial", a->slot);
        CHECK(!x->tight || !x->by_gone || !others_busy(x, a->slot),
              "a held trial starts a worker for which there is no memory");
        CHECK(a->brisk == x->brisk[a->study], "a start that is %sto be a short trial",
              a->brisk ? "" : "not ");
        x->started[a->slot] = x->claimed[a->slot];
        x->study_of[a->slot] = a->study;
        x->started_ms[a->slot] = w.now;
        x->claimed[a->slot] = -1;
        if (!x->workers[a->slot].alive && per_mille(w.p_start_fail))
            *failed_start = x->unaware[a->slot] = true;
        else
            begin_trial(executor, a->slot, a->study, x->started[a->slot]);
        break;
    case SW_DO_RETURN:
        store_action(executor, STORE_RETURN, a, take_trial(&x->claimed[a->slot]));
        break;
    case SW_DO_FINISH: {
        CHECK(a->retry || a->fail != FAIL_PREEMPTED || w.conf.retry[FAIL_PREEMPTED].times >= 0,
              "a preempted trial is not queued again");
        struct sim_worker *k = &x->workers[a->slot];
        int trial = take_trial(&x->started[a->slot]);
        check_answered(a, &w.studies[a->study].trials[trial], k->useful);
        k->has_trial = false;
        k->useful = 0;
        store_action(executor, STORE_FINISH, a, trial);
        break;
    }
    case SW_DO_RELEASE:
        feed_worker(executor, a->slot, WK_EV_RELEASE);
        if (per_mille(900)) {
            struct event *e = post(w.now + 1 + below(500), WORKER_EXIT, executor, a->slot);
            e->life = x->workers[a->slot].life;
        }
        break;
    case SW_DO_STOP:
        end_worker(executor, a->slot, WK_EV_STOP);
        break;
    case SW_DO_KILL:
        end_worker(executor, a->slot, WK_EV_KILL);
        break;
    case SW_DO_PROVE: {
        struct event *e = post(store_latency(x), TO_SWEEP, executor, -1);
        bool met = true;
        for (int i = 0; i < w.conf.n_studies; i++)
            met = met && good(i) >= w.studies[i].target;
        CHECK(met, "a proof is asked for, but the target is not met");
        e->ev = (struct sw_event){.type = SW_EV_PROVED, .proven = !w.proof_fails};
        break;
    }
    case SW_DO_EXIT:
        CHECK(!x->over, "two exits");
        x->over = true;
        x->reason = a->reason;
        for (int i = 0; i < w.conf.slots; i++)
            CHECK(!x->workers[i].alive && x->claimed[i] < 0, "exit with slot %d in use", i);
        CHECK(a->reason != SW_MET || !x->signalled, "exit 0 after a signal");
        CHECK(a->reason != SW_MET || !w.proof_fails, "exit 0 without proof");
        if (a->reason == SW_MET) {
            for (int i = 0; i < w.conf.n_studies; i++)
                CHECK(good(i) == w.studies[i].target, "study %d: %" PRId64 " of %" PRId64, i,
                      good(i), w.studies[i].target);
        }
        break;
    }
}

static void feed_sweep(int executor, struct sw_event ev)
{
    struct executor *x = &w.executors[executor];
    const struct sw_action *actions;
    struct sw_action copy[64];
    int slots[MAX_SLOTS], failed = 0;
    ev.now_ms = w.now;
    if (ev.type == SW_EV_ENDED)
        x->brisk[x->study_of[ev.slot]] = w.now - x->started_ms[ev.slot] < w.conf.brisk_ms;
    int n = sw_step(x->sweep, &ev, &actions);
    CHECK(n <= 64, "%d actions", n);
    if (n > 0)
        memcpy(copy, actions, (size_t)n * sizeof(*actions)); /* obeying may step again */
    for (int i = 0; i < n; i++) {
        bool failed_start = false;
        obey(executor, &copy[i], &failed_start);
        failed += failed_start;
        if (failed_start)
            slots[failed - 1] = copy[i].slot;
    }
    /* a worker that cannot start has ended, and there is no process to wait for */
    for (int i = 0; i < failed; i++) {
        struct sw_event end = {.type = SW_EV_ENDED,
                               .slot = slots[i],
                               .state = TRIAL_FAIL,
                               .fail = w.start_fail,
                               .gone = true};
        x->unaware[slots[i]] = false;
        feed_sweep(executor, end);
    }
    schedule_tick(executor, sw_due(x->sweep));
}

/* As the shell does before a worker's end, and with its ticks. */
static void look_at_memory(int executor)
{
    struct executor *x = &w.executors[executor];
    x->tight = per_mille(w.p_tight);
    feed_sweep(executor, (struct sw_event){.type = SW_EV_ADMIT, .admit = !x->tight});
}

static void feed_gone(int executor, int slot)
{
    struct executor *x = &w.executors[executor];
    look_at_memory(executor);
    x->unaware[slot] = false;
    x->by_gone = true;
    feed_sweep(executor, (struct sw_event){.type = SW_EV_GONE, .slot = slot});
    x->by_gone = false;
}

static void end_trial(int executor, int slot, enum trial_state state, enum fail_class fail,
                      bool goes_on)
{
    struct sim_worker *k = &w.executors[executor].workers[slot];
    k->useful = rng_u64(&w.rng);
    struct sw_event ev = {.type = SW_EV_ENDED,
                          .slot = slot,
                          .state = state,
                          .fail = fail,
                          .useful = k->useful,
                          .goes_on = goes_on};
    feed_sweep(executor, ev);
}

static void draw_outcome(enum trial_state *state, enum fail_class *fail)
{
    *fail = FAIL_NONE;
    if (per_mille(w.p_fail)) {
        static const enum fail_class classes[] = {FAIL_EXIT,    FAIL_OOM,      FAIL_NAN,
                                                  FAIL_SIGNAL,  FAIL_EXIT,     FAIL_HESSIAN,
                                                  FAIL_HESSIAN, FAIL_OVERFLOW, FAIL_CALIBRATION};
        *state = TRIAL_FAIL;
        *fail = classes[below(ARRAY_LEN(classes))];
    } else {
        *state = per_mille(300) ? TRIAL_PRUNED : TRIAL_COMPLETE;
    }
}

static void worker_exit(int executor, int slot)
{
    struct executor *x = &w.executors[executor];
    struct sim_worker *k = &x->workers[slot];
    static const enum fail_class classes[] = {
        [WK_BY_ITSELF] = FAIL_EXIT,           [WK_STALLED] = FAIL_STALLED,
        [WK_DEADLOCKED] = FAIL_FORK_DEADLOCK, [WK_TIMEOUT] = FAIL_TIMEOUT,
        [WK_STOPPED] = FAIL_PREEMPTED,
    };
    CHECK(!x->signalled || w.now - x->signal_ms <= w.conf.grace_ms + 60,
          "a worker outlives the signal by %" PRIu64 " ms", w.now - x->signal_ms);
    feed_worker(executor, slot, WK_EV_EXIT);
    CHECK(k->fsm.state == WK_DEAD, "exit leaves the worker %s", wk_state_name(k->fsm.state));
    k->alive = false;
    x->unaware[slot] = true;
    if (k->has_trial)
        end_trial(executor, slot, TRIAL_FAIL, classes[k->fsm.reason], false);
    feed_gone(executor, slot);
}

static void worker_outcome(int executor, int slot)
{
    struct sim_worker *k = &w.executors[executor].workers[slot];
    bool late = k->fsm.state == WK_EVIDENCE; /* it moved after all */
    if (!k->has_trial || (k->fsm.state != WK_RUNNING && !late))
        return;
    enum trial_state state;
    enum fail_class fail;
    draw_outcome(&state, &fail);
    if (per_mille(300)) { /* by its exit */
        feed_worker(executor, slot, WK_EV_EXIT);
        k->alive = false;
        w.executors[executor].unaware[slot] = true;
        end_trial(executor, slot, state, fail, false);
        feed_gone(executor, slot);
        return;
    }
    bool goes_on = !late && k->trials_left > 0 && per_mille(900);
    feed_worker(executor, slot, WK_EV_RESULT);
    if (!goes_on)
        feed_worker(executor, slot, WK_EV_RELEASE);
    if (!goes_on && per_mille(900)) {
        struct event *e = post(w.now + 1 + below(300), WORKER_EXIT, executor, slot);
        e->life = k->life;
    }
    end_trial(executor, slot, state, fail, goes_on);
}

static void start_executor(int executor)
{
    struct executor *x = &w.executors[executor];
    struct err err;
    unsigned epoch = x->epoch + 1;
    sw_destroy(x->sweep);
    unsigned lives[MAX_SLOTS];
    for (int i = 0; i < MAX_SLOTS; i++)
        lives[i] = x->workers[i].life;
    *x = (struct executor){.up = true, .epoch = epoch, .store_free = w.now, .tick_at = UINT64_MAX};
    for (int i = 0; i < MAX_SLOTS; i++) {
        x->workers[i].life = lives[i];
        x->claimed[i] = x->started[i] = -1;
    }
    CHECK(sw_create(&x->sweep, &w.conf, w.now, &err) == 0, "%s", err.msg);
    for (int i = 0; i < w.conf.n_studies; i++) {
        struct model_study *m = &w.studies[i];
        /* an owner that is gone leaves its running trials lost */
        for (int t = 0, n = m->n; t < n; t++) {
            if (m->trials[t].state == TRIAL_RUNNING && m->trials[t].owner == executor)
                model_lose(i, t);
        }
        struct event *e = post(w.now + 1 + below(50), TO_SWEEP, executor, -1);
        e->ev = (struct sw_event){
            .type = SW_EV_OPENED, .study = i, .counts = count(m), .attempts = attempts(m)};
    }
}

/* A look at the worker's tree has ended. */
static void looked(int executor, int slot)
{
    struct sim_worker *k = &w.executors[executor].workers[slot];
    bool unsure = per_mille(100);
    k->unsure += unsure;
    feed_worker(executor, slot, unsure ? WK_EV_UNSURE : k->deadlocked ? WK_EV_STUCK : WK_EV_FREE);
}

static void tick(int executor)
{
    struct executor *x = &w.executors[executor];
    x->tick_at = UINT64_MAX;
    for (int i = 0; i < w.conf.slots; i++) {
        const struct sim_worker *k = &x->workers[i];
        if (k->alive && wk_due(&k->fsm) <= w.now)
            feed_worker(executor, i, WK_EV_TICK);
        if (k->alive)
            schedule_tick(executor, wk_due(&k->fsm));
    }
    look_at_memory(executor);
    if (sw_due(x->sweep) <= w.now)
        feed_sweep(executor, (struct sw_event){.type = SW_EV_TICK});
    if (x->up && !x->over)
        schedule_tick(executor, sw_due(x->sweep));
}

static void deliver(const struct event *e)
{
    struct executor *x = &w.executors[e->executor];
    const struct sim_worker *k = e->slot >= 0 ? &x->workers[e->slot] : NULL;
    bool same = k != NULL && k->alive && k->life == e->life; /* the process that it is about */
    if (e->epoch != x->epoch || !x->up || x->over)
        return;
    switch (e->what) {
    case TO_SWEEP:
        if (e->ev.type == SW_EV_CLAIMED)
            x->asks[e->slot] = false;
        feed_sweep(e->executor, e->ev);
        break;
    case STORE_CLAIM: {
        int claimed = -1;
        struct sw_event ev = {
            .type = SW_EV_CLAIMED, .claim = SW_CLAIM_FAILED, .study = e->action.study};
        if (!per_mille(w.p_store_fail))
            ev = model_claim(e->executor, e->action.study, &claimed);
        CHECK(ev.claim != SW_CLAIM_OK || x->claimed[e->slot] < 0, "slot %d holds two", e->slot);
        if (ev.claim == SW_CLAIM_OK)
            x->claimed[e->slot] = claimed;
        ev.slot = e->slot;
        post(w.now + below(5), TO_SWEEP, e->executor, e->slot)->ev = ev;
        break;
    }
    case STORE_FINISH: {
        struct sw_event ev = {.type = SW_EV_SAVED,
                              .study = e->action.study,
                              .state = e->action.state,
                              .saved = SW_SAVED_FAILED};
        if (!per_mille(w.p_store_fail)) {
            bool ours = !per_mille(w.p_taken);
            if (ours)
                ours = model_finish(e->action.study, e->trial, &e->action);
            else
                model_lose(e->action.study, e->trial);
            ev.saved = ours ? SW_SAVED_OK : SW_SAVED_OTHERWISE;
        }
        ev.counts = count(&w.studies[e->action.study]);
        post(w.now + below(5), TO_SWEEP, e->executor, e->slot)->ev = ev;
        break;
    }
    case STORE_RETURN: {
        struct sw_event ev = {.type = SW_EV_SAVED,
                              .study = e->action.study,
                              .state = TRIAL_WAITING,
                              .saved = SW_SAVED_FAILED};
        if (!per_mille(w.p_store_fail)) {
            w.studies[ev.study].trials[e->trial].state = TRIAL_WAITING;
            ev.saved = SW_SAVED_OK;
        }
        ev.counts = count(&w.studies[ev.study]);
        post(w.now + below(5), TO_SWEEP, e->executor, e->slot)->ev = ev;
        break;
    }
    case WORKER_OUTCOME:
        if (same)
            worker_outcome(e->executor, e->slot);
        break;
    case WORKER_EXIT:
        if (same)
            worker_exit(e->executor, e->slot);
        break;
    case EVIDENCE:
        if (same)
            feed_worker(e->executor, e->slot, WK_EV_EVIDENCE);
        break;
    case LOOK:
        if (same)
            looked(e->executor, e->slot);
        break;
    case TICK:
        if (e->at == x->tick_at) /* else an earlier one has come instead */
            tick(e->executor);
        break;
    case SIGNAL:
        trace("x%d signal", e->executor);
        if (!x->signalled)
            x->signal_ms = w.now;
        x->signalled = true;
        feed_sweep(e->executor, (struct sw_event){.type = SW_EV_SIGNAL});
        break;
    case CRASH:
        trace("x%d is killed", e->executor);
        start_executor(e->executor);
        break;
    }
}

/* --- one random sweep ----------------------------------------------------------------------------
 */

static void draw_world(uint64_t seed, bool verbose)
{
    for (int i = 0; i < MAX_EXECUTORS; i++)
        sw_destroy(w.executors[i].sweep);
    w.now = 1000;
    w.order = w.events = 0;
    w.queued = 0;
    memset(w.executors, 0, sizeof(w.executors));
    w.seed = seed;
    w.verbose = verbose;
    rng_seed(&w.rng, seed);
    w.friendly = per_mille(300);
    w.proof_fails = !w.friendly && per_mille(100);
    w.reuse = per_mille(500) ? 1 : 2 + (int)below(5);
    w.p_fail = w.friendly ? (int)below(300) : (int)below(700);
    w.p_hang = per_mille(700) ? 0 : (int)below(400);
    w.p_store_fail = w.friendly || per_mille(800) ? 0 : 20;
    w.p_start_fail = per_mille(800) ? 0 : w.friendly || per_mille(800) ? (int)below(300) : 1000;
    w.start_fail = per_mille(500) ? FAIL_LOST : FAIL_EXIT;
    w.p_taken = w.friendly || per_mille(800) ? 0 : 20;
    w.p_refused = w.friendly || per_mille(800) ? 0 : 50;
    w.p_tight = per_mille(500) ? 0 : (int)below(1001);
    w.n_executors = per_mille(800) ? 1 : 2;
    w.wk_conf = (struct wk_conf){.stall_ms = per_mille(900) ? 20000 : 0,
                                 .deadlock_ms = per_mille(500) ? 1 + below(15000) : 0,
                                 .trial_ms = per_mille(500) ? 60000 : 0,
                                 .grace_ms = below(20000),
                                 .evidence_ms = 5000};
    /* a hang that is only told ends by the trial's limit, if it has one */
    w.wk_conf.only_tell = w.wk_conf.trial_ms > 0 && per_mille(200);
    if (w.wk_conf.stall_ms == 0 && w.wk_conf.trial_ms == 0)
        w.p_hang = 0;
    w.conf = (struct sw_conf){.slots = 1 + (int)below(MAX_SLOTS),
                              .n_studies = 1 + (int)below(MAX_STUDIES),
                              .studies = w.study_conf,
                              .grace_ms = below(20000),
                              .poll_ms = 1000,
                              .brisk_ms = per_mille(500) ? 0 : 1 + below(4000)};
    for (int i = 0; i < FAIL_CLASSES; i++)
        w.conf.retry[i] = (struct sw_retry){.times = (int)below(3), .backoff_ms = below(5000)};
    if (per_mille(700))
        w.conf.retry[FAIL_PREEMPTED].times = w.conf.retry[FAIL_LOST].times = -1;
    w.conf.rungs = w.rungs;
    w.conf.n_rungs = per_mille(500) ? 0 : (int)below(MAX_RUNGS + 1);
    for (int i = 0; i < MAX_RUNGS; i++)
        w.rungs[i] = 1u << FAIL_HESSIAN |
                     (per_mille(500) ? 1u << FAIL_OVERFLOW | 1u << FAIL_CALIBRATION : 0) |
                     (per_mille(200) ? 1u << FAIL_EXIT : 0);
    w.conf.flap = w.friendly ? 0 : (int)below(6);
    w.conf.wall_ms = !w.friendly && per_mille(200) ? 1 + below(200000) : 0;
    for (int i = 0; i < w.conf.n_studies; i++) {
        int64_t target = (int64_t)below(8);
        w.studies[i].n = 0;
        w.studies[i].target = target;
        w.study_conf[i] =
            (struct sw_study_conf){.target = target,
                                   .complete_only = per_mille(500),
                                   .attempts = w.friendly ? 0 : target + (int64_t)below(10)};
    }
    for (int i = 0; i < w.n_executors; i++)
        start_executor(i);
    if (per_mille(400)) { /* killed and started again */
        for (uint64_t n = 1 + below(3); n > 0; n--)
            post(w.now + below(60000), CRASH, (int)below((uint64_t)w.n_executors), -1);
    }
    if (!w.friendly && per_mille(400)) {
        uint64_t at = w.now + below(60000);
        post(at, SIGNAL, 0, -1);
        if (per_mille(300))
            post(at + below(10000), SIGNAL, 0, -1);
    }
    /* these come from outside and hit whichever executor is up then */
    for (int i = 0; i < w.queued; i++) {
        if (w.queue[i].what == CRASH || w.queue[i].what == SIGNAL)
            w.queue[i].epoch = 0;
    }
}

static void run_world(uint64_t seed, bool verbose)
{
    draw_world(seed, verbose);
    struct event e;
    while (next_event(&e)) {
        CHECK(++w.events < 200000 && e.at < 100ull * 3600 * 1000, "the sweep does not end");
        w.now = e.at > w.now ? e.at : w.now;
        if (e.what == CRASH || e.what == SIGNAL)
            e.epoch = w.executors[e.executor].epoch;
        deliver(&e);
    }
    for (int i = 0; i < w.n_executors; i++) {
        const struct executor *x = &w.executors[i];
        CHECK(x->over, "executor %d never ended: %s", i, sw_reason_name(sw_reason(x->sweep)));
        trace("x%d over: %s", i, sw_reason_name(x->reason));
        if (w.friendly)
            CHECK(x->reason == SW_MET, "nothing prevented the target, but it ended %s",
                  sw_reason_name(x->reason));
        if (x->signalled && w.p_store_fail == 0)
            CHECK(x->reason == SW_PREEMPTED, "a signal ended as %s", sw_reason_name(x->reason));
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "-v") == 0) {
        run_world(strtoull(argv[2], NULL, 10), true);
        return 0;
    }
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL) * 1000003u;
    (void)printf("%" PRIu64 " sweeps from seed %" PRIu64 "\n", n, seed);
    uint64_t events = 0, met = 0;
    for (uint64_t i = 0; i < n; i++) {
        run_world(seed + i, false);
        events += w.events;
        met += w.executors[0].reason == SW_MET;
    }
    (void)printf("%" PRIu64 " events, %" PRIu64 " sweeps met their target, no invariant broken\n",
                 events, met);
    for (int i = 0; i < MAX_EXECUTORS; i++)
        sw_destroy(w.executors[i].sweep);
    return 0;
}
