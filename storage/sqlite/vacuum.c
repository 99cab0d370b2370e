#include <assert.h>

#include "storage/sqlite/care.h"

/* Bytes of the database, its log not counted. */
static int size_of(struct store_sqlite *q, int64_t *out, struct err *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(q->db,
                           "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
                           -1, &st, NULL) != SQLITE_OK)
        return sql_fail(q, err);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    int failed = rc == SQLITE_ROW ? 0 : sql_fail(q, err);
    (void)sqlite3_finalize(st); /* repeats the error */
    return failed;
}

/* VACUUM writes the file anew; under WAL into the log, which is then copied and emptied. Readers
 * may keep part of it there: the next checkpoint takes it. */
int sqlite_vacuum(struct store *s, struct store_vacuumed *out, struct err *err)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    struct store_vacuumed done = {0};
    assert(!q->in_batch);
    int rc = size_of(q, &done.before_bytes, err);
    if (rc == 0)
        rc = sql_exec(q, "VACUUM", err);
    if (rc == 0)
        rc = sqlite_sync(s, err);
    if (rc == 0 && q->wal)
        (void)sqlite3_wal_checkpoint_v2(q->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (rc == 0)
        rc = size_of(q, &done.after_bytes, err);
    if (rc == 0)
        *out = done;
    return rc;
}

const struct store_care_ops sqlite_care_ops = {
    .check = sqlite_check,
    .vacuum = sqlite_vacuum,
    .study_import = sqlite_study_import,
    .trial_import = sqlite_trial_import,
    .rows_each = sqlite_rows_each,
    .row_put = sqlite_row_put,
    .rows_clear = sqlite_rows_clear,
    .discard = sqlite_discard,
};
