/* Who runs what: taking the next trial, and queueing one again after it failed. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "storage/lineage.h"
#include "storage/postgres/index.h"
#include "storage/postgres/ops.h"
#include "storage/postgres/reader.h"

#define SELF(s) CONTAINER_OF(s, struct store_pg, base)

/* What is queued: the oldest trial that is due, and those that are not. */
struct queue {
    struct open_trial *due;
    int64_t n_later;
    int64_t next_us; /* when the first of those is due */
};

static struct queue look_queue(struct trial_index *ix, int64_t now_us)
{
    struct queue found = {0};
    if (ix->counts[TRIAL_WAITING] == 0)
        return found;
    for (size_t i = 0; i < ix->n_open && found.due == NULL; i++) {
        struct open_trial *t = &ix->open[i];
        if (t->state != TRIAL_WAITING)
            continue;
        if (t->not_before_us <= now_us) {
            found.due = t;
        } else {
            found.n_later++;
            if (found.next_us == 0 || t->not_before_us < found.next_us)
                found.next_us = t->not_before_us;
        }
    }
    return found;
}

static int put_owner(struct store_pg *q, int64_t trial, const char *owner, struct err *err)
{
    AUTO(buf_free) struct buf json = BUF_INIT;
    if (owner == NULL)
        return 0;
    json_put_string(&json, owner);
    if (json.failed)
        return err_set(err, ERR_NOMEM, "owner");
    const struct trial_attr attr = {.key = STORE_ATTR_OWNER, .json = buf_str(&json)};
    return trial_put_attrs(q, trial, ATTR_SYSTEM, &attr, 1, err);
}

static int read_claimed(struct store_pg *q, struct store_claim *claim, struct err *err)
{
    int rc = reader_get(q, claim->id, WANT_ALL, &claim->trial, err);
    if (rc == 0)
        claim->fixed_params = lineage_attr(claim->trial, "fixed_params");
    return rc;
}

/* A Python process takes no lock on the study: *won tells whether the trial was still waiting. */
static int claim_queued(struct store_pg *q, struct trial_index *ix, const struct open_trial *due,
                        const char *owner, struct store_claim *out, bool *won, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    struct args a = {0};
    struct store_claim claim = {.kind = CLAIM_QUEUED, .id = due->id, .number = due->number};
    const struct effect made = {.kind = EFFECT_CLAIM,
                                .on = ix->study,
                                .id = due->id,
                                .number = due->number,
                                .time_us = clock_utc_us(),
                                .queued = true};
    arg_int(&a, due->id);
    arg_time(&a, made.time_us);
    int rc = pipe_queue(q, SQL_TRIAL_CLAIM, &a, &r, err);
    if (rc == 0)
        rc = read_claimed(q, &claim, err);
    if (rc < 0)
        return rc;
    assert(claim.trial != NULL);
    *won = PQntuples(r) == 1;
    if (!*won) {
        index_changed(ix, due->id, claim.trial->state);
        return 0;
    }
    rc = put_owner(q, claim.id, owner, err);
    if (rc == 0) {
        index_claimed(ix, claim.id, made.time_us);
        again_note(q, &made);
        *out = claim;
    }
    return rc;
}

static int claim_new(struct store_pg *q, struct trial_index *ix, const char *owner, int64_t id,
                     struct store_claim *out, struct err *err)
{
    struct open_trial t;
    int rc = trial_insert(q, ix, NULL, id, &t, err);
    if (rc == 0)
        rc = put_owner(q, id, owner, err);
    if (rc < 0)
        return rc;
    again_note(q, &(const struct effect){.kind = EFFECT_CLAIM,
                                         .on = ix->study,
                                         .id = id,
                                         .number = t.number,
                                         .time_us = t.start_us});
    *out = (struct store_claim){.kind = CLAIM_NEW, .id = id, .number = t.number};
    return 0;
}

/* A claim whose commit was lost: is it there, and nobody else's since? */
static int claim_again(struct store_pg *q, struct trial_index *ix, const struct effect *e,
                       struct store_claim *out, bool *there, struct err *err)
{
    const struct effect was = *e;
    struct store_claim claim = {
        .kind = was.queued ? CLAIM_QUEUED : CLAIM_NEW, .id = was.id, .number = was.number};
    int rc = read_claimed(q, &claim, err);
    *there = rc == 0 && claim.trial->state == TRIAL_RUNNING && claim.trial->start_us == was.time_us;
    if (!*there) {
        again_forget(q, e);
        return rc == -ERR_NOTFOUND ? 0 : rc;
    }
    const struct open_trial t = {.id = was.id,
                                 .number = was.number,
                                 .start_us = was.time_us,
                                 .state = TRIAL_RUNNING,
                                 .own = true};
    if (!was.queued)
        claim.trial = NULL;
    again_note(q, &was);
    *out = claim;
    return index_created(ix, &t, err);
}

static int64_t count_done(const struct trial_index *ix, unsigned states)
{
    int64_t n = 0;
    for (int state = 0; state < TRIAL_STATES; state++) {
        if (state != TRIAL_RUNNING && (states & STORE_STATE_BIT(state)) != 0)
            n += ix->counts[state];
    }
    return n;
}

static int claim_fresh(struct store_pg *q, struct trial_index *ix,
                       const struct store_claim_opts *opts, int64_t id, struct store_claim *out,
                       struct err *err)
{
    for (;;) {
        int64_t done = count_done(ix, opts->target_states);
        int64_t room =
            opts->target < 0 ? INT64_MAX : opts->target - done - ix->counts[TRIAL_RUNNING];
        if (room <= 0) {
            *out = (struct store_claim){.kind = done >= opts->target ? CLAIM_FULL : CLAIM_LATER};
            return 0;
        }
        struct queue queue = look_queue(ix, clock_utc_us());
        if (queue.due == NULL && room <= queue.n_later) {
            *out = (struct store_claim){.kind = CLAIM_LATER, .due_us = queue.next_us};
            return 0;
        }
        if (queue.due == NULL)
            return claim_new(q, ix, opts->owner, id, out, err);
        bool won = false;
        int rc = claim_queued(q, ix, queue.due, opts->owner, out, &won, err);
        if (rc < 0 || won)
            return rc;
    }
}

static int claim(struct store_pg *q, int64_t study, const struct store_claim_opts *opts,
                 struct store_claim *out, struct err *err)
{
    struct trial_index *ix = NULL;
    int64_t id = 0;
    bool there = false;
    int rc = index_lock(q, study, &ix, &id, err);
    const struct effect *e;
    while (rc == 0 && !there && (e = again_find(q, EFFECT_CLAIM, study, 0)) != NULL)
        rc = claim_again(q, ix, e, out, &there, err);
    return rc < 0 || there ? rc : claim_fresh(q, ix, opts, id, out, err);
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

/* The clone comes first: it may be refused, and then nothing must have been written. */
static int queue_clone(struct store_pg *q, int64_t study, const struct trial *t,
                       const struct store_retry *retry, struct effect *made, struct err *err)
{
    AUTO(lineage_free) struct lineage l = LINEAGE_INIT;
    struct trial_index *ix;
    struct open_trial open;
    int rc = lineage_clone(&l, t, retry, err);
    if (rc <= 0)
        return rc;
    rc = index_lock(q, study, &ix, &made->id, err);
    if (rc == 0)
        rc = trial_insert(q, ix, &l.clone, made->id, &open, err);
    if (rc == 0)
        made->number = open.number;
    return rc;
}

static int fail_and_queue(struct store_pg *q, int64_t trial, const struct store_retry *retry,
                          struct effect *made, struct err *err)
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
        rc = queue_clone(q, study, t, retry, made, err);
    if (rc == 0)
        rc = trial_end(q, study, trial, TRIAL_FAIL, NULL, 0, made->time_us, err);
    if (rc == 0)
        again_note(q, made);
    return rc;
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
    rc = tx_leave(q, fail_and_queue(q, trial, retry, &made, err), err);
    if (rc == 0) {
        *retry_id = made.id;
        *retry_number = made.number;
    }
    return rc;
}
