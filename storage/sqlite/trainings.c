/* training_runs: a row for each training. */
#include "storage/sqlite/sqlite.h"

#define SELF(s) CONTAINER_OF(s, struct store_sqlite, base)

static int put(struct store_sqlite *q, const struct store_training *t, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    char created[CLOCK_TEXT_MAX];
    int rc = migrate_tables(q, err);
    if (rc == 0)
        rc = sql_get(q, SQL_TRAINING_PUT, &st, err);
    if (rc < 0)
        return rc;
    sql_bind_text(st, 1, t->run_id);
    sql_bind_text(st, 2, t->study);
    if (t->trial_number >= 0)
        (void)sqlite3_bind_int64(st, 3, t->trial_number);
    sql_bind_text(st, 4, t->crypto_symbol);
    sql_bind_text(st, 5, t->factor);
    sql_bind_text(st, 6, t->loss_function);
    sql_bind_text(st, 7, t->failed ? "FAILED" : "SUCCESS");
    sql_bind_text(st, 8, t->failure_class);
    sql_bind_text(st, 9, t->failure_mode);
    sql_bind_text(st, 10, t->message);
    sql_bind_text(st, 11, t->requested != NULL ? t->requested : "{}");
    sql_bind_text(st, 12, t->used != NULL ? t->used : "{}");
    (void)sqlite3_bind_int(st, 13, t->rolled_back);
    encode_time(st, 14, t->created_us != 0 ? t->created_us : clock_utc_us(), created);
    return sql_step(q, st, err);
}

int sqlite_training_put(struct store *s, const struct store_training *t, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, put(q, t, err), err);
}

static int each(struct store_sqlite *q, int64_t since_us, store_training_fn *fn, void *ctx,
                struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    char since[CLOCK_TEXT_MAX];
    int rc = sql_get(q, SQL_TRAININGS, &st, err);
    if (rc < 0)
        return rc;
    sql_bind_text(st, 1, clock_sql(since_us, since));
    while ((rc = sql_step(q, st, err)) == 1) {
        struct store_training t = {.run_id = sql_text_or_null(st, 0),
                                   .study = sql_text_or_null(st, 1),
                                   .trial_number = sqlite3_column_type(st, 2) == SQLITE_NULL
                                                       ? -1
                                                       : sqlite3_column_int64(st, 2),
                                   .crypto_symbol = sql_text_or_null(st, 3),
                                   .factor = sql_text_or_null(st, 4),
                                   .loss_function = sql_text_or_null(st, 5),
                                   .failed = sql_text(st, 6)[0] == 'F',
                                   .failure_class = sql_text_or_null(st, 7),
                                   .failure_mode = sql_text_or_null(st, 8),
                                   .message = sql_text_or_null(st, 9),
                                   .requested = sql_text(st, 10),
                                   .used = sql_text(st, 11),
                                   .rolled_back = sqlite3_column_int(st, 12) != 0};
        if (!sql_time(st, 13, &t.created_us))
            return err_set(err, ERR_CORRUPT, "%s: training_runs has a bad created_at: %.40s",
                           q->path, sql_text(st, 13));
        rc = fn(ctx, &t);
        if (rc != 0)
            return rc;
    }
    return rc;
}

int sqlite_trainings_each(struct store *s, int64_t since_us, store_training_fn *fn, void *ctx,
                          struct err *err)
{
    struct store_sqlite *q = SELF(s);
    bool has = false;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = migrate_has(q, TABLES_FTF, &has, err);
    if (rc == 0 && has)
        rc = each(q, since_us, fn, ctx, err);
    return tx_leave_read(q, rc);
}
