/* The results tables, finetune_runs and finetune_results, beside Optuna's. */
#include <math.h>
#include <string.h>

#include "storage/sqlite/sqlite.h"

#define SELF(s) CONTAINER_OF(s, struct store_sqlite, base)

static int start(struct store_sqlite *q, const struct store_run *run, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    char now[CLOCK_TEXT_MAX];
    int rc = migrate_tables(q, err);
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
    int rc = migrate_has(q, TABLES_RESULTS, &has, err);
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
        struct store_run run = {.run_id = sql_text_or_null(st, 0),
                                .dag_id = sql_text_or_null(st, 1),
                                .status = sql_text_or_null(st, 2),
                                .config = sql_text_or_null(st, 3)};
        if (!sql_time(st, 4, &run.started_us) || !sql_time(st, 5, &run.ended_us))
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
    rc = migrate_has(q, TABLES_RESULTS, &has, err);
    if (rc == 0 && has)
        rc = each_run(q, fn, ctx, err);
    return tx_leave_read(q, rc);
}

static int check_run(struct store_sqlite *q, const char *run_id, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int64_t one;
    bool has = false;
    int rc = migrate_has(q, TABLES_RESULTS, &has, err);
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
    int rc = migrate_has(q, TABLES_RESULTS, &has, err);
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

static int each_result(struct store_sqlite *q, const char *run_id, store_result_fn *fn, void *ctx,
                       struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_RESULTS, &st, err);
    if (rc < 0)
        return rc;
    sql_bind_text(st, 1, run_id);
    while ((rc = sql_step(q, st, err)) == 1) {
        const struct store_result r = {
            .run_id = sql_text(st, 0),
            .study = sql_text(st, 1),
            .variant = sql_text(st, 2),
            .fold = sqlite3_column_int64(st, 3),
            .crypto_symbol = sql_text_or_null(st, 4),
            .factor = sql_text_or_null(st, 5),
            .trial_number = sqlite3_column_int64(st, 6),
            .objective =
                sqlite3_column_type(st, 7) == SQLITE_NULL ? NAN : sqlite3_column_double(st, 7),
            .run_status = sql_text(st, 8),
            .params = sql_text(st, 9),
            .metrics = sql_text(st, 10),
            .buy_trades =
                sqlite3_column_type(st, 11) == SQLITE_NULL ? -1 : sqlite3_column_int64(st, 11)};
        rc = fn(ctx, &r);
        if (rc != 0)
            return rc;
    }
    return rc;
}

int sqlite_results_each(struct store *s, const char *run_id, store_result_fn *fn, void *ctx,
                        struct err *err)
{
    struct store_sqlite *q = SELF(s);
    bool has = false;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = migrate_has(q, TABLES_RESULTS, &has, err);
    if (rc == 0 && has)
        rc = each_result(q, run_id, fn, ctx, err);
    return tx_leave_read(q, rc);
}
