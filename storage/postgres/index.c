#include "storage/postgres/index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "storage/postgres/add.h"

#define NEW_ROWS 1000 /* the limit of SQL_INDEX_NEW */

static void index_destroy(struct trial_index *ix)
{
    dists_free(&ix->dists);
    tally_free(&ix->tally);
    news_free(&ix->news);
    free(ix);
}

void index_free(struct store_pg *q)
{
    for (size_t i = 0; i < q->n_indexes; i++)
        index_destroy(q->indexes[i]);
    free(q->indexes);
    q->indexes = NULL;
    q->n_indexes = 0;
}

void index_doubt(struct store_pg *q)
{
    for (size_t i = 0; i < q->n_indexes; i++)
        q->indexes[i]->doubted = true;
}

void index_deleted(struct store_pg *q, int64_t study)
{
    struct trial_index *ix = index_known(q, study);
    if (ix == NULL)
        return;
    ix->loaded = ix->locked = false;
    tally_clear(&ix->tally);
    news_clear(&ix->news);
}

/* --- what is open ------------------------------------------------------------------------------
 */

struct open_trial *index_find_any(struct store_pg *q, int64_t trial, int64_t *study)
{
    for (size_t i = 0; i < q->n_indexes; i++) {
        struct open_trial *t = tally_find(&q->indexes[i]->tally, trial);
        if (t != NULL) {
            *study = q->indexes[i]->study;
            return t;
        }
    }
    return NULL;
}

static void note_id(struct trial_index *ix, int64_t id)
{
    if (id > ix->last_id)
        ix->last_id = id;
    if (id > ix->seen_id)
        ix->seen_id = id;
}

static int add_trial(struct trial_index *ix, const struct open_trial *t, struct err *err)
{
    int rc = tally_add(&ix->tally, t, err);
    if (rc == 0)
        note_id(ix, t->id);
    return rc;
}

/* --- our own changes, and how they are taken back ----------------------------------------------
 */

int index_created(struct trial_index *ix, const struct open_trial *t, struct err *err)
{
    struct open_trial *there = tally_find(&ix->tally, t->id);
    if (there != NULL) { /* the look at what is new has found it */
        there->own = true;
        there->lost = false;
        there->start_us = t->start_us;
        return 0;
    }
    int rc = tally_created(&ix->tally, t, err);
    if (rc == 0)
        note_id(ix, t->id);
    return rc;
}

static void roll_back(struct trial_index *ix)
{
    if (!tally_take_back(&ix->tally))
        ix->doubted = true;
    dists_free(&ix->dists); /* some may never have been written */
    news_roll_back(&ix->news);
    ix->locked = ix->fresh = false;
}

void index_roll_back(struct store_pg *q)
{
    for (size_t i = 0; i < q->n_indexes; i++)
        roll_back(q->indexes[i]);
}

void index_land(struct store_pg *q)
{
    for (size_t i = 0; i < q->n_indexes; i++) {
        tally_stands(&q->indexes[i]->tally);
        q->indexes[i]->locked = false;
    }
}

void index_commit(struct store_pg *q)
{
    index_land(q);
    for (size_t i = 0; i < q->n_indexes; i++) {
        news_commit(&q->indexes[i]->news);
        q->indexes[i]->fresh = false;
    }
}

/* --- what others did ---------------------------------------------------------------------------
 */

/* Not when it was us, in a transaction whose commit was lost. */
static int note_ended(struct store_pg *q, struct trial_index *ix, int64_t trial, struct err *err)
{
    if (again_find(q, EFFECT_END, trial, 0) != NULL ||
        again_find(q, EFFECT_RETRY, trial, 0) != NULL)
        return 0;
    return news_ended(&ix->news, trial, err);
}

/* Takes in the rows of SQL_INDEX_CHANGED. */
static int take_changed(struct store_pg *q, struct trial_index *ix, const PGresult *r,
                        struct err *err)
{
    for (int i = 0; i < PQntuples(r); i++) {
        int64_t id = field_int(r, i, 0);
        struct open_trial *t = tally_find(&ix->tally, id);
        enum trial_state state;
        int rc = field_state(q, r, i, 1, id, &state, err);
        if (rc == 0 && trial_state_finished(state))
            rc = note_ended(q, ix, id, err);
        if (rc < 0)
            return rc;
        if (t != NULL)
            tally_seen(&ix->tally, t, state);
    }
    return 0;
}

/* Takes in the rows of SQL_INDEX_NEW; *last is the newest id of any study. */
static int take_new(struct store_pg *q, struct trial_index *ix, const PGresult *r, int64_t *last,
                    struct err *err)
{
    for (int i = 0; i < PQntuples(r); i++) {
        struct open_trial t = {.id = field_int(r, i, 0), .number = field_int(r, i, 1)};
        *last = t.id;
        if (field_int(r, i, 3) != ix->study || tally_find(&ix->tally, t.id) != NULL)
            continue;
        int rc = field_state(q, r, i, 2, t.id, &t.state, err);
        t.not_before_us = queue_not_before(field(r, i, 4));
        if (rc == 0)
            rc = add_trial(ix, &t, err);
        if (rc == 0 && trial_state_finished(t.state))
            rc = note_ended(q, ix, t.id, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* What is open now is what the rows of SQL_INDEX_LOAD say; ours are known by the list before. */
static int take_load(struct store_pg *q, struct trial_index *ix, const PGresult *r, struct err *err)
{
    struct tally before = ix->tally;
    int rc = 0;
    ix->tally = (struct tally){.changes = before.changes,
                               .n_changes = before.n_changes,
                               .cap_changes = before.cap_changes,
                               .changes_lost = before.changes_lost};
    ix->last_id = ix->seen_id = 0; /* ids of commits that a failover lost come again */
    for (int i = 0; i < PQntuples(r) && rc == 0; i++) {
        struct open_trial t = {.id = field_int(r, i, 0), .number = field_int(r, i, 1)};
        int64_t n = field_int(r, i, 3);
        const struct open_trial *known = tally_find(&before, t.id);
        rc = field_state(q, r, i, 2, t.id, &t.state, err);
        t.not_before_us = queue_not_before(field(r, i, 4));
        t.own = known != NULL && known->own && t.state == TRIAL_RUNNING;
        t.lost = known != NULL && (known->lost || (known->own && known->state == TRIAL_RUNNING &&
                                                   t.state == TRIAL_WAITING));
        t.start_us = known != NULL ? known->start_us : 0;
        if (rc == 0)
            rc = add_trial(ix, &t, err);
        if (rc == 0) { /* one row stands for all the finished ones of a state */
            ix->tally.counts[t.state] += n - 1;
            ix->tally.total += n - 1;
        }
    }
    for (size_t i = 0; i < before.n_open && rc == 0; i++) {
        if (tally_find(&ix->tally, before.open[i].id) == NULL)
            rc = note_ended(q, ix, before.open[i].id, err);
    }
    free(before.open);
    return rc;
}

static int load(struct store_pg *q, struct trial_index *ix, struct err *err)
{
    AUTO_RESULT PGresult *exists = NULL;
    AUTO_RESULT PGresult *directions = NULL;
    AUTO_RESULT PGresult *trials = NULL;
    struct args study = {0};
    arg_int(&study, ix->study);
    int rc = pipe_queue(q, SQL_STUDY_EXISTS, &study, &exists, err);
    if (rc == 0)
        rc = pipe_queue(q, SQL_STUDY_DIRECTIONS, &study, &directions, err);
    if (rc == 0)
        rc = pipe_run(q, SQL_INDEX_LOAD, &study, &trials, err);
    if (rc < 0)
        return rc;
    if (PQntuples(exists) == 0)
        return no_study(ix->study, err);
    ix->n_directions = (size_t)PQntuples(directions);
    rc = take_load(q, ix, trials, err);
    ix->loaded = rc == 0;
    ix->doubted = rc < 0;
    return rc;
}

/* Queues SQL_INDEX_CHANGED, if anything is open. */
static int queue_changed(struct store_pg *q, struct trial_index *ix, PGresult **out,
                         struct err *err)
{
    AUTO(buf_free) struct buf ran = BUF_INIT;
    AUTO(buf_free) struct buf waited = BUF_INIT;
    struct args a = {0};
    if (ix->tally.n_open == 0)
        return 0;
    buf_putc(&ran, '{');
    buf_putc(&waited, '{');
    for (size_t i = 0; i < ix->tally.n_open; i++) {
        struct buf *b = ix->tally.open[i].state == TRIAL_RUNNING ? &ran : &waited;
        buf_printf(b, "%s%lld", b->len > 1 ? "," : "", (long long)ix->tally.open[i].id);
    }
    buf_putc(&ran, '}');
    buf_putc(&waited, '}');
    if (ran.failed || waited.failed)
        return err_set(err, ERR_NOMEM, "index of %zu trials", ix->tally.n_open);
    arg_text(&a, buf_str(&ran));
    arg_text(&a, buf_str(&waited));
    return pipe_queue(q, SQL_INDEX_CHANGED, &a, out, err);
}

static int queue_new(struct store_pg *q, int64_t after, PGresult **out, struct err *err)
{
    struct args a = {0};
    arg_int(&a, after);
    return pipe_queue(q, SQL_INDEX_NEW, &a, out, err);
}

/* The rounds after the first, where there is more than one of them. */
static int read_more(struct store_pg *q, struct trial_index *ix, int64_t *last, struct err *err)
{
    for (int n = NEW_ROWS; n == NEW_ROWS;) {
        AUTO_RESULT PGresult *fresh = NULL;
        int rc = queue_new(q, *last, &fresh, err);
        if (rc == 0)
            rc = pipe_round(q, err);
        if (rc == 0)
            rc = take_new(q, ix, fresh, last, err);
        if (rc < 0)
            return rc;
        n = PQntuples(fresh);
    }
    return 0;
}

int index_look_queue(struct store_pg *q, struct trial_index *ix, struct index_look *l,
                     struct err *err)
{
    int rc = queue_changed(q, ix, &l->changed, err);
    return rc < 0 ? rc : queue_new(q, ix->seen_id, &l->fresh, err);
}

int index_look_take(struct store_pg *q, struct trial_index *ix, const struct index_look *l,
                    int64_t *last, struct err *err)
{
    *last = ix->seen_id;
    int rc = take_changed(q, ix, l->changed, err);
    if (rc == 0)
        rc = take_new(q, ix, l->fresh, last, err);
    if (rc == 0 && PQntuples(l->fresh) == NEW_ROWS)
        rc = read_more(q, ix, last, err);
    return rc;
}

/* Brings a loaded index up to date with one round trip, which also carries what is queued. *last:
 * the newest id of any study. */
static int refresh(struct store_pg *q, struct trial_index *ix, int64_t *last, struct err *err)
{
    AUTO(index_look_free) struct index_look look = {0};
    int rc = index_look_queue(q, ix, &look, err);
    if (rc == 0)
        rc = pipe_round(q, err);
    if (rc == 0)
        rc = index_look_take(q, ix, &look, last, err);
    if (rc == 0 && ix->doubted)
        rc = load(q, ix, err);
    return rc;
}

struct trial_index *index_known(struct store_pg *q, int64_t study)
{
    for (size_t i = 0; i < q->n_indexes; i++) {
        if (q->indexes[i]->study == study)
            return q->indexes[i];
    }
    return NULL;
}

static struct trial_index *add(struct store_pg *q, int64_t study)
{
    struct trial_index *ix = calloc(1, sizeof(*ix));
    if (ix == NULL || !array_resize(&q->indexes, q->n_indexes + 1, sizeof(struct trial_index *))) {
        free(ix);
        return NULL;
    }
    ix->study = study;
    q->indexes[q->n_indexes++] = ix;
    return ix;
}

int index_slot(struct store_pg *q, int64_t study, struct trial_index **out, struct err *err)
{
    struct trial_index *ix = index_known(q, study);
    if (ix == NULL && (ix = add(q, study)) == NULL)
        return err_set(err, ERR_NOMEM, "index of a study");
    *out = ix;
    return 0;
}

/* The study's index, loaded at some time; now: just now. */
static int get(struct store_pg *q, int64_t study, struct trial_index **out, bool *now,
               struct err *err)
{
    int rc = id_fits(study) ? index_slot(q, study, out, err) : no_study(study, err);
    if (rc < 0)
        return rc;
    assert(*out != NULL);
    *now = !(*out)->loaded;
    return (*out)->loaded ? 0 : load(q, *out, err);
}

int index_get(struct store_pg *q, int64_t study, struct trial_index **out, struct err *err)
{
    int rc = add_now(q, err);
    return rc < 0 ? rc : index_landed(q, study, out, err);
}

int index_landed(struct store_pg *q, int64_t study, struct trial_index **out, struct err *err)
{
    struct trial_index *ix = NULL;
    int64_t last;
    bool now;
    int rc = get(q, study, &ix, &now, err);
    if (rc == 0 && !now && !ix->locked && !ix->fresh)
        rc = refresh(q, ix, &last, err);
    if (rc == 0)
        *out = ix;
    return rc;
}

int index_ready(struct store_pg *q, int64_t study, struct trial_index **out, struct err *err)
{
    bool now;
    int rc = get(q, study, out, &now, err);
    return rc == 0 && (*out)->doubted ? load(q, *out, err) : rc;
}

static int draw_id(struct store_pg *q, int64_t *id, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    int rc = pipe_run(q, SQL_TRIAL_NEXT_ID, ARGS_NONE, &r, err);
    if (rc == 0)
        *id = field_int(r, 0, 0);
    return rc;
}

int index_lock(struct store_pg *q, int64_t study, struct trial_index **out, int64_t *next_id,
               struct err *err)
{
    AUTO_RESULT PGresult *lock = NULL;
    AUTO_RESULT PGresult *id = NULL;
    struct trial_index *ix = NULL;
    int64_t last;
    bool now;
    int rc = add_now(q, err);
    if (rc == 0)
        rc = get(q, study, &ix, &now, err);
    if (rc == 0 && ix->locked) {
        rc = next_id != NULL ? draw_id(q, next_id, err) : 0;
        *out = rc == 0 ? ix : *out;
        return rc;
    }
    if (rc == 0)
        rc = tx_lock_study(q, study, &lock, err);
    if (rc == 0 && next_id != NULL)
        rc = pipe_queue(q, SQL_TRIAL_NEXT_ID, ARGS_NONE, &id, err);
    if (rc == 0)
        rc = refresh(q, ix, &last, err);
    if (rc != 0)
        return rc;
    if (PQntuples(lock) == 0) {
        ix->loaded = false;
        return no_study(study, err);
    }
    ix->seen_id = last;
    ix->locked = true;
    if (next_id != NULL)
        *next_id = field_int(id, 0, 0);
    *out = ix;
    return 0;
}
