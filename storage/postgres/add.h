/* Trials that the server adds by itself, with the commit behind them. */
#pragma once

#include "storage/postgres/pg.h"

/* The trial that came of it. */
struct added {
    int64_t id, number;
};

/* Whether a trial like that can be added so: one that is open, without steps and values. NULL: a
 * RUNNING one that starts now. */
bool add_can(const struct trial *t);
/* How many wait for a place in this study. */
int64_t add_waiting(const struct store_pg *q, int64_t study);
/* Adds those to the counts of the study, each to its state's. */
void add_count(const struct store_pg *q, int64_t study, int64_t counts[static TRIAL_STATES]);
/* Keeps the trial until the transaction is committed; made, which is noted, is known by its time or
 * its transaction. Its parameters have been checked, and the study's index is loaded. *out (NULL:
 * nobody asks) is filled then. No round trip. Errors: ERR_NOMEM. */
int add_later(struct store_pg *q, int64_t study, const struct trial *tmpl,
              const struct effect *made, struct added *out, struct err *err);
/* Queues what waits. Called by tx_queue_commit. */
int add_queue(struct store_pg *q, struct err *err);
/* Commits what is open with all that waits, in one round trip. Errors: those of a commit; and
 * ERR_NOTFOUND, when a study was deleted. */
int add_land(struct store_pg *q, struct err *err);
/* Writes what waits in the transaction that is open, and so takes the study's lock until its end.
 */
int add_now(struct store_pg *q, struct err *err);
/* The transaction is over: nothing waits any more. */
void add_forget(struct store_pg *q);
void add_free(struct store_pg *q);
