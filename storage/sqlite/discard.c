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

/* Nobody can write while it is removed; who has it open already finds no study in it. */
void sqlite_discard(struct store *s)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    static const char *const suffixes[] = {"-wal", "-shm", "-journal", ""};
    sqlite_rollback(s);
    if (q->made_file && sqlite_begin(s, NULL) == 0 &&
        sqlite_study_look(s, NULL, any, NULL, NULL) == 0) {
        for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
            remove_with(q->path, suffixes[i]);
    }
    store_destroy(s);
}
