/* Signs of life: heartbeats, and which trials are running. */
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "storage/postgres/index.h"
#include "storage/postgres/ops.h"

#define SELF(s) CONTAINER_OF(s, struct store_pg, base)

static int queue_ids(struct store_pg *q, enum sql id, const int64_t *trials, size_t n,
                     PGresult **out, struct err *err)
{
    AUTO(buf_free) struct buf ids = BUF_INIT;
    struct args a = {0};
    put_ids(&ids, trials, n);
    if (ids.failed)
        return err_set(err, ERR_NOMEM, "%zu trials", n);
    arg_text(&a, buf_str(&ids));
    return pipe_queue(q, id, &a, out, err);
}

int pg_heartbeat(struct store *s, const int64_t *trials, size_t n, struct err *err)
{
    struct store_pg *q = SELF(s);
    int rc = n > 0 ? tx_enter(q, err) : 0;
    if (rc < 0 || n == 0)
        return rc;
    return tx_leave(q, queue_ids(q, SQL_HEARTBEAT, trials, n, NULL, err), err);
}

/* Calls fn for a running trial. */
static int tell(struct store_pg *q, const PGresult *rows, int i, store_running_fn *fn, void *ctx,
                struct err *err)
{
    struct store_running r = {
        .id = field_int(rows, i, 0), .number = field_int(rows, i, 1), .heartbeat_age = -1};
    if (!field_time(rows, i, 2, &r.start_us))
        return err_set(err, ERR_CORRUPT, "%s: trial id %" PRId64 ": datetime_start is no time",
                       q->name, r.id);
    if (!PQgetisnull(rows, i, 3)) {
        double age = field_real(rows, i, 3);
        r.heartbeat_age = age > 0 ? age : 0; /* a clock that was set back */
    }
    const char *json = field(rows, i, 4);
    AUTO_JSON json_t *owner = json_read(json, strlen(json), NULL);
    r.owner = json_string_value(owner);
    return fn(ctx, &r);
}

static int running(struct store_pg *q, int64_t study, store_running_fn *fn, void *ctx,
                   struct err *err)
{
    AUTO_RESULT PGresult *rows = NULL;
    struct trial_index *ix;
    size_t n = 0;
    int rc = index_get(q, study, &ix, err);
    if (rc < 0 || ix->tally.n_open == 0)
        return rc;
    AUTO_FREE int64_t *ids = calloc(ix->tally.n_open, sizeof(*ids));
    if (ids == NULL)
        return err_set(err, ERR_NOMEM, "%zu trials", ix->tally.n_open);
    for (size_t i = 0; i < ix->tally.n_open; i++) {
        if (ix->tally.open[i].state == TRIAL_RUNNING)
            ids[n++] = ix->tally.open[i].id;
    }
    rc = queue_ids(q, SQL_RUNNING, ids, n, &rows, err);
    if (rc == 0)
        rc = pipe_round(q, err);
    for (int i = 0; rc == 0 && i < PQntuples(rows); i++)
        rc = tell(q, rows, i, fn, ctx, err);
    return rc;
}

int pg_running_each(struct store *s, int64_t study, store_running_fn *fn, void *ctx,
                    struct err *err)
{
    struct store_pg *q = SELF(s);
    int rc = tx_enter_read(q, err);
    return rc < 0 ? rc : tx_leave_read(q, running(q, study, fn, ctx, err));
}
