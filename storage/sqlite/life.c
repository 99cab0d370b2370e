/* Signs of life: heartbeats, and which trials are running. */
#include <string.h>

#include "base/json.h"
#include "storage/sqlite/index.h"
#include "storage/sqlite/sqlite.h"

#define SELF(s) CONTAINER_OF(s, struct store_sqlite, base)

static int beat(struct store_sqlite *q, const int64_t *trials, size_t n, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_HEARTBEAT, &st, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        (void)sqlite3_bind_int64(st, 1, trials[i]);
        rc = sql_step(q, st, err);
    }
    return rc;
}

int sqlite_heartbeat(struct store *s, const int64_t *trials, size_t n, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, beat(q, trials, n, err), err);
}

/* Calls fn for a running trial. */
static int tell(struct store_sqlite *q, int64_t trial, store_running_fn *fn, void *ctx,
                struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    struct store_running r = {.id = trial, .heartbeat_age = -1};
    int rc = sql_get(q, SQL_RUNNING_LOOK, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, trial);
    rc = sql_step(q, st, err);
    if (rc != 1)
        return rc;
    r.number = sqlite3_column_int64(st, 0);
    if (!sql_time(st, 1, &r.start_us))
        return err_set(err, ERR_CORRUPT, "%s: trial id %lld: datetime_start is no time", q->path,
                       (long long)trial);
    if (sqlite3_column_type(st, 2) != SQLITE_NULL) {
        double age = sqlite3_column_double(st, 2);
        r.heartbeat_age = age > 0 ? age : 0; /* clocks of several machines */
    }
    const char *json = sql_text(st, 3);
    AUTO_JSON json_t *owner = json_read(json, strlen(json), NULL);
    r.owner = json_string_value(owner);
    return fn(ctx, &r);
}

int sqlite_running_each(struct store *s, int64_t study, store_running_fn *fn, void *ctx,
                        struct err *err)
{
    struct store_sqlite *q = SELF(s);
    struct trial_index *ix;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = index_get(q, study, &ix, err);
    for (size_t i = 0; rc == 0 && i < ix->tally.n_open; i++) {
        if (ix->tally.open[i].state == TRIAL_RUNNING)
            rc = tell(q, ix->tally.open[i].id, fn, ctx, err);
    }
    return tx_leave_read(q, rc);
}
