/* training_runs: a row for each training. */
#include "storage/postgres/ops.h"

#define SELF(s) CONTAINER_OF(s, struct store_pg, base)

static int put(struct store_pg *q, const struct store_training *t, struct err *err)
{
    AUTO(buf_free) struct buf requested = BUF_INIT;
    AUTO(buf_free) struct buf used = BUF_INIT;
    struct args a = {0};
    int rc = migrate_tables(q, err);
    if (rc < 0)
        return rc;
    put_strict(&requested, t->requested);
    put_strict(&used, t->used);
    if (requested.failed || used.failed)
        return err_set(err, ERR_NOMEM, "a row of training_runs");
    arg_text(&a, t->run_id);
    arg_text(&a, t->study);
    arg_count(&a, t->trial_number);
    arg_text(&a, t->crypto_symbol);
    arg_text(&a, t->factor);
    arg_text(&a, t->loss_function);
    arg_text(&a, t->failed ? "FAILED" : "SUCCESS");
    arg_text(&a, t->failure_class);
    arg_text(&a, t->failure_mode);
    arg_text(&a, t->message);
    arg_text(&a, buf_str(&requested));
    arg_text(&a, buf_str(&used));
    arg_text(&a, t->rolled_back ? "true" : "false");
    arg_time(&a, t->created_us != 0 ? t->created_us : clock_utc_us());
    return pipe_queue(q, SQL_TRAINING_PUT, &a, NULL, err);
}

int pg_training_put(struct store *s, const struct store_training *t, struct err *err)
{
    struct store_pg *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, put(q, t, err), err);
}

static int each(struct store_pg *q, int64_t since_us, store_training_fn *fn, void *ctx,
                struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    char since[CLOCK_TEXT_MAX];
    struct args a = {0};
    arg_text(&a, clock_sql(since_us, since));
    int rc = pipe_run(q, SQL_TRAININGS, &a, &r, err);
    for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
        struct store_training t = {.run_id = field_or_null(r, i, 0),
                                   .study = field_or_null(r, i, 1),
                                   .trial_number = field_count(r, i, 2),
                                   .crypto_symbol = field_or_null(r, i, 3),
                                   .factor = field_or_null(r, i, 4),
                                   .loss_function = field_or_null(r, i, 5),
                                   .failed = field(r, i, 6)[0] == 'F',
                                   .failure_class = field_or_null(r, i, 7),
                                   .failure_mode = field_or_null(r, i, 8),
                                   .message = field_or_null(r, i, 9),
                                   .requested = field(r, i, 10),
                                   .used = field(r, i, 11),
                                   .rolled_back = field(r, i, 12)[0] == 't'};
        if (!field_time(r, i, 13, &t.created_us))
            return err_set(err, ERR_CORRUPT, "%s: training_runs has a bad created_at: %.40s",
                           q->name, field(r, i, 13));
        rc = fn(ctx, &t);
    }
    return rc;
}

int pg_trainings_each(struct store *s, int64_t since_us, store_training_fn *fn, void *ctx,
                      struct err *err)
{
    struct store_pg *q = SELF(s);
    bool has = false;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = migrate_has(q, TABLES_FTF, &has, err);
    if (rc == 0 && has)
        rc = each(q, since_us, fn, ctx, err);
    return tx_leave_read(q, rc);
}
