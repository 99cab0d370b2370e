/* Who runs what: taking the next trial, and queueing one again after it failed. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "storage/lineage.h"
#include "storage/postgres/add.h"
#include "storage/postgres/index.h"
#include "storage/postgres/ops.h"
#include "storage/postgres/reader.h"

#define SELF(s) CONTAINER_OF(s, struct store_pg, base)

/* So often somebody else may be faster before the caller is told to come again. */
#define TRIES 100

static int put_owner_json(struct buf *json, const char *owner, struct err *err)
{
    if (owner != NULL)
        json_put_string(json, owner);
    return json->failed ? err_set(err, ERR_NOMEM, "owner") : 0;
}

static int read_claimed(struct store_pg *q, struct store_claim *claim, struct err *err)
{
    int rc = reader_get(q, claim->id, WANT_ALL, &claim->trial, err);
    if (rc == 0)
        claim->fixed_params = lineage_attr(claim->trial, "fixed_params");
    return rc;
}

/* A claim whose commit was lost, or whose batch failed behind it: is it there, and nobody else's
 * since? A new trial is known by its start and its owner, who claims one at a time. */
static int find_claimed(struct store_pg *q, int64_t study, const struct effect *was,
                        const char *owner, int64_t *id, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    AUTO(buf_free) struct buf json = BUF_INIT;
    struct args a = {0};
    *id = was->id;
    if (was->id >= 0)
        return 0;
    int rc = put_owner_json(&json, owner, err);
    arg_int(&a, study);
    arg_time(&a, was->time_us);
    arg_text(&a, owner != NULL ? buf_str(&json) : NULL);
    if (rc == 0)
        rc = pipe_run(q, SQL_CLAIM_FIND, &a, &r, err);
    if (rc == 0 && PQntuples(r) > 0)
        *id = field_int(r, 0, 0);
    return rc;
}

static int claim_again(struct store_pg *q, struct trial_index *ix, const struct effect *e,
                       const char *owner, struct store_claim *out, bool *there, struct err *err)
{
    const struct effect was = *e;
    struct store_claim claim = {.kind = was.id >= 0 ? CLAIM_QUEUED : CLAIM_NEW};
    int rc = find_claimed(q, ix->study, &was, owner, &claim.id, err);
    if (rc == 0)
        rc = claim.id >= 0 ? read_claimed(q, &claim, err) : -ERR_NOTFOUND;
    *there = rc == 0 && claim.trial->state == TRIAL_RUNNING && claim.trial->start_us == was.time_us;
    if (!*there) {
        again_forget(q, e);
        return rc == -ERR_NOTFOUND ? 0 : rc;
    }
    claim.number = claim.trial->number;
    const struct open_trial t = {.id = claim.id,
                                 .number = claim.number,
                                 .start_us = was.time_us,
                                 .state = TRIAL_RUNNING,
                                 .own = true};
    if (claim.kind == CLAIM_NEW)
        claim.trial = NULL;
    again_note(q, &was);
    *out = claim;
    return index_created(ix, &t, err);
}

/* What the server decides with, see SQL_CLAIM: what we know, and what must still be so. */
struct bid {
    struct queue queue;
    int64_t start_us;
};

static int queue_bid(struct store_pg *q, const struct trial_index *ix,
                     const struct store_claim_opts *opts, const struct bid *bid, PGresult **out,
                     struct err *err)
{
    AUTO(buf_free) struct buf open = BUF_INIT;
    AUTO(buf_free) struct buf states = BUF_INIT;
    AUTO(buf_free) struct buf owner = BUF_INIT;
    struct args a = {0};
    int64_t room = INT64_MAX;
    buf_putc(&open, '{');
    for (size_t i = 0; i < ix->tally.n_open; i++)
        buf_printf(&open, "%s%" PRId64, i > 0 ? "," : "", ix->tally.open[i].id);
    buf_putc(&open, '}');
    buf_puts(&states, "{RUNNING");
    for (int s = 0; s < TRIAL_STATES; s++) {
        if (s == TRIAL_RUNNING || (opts->target_states & STORE_STATE_BIT(s)) == 0)
            continue;
        buf_printf(&states, ",%s", trial_state_name((enum trial_state)s));
    }
    buf_putc(&states, '}');
    if (opts->target >= 0) /* the places that finished trials have left over */
        room = opts->target -
               queue_done(ix->tally.counts, opts->target_states & ~STORE_STATE_BIT(TRIAL_WAITING));
    int rc = put_owner_json(&owner, opts->owner, err);
    if (open.failed || states.failed || rc < 0)
        return err_set(err, ERR_NOMEM, "index of %zu trials", ix->tally.n_open);
    arg_int(&a, ix->study);
    arg_int(&a, ix->seen_id);
    arg_text(&a, buf_str(&open));
    arg_text(&a, buf_str(&states));
    arg_count(&a, bid->queue.due != NULL ? bid->queue.due->id : -1);
    arg_int(&a, room);
    arg_time(&a, bid->start_us);
    arg_int(&a, ix->tally.total);
    arg_int(&a, bid->queue.n_later);
    arg_text(&a, opts->owner != NULL ? buf_str(&owner) : NULL);
    return pipe_queue(q, SQL_CLAIM, &a, out, err);
}

/* Takes in what the server has claimed for us. */
static int take_claim(struct store_pg *q, struct trial_index *ix, const PGresult *r,
                      const struct effect *made, struct store_claim *out, struct err *err)
{
    const bool queued = made->id >= 0;
    struct store_claim claim = {.kind = queued ? CLAIM_QUEUED : CLAIM_NEW,
                                .id = field_int(r, 0, 0),
                                .number = field_int(r, 0, 1)};
    const struct open_trial t = {.id = claim.id,
                                 .number = claim.number,
                                 .start_us = made->time_us,
                                 .state = TRIAL_RUNNING,
                                 .own = true};
    int rc = 0;
    if (queued)
        tally_claimed(&ix->tally, claim.id, made->time_us);
    else
        rc = index_created(ix, &t, err);
    if (rc == 0 && queued)
        rc = read_claimed(q, &claim, err);
    if (rc == 0)
        *out = claim;
    return rc;
}

/* One try, which the server decides: whatever is open is committed with it. *won tells whether it
 * claimed; if not, something has changed since we looked last, and is known now. */
static int claim_round(struct store_pg *q, struct trial_index *ix,
                       const struct store_claim_opts *opts, const struct bid *bid,
                       struct store_claim *out, bool *won, struct err *err)
{
    AUTO_RESULT PGresult *lock = NULL;
    AUTO_RESULT PGresult *claimed = NULL;
    AUTO(index_look_free) struct index_look look = {0};
    const struct effect made = {.kind = EFFECT_CLAIM,
                                .on = ix->study,
                                .id = bid->queue.due != NULL ? bid->queue.due->id : -1,
                                .time_us = bid->start_us};
    int64_t last;
    int rc = tx_enter(q, err);
    if (rc == 0)
        rc = tx_lock_study(q, ix->study, &lock, err);
    if (rc == 0)
        rc = queue_bid(q, ix, opts, bid, &claimed, err);
    if (rc < 0)
        return rc;
    again_note(q, &made);
    rc = tx_queue_commit(q, err);
    if (rc == 0)
        rc = index_look_queue(q, ix, &look, err);
    rc = tx_land(q, rc, err);
    if (rc < 0)
        return rc;
    if (PQntuples(lock) == 0) {
        ix->loaded = false;
        return no_study(ix->study, err);
    }
    *won = !PQgetisnull(claimed, 0, 0);
    if (*won)
        rc = take_claim(q, ix, claimed, &made, out, err);
    int taken = index_look_take(q, ix, &look, &last, err);
    int64_t mark = field_int(claimed, 0, 2);
    if (taken == 0 && mark > ix->seen_id) /* it was read under the study's lock */
        ix->seen_id = mark;
    index_land(q);
    ix->fresh = q->in_batch && taken == 0;
    if (*won && (rc < 0 || taken < 0))
        again_keep(q, &made);
    return rc < 0 ? rc : taken;
}

/* What is known may be old: where there is something to claim the server finds out, and where there
 * is nothing we look. */
static int claim_fresh(struct store_pg *q, struct trial_index *ix,
                       const struct store_claim_opts *opts, struct store_claim *out,
                       struct err *err)
{
    bool looked = false;
    for (int i = 0; i < TRIES; i++) {
        struct bid bid = {.start_us = clock_utc_us()};
        bool won = false;
        int rc;
        if (queue_offers(&ix->tally, opts, bid.start_us, &bid.queue, out)) {
            rc = claim_round(q, ix, opts, &bid, out, &won, err);
        } else if (looked) {
            return 0;
        } else {
            rc = study_check(q, ix->study, err);
            if (rc == 0)
                rc = index_get(q, ix->study, &ix, err);
        }
        if (rc < 0 || won)
            return rc;
        looked = true;
    }
    return err_set(err, ERR_BUSY, "%s: others were faster %d times", q->name, TRIES);
}

static int claim(struct store_pg *q, int64_t study, const struct store_claim_opts *opts,
                 struct store_claim *out, struct err *err)
{
    struct trial_index *ix = NULL;
    bool there = false;
    int rc = q->n_additions > 0 ? add_land(q, err) : 0; /* one of them may be next */
    if (rc == 0)
        rc = index_ready(q, study, &ix, err);
    const struct effect *e;
    while (rc == 0 && !there && (e = again_find(q, EFFECT_CLAIM, study, 0)) != NULL) {
        rc = index_lock(q, study, &ix, NULL, err); /* so that what may have landed has */
        if (rc == 0)
            rc = claim_again(q, ix, e, opts->owner, out, &there, err);
    }
    return rc != 0 || there ? rc : claim_fresh(q, ix, opts, out, err);
}

int pg_trial_claim(struct store *s, int64_t study, const struct store_claim_opts *opts,
                   struct store_claim *out, struct err *err)
{
    struct store_pg *q = SELF(s);
    struct store_claim taken = {0};
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    rc = tx_leave(q, claim(q, study, opts, &taken, err), err);
    if (rc == 0)
        *out = taken;
    return rc;
}

/* Now, for whoever asks for its id. */
static int clone_locked(struct store_pg *q, int64_t study, const struct trial *clone,
                        struct effect *made, struct err *err)
{
    struct trial_index *ix;
    struct open_trial open;
    int rc = index_lock(q, study, &ix, &made->id, err);
    if (rc == 0)
        rc = trial_insert(q, ix, clone, made->id, &open, err);
    if (rc < 0)
        return rc;
    made->number = open.number;
    again_note(q, made);
    return 0;
}

/* With the commit, when the server needs the study's lock for a moment only. */
static int clone_later(struct store_pg *q, int64_t study, const struct trial *clone,
                       const struct effect *made, struct err *err)
{
    struct trial_index *ix;
    int rc = index_ready(q, study, &ix, err);
    if (rc == 0)
        rc = trial_check_params(q, ix, clone->params, clone->n_params, err);
    return rc == 0 ? add_later(q, study, clone, made, NULL, err) : rc;
}

/* The clone comes first: it may be refused, and then nothing must have been written. */
static int queue_clone(struct store_pg *q, int64_t study, const struct trial *t,
                       const struct store_retry *retry, bool asked, struct effect *made,
                       struct err *err)
{
    AUTO(lineage_free) struct lineage l = LINEAGE_INIT;
    int rc = lineage_clone(&l, t, retry, err);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        again_note(q, made);
        return 0;
    }
    return asked || !add_can(&l.clone) ? clone_locked(q, study, &l.clone, made, err)
                                       : clone_later(q, study, &l.clone, made, err);
}

static int fail_and_queue(struct store_pg *q, int64_t trial, const struct store_retry *retry,
                          bool asked, struct effect *made, struct err *err)
{
    const struct trial *t = NULL;
    int64_t study;
    int rc = tx_check_trial(q, trial, &study, err);
    if (rc == TX_ALREADY) {
        const struct effect *e = again_find(q, EFFECT_RETRY, trial, 0);
        if (e == NULL) /* it was ended in another way */
            return err_set(err, ERR_FINISHED, "trial id %" PRId64 " is already finished", trial);
        *made = *e;
        again_note(q, made);
        return 0;
    }
    if (rc == 0)
        rc = reader_get(q, trial, WANT_ALL & ~WANT_STEPS, &t, err);
    if (rc == 0)
        rc = queue_clone(q, study, t, retry, asked, made, err);
    return rc < 0 ? rc : trial_end(q, study, trial, TRIAL_FAIL, NULL, 0, made->time_us, err);
}

int pg_trial_retry(struct store *s, int64_t trial, const struct store_retry *retry,
                   int64_t *retry_id, int64_t *retry_number, struct err *err)
{
    struct store_pg *q = SELF(s);
    struct effect made = {
        .kind = EFFECT_RETRY, .on = trial, .id = -1, .number = -1, .time_us = clock_utc_us()};
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    bool asked = retry_id != NULL;
    rc = tx_leave(q, fail_and_queue(q, trial, retry, asked, &made, err), err);
    if (rc == 0 && asked) {
        *retry_id = made.id;
        *retry_number = made.number;
    }
    return rc;
}
