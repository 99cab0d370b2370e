/* The results tables, finetune_runs and finetune_results, beside Optuna's. */
#include <math.h>
#include <string.h>

#include "storage/sqlite/sqlite.h"

#define SELF(s) CONTAINER_OF(s, struct store_sqlite, base)

/* What takes the tables from version i to i + 1. */
static const char *const migrations[] = {
    "CREATE TABLE finetune_runs (run_id TEXT NOT NULL PRIMARY KEY, dag_id TEXT, factor TEXT,"
    " crypto_group TEXT, power_mode TEXT, status TEXT NOT NULL, config TEXT NOT NULL, image_sha "
    "TEXT,"
    " started_at DATETIME NOT NULL, ended_at DATETIME);"
    "CREATE TABLE finetune_results (result_id INTEGER PRIMARY KEY,"
    " run_id TEXT NOT NULL REFERENCES finetune_runs (run_id), study TEXT NOT NULL, crypto_symbol "
    "TEXT,"
    " factor TEXT, variant TEXT NOT NULL, fold INTEGER NOT NULL, trial_number INTEGER NOT NULL,"
    " objective FLOAT, run_status TEXT NOT NULL, params TEXT NOT NULL, metrics TEXT NOT NULL,"
    " buy_trades INTEGER, created_at DATETIME NOT NULL, UNIQUE (run_id, study, variant, fold));",
};

/* The version of the tables; 0 = none. */
static int read_version(struct store_sqlite *q, int *version, struct err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = 0;
    *version = 0;
    if (sqlite3_prepare_v2(q->db, "SELECT version FROM forkless_schema", -1, &st, NULL) !=
        SQLITE_OK) {
        /* only a failed prepare reads the schema anew: before it we could miss another's tables */
        bool exists = sqlite3_table_column_metadata(q->db, "main", "forkless_schema", "version",
                                                    NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
        return exists ? sql_fail(q, err) : 0;
    }
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        *version = sqlite3_column_int(st, 0);
    else if (step != SQLITE_DONE)
        rc = sql_fail(q, err);
    (void)sqlite3_finalize(st);
    if (rc == 0 && *version > (int)ARRAY_LEN(migrations))
        rc = err_set(
            err, ERR_UNSUPPORTED,
            "%s: results tables of version %d, but this forkless knows %zu: use a newer one",
            q->path, *version, ARRAY_LEN(migrations));
    return rc;
}

/* Brings the tables to our version, inside a write transaction. */
static int migrate(struct store_sqlite *q, struct err *err)
{
    char sql[160];
    int version;
    if (q->results_ready)
        return 0;
    int rc = read_version(q, &version, err);
    if (rc < 0)
        return rc;
    bool current = version == (int)ARRAY_LEN(migrations);
    for (; rc == 0 && version < (int)ARRAY_LEN(migrations); version++)
        rc = sql_exec(q, migrations[version], err);
    (void)snprintf(sql, sizeof(sql),
                   "CREATE TABLE IF NOT EXISTS forkless_schema (version INTEGER NOT NULL);"
                   "DELETE FROM forkless_schema; INSERT INTO forkless_schema VALUES(%zu);",
                   ARRAY_LEN(migrations));
    if (rc == 0 && !current)
        rc = sql_exec(q, sql, err);
    q->results_ready = rc == 0 && current; /* tables made just now may yet be rolled back */
    return rc;
}

/* Whether there is something to read. */
static int has_results(struct store_sqlite *q, bool *has, struct err *err)
{
    int version = 1;
    int rc = q->results_ready ? 0 : read_version(q, &version, err);
    *has = version > 0;
    return rc;
}

static int start(struct store_sqlite *q, const struct store_run *run, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    char now[CLOCK_TEXT_MAX];
    int rc = migrate(q, err);
    if (rc == 0)
        rc = sql_get(q, SQL_RUN_START, &st, err);
    if (rc < 0)
        return rc;
    sql_bind_text(st, 1, run->run_id);
    sql_bind_text(st, 2, run->dag_id);
    sql_bind_text(st, 3, run->config);
    encode_time(st, 4, clock_utc_us(), now);
    return sql_step(q, st, err);
}

int sqlite_run_start(struct store *s, const struct store_run *run, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, start(q, run, err), err);
}

static int no_run(const char *run_id, struct err *err)
{
    return err_set(err, ERR_NOTFOUND, "there is no run '%s' in finetune_runs", run_id);
}

static int end(struct store_sqlite *q, const char *run_id, const char *status, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    char now[CLOCK_TEXT_MAX];
    bool has = false;
    int rc = has_results(q, &has, err);
    if (rc == 0 && !has)
        return no_run(run_id, err);
    if (rc == 0)
        rc = sql_get(q, SQL_RUN_END, &st, err);
    if (rc < 0)
        return rc;
    sql_bind_text(st, 1, run_id);
    sql_bind_text(st, 2, status);
    encode_time(st, 3, clock_utc_us(), now);
    rc = sql_step(q, st, err);
    return rc == 0 && sqlite3_changes(q->db) == 0 ? no_run(run_id, err) : rc;
}

int sqlite_run_end(struct store *s, const char *run_id, const char *status, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, end(q, run_id, status, err), err);
}

static int each_run(struct store_sqlite *q, store_run_fn *fn, void *ctx, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_RUNS, &st, err);
    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, st, err)) == 1) {
        struct store_run run = {.run_id = (const char *)sqlite3_column_text(st, 0),
                                .dag_id = (const char *)sqlite3_column_text(st, 1),
                                .status = (const char *)sqlite3_column_text(st, 2),
                                .config = (const char *)sqlite3_column_text(st, 3)};
        if (!decode_time((const char *)sqlite3_column_text(st, 4), &run.started_us) ||
            !decode_time((const char *)sqlite3_column_text(st, 5), &run.ended_us))
            return err_set(err, ERR_CORRUPT, "%s: run '%s' has a bad time", q->path,
                           sql_text(st, 0));
        rc = fn(ctx, &run);
        if (rc != 0)
            return rc;
    }
    return rc;
}

int sqlite_runs_each(struct store *s, store_run_fn *fn, void *ctx, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    bool has = false;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = has_results(q, &has, err);
    if (rc == 0 && has)
        rc = each_run(q, fn, ctx, err);
    return tx_leave_read(q, rc);
}

static int check_run(struct store_sqlite *q, const char *run_id, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int64_t one;
    bool has = false;
    int rc = has_results(q, &has, err);
    if (rc == 0 && !has)
        return no_run(run_id, err);
    if (rc == 0)
        rc = sql_get(q, SQL_RUN_FIND, &st, err);
    if (rc < 0)
        return rc;
    sql_bind_text(st, 1, run_id);
    rc = sql_int(q, st, &one, err);
    return rc == 0 ? no_run(run_id, err) : rc < 0 ? rc : 0;
}

static int put(struct store_sqlite *q, const struct store_result *r, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    char now[CLOCK_TEXT_MAX];
    int rc = sql_get(q, SQL_RESULT_PUT, &st, err);
    if (rc < 0)
        return rc;
    sql_bind_text(st, 1, r->run_id);
    sql_bind_text(st, 2, r->study);
    sql_bind_text(st, 3, r->crypto_symbol);
    sql_bind_text(st, 4, r->factor);
    sql_bind_text(st, 5, r->variant != NULL ? r->variant : "");
    (void)sqlite3_bind_int64(st, 6, r->fold);
    (void)sqlite3_bind_int64(st, 7, r->trial_number);
    (void)sqlite3_bind_double(st, 8, r->objective); /* NaN becomes NULL */
    sql_bind_text(st, 9, r->run_status);
    sql_bind_text(st, 10, r->params != NULL ? r->params : "{}");
    sql_bind_text(st, 11, r->metrics != NULL ? r->metrics : "{}");
    if (r->buy_trades >= 0)
        (void)sqlite3_bind_int64(st, 12, r->buy_trades);
    encode_time(st, 13, clock_utc_us(), now);
    (void)sqlite3_bind_int64(st, 14, r->direction == DIRECTION_MAXIMIZE ? 1 : -1);
    return sql_step(q, st, err);
}

static int put_all(struct store_sqlite *q, const struct store_result *rows, size_t n,
                   struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (i == 0 || strcmp(rows[i].run_id, rows[i - 1].run_id) != 0)
            rc = check_run(q, rows[i].run_id, err);
    }
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = put(q, &rows[i], err);
    return rc;
}

int sqlite_results_put(struct store *s, const struct store_result *rows, size_t n, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, put_all(q, rows, n, err), err);
}

int sqlite_results_count(struct store *s, const char *run_id, const char *study, const char *status,
                         int64_t *n, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    AUTO_RESET sqlite3_stmt *st = NULL;
    int64_t count = 0;
    bool has = false;
    int rc = has_results(q, &has, err);
    if (rc == 0 && has)
        rc = sql_get(q, SQL_RESULTS_COUNT, &st, err);
    if (rc < 0)
        return rc;
    if (has) {
        sql_bind_text(st, 1, run_id);
        sql_bind_text(st, 2, study);
        sql_bind_text(st, 3, status);
        rc = sql_int(q, st, &count, err);
        if (rc < 0)
            return rc;
    }
    *n = count;
    return 0;
}
