#include "executor/sweep.h"

#include <assert.h>
#include <stdlib.h>

#include "executor/sweep_again.h"
#include "executor/sweep_study.h"

enum slot_state { SLOT_FREE, SLOT_CLAIMING, SLOT_RUNNING, SLOT_IDLE, SLOT_LEAVING };

/* The trial after the one that runs. */
enum held { HELD_NONE, HELD_CLAIMING, HELD_READY };

struct slot {
    enum slot_state state;
    int study;
    bool alive;                 /* a worker process stands behind it */
    uint64_t started_ms;        /* the trial in it */
    struct sw_tries tries;      /* of the trial in it, before this one */
    enum held held;             /* only of a slot that is RUNNING or LEAVING */
    struct sw_tries held_tries; /* HELD_READY: of the held one */
};

struct sweep {
    struct sw_conf conf;
    struct sw_study *studies;
    struct slot *slots;
    struct sw_action *actions;
    int n_actions, cap_actions;
    uint64_t started_ms;
    uint64_t now_ms; /* of the last event */
    bool admit;
    bool proving;
    bool over;
    enum sw_reason reason; /* of the stop; SW_RUNNING while none */
    enum fail_class halted_by;
    int signals;
    uint64_t term_ms; /* when running trials are told to stop; 0 = already or never */
    uint64_t kill_ms; /* when what is left is killed; 0 = already or never */
};

int sw_create(struct sweep **out, const struct sw_conf *conf, uint64_t now_ms, struct err *err)
{
    assert(conf->slots > 0 && conf->n_studies > 0);
    struct sweep *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return err_set(err, ERR_NOMEM, "sweep");
    s->conf = *conf;
    s->started_ms = now_ms;
    s->admit = true;
    /* a step gives each slot at most a finish, a return, a stop, a kill and a claim, and one for
     * the whole
     */
    s->cap_actions = 5 * conf->slots + 2;
    s->studies = calloc((size_t)conf->n_studies, sizeof(*s->studies));
    s->slots = calloc((size_t)conf->slots, sizeof(*s->slots));
    s->actions = calloc((size_t)s->cap_actions, sizeof(*s->actions));
    if (s->studies == NULL || s->slots == NULL || s->actions == NULL) {
        sw_destroy(s);
        return err_set(err, ERR_NOMEM, "sweep of %d slots", conf->slots);
    }
    for (int i = 0; i < conf->n_studies; i++)
        s->studies[i].conf = conf->studies[i];
    *out = s;
    return 0;
}

void sw_destroy(struct sweep *s)
{
    if (s == NULL)
        return;
    free(s->studies);
    free(s->slots);
    free(s->actions);
    free(s);
}

static struct sw_action *act(struct sweep *s, enum sw_action_type type, int slot)
{
    assert(s->n_actions < s->cap_actions);
    struct sw_action *a = &s->actions[s->n_actions++];
    *a = (struct sw_action){.type = type, .slot = slot, .study = -1};
    if (slot >= 0)
        a->study = s->slots[slot].study;
    return a;
}

static int pick_study(const struct sweep *s, uint64_t now_ms)
{
    for (int i = 0; i < s->conf.n_studies; i++) {
        if (sw_study_wants(&s->studies[i], now_ms))
            return i;
    }
    return -1;
}

static void claim(struct sweep *s, int slot, int study)
{
    s->slots[slot].state = SLOT_CLAIMING;
    s->slots[slot].study = study;
    s->studies[study].claiming++;
    (void)act(s, SW_DO_CLAIM, slot);
}

static void release(struct sweep *s, int slot)
{
    s->slots[slot].state = SLOT_LEAVING;
    (void)act(s, SW_DO_RELEASE, slot);
}

static int busy_slots(const struct sweep *s)
{
    int n = 0;
    for (int i = 0; i < s->conf.slots; i++)
        n += s->slots[i].state != SLOT_FREE;
    return n;
}

static void fill_slots(struct sweep *s, uint64_t now_ms)
{
    int busy = busy_slots(s);
    for (int i = 0; i < s->conf.slots; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->state == SLOT_IDLE) {
            /* a live worker serves its own study only */
            if (sw_study_wants(&s->studies[slot->study], now_ms))
                claim(s, i, slot->study);
            else
                release(s, i);
        } else if (slot->state == SLOT_FREE && (s->admit || busy == 0)) {
            int study = pick_study(s, now_ms);
            if (study < 0)
                continue;
            claim(s, i, study);
            busy++;
        }
    }
}

/* While trials are short, what comes after those that run is claimed too: not before every free
 * slot has asked. */
static void claim_ahead(struct sweep *s, uint64_t now_ms)
{
    for (int i = 0; i < s->conf.slots && s->admit; i++) {
        struct slot *slot = &s->slots[i];
        struct sw_study *st = &s->studies[slot->study];
        if (slot->state != SLOT_RUNNING || slot->held != HELD_NONE || !st->brisk ||
            !sw_study_wants(st, now_ms))
            continue;
        slot->held = HELD_CLAIMING;
        st->claiming++;
        act(s, SW_DO_CLAIM, i)->ahead = true;
    }
}

static bool all_quiet(const struct sweep *s)
{
    for (int i = 0; i < s->conf.n_studies; i++) {
        if (sw_study_under_way(&s->studies[i]) > 0)
            return false;
    }
    return busy_slots(s) == 0;
}

static void leave(struct sweep *s, enum sw_reason reason)
{
    s->reason = reason;
    s->over = true;
    act(s, SW_DO_EXIT, -1)->reason = reason;
}

static enum sw_reason unmet_reason(const struct sweep *s)
{
    int64_t attempts = 0, hangs = 0;
    for (int i = 0; i < s->conf.n_studies; i++) {
        const struct sw_study *st = &s->studies[i];
        if (!sw_study_met(st)) {
            attempts += st->attempts - sw_study_good(st);
            hangs += st->hangs;
        }
    }
    return hangs > 0 && hangs * 2 >= attempts ? SW_STALLED : SW_UNMET;
}

/* The outcome goes to the store. Returns whether the trial goes down the ladder. */
static bool finish(struct sweep *s, const struct sw_event *ev)
{
    const struct slot *slot = &s->slots[ev->slot];
    struct sw_again again = {0};
    if (ev->state == TRIAL_FAIL)
        again = sw_again_after(&s->conf, &slot->tries, ev->fail, ev->useful, ev->now_ms);
    struct sw_action *a = act(s, SW_DO_FINISH, ev->slot);
    a->state = ev->state;
    a->fail = ev->fail;
    a->retry = again.retry;
    a->rung = again.rung;
    a->due_ms = again.due_ms;
    sw_study_ended(&s->studies[slot->study], ev->state, ev->fail);
    return again.rung > 0;
}

/* A trial that was claimed, but will not start: the next run begins with it. */
static void give_back(struct sweep *s, int slot)
{
    sw_study_returned(&s->studies[s->slots[slot].study]);
    (void)act(s, SW_DO_RETURN, slot);
}

/* No new trial; running ones may end by themselves until term_ms. The first reason stands, but a
 * lost store says more; the deadlines of the first stop stand in any case. */
static void begin_stop(struct sweep *s, enum sw_reason reason, uint64_t now_ms, uint64_t term_ms)
{
    if (s->reason == SW_RUNNING) {
        s->term_ms = term_ms > 0 ? term_ms : 1;
        s->kill_ms = now_ms + s->conf.grace_ms;
    }
    if (s->reason == SW_RUNNING || reason == SW_STORE)
        s->reason = reason;
    for (int i = 0; i < s->conf.slots; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->held == HELD_READY) {
            slot->held = HELD_NONE;
            give_back(s, i);
        }
        if (slot->state == SLOT_IDLE)
            release(s, i);
    }
}

static void stop_slots(struct sweep *s, enum sw_action_type how)
{
    for (int i = 0; i < s->conf.slots; i++) {
        if (s->slots[i].alive)
            (void)act(s, how, i);
    }
}

static void check_deadlines(struct sweep *s, uint64_t now_ms)
{
    if (s->reason == SW_RUNNING && s->conf.wall_ms > 0 && now_ms - s->started_ms >= s->conf.wall_ms)
        begin_stop(s, SW_TIME, now_ms, now_ms);
    if (s->reason != SW_RUNNING && s->term_ms > 0 && now_ms >= s->term_ms) {
        s->term_ms = 0;
        stop_slots(s, SW_DO_STOP);
    }
    if (s->kill_ms > 0 && now_ms >= s->kill_ms) {
        s->kill_ms = 0;
        stop_slots(s, SW_DO_KILL);
    }
}

static void prove(struct sweep *s)
{
    s->proving = true;
    (void)act(s, SW_DO_PROVE, -1);
}

/* Else the store has kept us waiting for all of the time. */
static bool any_opened(const struct sweep *s)
{
    for (int i = 0; i < s->conf.n_studies; i++) {
        if (s->studies[i].opened)
            return true;
    }
    return false;
}

/* What follows from the state reached, after every event. */
static void conclude(struct sweep *s, uint64_t now_ms)
{
    if (s->over || s->proving)
        return;
    check_deadlines(s, now_ms);
    if (s->reason == SW_TIME && s->conf.until_wall && any_opened(s) && all_quiet(s)) {
        prove(s);
        return;
    }
    if (s->reason != SW_RUNNING) {
        if (all_quiet(s))
            leave(s, s->reason);
        return;
    }
    fill_slots(s, now_ms);
    claim_ahead(s, now_ms);
    if (!all_quiet(s))
        return;
    bool met = true;
    for (int i = 0; i < s->conf.n_studies; i++) {
        if (!sw_study_over(&s->studies[i]))
            return;
        met = met && sw_study_met(&s->studies[i]);
    }
    if (!met) {
        leave(s, unmet_reason(s));
        return;
    }
    prove(s);
}

static void on_opened(struct sweep *s, const struct sw_event *ev)
{
    sw_study_open(&s->studies[ev->study], &ev->counts, ev->attempts);
}

static void start(struct sweep *s, int slot, const struct sw_tries *tries, uint64_t now_ms)
{
    struct slot *sl = &s->slots[slot];
    struct sw_study *st = &s->studies[sl->study];
    sl->state = SLOT_RUNNING;
    sl->alive = true;
    sl->started_ms = now_ms;
    sl->tries = *tries;
    st->claiming--;
    st->running++;
    act(s, SW_DO_START, slot)->brisk = st->brisk;
}

/* Without a trial: the store had none, or the sweep stops. */
static void stay_empty(struct sweep *s, int slot)
{
    s->slots[slot].state = s->slots[slot].alive ? SLOT_IDLE : SLOT_FREE;
    if (s->reason != SW_RUNNING && s->slots[slot].state == SLOT_IDLE)
        release(s, slot);
}

/* The slot can take a trial: the one that is held for it, if there is one. */
static bool go_on(struct sweep *s, int slot, uint64_t now_ms)
{
    struct slot *sl = &s->slots[slot];
    enum held held = sl->held;
    sl->held = HELD_NONE;
    if (held == HELD_READY)
        start(s, slot, &sl->held_tries, now_ms);
    else if (held == HELD_CLAIMING)
        sl->state = SLOT_CLAIMING;
    return held != HELD_NONE;
}

static void on_refused(struct sweep *s, struct sw_study *st, const struct sw_event *ev)
{
    st->claiming--;
    if (ev->claim == SW_CLAIM_FULL)
        st->again_ms = ev->now_ms + s->conf.poll_ms;
    else if (ev->claim == SW_CLAIM_LATER)
        st->again_ms = ev->due_ms;
    else
        begin_stop(s, SW_STORE, ev->now_ms, ev->now_ms);
}

static void on_claimed(struct sweep *s, const struct sw_event *ev)
{
    struct slot *slot = &s->slots[ev->slot];
    struct sw_study *st = &s->studies[slot->study];
    bool ahead = slot->held == HELD_CLAIMING;
    assert(ahead || slot->state == SLOT_CLAIMING);
    slot->held = HELD_NONE;
    if (ev->claim != SW_CLAIM_FAILED)
        st->counts = ev->counts;
    if (ev->claim != SW_CLAIM_OK) {
        on_refused(s, st, ev);
    } else if (s->reason != SW_RUNNING) { /* the stop came in between */
        give_back(s, ev->slot);
    } else if (ahead) {
        slot->held = HELD_READY;
        slot->held_tries = ev->tries;
    } else {
        start(s, ev->slot, &ev->tries, ev->now_ms);
    }
    if (slot->state == SLOT_CLAIMING)
        stay_empty(s, ev->slot);
}

static void watch_flapping(struct sweep *s, struct sw_study *st, const struct sw_event *ev)
{
    int flaps = sw_study_flaps(st, ev->state, ev->fail);
    if (s->conf.flap > 0 && flaps >= s->conf.flap && s->reason == SW_RUNNING) {
        s->halted_by = ev->fail;
        begin_stop(s, sw_is_hang(ev->fail) ? SW_STALLED : SW_HALTED, ev->now_ms, ev->now_ms);
    }
}

static void on_ended(struct sweep *s, const struct sw_event *ev)
{
    struct slot *slot = &s->slots[ev->slot];
    struct sw_study *st = &s->studies[slot->study];
    assert(slot->state == SLOT_RUNNING);
    bool answered = finish(s, ev);
    slot->state = ev->gone ? SLOT_FREE : ev->goes_on ? SLOT_IDLE : SLOT_LEAVING;
    slot->alive = !ev->gone;
    st->brisk = ev->now_ms - slot->started_ms < s->conf.brisk_ms;
    if (!answered) /* else it is none of a sweep that goes nowhere */
        watch_flapping(s, st, ev);
    if (slot->state == SLOT_LEAVING || go_on(s, ev->slot, ev->now_ms))
        return;
    if (s->reason != SW_RUNNING && slot->state == SLOT_IDLE)
        release(s, ev->slot);
}

static void on_saved(struct sweep *s, const struct sw_event *ev)
{
    struct sw_study *st = &s->studies[ev->study];
    sw_study_saved(st, ev->state);
    if (ev->saved == SW_SAVED_FAILED) {
        begin_stop(s, SW_STORE, ev->now_ms, ev->now_ms);
        return;
    }
    st->counts = ev->counts;
    /* a failure, or a trial that ended otherwise, makes room for another try */
    if (ev->saved == SW_SAVED_OTHERWISE || ev->state == TRIAL_FAIL)
        st->again_ms = 0;
}

static void on_gone(struct sweep *s, const struct sw_event *ev)
{
    struct slot *slot = &s->slots[ev->slot];
    assert(slot->alive && slot->state != SLOT_RUNNING);
    slot->alive = false;
    if (slot->state == SLOT_CLAIMING)
        return;
    slot->state = SLOT_FREE;
    if (slot->held == HELD_READY && !s->admit && busy_slots(s) > 0) {
        slot->held = HELD_NONE; /* whoever has memory may take it */
        give_back(s, ev->slot);
        return;
    }
    (void)go_on(s, ev->slot, ev->now_ms);
}

static void on_signal(struct sweep *s, const struct sw_event *ev)
{
    s->signals++;
    if (s->signals == 1) {
        begin_stop(s, SW_PREEMPTED, ev->now_ms, ev->now_ms + s->conf.grace_ms / 2);
        s->reason = s->reason == SW_STORE ? SW_STORE : SW_PREEMPTED;
        s->proving = false; /* the proof's answer comes too late */
    } else {
        s->term_ms = 0;
        s->kill_ms = 0;
        stop_slots(s, SW_DO_KILL);
    }
}

static void on_proved(struct sweep *s, const struct sw_event *ev)
{
    if (!s->proving)
        return;
    s->proving = false;
    leave(s, ev->proven ? SW_MET : SW_UNPROVEN);
}

int sw_step(struct sweep *s, const struct sw_event *ev, const struct sw_action **actions)
{
    s->n_actions = 0;
    s->now_ms = ev->now_ms;
    switch (ev->type) {
    case SW_EV_OPENED:
        on_opened(s, ev);
        break;
    case SW_EV_LOST:
        begin_stop(s, SW_STORE, ev->now_ms, ev->now_ms);
        break;
    case SW_EV_CLAIMED:
        on_claimed(s, ev);
        break;
    case SW_EV_ENDED:
        on_ended(s, ev);
        break;
    case SW_EV_SAVED:
        on_saved(s, ev);
        break;
    case SW_EV_GONE:
        on_gone(s, ev);
        break;
    case SW_EV_ADMIT:
        s->admit = ev->admit;
        break;
    case SW_EV_SIGNAL:
        on_signal(s, ev);
        break;
    case SW_EV_PROVED:
        on_proved(s, ev);
        break;
    case SW_EV_TICK:
        break;
    }
    conclude(s, ev->now_ms);
    *actions = s->actions;
    return s->n_actions;
}

uint64_t sw_due(const struct sweep *s)
{
    uint64_t due = UINT64_MAX;
    if (s->over || s->proving)
        return due;
    if (s->reason != SW_RUNNING)
        return s->term_ms > 0 ? s->term_ms : s->kill_ms > 0 ? s->kill_ms : due;
    if (s->conf.wall_ms > 0)
        due = s->started_ms + s->conf.wall_ms;
    for (int i = 0; i < s->conf.n_studies; i++) {
        const struct sw_study *st = &s->studies[i];
        /* what was due already has been weighed: it waits for a slot, not for time */
        if (st->again_ms > s->now_ms && st->again_ms < due && sw_study_wants(st, UINT64_MAX))
            due = st->again_ms;
    }
    return due;
}

enum sw_reason sw_reason(const struct sweep *s)
{
    return s->reason;
}

const char *sw_reason_name(enum sw_reason r)
{
    static const char *const names[] = {
        [SW_RUNNING] = "running", [SW_MET] = "met",         [SW_UNPROVEN] = "unproven",
        [SW_UNMET] = "unmet",     [SW_STALLED] = "stalled", [SW_TIME] = "time",
        [SW_HALTED] = "halted",   [SW_STORE] = "store",     [SW_PREEMPTED] = "preempted",
    };
    return names[r];
}

enum fail_class sw_flap_class(const struct sweep *s)
{
    return s->halted_by;
}
