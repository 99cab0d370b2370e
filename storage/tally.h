/* What a handle knows of a study's trials without asking: how many there are in each state, and
 * which are not finished. Changes of its own are taken back with the transaction that made them.
 * How it is read, and when it is out of date, is each database's (index.c). */
#pragma once

#include "storage/storage.h"

/* A trial that is not finished. */
struct open_trial {
    int64_t id, number;
    int64_t not_before_us; /* WAITING: not to be claimed before, UTC; 0 = at once */
    int64_t start_us;      /* own: as we wrote it. A trial that was taken over has another one */
    enum trial_state state;
    bool own;  /* claimed or created through this handle */
    bool lost; /* it was, and then somebody else put it back into the queue */
};

struct tally {
    int64_t counts[TRIAL_STATES];
    int64_t total;
    struct open_trial *open; /* RUNNING and WAITING, by id */
    size_t n_open, cap_open;
    struct tally_change *changes; /* ours in the transaction that is open */
    size_t n_changes, cap_changes;
    bool changes_lost; /* memory for them ran out */
};

void tally_free(struct tally *t);
/* Nothing is known. */
void tally_clear(struct tally *t);

/* The open trial, or NULL. */
struct open_trial *tally_find(const struct tally *t, int64_t trial);
/* Whether a trial that is stored so, and has not ended, may be changed through this handle: known
 * (NULL: not at all) is not ours any more when somebody has put it back into the queue since. */
bool open_trial_may_change(const struct open_trial *known, enum trial_state state,
                           int64_t start_us);

/* A trial that is there. Errors: ERR_NOMEM. */
int tally_add(struct tally *t, const struct open_trial *trial, struct err *err);
/* Somebody has changed the state of one of t's open trials: it may be gone from there afterwards.
 * Put back into the queue, it is anybody's but ours. */
void tally_seen(struct tally *t, struct open_trial *trial, enum trial_state state);

/* This handle created a trial. Errors: ERR_NOMEM. */
int tally_created(struct tally *t, const struct open_trial *trial, struct err *err);
/* This handle changed a trial's state. One that is not known is another's, and seen later. */
void tally_changed(struct tally *t, int64_t trial, enum trial_state state);
/* This handle claimed a waiting trial. */
void tally_claimed(struct tally *t, int64_t trial, int64_t start_us);
/* This handle put a trial back into the queue. */
void tally_put_back(struct tally *t, int64_t trial);

/* What this handle did in the transaction stands. */
void tally_stands(struct tally *t);
/* It is taken back. False when memory ran out: what is known then is not so. */
bool tally_take_back(struct tally *t);
