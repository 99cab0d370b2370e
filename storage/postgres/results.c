/* The results tables, finetune_runs and finetune_results, beside Optuna's. */
#include <math.h>
#include <string.h>

#include "storage/postgres/ops.h"

#define SELF(s) CONTAINER_OF(s, struct store_pg, base)

static int start(struct store_pg *q, const struct store_run *run, struct err *err)
{
    struct args a = {0};
    int rc = migrate_tables(q, err);
    if (rc < 0)
        return rc;
    arg_text(&a, run->run_id);
    arg_text(&a, run->dag_id);
    arg_text(&a, run->config);
    arg_time(&a, clock_utc_us());
    return pipe_queue(q, SQL_RUN_START, &a, NULL, err);
}

int pg_run_start(struct store *s, const struct store_run *run, struct err *err)
{
    struct store_pg *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, start(q, run, err), err);
}

static int no_run(const char *run_id, struct err *err)
{
    return err_set(err, ERR_NOTFOUND, "there is no run '%s' in finetune_runs", run_id);
}

/* Runs a statement on a run that has to be there. */
static int of_run(struct store_pg *q, enum sql id, const struct args *a, const char *run_id,
                  struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    bool has = false;
    int rc = migrate_has(q, 1, &has, err);
    if (rc == 0 && !has)
        return no_run(run_id, err);
    if (rc == 0)
        rc = pipe_run(q, id, a, &r, err);
    return rc == 0 && PQntuples(r) == 0 ? no_run(run_id, err) : rc;
}

int pg_run_end(struct store *s, const char *run_id, const char *status, struct err *err)
{
    struct store_pg *q = SELF(s);
    struct args a = {0};
    arg_text(&a, run_id);
    arg_text(&a, status);
    arg_time(&a, clock_utc_us());
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, of_run(q, SQL_RUN_END, &a, run_id, err), err);
}

static int each_run(struct store_pg *q, store_run_fn *fn, void *ctx, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    int rc = pipe_run(q, SQL_RUNS, ARGS_NONE, &r, err);
    for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
        struct store_run run = {.run_id = field(r, i, 0),
                                .dag_id = field_or_null(r, i, 1),
                                .status = field(r, i, 2),
                                .config = field(r, i, 3)};
        if (!field_time(r, i, 4, &run.started_us) || !field_time(r, i, 5, &run.ended_us))
            return err_set(err, ERR_CORRUPT, "%s: run '%s' has a bad time", q->name, run.run_id);
        rc = fn(ctx, &run);
    }
    return rc;
}

int pg_runs_each(struct store *s, store_run_fn *fn, void *ctx, struct err *err)
{
    struct store_pg *q = SELF(s);
    bool has = false;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = migrate_has(q, 1, &has, err);
    if (rc == 0 && has)
        rc = each_run(q, fn, ctx, err);
    return tx_leave_read(q, rc);
}

static int put(struct store_pg *q, const struct store_result *r, struct err *err)
{
    AUTO(buf_free) struct buf params = BUF_INIT;
    AUTO(buf_free) struct buf metrics = BUF_INIT;
    struct args a = {0};
    put_strict(&params, r->params);
    put_strict(&metrics, r->metrics);
    if (params.failed || metrics.failed)
        return err_set(err, ERR_NOMEM, "a row of results");
    arg_text(&a, r->run_id);
    arg_text(&a, r->study);
    arg_text(&a, r->crypto_symbol);
    arg_text(&a, r->factor);
    arg_text(&a, r->variant != NULL ? r->variant : "");
    arg_int(&a, r->fold);
    arg_int(&a, r->trial_number);
    if (isnan(r->objective))
        arg_text(&a, NULL);
    else
        arg_real(&a, r->objective);
    arg_text(&a, r->run_status);
    arg_text(&a, buf_str(&params));
    arg_text(&a, buf_str(&metrics));
    arg_count(&a, r->buy_trades);
    arg_time(&a, clock_utc_us());
    arg_int(&a, r->direction == DIRECTION_MAXIMIZE ? 1 : -1);
    return pipe_queue(q, SQL_RESULT_PUT, &a, NULL, err);
}

static int put_all(struct store_pg *q, const struct store_result *rows, size_t n, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (rows[i].fold < INT32_MIN || rows[i].fold > INT32_MAX)
            return err_set(err, ERR_INVALID, "fold %lld has more than 32 bits",
                           (long long)rows[i].fold);
        if (i == 0 || strcmp(rows[i].run_id, rows[i - 1].run_id) != 0) {
            struct args a = {0};
            arg_text(&a, rows[i].run_id);
            rc = of_run(q, SQL_RUN_FIND, &a, rows[i].run_id, err);
        }
    }
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = put(q, &rows[i], err);
    return rc;
}

int pg_results_put(struct store *s, const struct store_result *rows, size_t n, struct err *err)
{
    struct store_pg *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, put_all(q, rows, n, err), err);
}

int pg_results_count(struct store *s, const char *run_id, const char *study, const char *status,
                     int64_t *n, struct err *err)
{
    struct store_pg *q = SELF(s);
    AUTO_RESULT PGresult *r = NULL;
    struct args a = {0};
    bool has = false;
    int rc = migrate_has(q, 1, &has, err);
    arg_text(&a, run_id);
    arg_text(&a, study);
    arg_text(&a, status);
    if (rc == 0 && has)
        rc = look(q, SQL_RESULTS_COUNT, &a, &r, err);
    if (rc < 0)
        return rc;
    *n = has ? field_int(r, 0, 0) : 0;
    return 0;
}

static int each_result(struct store_pg *q, const char *run_id, store_result_fn *fn, void *ctx,
                       struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    struct args a = {0};
    arg_text(&a, run_id);
    int rc = pipe_run(q, SQL_RESULTS, &a, &r, err);
    for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
        const struct store_result row = {.run_id = field(r, i, 0),
                                         .study = field(r, i, 1),
                                         .variant = field(r, i, 2),
                                         .fold = field_int(r, i, 3),
                                         .crypto_symbol = field_or_null(r, i, 4),
                                         .factor = field_or_null(r, i, 5),
                                         .trial_number = field_int(r, i, 6),
                                         .objective =
                                             PQgetisnull(r, i, 7) ? NAN : field_real(r, i, 7),
                                         .run_status = field(r, i, 8),
                                         .params = field(r, i, 9),
                                         .metrics = field(r, i, 10),
                                         .buy_trades = field_count(r, i, 11)};
        rc = fn(ctx, &row);
    }
    return rc;
}

int pg_results_each(struct store *s, const char *run_id, store_result_fn *fn, void *ctx,
                    struct err *err)
{
    struct store_pg *q = SELF(s);
    bool has = false;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = migrate_has(q, 1, &has, err);
    if (rc == 0 && has)
        rc = each_result(q, run_id, fn, ctx, err);
    return tx_leave_read(q, rc);
}
