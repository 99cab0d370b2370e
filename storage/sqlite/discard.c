/* Taking back that a file was made. */
#include <string.h>
#include <unistd.h>

#include "storage/sqlite/care.h"

static int any(void *ctx, const struct study_info *info)
{
    (void)ctx;
    (void)info;
    return 1;
}

static void remove_with(const char *path, const char *suffix)
{
    AUTO_FREE char *name = NULL;
    if (asprintf(&name, "%s%s", path, suffix) < 0)
        name = NULL;
    if (name != NULL)
        (void)unlink(name); /* what is not there need not be removed */
}

/* Only the last connection can leave WAL. */
static bool alone(struct store_sqlite *q)
{
    sqlite3_stmt *st = NULL;
    bool left =
        sqlite3_prepare_v2(q->db, "PRAGMA journal_mode=DELETE", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW &&
        strcmp((const char *)sqlite3_column_text(st, 0), "delete") == 0;
    (void)sqlite3_finalize(st); /* repeats the error */
    return left;
}

/* Nobody can write while it is removed. Who has it open already would write into a file without a
 * name: then it stays, empty. */
void sqlite_discard(struct store *s)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    static const char *const suffixes[] = {"-wal", "-shm", "-journal", ""};
    sqlite_rollback(s);
    if (q->made_file && alone(q) && sqlite_begin(s, NULL) == 0 &&
        sqlite_study_look(s, NULL, any, NULL, NULL) == 0) {
        for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
            remove_with(q->path, suffixes[i]);
    }
    store_destroy(s);
}
