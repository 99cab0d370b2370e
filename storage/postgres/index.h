/* What the handle knows of a study without asking the server: how many trials there are in each
 * state, and which are not finished. Finished trials never change, so bringing it up to date costs
 * what is open and what is new, in a study of any size.
 *
 * Under the study's lock nobody else can add a trial, and ids are drawn under it: then what is
 * known is exact, and the newest id in the whole table is a mark behind which this study has
 * nothing unseen. */
#pragma once

#include "storage/dists.h"
#include "storage/news.h"
#include "storage/postgres/pg.h"
#include "storage/queue.h"

struct trial_index {
    int64_t study;
    size_t n_directions;
    struct tally tally;
    int64_t last_id; /* the newest one's; 0 = none */
    int64_t seen_id; /* every trial of the study up to this id is known */
    bool loaded;
    bool doubted; /* the connection was lost: perhaps another server answers now */
    bool locked;  /* the transaction that is open holds the study's lock, and this is exact */
    bool fresh;   /* a claim of the batch that is open has looked just now */

    struct news news;
    struct dists dists; /* what the study's parameters are */
};

/* The study's index, up to date as of now. One round trip, more at the first use. Errors:
 * ERR_NOTFOUND. */
int index_get(struct store_pg *q, int64_t study, struct trial_index **out, struct err *err);
/* The same without the trials that wait for the commit (see add.h): takes no lock. */
int index_landed(struct store_pg *q, int64_t study, struct trial_index **out, struct err *err);
/* Takes the study's lock until the transaction ends; *next_id (NULL: not wanted) is drawn for a new
 * trial. One round trip for all of it. Errors: ERR_NOTFOUND. */
int index_lock(struct store_pg *q, int64_t study, struct trial_index **out, int64_t *next_id,
               struct err *err);
/* The study's index as of some time, without a doubt. No round trip but at the first use, or after
 * a lost connection. Errors: ERR_NOTFOUND. */
int index_ready(struct store_pg *q, int64_t study, struct trial_index **out, struct err *err);

/* A look at what others did, on its way. */
struct index_look {
    PGresult *changed, *fresh;
};

static inline void index_look_free(struct index_look *l)
{
    PQclear(l->changed);
    PQclear(l->fresh);
}
/* Queues the statements of a look, and takes their results in. *last: the newest id of any study
 * that was seen. */
int index_look_queue(struct store_pg *q, struct trial_index *ix, struct index_look *l,
                     struct err *err);
int index_look_take(struct store_pg *q, struct trial_index *ix, const struct index_look *l,
                    int64_t *last, struct err *err);
/* The study's index as it is, or NULL. No round trip. */
struct trial_index *index_known(struct store_pg *q, int64_t study);
/* The same, made when there is none. Errors: ERR_NOMEM. */
int index_slot(struct store_pg *q, int64_t study, struct trial_index **out, struct err *err);
/* The trial as one of the open ones of any study, or NULL. No round trip. */
struct open_trial *index_find_any(struct store_pg *q, int64_t trial, int64_t *study);
/* What the indexes know of the open transaction stands; the batch that it was a part of goes on.
 */
void index_land(struct store_pg *q);
/* The batch is over, or what was read is all: what was told is told. */
void index_commit(struct store_pg *q);
/* What the indexes know of the open transaction is taken back. */
void index_roll_back(struct store_pg *q);
/* The connection was lost: the next look counts anew. */
void index_doubt(struct store_pg *q);
void index_free(struct store_pg *q);
/* This handle created a trial, or did so before its commit was lost. Errors: ERR_NOMEM. */
int index_created(struct trial_index *ix, const struct open_trial *t, struct err *err);
/* This handle deleted the study. */
void index_deleted(struct store_pg *q, int64_t study);
