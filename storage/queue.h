/* Which trials of a study may be claimed: the same rules in each database. */
#pragma once

#include "storage/tally.h"

/* What there is to claim. */
struct queue {
    const struct open_trial *due; /* the oldest queued trial that is due; NULL: a new one */
    int64_t n_later;              /* those that are queued and not due */
    int64_t next_us;              /* when the first of them is */
};

/* Whether there is something to claim, as far as is known; else *out says why not. */
bool queue_offers(const struct tally *t, const struct store_claim_opts *opts, int64_t now_us,
                  struct queue *queue, struct store_claim *out);
/* How many of the trials, counted by state, stand in a target of these states, those that run left
 * out. */
int64_t queue_done(const int64_t counts[static TRIAL_STATES], unsigned states);
/* STORE_ATTR_NOT_BEFORE, JSON of seconds, as a time in us: at once ("" or what is no time), and
 * never later than the year 9999. */
int64_t queue_not_before(const char *json);
/* The same of a trial with its system attributes. */
int64_t queue_not_before_of(const struct trial *t);
