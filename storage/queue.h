/* What is open in a study, and which of it may be claimed: the same rules in each database. */
#pragma once

#include "storage/storage.h"

/* A trial that is not finished, as a handle knows it. */
struct open_trial {
    int64_t id, number;
    int64_t not_before_us; /* WAITING: not to be claimed before, UTC; 0 = at once */
    int64_t start_us;      /* own: as we wrote it. A trial that was taken over has another one */
    enum trial_state state;
    bool own;  /* claimed or created through this handle */
    bool lost; /* it was, and then somebody else put it back into the queue */
};

/* What is queued: the oldest trial that is due (NULL: none), and those that are not. */
struct queue {
    const struct open_trial *due;
    int64_t n_later;
    int64_t next_us; /* when the first of those is due */
};

/* open [n] by id. */
struct queue queue_look(const struct open_trial *open, size_t n, int64_t now_us);
/* How many of the trials, counted by state, stand in a target of these states, those that run left
 * out. */
int64_t queue_done(const int64_t counts[static TRIAL_STATES], unsigned states);
/* STORE_ATTR_NOT_BEFORE, JSON of seconds, as a time in us: at once ("" or what is no time), and
 * never later than the year 9999. */
int64_t queue_not_before(const char *json);
/* The same of a trial with its system attributes. */
int64_t queue_not_before_of(const struct trial *t);
