#include "storage/tally.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct tally_change {
    struct open_trial before; /* its id alone when it was created */
    bool created;
    enum trial_state after;
};

void tally_free(struct tally *t)
{
    free(t->open);
    free(t->changes);
    *t = (struct tally){0};
}

void tally_clear(struct tally *t)
{
    memset(t->counts, 0, sizeof(t->counts));
    t->total = 0;
    t->n_open = 0;
    tally_stands(t);
}

/* --- what is open ----------------------------------------------------------------------------- */

static size_t position(const struct tally *t, int64_t id)
{
    return LOWER_BOUND(i, t->n_open, t->open[i].id < id);
}

struct open_trial *tally_find(const struct tally *t, int64_t trial)
{
    size_t i = position(t, trial);
    return i < t->n_open && t->open[i].id == trial ? &t->open[i] : NULL;
}

bool open_trial_may_change(const struct open_trial *known, enum trial_state state, int64_t start_us)
{
    if (known == NULL)
        return true;
    bool ours = known->own && known->state == TRIAL_RUNNING;
    return !known->lost && (!ours || (state == TRIAL_RUNNING && start_us == known->start_us));
}

static int open_insert(struct tally *t, const struct open_trial *trial, struct err *err)
{
    if (!array_reserve(&t->open, &t->cap_open, t->n_open + 1, sizeof(*t->open)))
        return err_set(err, ERR_NOMEM, "index of %zu trials", t->n_open);
    size_t at = position(t, trial->id); /* nearly always the end */
    ARRAY_OPEN(t->open, at, t->n_open);
    t->open[at] = *trial;
    t->n_open++;
    return 0;
}

static void open_remove(struct tally *t, struct open_trial *trial)
{
    size_t at = (size_t)(trial - t->open);
    ARRAY_CLOSE(t->open, at, t->n_open);
    t->n_open--;
}

int tally_add(struct tally *t, const struct open_trial *trial, struct err *err)
{
    if (!trial_state_finished(trial->state) && open_insert(t, trial, err) < 0)
        return -ERR_NOMEM;
    t->counts[trial->state]++;
    t->total++;
    return 0;
}

static void set_state(struct tally *t, struct open_trial *trial, enum trial_state state)
{
    t->counts[trial->state]--;
    t->counts[state]++;
    trial->state = state;
    if (trial_state_finished(state))
        open_remove(t, trial);
}

void tally_seen(struct tally *t, struct open_trial *trial, enum trial_state state)
{
    if (state == TRIAL_WAITING) {
        trial->lost = trial->lost || trial->own;
        trial->own = false;
    }
    set_state(t, trial, state);
}

/* --- our own changes -------------------------------------------------------------------------- */

static void note(struct tally *t, const struct tally_change *c)
{
    if (array_reserve(&t->changes, &t->cap_changes, t->n_changes + 1, sizeof(*t->changes)))
        t->changes[t->n_changes++] = *c;
    else
        t->changes_lost = true;
}

int tally_created(struct tally *t, const struct open_trial *trial, struct err *err)
{
    const struct tally_change c = {
        .before = {.id = trial->id}, .created = true, .after = trial->state};
    int rc = tally_add(t, trial, err);
    if (rc == 0)
        note(t, &c);
    return rc;
}

void tally_changed(struct tally *t, int64_t trial, enum trial_state state)
{
    struct open_trial *known = tally_find(t, trial);
    if (known == NULL)
        return;
    const struct tally_change c = {.before = *known, .after = state};
    note(t, &c);
    set_state(t, known, state);
}

void tally_claimed(struct tally *t, int64_t trial, int64_t start_us)
{
    tally_changed(t, trial, TRIAL_RUNNING);
    struct open_trial *known = tally_find(t, trial);
    if (known == NULL)
        return;
    known->own = true;
    known->lost = false;
    known->start_us = start_us;
}

void tally_put_back(struct tally *t, int64_t trial)
{
    tally_changed(t, trial, TRIAL_WAITING);
    struct open_trial *known = tally_find(t, trial);
    if (known != NULL)
        known->own = known->lost = false;
}

void tally_stands(struct tally *t)
{
    t->n_changes = 0;
    t->changes_lost = false;
}

static bool take_back(struct tally *t, const struct tally_change *c)
{
    struct open_trial *known = tally_find(t, c->before.id);
    t->counts[c->after]--;
    if (c->created) {
        t->total--;
        if (known != NULL)
            open_remove(t, known);
        return true;
    }
    t->counts[c->before.state]++;
    if (known == NULL)
        return open_insert(t, &c->before, NULL) == 0;
    *known = c->before;
    return true;
}

bool tally_take_back(struct tally *t)
{
    bool whole = !t->changes_lost;
    while (whole && t->n_changes > 0)
        whole = take_back(t, &t->changes[--t->n_changes]);
    tally_stands(t);
    return whole;
}
