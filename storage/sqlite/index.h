/* What the handle knows of a study without asking the database: how many trials there are in each
 * state, and which are not finished. It makes a claim cost the same in a study of any size.
 *
 * The database's version number (PRAGMA data_version) tells when another connection wrote. Then the
 * running trials are looked up again, the waiting ones counted, and new ones read; finished ones
 * never change, so that is all. */
#pragma once

#include "storage/dists.h"
#include "storage/news.h"
#include "storage/queue.h"
#include "storage/sqlite/sqlite.h"

struct newest {
    int64_t id, number; /* of the newest trial; 0 = none */
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
    struct tally tally;
    struct newest newest;
    struct newest newest_before; /* made: before the transaction that is open */
    bool made;                   /* a trial, in that transaction */
    bool stale;                  /* another connection wrote since */

    struct news news;
    bool written;     /* others wrote since the last sync */
    bool written_now; /* told in the transaction that is open: again if it is rolled back */

    struct dists dists; /* what the study's parameters are, as written by us */
};

/* The study's index, up to date. Only inside a transaction. Errors: ERR_NOTFOUND. */
int index_get(struct store_sqlite *q, int64_t study, struct trial_index **out, struct err *err);
/* What the indexes know of the open transaction stands, or is taken back. */
void index_commit(struct store_sqlite *q);
void index_roll_back(struct store_sqlite *q);
void index_free(struct store_sqlite *q);
/* This handle created a trial. Errors: ERR_NOMEM. */
int index_created(struct trial_index *ix, const struct open_trial *t, struct err *err);
/* This handle deleted the study. */
void index_deleted(struct store_sqlite *q, int64_t study);
/* This handle finished a trial. */
void index_ended(struct trial_index *ix, int64_t trial, enum trial_state state);
/* The trial as one of the open ones of any study, or NULL. */
const struct open_trial *index_find_any(struct store_sqlite *q, int64_t trial);
