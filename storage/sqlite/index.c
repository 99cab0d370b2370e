#include "storage/sqlite/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* So few are looked at one by one. */
enum { FEW_WAITING = 16 };

static void index_destroy(struct trial_index *ix)
{
    dists_free(&ix->dists);
    tally_free(&ix->tally);
    news_free(&ix->news);
    free(ix->directions);
    free(ix->name);
    free(ix);
}

void index_free(struct store_sqlite *q)
{
    for (size_t i = 0; i < q->n_indexes; i++)
        index_destroy(q->indexes[i]);
    free(q->indexes);
    q->indexes = NULL;
    q->n_indexes = 0;
}

/* Back to knowing nothing but which study it is. */
static void clear(struct trial_index *ix)
{
    free(ix->name);
    ix->name = NULL;
    ix->anchor = 0;
    ix->anchor_now = false;
    dists_free(&ix->dists);
    tally_clear(&ix->tally);
    news_clear(&ix->news);
    ix->newest = ix->newest_before = (struct newest){0};
    ix->made = ix->written_now = false;
    ix->stale = true;
}

const struct open_trial *index_find_any(struct store_sqlite *q, int64_t trial)
{
    const struct open_trial *t = NULL;
    for (size_t i = 0; i < q->n_indexes && t == NULL; i++)
        t = tally_find(&q->indexes[i]->tally, trial);
    return t;
}

/* The first that is known to be finished stands for the study: its start never changes. */
static void note_finished(struct trial_index *ix, int64_t trial, int64_t start_us)
{
    if (ix->anchor != 0 || start_us == 0)
        return;
    ix->anchor = trial;
    ix->anchor_us = start_us;
}

/* The same of one that we have finished. */
static void note_own_end(struct trial_index *ix, const struct open_trial *t, enum trial_state state)
{
    if (!trial_state_finished(state) || ix->anchor != 0)
        return;
    note_finished(ix, t->id, t->start_us);
    ix->anchor_now = true;
}

/* A trial that is there: they come by their ids. */
static int add_trial(struct trial_index *ix, const struct open_trial *t, struct err *err)
{
    int rc = tally_add(&ix->tally, t, err);
    if (rc == 0)
        ix->newest = (struct newest){t->id, t->number};
    return rc;
}

int index_created(struct trial_index *ix, const struct open_trial *t, struct err *err)
{
    int rc = tally_created(&ix->tally, t, err);
    if (rc < 0)
        return rc;
    if (!ix->made)
        ix->newest_before = ix->newest;
    ix->made = true;
    ix->newest = (struct newest){t->id, t->number};
    note_own_end(ix, t, t->state);
    return 0;
}

void index_ended(struct trial_index *ix, int64_t trial, enum trial_state state)
{
    const struct open_trial *t = tally_find(&ix->tally, trial);
    if (t == NULL)
        return; /* created by another since the last look: the next one sees it */
    note_own_end(ix, t, state);
    tally_changed(&ix->tally, trial, state);
}

static void roll_back(struct trial_index *ix)
{
    if (!tally_take_back(&ix->tally)) {
        clear(ix);
        return;
    }
    if (ix->made)
        ix->newest = ix->newest_before;
    ix->made = false;
    dists_free(&ix->dists); /* some may never have been written */
    if (ix->anchor_now)
        ix->anchor = 0;
    ix->anchor_now = false;
    news_roll_back(&ix->news);
    ix->written = ix->written || ix->written_now;
    ix->written_now = false;
    ix->stale = true; /* the study itself may be gone */
}

void index_deleted(struct store_sqlite *q, int64_t study)
{
    for (size_t i = 0; i < q->n_indexes; i++) {
        if (q->indexes[i]->study == study)
            clear(q->indexes[i]);
    }
}

void index_roll_back(struct store_sqlite *q)
{
    for (size_t i = 0; i < q->n_indexes; i++)
        roll_back(q->indexes[i]);
}

void index_commit(struct store_sqlite *q)
{
    for (size_t i = 0; i < q->n_indexes; i++) {
        struct trial_index *ix = q->indexes[i];
        tally_stands(&ix->tally);
        news_commit(&ix->news);
        ix->made = ix->anchor_now = ix->written_now = false;
    }
}

static int read_state(struct store_sqlite *q, sqlite3_stmt *st, int column, int64_t trial,
                      enum trial_state *out, struct err *err)
{
    if (!trial_state_from_name(sql_text(st, column), out))
        return err_set(err, ERR_CORRUPT, "%s: trial id %lld has the state '%.20s'", q->path,
                       (long long)trial, sql_text(st, column));
    return 0;
}

/* 0 also for what is no time: `forkless db check` names it. */
static int64_t read_start(sqlite3_stmt *st, int column)
{
    int64_t start_us;
    return sql_time(st, column, &start_us) ? start_us : 0;
}

int trial_look_start(struct store_sqlite *q, int64_t trial, struct trial_head *out,
                     int64_t *start_us, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    struct trial_head head;
    int rc = sql_get(q, SQL_TRIAL_LOOK, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, trial);
    rc = sql_step(q, st, err);
    if (rc == 0)
        return err_set(err, ERR_NOTFOUND, "there is no trial with id %lld", (long long)trial);
    if (rc < 0)
        return rc;
    head.study = sqlite3_column_int64(st, 0);
    head.number = sqlite3_column_int64(st, 2);
    rc = read_state(q, st, 1, trial, &head.state, err);
    if (rc == 0) {
        *start_us = read_start(st, 3);
        *out = head;
    }
    return rc;
}

int trial_look(struct store_sqlite *q, int64_t trial, struct trial_head *out, struct err *err)
{
    int64_t start_us;
    return trial_look_start(q, trial, out, &start_us, err);
}

/* Looks an open trial up again. *gone: it is no longer there, so nothing known can be trusted. */
static int refresh_one(struct store_sqlite *q, struct trial_index *ix, struct open_trial *t,
                       bool *gone, struct err *err)
{
    int64_t id = t->id;
    struct trial_head head = {0};
    int64_t start_us = 0;
    int rc = trial_look_start(q, id, &head, &start_us, err);
    *gone = rc == -ERR_NOTFOUND || (rc == 0 && head.study != ix->study);
    if (*gone)
        return 0;
    if (rc == 0 && trial_state_finished(head.state)) {
        note_finished(ix, id, start_us);
        rc = news_ended(&ix->news, id, err);
    }
    if (rc < 0 || head.state == t->state)
        return rc;
    tally_seen(&ix->tally, t, head.state);
    return 0;
}

/* How many of the known WAITING trials changed, less those that were put back into the queue since:
 * the rest of those that wait in the range of their ids are they, so one scan finds a long queue
 * unchanged. Where the range has too many others, *changed is INT64_MAX: look at each. */
static int count_changed(struct store_sqlite *q, const struct trial_index *ix, int64_t *changed,
                         struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int64_t waiting = ix->tally.counts[TRIAL_WAITING], still = 0;
    const struct open_trial *first = ix->tally.open, *last = ix->tally.open + ix->tally.n_open;
    *changed = waiting == 0 ? 0 : INT64_MAX;
    if (waiting < FEW_WAITING)
        return 0;
    while (first->state != TRIAL_WAITING)
        first++;
    while (last[-1].state != TRIAL_WAITING)
        last--;
    if ((last[-1].id - first->id) / 4 > waiting)
        return 0;
    int rc = sql_get(q, SQL_INDEX_WAITING, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, ix->study);
    (void)sqlite3_bind_int64(st, 2, first->id);
    (void)sqlite3_bind_int64(st, 3, last[-1].id);
    rc = sql_int(q, st, &still, err);
    *changed = waiting - still;
    return rc < 0 ? rc : 0;
}

/* Looks the i-th open trial up again and goes to the one behind it. *changed loses one for a trial
 * that no longer waits, and wins one for a running trial that was put back: it was counted among
 * those that still do. */
static int refresh_at(struct store_sqlite *q, struct trial_index *ix, size_t *i, int64_t *changed,
                      bool *gone, struct err *err)
{
    int64_t id = ix->tally.open[*i].id;
    bool waited = ix->tally.open[*i].state == TRIAL_WAITING;
    int rc = refresh_one(q, ix, &ix->tally.open[*i], gone, err);
    bool there = *i < ix->tally.n_open && ix->tally.open[*i].id == id;
    bool waits = there && ix->tally.open[*i].state == TRIAL_WAITING;
    if (*changed < INT64_MAX)
        *changed += (int)waits - (int)waited;
    *i += there;
    return rc;
}

static int refresh_those(struct store_sqlite *q, struct trial_index *ix, enum trial_state state,
                         int64_t *changed, bool *gone, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < ix->tally.n_open && rc == 0 && !*gone;) {
        if (ix->tally.open[i].state != state || (state == TRIAL_WAITING && *changed <= 0))
            i++;
        else
            rc = refresh_at(q, ix, &i, changed, gone, err);
    }
    return rc;
}

static int refresh_open(struct store_sqlite *q, struct trial_index *ix, bool *gone, struct err *err)
{
    int64_t changed;
    int rc = count_changed(q, ix, &changed, err);
    if (rc == 0)
        rc = refresh_those(q, ix, TRIAL_RUNNING, &changed, gone, err);
    return rc < 0 ? rc : refresh_those(q, ix, TRIAL_WAITING, &changed, gone, err);
}

/* When a WAITING trial may be claimed. */
static int read_not_before(struct store_sqlite *q, struct open_trial *t, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_INDEX_NOT_BEFORE, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, t->id);
    rc = sql_step(q, st, err);
    if (rc == 1)
        t->not_before_us = queue_not_before(sql_text(st, 0));
    return rc < 0 ? rc : 0;
}

static int refresh_new(struct store_sqlite *q, struct trial_index *ix, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_INDEX_NEW, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, ix->study);
    (void)sqlite3_bind_int64(st, 2, ix->newest.id);
    while ((rc = sql_step(q, st, err)) == 1) {
        struct open_trial t = {.id = sqlite3_column_int64(st, 0),
                               .number = sqlite3_column_int64(st, 1)};
        rc = read_state(q, st, 2, t.id, &t.state, err);
        if (rc == 0 && ix->anchor == 0 && trial_state_finished(t.state))
            note_finished(ix, t.id, read_start(st, 3));
        if (rc == 0 && t.state == TRIAL_WAITING)
            rc = read_not_before(q, &t, err);
        if (rc == 0)
            rc = add_trial(ix, &t, err);
        if (rc == 0 && trial_state_finished(t.state))
            rc = news_ended(&ix->news, t.id, err);
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* Reads what the study is to do, and whether that is what the index knows. */
static int read_directions(struct store_sqlite *q, struct trial_index *ix, bool *same,
                           struct err *err)
{
    size_t n = ix->n_directions;
    AUTO_FREE enum direction *there = calloc(n + 1, sizeof(*there));
    if (there == NULL)
        return err_set(err, ERR_NOMEM, "study");
    int rc = sqlite_study_directions(&q->base, ix->study, there, &n, err);
    *same = rc == 0 && n == ix->n_directions &&
            (n == 0 || memcmp(there, ix->directions, n * sizeof(*there)) == 0);
    return rc;
}

static int load_directions(struct store_sqlite *q, struct trial_index *ix, struct err *err)
{
    size_t n = 0, room;
    int rc = sqlite_study_directions(&q->base, ix->study, NULL, &n, err);
    if (rc < 0)
        return rc;
    enum direction *grown = realloc(ix->directions, (n + 1) * sizeof(*grown));
    if (grown == NULL)
        return err_set(err, ERR_NOMEM, "study");
    ix->directions = grown;
    ix->n_directions = room = n;
    return sqlite_study_directions(&q->base, ix->study, grown, &room, err);
}

/* Whether the trials are those that the index knows, when a study of the same name could stand in
 * the place of one that was deleted: one that was finished started when it did. Where none was, a
 * study with the same objectives and a trial in the place of the newest known one is as good, but
 * for the distributions. */
static int same_trials(struct store_sqlite *q, struct trial_index *ix, bool *same, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_TRIAL_LOOK, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, ix->anchor != 0 ? ix->anchor : ix->newest.id);
    rc = sql_step(q, st, err);
    if (rc < 0)
        return rc;
    bool there = rc == 1 && sqlite3_column_int64(st, 0) == ix->study;
    if (ix->anchor != 0) {
        *same = there && read_start(st, 3) == ix->anchor_us;
        return 0;
    }
    dists_free(&ix->dists);
    if (ix->tally.total > 0 && (!there || sqlite3_column_int64(st, 2) != ix->newest.number)) {
        *same = false;
        return 0;
    }
    return read_directions(q, ix, same, err);
}

/* Whether the study is still the one the index knows: ids are used again after a deletion. */
static int same_study(struct store_sqlite *q, struct trial_index *ix, bool *same, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_STUDY_NAME, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, ix->study);
    rc = sql_step(q, st, err);
    if (rc == 0)
        return err_set(err, ERR_NOTFOUND, "there is no study with id %lld", (long long)ix->study);
    if (rc < 0)
        return rc;
    *same = ix->name != NULL && strcmp(ix->name, sql_text(st, 0)) == 0;
    if (!*same) {
        free(ix->name);
        ix->name = strdup(sql_text(st, 0));
        return ix->name == NULL ? err_set(err, ERR_NOMEM, "study") : 0;
    }
    return same_trials(q, ix, same, err);
}

static int load_study(struct store_sqlite *q, struct trial_index *ix, struct err *err)
{
    bool ignored;
    clear(ix);
    int rc = same_study(q, ix, &ignored, err);
    if (rc == 0)
        rc = load_directions(q, ix, err);
    return rc < 0 ? rc : refresh_new(q, ix, err);
}

static int refresh(struct store_sqlite *q, struct trial_index *ix, struct err *err)
{
    bool same = false;
    bool gone = false;
    int rc = same_study(q, ix, &same, err);
    if (rc == 0 && same)
        rc = refresh_open(q, ix, &gone, err);
    if (rc == 0)
        rc = same && !gone ? refresh_new(q, ix, err) : load_study(q, ix, err);
    if (rc < 0) {
        clear(ix); /* half refreshed is worse than unknown */
        return rc;
    }
    ix->stale = false;
    ix->written = true;
    return 0;
}

/* Marks all indexes stale when another connection has written. */
static int check_version(struct store_sqlite *q, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int64_t version = 0;
    int rc = sql_get(q, SQL_DATA_VERSION, &st, err);
    if (rc == 0)
        rc = sql_int(q, st, &version, err);
    if (rc < 0)
        return rc;
    if (version != q->data_version) {
        q->data_version = version;
        for (size_t i = 0; i < q->n_indexes; i++)
            q->indexes[i]->stale = true;
    }
    return 0;
}

static struct trial_index *add(struct store_sqlite *q, int64_t study)
{
    struct trial_index **grown =
        realloc(q->indexes, (q->n_indexes + 1) * sizeof(struct trial_index *));
    if (grown == NULL)
        return NULL;
    q->indexes = grown;
    struct trial_index *ix = calloc(1, sizeof(*ix));
    if (ix == NULL)
        return NULL;
    ix->study = study;
    ix->stale = true;
    q->indexes[q->n_indexes++] = ix;
    return ix;
}

int index_get(struct store_sqlite *q, int64_t study, struct trial_index **out, struct err *err)
{
    struct trial_index *ix = NULL;
    int rc = check_version(q, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < q->n_indexes && ix == NULL; i++) {
        if (q->indexes[i]->study == study)
            ix = q->indexes[i];
    }
    if (ix == NULL && (ix = add(q, study)) == NULL)
        return err_set(err, ERR_NOMEM, "index of a study");
    if (ix->stale) {
        rc = refresh(q, ix, err);
        if (rc < 0)
            return rc;
    }
    *out = ix;
    return 0;
}
