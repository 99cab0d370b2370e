/* What the handle knows of a study without asking the database: how many trials there are in each
 * state, and which are not finished. It makes a claim cost the same in a study of any size.
 *
 * The database's version number (PRAGMA data_version) tells when another connection wrote. Then the
 * running trials are looked up again, the waiting ones counted, and new ones read; finished ones
 * never change, so that is all. */
#pragma once

#include "storage/dists.h"
#include "storage/queue.h"
#include "storage/sqlite/sqlite.h"

/* One change of ours in the transaction that is open, to be taken back with it. */
struct undo {
    struct open_trial before; /* its id alone when it was created */
    bool created;
    enum trial_state after;
    int64_t last_id, last_number; /* the newest trial's before */
};

struct trial_index {
    int64_t study;
    char *name;
    /* A finished trial, and when it started: no other study's trial of that id did so then. 0: none
     * is known. */
    int64_t anchor, anchor_us;
    bool anchor_now; /* it was finished by us, in the transaction that is open */
    enum direction *directions;
    size_t n_directions;
    int64_t counts[TRIAL_STATES];
    int64_t total;                /* trials of the study */
    int64_t last_id, last_number; /* the newest trial's */
    bool stale;                   /* another connection wrote since */

    struct open_trial *open; /* RUNNING and WAITING, by id */
    size_t n_open, cap_open;

    bool told;      /* store_trials_sync has told everything once */
    bool news;      /* others wrote since the last sync */
    int64_t *ended; /* finished by others since the last sync */
    size_t n_ended, cap_ended;
    /* of what was told, in the transaction that is open: to be told again if it is rolled back */
    bool told_now, news_now;
    size_t ended_now;

    struct undo *undo;
    size_t n_undo, cap_undo;
    bool undo_lost; /* memory for it ran out */

    struct dists dists; /* what the study's parameters are, as written by us */
};

/* The study's index, up to date. Only inside a transaction. Errors: ERR_NOTFOUND. */
int index_get(struct store_sqlite *q, int64_t study, struct trial_index **out, struct err *err);
/* What the indexes know of the open transaction stands, or is taken back. */
void index_commit(struct store_sqlite *q);
void index_roll_back(struct store_sqlite *q);
void index_free(struct store_sqlite *q);
/* The open trial, or NULL. */
struct open_trial *index_find(struct trial_index *ix, int64_t trial);
/* This handle created a trial. Errors: ERR_NOMEM. */
int index_created(struct trial_index *ix, const struct open_trial *t, struct err *err);
/* This handle deleted the study. */
void index_deleted(struct store_sqlite *q, int64_t study);
/* This handle changed a trial's state. */
void index_changed(struct trial_index *ix, int64_t trial, enum trial_state state);
/* This handle claimed a waiting trial. */
void index_claimed(struct trial_index *ix, int64_t trial, int64_t start_us);
/* This handle put a trial back into the queue. */
void index_put_back(struct trial_index *ix, int64_t trial);
/* The trial as one of the open ones of any study, or NULL. */
const struct open_trial *index_find_any(struct store_sqlite *q, int64_t trial);
