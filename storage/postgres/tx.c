/* Transactions: one for each call, or one for the calls of a batch.
 *
 *   store_begin          nothing is sent
 *   what is written      is queued, behind BEGIN and a guard for each of our trials
 *   store_trial_claim    sends that, and a claim that the server decides by itself, and COMMIT:
 *                        while it holds the study's lock it waits for nobody
 *   store_trial_retry    its trial is added by the server with the commit, and so is one that is
 *                        created by itself, or whose id nobody asks for
 *   store_commit         sends what is left and COMMIT, and waits once
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "storage/postgres/add.h"
#include "storage/postgres/index.h"
#include "storage/postgres/pg.h"

#define SELF(s) CONTAINER_OF(s, struct store_pg, base)

int no_trial(int64_t trial, struct err *err)
{
    return err_set(err, ERR_NOTFOUND, "there is no trial with id %" PRId64, trial);
}

int no_study(int64_t study, struct err *err)
{
    return err_set(err, ERR_NOTFOUND, "there is no study with id %" PRId64, study);
}

static void tx_over(struct store_pg *q)
{
    q->in_tx = q->reading = q->study_locked = false;
    q->xid = 0;
    q->n_checked = 0;
}

/* Leaves no transaction behind, and no half of one in what the handle knows. */
static void roll_back(struct store_pg *q)
{
    q->no_guards = q->no_guards || q->guard_failed;
    if (q->in_tx && q->c != NULL) {
        pipe_forget(q);
        /* errors of what was queued are why we are here; a lost connection has rolled back */
        (void)pipe_round(q, NULL);
        if (q->c != NULL && pipe_run(q, SQL_ROLLBACK, ARGS_NONE, NULL, NULL) < 0)
            conn_drop(q);
    }
    tx_over(q);
    add_forget(q);
    q->results_made = false;
    index_roll_back(q);
    again_roll_back(q);
}

static int queue_begin(struct store_pg *q, struct err *err)
{
    if (q->in_tx)
        return 0;
    int rc = conn_ensure(q, false, err);
    if (rc == 0)
        rc = pipe_queue(q, SQL_BEGIN_WRITE, ARGS_NONE, NULL, err);
    q->in_tx = rc == 0;
    return rc;
}

/* The lock stops everybody's claims, and is held until the commit has reached the disk: so such a
 * transaction does not wait for the disk, but one behind it does, which makes both durable. */
int tx_lock_study(struct store_pg *q, int64_t study, PGresult **out, struct err *err)
{
    struct args a = {0};
    arg_int(&a, study);
    int rc = pipe_queue(q, SQL_COMMIT_ASYNC, ARGS_NONE, NULL, err);
    if (rc == 0)
        rc = pipe_queue(q, SQL_STUDY_LOCK, &a, out, err);
    q->study_locked = true;
    return rc;
}

/* Makes durable what was committed before. */
static int queue_flush(struct store_pg *q, struct err *err)
{
    int rc = pipe_queue(q, SQL_BEGIN_WRITE, ARGS_NONE, NULL, err);
    if (rc == 0)
        rc = pipe_queue(q, SQL_LOG_SOMETHING, ARGS_NONE, NULL, err);
    if (rc == 0)
        rc = pipe_queue(q, SQL_COMMIT, ARGS_NONE, NULL, err);
    return rc;
}

/* The batch goes on. */
static bool in_the_middle(const struct store_pg *q)
{
    return q->in_batch && !q->ending;
}

int tx_queue_commit(struct store_pg *q, struct err *err)
{
    int rc = add_queue(q, err);
    q->unflushed = q->unflushed || q->study_locked;
    if (rc == 0)
        rc = pipe_queue(q, SQL_COMMIT, ARGS_NONE, NULL, err);
    if (rc == 0)
        pipe_mark_commit(q);
    return rc < 0 || in_the_middle(q) || !q->unflushed ? rc : queue_flush(q, err);
}

int tx_id(struct store_pg *q, int64_t *xid, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    int rc = q->xid == 0 ? pipe_run(q, SQL_XID, ARGS_NONE, &r, err) : 0;
    if (rc == 0 && q->xid == 0)
        q->xid = field_int(r, 0, 0);
    *xid = q->xid;
    return rc;
}

int tx_landed(struct store_pg *q, int64_t xid, bool *landed, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    struct args a = {0};
    arg_int(&a, xid);
    int rc = pipe_run(q, SQL_XID_STATUS, &a, &r, err);
    if (rc < 0)
        return rc;
    *landed = strcmp(field(r, 0, 0), "committed") == 0;
    if (strcmp(field(r, 0, 0), "in progress") == 0)
        return err_set(err, ERR_BUSY, "%s: a transaction whose answer was lost is still under way",
                       q->name);
    return 0;
}

int tx_land(struct store_pg *q, int rc, struct err *err)
{
    if (rc < 0)
        conn_drop(q); /* the commit may be on its way already */
    else
        rc = pipe_round(q, err);
    if (rc == 0) {
        tx_over(q);
        q->unflushed = q->unflushed && in_the_middle(q);
        index_land(q);
        again_land(q);
        q->no_guards = false;
        q->results_ready = q->results_ready || q->results_made;
        q->results_made = false;
        return 0;
    }
    if (q->commit_in_doubt)
        again_doubt(q);
    roll_back(q);
    return rc;
}

static int commit(struct store_pg *q, struct err *err)
{
    int rc = 0;
    q->commit_in_doubt = false;
    q->ending = true;
    if (q->n_additions > 0)
        rc = add_land(q, err);
    else if (q->in_tx)
        rc = tx_land(q, tx_queue_commit(q, err), err);
    else if (q->unflushed) /* nothing was done since the last claim */
        rc = tx_land(q, queue_flush(q, err), err);
    q->ending = false;
    if (rc == 0) {
        index_commit(q);
        again_commit(q);
    } else {
        again_roll_back(q); /* it may have landed, and failed behind that */
    }
    return rc;
}

int tx_enter(struct store_pg *q, struct err *err)
{
    if (q->in_batch && q->broken.code != ERR_NONE) {
        if (err != NULL)
            *err = q->broken;
        return -(int)q->broken.code;
    }
    return queue_begin(q, err);
}

/* What the batch is refused with from now on. */
static void break_batch(struct store_pg *q, int rc, const struct err *err)
{
    if (err != NULL)
        q->broken = *err;
    else
        (void)err_set(&q->broken, (enum err_code) - rc, "%s: a write of this batch failed",
                      q->name);
}

int tx_leave(struct store_pg *q, int rc, struct err *err)
{
    if (rc < 0)
        pipe_forget(q);
    if (q->in_batch) {
        if (rc < 0 && !store_refused(rc) && q->broken.code == ERR_NONE)
            break_batch(q, rc, err);
        return rc;
    }
    if (rc >= 0)
        return commit(q, err);
    roll_back(q);
    return rc;
}

int tx_enter_read(struct store_pg *q, struct err *err)
{
    int rc = q->in_batch ? tx_enter(q, err) : conn_ensure(q, false, err);
    if (rc < 0)
        return rc;
    if (q->in_batch) {
        rc = add_now(q, err);
        return rc < 0 ? tx_leave(q, rc, err) : 0;
    }
    rc = pipe_queue(q, SQL_BEGIN_READ, ARGS_NONE, NULL, err);
    if (rc == 0) {
        q->in_tx = q->reading = true;
        /* the caller of a long read may take its time */
        rc = pipe_queue(q, SQL_NO_IDLE_LIMIT, ARGS_NONE, NULL, err);
    }
    return rc;
}

int tx_leave_read(struct store_pg *q, int rc)
{
    if (rc < 0)
        pipe_forget(q);
    if (q->in_batch) {
        if (rc < 0 && !store_refused(rc) && q->broken.code == ERR_NONE)
            break_batch(q, rc, NULL);
        return rc;
    }
    /* the end of a snapshot cannot fail; what was seen in it stays seen */
    if (q->in_tx && q->c != NULL) {
        (void)pipe_round(q, NULL);
        if (q->c != NULL && pipe_run(q, SQL_ROLLBACK, ARGS_NONE, NULL, NULL) < 0)
            conn_drop(q);
    }
    tx_over(q);
    index_commit(q);
    return rc;
}

int look(struct store_pg *q, enum sql id, const struct args *a, PGresult **out, struct err *err)
{
    int rc = q->in_batch ? tx_enter(q, err) : conn_ensure(q, false, err);
    if (rc == 0)
        rc = add_now(q, err);
    if (rc == 0)
        rc = pipe_run(q, id, a, out, err);
    if (rc < 0 && q->in_batch && q->broken.code == ERR_NONE)
        break_batch(q, rc, err);
    return rc;
}

/* --- whether a trial may be written to ---------------------------------------------------------
 */

static const struct checked *checked(const struct store_pg *q, int64_t trial)
{
    for (size_t i = 0; i < q->n_checked; i++) {
        if (q->checked[i].trial == trial)
            return &q->checked[i];
    }
    return NULL;
}

void tx_trust(struct store_pg *q, int64_t trial, int64_t study)
{
    /* without memory for it the trial is only looked at once more */
    if (array_reserve(&q->checked, &q->cap_checked, q->n_checked + 1, sizeof(*q->checked)))
        q->checked[q->n_checked++] = (struct checked){.trial = trial, .study = study};
}

static int queue_guard(struct store_pg *q, const struct open_trial *t, int64_t study,
                       struct err *err)
{
    struct args a = {0};
    arg_int(&a, t->id);
    arg_time(&a, t->start_us);
    int rc = pipe_queue(q, SQL_TRIAL_GUARD, &a, NULL, err);
    pipe_mark_guard(q);
    if (rc == 0)
        tx_trust(q, t->id, study);
    return rc;
}

/* Whether the trial ended as it did because of us, before a commit was lost. */
static bool ended_by_us(const struct store_pg *q, const PGresult *r, int64_t trial)
{
    const struct effect *e = again_find(q, EFFECT_END, trial, 0);
    int64_t end_us;
    if (e == NULL)
        e = again_find(q, EFFECT_RETRY, trial, 0);
    return e != NULL && field_time(r, 0, 4, &end_us) && end_us == e->time_us;
}

static int lock_trial(struct store_pg *q, int64_t trial, const struct open_trial *known,
                      int64_t *study, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    struct args a = {0};
    enum trial_state state;
    int64_t start_us;
    if (!id_fits(trial))
        return no_trial(trial, err);
    arg_int(&a, trial);
    int rc = pipe_run(q, SQL_TRIAL_LOCK, &a, &r, err);
    if (rc < 0)
        return rc;
    if (PQntuples(r) == 0)
        return no_trial(trial, err);
    rc = field_state(q, r, 0, 2, trial, &state, err);
    if (rc < 0)
        return rc;
    *study = field_int(r, 0, 0);
    if (trial_state_finished(state)) {
        if (ended_by_us(q, r, trial)) {
            struct trial_index *ix = index_known(q, *study);
            if (ix != NULL)
                tally_changed(&ix->tally, trial, state);
            return TX_ALREADY;
        }
        return err_set(err, ERR_FINISHED, "trial id %" PRId64 " is already %s and cannot change",
                       trial, trial_state_name(state));
    }
    if (!field_time(r, 0, 3, &start_us))
        start_us = -1; /* as no trial of ours started */
    if (!open_trial_may_change(known, state, start_us))
        return err_set(err, ERR_CONFLICT,
                       "trial id %" PRId64 " is not ours any more: it was put back into the queue, "
                       "and is %s now",
                       trial, trial_state_name(state));
    tx_trust(q, trial, *study);
    return 0;
}

int tx_lock_trial(struct store_pg *q, int64_t trial, int64_t *study, struct err *err)
{
    return lock_trial(q, trial, NULL, study, err);
}

int tx_check_trial(struct store_pg *q, int64_t trial, int64_t *study, struct err *err)
{
    int64_t of = 0;
    const struct checked *before = checked(q, trial);
    if (before != NULL) {
        *study = before->study;
        return 0;
    }
    const struct open_trial *known = index_find_any(q, trial, &of);
    bool trusted = known != NULL && known->own && known->state == TRIAL_RUNNING &&
                   known->start_us != 0 && q->in_batch && !q->no_guards;
    if (!trusted)
        return lock_trial(q, trial, known, study, err);
    *study = of;
    return queue_guard(q, known, of, err);
}

void tx_done(struct store_pg *q, int64_t trial)
{
    for (size_t i = 0; i < q->n_checked; i++) {
        if (q->checked[i].trial == trial)
            q->checked[i] = q->checked[--q->n_checked];
    }
}

/* --- batches -----------------------------------------------------------------------------------
 */

int pg_begin(struct store *s, struct err *err)
{
    struct store_pg *q = SELF(s);
    assert(!q->in_batch);
    int rc = conn_ensure(q, false, err);
    if (rc < 0)
        return rc;
    q->in_batch = true;
    q->broken = (struct err){0};
    return 0;
}

int pg_commit(struct store *s, bool durable, struct err *err)
{
    struct store_pg *q = SELF(s);
    (void)durable; /* always */
    assert(q->in_batch);
    int rc = 0;
    if (q->broken.code != ERR_NONE) {
        if (err != NULL)
            *err = q->broken;
        rc = -(int)q->broken.code;
        roll_back(q);
    } else {
        rc = commit(q, err);
    }
    q->in_batch = false;
    return rc;
}

int pg_sync(struct store *s, struct err *err)
{
    (void)s;
    (void)err;
    return 0; /* the server's commits are durable */
}

void pg_rollback(struct store *s)
{
    struct store_pg *q = SELF(s);
    if (!q->in_batch)
        return;
    roll_back(q);
    q->in_batch = false;
}
