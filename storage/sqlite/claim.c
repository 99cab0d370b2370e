/* Who runs what: taking the next trial, and queueing one again after it failed. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "storage/lineage.h"
#include "storage/sqlite/reader.h"
#include "storage/sqlite/trial.h"

#define SELF(s) CONTAINER_OF(s, struct store_sqlite, base)

static int put_owner(struct store_sqlite *q, int64_t trial, const char *owner, struct err *err)
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

static int claim_queued(struct store_sqlite *q, struct trial_index *ix,
                        const struct open_trial *due, const char *owner, struct store_claim *out,
                        struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    char now[CLOCK_TEXT_MAX];
    int64_t start_us = clock_utc_us();
    struct store_claim claim = {.kind = CLAIM_QUEUED, .id = due->id, .number = due->number};
    int rc = sql_get(q, SQL_TRIAL_CLAIM, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, due->id);
    encode_time(st, 2, start_us, now);
    rc = sql_step(q, st, err);
    if (rc == 0 && sqlite3_changes(q->db) != 1) /* under the write lock the index is exact */
        rc = err_set(err, ERR_CORRUPT, "%s: trial id %lld is not WAITING any more", q->path,
                     (long long)due->id);
    if (rc == 0)
        rc = put_owner(q, due->id, owner, err);
    if (rc == 0)
        rc = reader_get(q, ix->study, due->id, WANT_ALL, &claim.trial, err);
    if (rc < 0)
        return rc;
    tally_claimed(&ix->tally, claim.id, start_us);
    claim.fixed_params = lineage_attr(claim.trial, "fixed_params");
    *out = claim;
    return 0;
}

static int claim_new(struct store_sqlite *q, struct trial_index *ix, const char *owner,
                     struct store_claim *out, struct err *err)
{
    struct store_claim claim = {.kind = CLAIM_NEW};
    int rc = trial_insert(q, ix, NULL, &claim.id, &claim.number, err);
    if (rc == 0)
        rc = put_owner(q, claim.id, owner, err);
    if (rc == 0)
        *out = claim;
    return rc;
}

static int claim(struct store_sqlite *q, int64_t study, const struct store_claim_opts *opts,
                 struct store_claim *out, struct err *err)
{
    struct trial_index *ix;
    int rc = index_get(q, study, &ix, err);
    if (rc < 0)
        return rc;
    struct queue queue;
    if (!queue_offers(&ix->tally, opts, clock_utc_us(), &queue, out))
        return 0;
    return queue.due != NULL ? claim_queued(q, ix, queue.due, opts->owner, out, err)
                             : claim_new(q, ix, opts->owner, out, err);
}

int sqlite_trial_claim(struct store *s, int64_t study, const struct store_claim_opts *opts,
                       struct store_claim *out, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    struct store_claim taken = {0};
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    rc = tx_leave(q, claim(q, study, opts, &taken, err), err);
    if (rc == 0)
        *out = taken;
    return rc;
}

static int queue_clone(struct store_sqlite *q, struct trial_index *ix, const struct trial *t,
                       const struct store_retry *retry, int64_t *id, int64_t *number,
                       struct err *err)
{
    AUTO(lineage_free) struct lineage l = LINEAGE_INIT;
    int rc = lineage_clone(&l, t, retry, err);
    return rc <= 0 ? rc : trial_insert(q, ix, &l.clone, id, number, err);
}

/* The clone comes first: it may be refused, and then nothing must have been written. */
static int fail_and_queue(struct store_sqlite *q, int64_t trial, const struct store_retry *retry,
                          int64_t *id, int64_t *number, struct err *err)
{
    struct trial_index *ix;
    const struct trial *t = NULL;
    int64_t study;
    int rc = trial_look_unfinished(q, trial, &study, err);
    if (rc == 0)
        rc = index_get(q, study, &ix, err);
    if (rc == 0)
        rc = reader_get(q, study, trial, WANT_ALL & ~WANT_STEPS, &t, err);
    if (rc == 0)
        rc = queue_clone(q, ix, t, retry, id, number, err);
    return rc < 0 ? rc : trial_end(q, trial, TRIAL_FAIL, NULL, 0, &ix, err);
}

int sqlite_trial_retry(struct store *s, int64_t trial, const struct store_retry *retry,
                       int64_t *retry_id, int64_t *retry_number, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int64_t id = -1;
    int64_t number = -1;
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    rc = tx_leave(q, fail_and_queue(q, trial, retry, &id, &number, err), err);
    if (rc == 0) {
        *retry_id = id;
        *retry_number = number;
    }
    return rc;
}
