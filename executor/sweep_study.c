#include "executor/sweep_study.h"

#include <assert.h>

static bool counts_as_good(const struct sw_study *st, enum trial_state state)
{
    return state == TRIAL_COMPLETE || (state == TRIAL_PRUNED && !st->conf.complete_only);
}

int64_t sw_study_good(const struct sw_study *st)
{
    return st->counts.complete + (st->conf.complete_only ? 0 : st->counts.pruned);
}

int64_t sw_study_under_way(const struct sw_study *st)
{
    return st->claiming + st->running + st->saving;
}

static bool attempts_spent(const struct sw_study *st)
{
    return st->conf.attempts > 0 && st->attempts + st->claiming + st->running >= st->conf.attempts;
}

bool sw_study_met(const struct sw_study *st)
{
    return st->opened && sw_study_good(st) >= st->conf.target;
}

bool sw_study_over(const struct sw_study *st)
{
    return sw_study_under_way(st) == 0 && st->opened && (sw_study_met(st) || attempts_spent(st));
}

bool sw_study_wants(const struct sw_study *st, uint64_t now_ms)
{
    /* what is being saved is counted by the store only when it is durable */
    int64_t ours = st->claiming + st->running + st->saving_good;
    return st->opened && now_ms >= st->again_ms && !attempts_spent(st) &&
           sw_study_good(st) + ours < st->conf.target;
}

void sw_study_open(struct sw_study *st, const struct sw_counts *counts, int64_t attempts)
{
    st->opened = true;
    st->counts = *counts;
    st->attempts = attempts;
    st->any_good = sw_study_good(st) > 0;
}

/* A preempted try is free. One that was lost here, for want of what a process needs, is not: there
 * might be no end to that. */
static bool is_attempt(enum trial_state state, enum fail_class fail)
{
    return state != TRIAL_FAIL || fail != FAIL_PREEMPTED;
}

bool sw_is_hang(enum fail_class fail)
{
    return fail == FAIL_STALLED || fail == FAIL_FORK_DEADLOCK || fail == FAIL_TIMEOUT;
}

void sw_study_ended(struct sw_study *st, enum trial_state state, enum fail_class fail)
{
    st->running--;
    st->saving++;
    st->saving_good += counts_as_good(st, state);
    st->attempts += is_attempt(state, fail);
    st->hangs += state == TRIAL_FAIL && sw_is_hang(fail);
}

void sw_study_returned(struct sw_study *st)
{
    st->claiming--;
    st->saving++;
}

void sw_study_saved(struct sw_study *st, enum trial_state state)
{
    assert(st->saving > 0);
    st->saving--;
    st->saving_good -= counts_as_good(st, state);
}

int sw_study_flaps(struct sw_study *st, enum trial_state state, enum fail_class fail)
{
    if (state != TRIAL_FAIL)
        st->any_good = true;
    if (st->any_good || fail_class_is_interruption(fail))
        return 0;
    st->flaps = st->flaps > 0 && st->flap_class == fail ? st->flaps + 1 : 1;
    st->flap_class = fail;
    return st->flaps;
}
