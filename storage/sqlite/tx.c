/* Transactions: one for each call, or one for the calls of a batch. */
#include <assert.h>

#include "storage/sqlite/index.h"
#include "storage/sqlite/sqlite.h"

enum { CHECKPOINT_FRAMES = 1000 }; /* SQLite's default */

/* Makes the commits so far durable. Under WAL with synchronous=NORMAL a commit only writes the log;
 * what synchronous=FULL would add is this sync of it. Done here, each commit of a handle can
 * choose. Beside other operations it is safe because it only calls fdatasync: the log is opened
 * once and closed with the handle, and a checkpoint, which may begin it anew, syncs it before.
 *
 * A sync that failed is never tried again: Linux tells an error of writing back once, takes the
 * pages for clean, and the next sync succeeds without them. */
int sqlite_sync(struct store *s, struct err *err)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    if (q->log == NULL) /* the rollback journal runs with synchronous=FULL */
        return 0;
    if (!atomic_load(&q->sync_failed) &&
        q->log->pMethods->xSync(q->log, SQLITE_SYNC_NORMAL) == SQLITE_OK)
        return 0;
    atomic_store(&q->sync_failed, true);
    return err_set(err, ERR_UNAVAILABLE, "%s: the write-ahead log could not be synced to disk",
                   q->path);
}

/* After a failed sync: copies all of the log into the database, syncs that, and empties the log,
 * whose lost part would otherwise hide what follows it. Whatever is in the way of that, a reader
 * too, the commit before it stands: never ERR_BUSY, after which nothing would be stored. */
static int write_anew(struct store_sqlite *q, struct err *err)
{
    if (sqlite3_wal_checkpoint_v2(q->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
        SQLITE_OK)
        return err_set(err, ERR_UNAVAILABLE,
                       "%s: the write-ahead log could not be synced to disk, nor written anew: %s",
                       q->path, sqlite3_errmsg(q->db));
    atomic_store(&q->sync_failed, false);
    return sqlite_sync(&q->base, err); /* that it is empty */
}

static int make_durable(struct store_sqlite *q, struct err *err)
{
    return atomic_load(&q->sync_failed) ? write_anew(q, err) : sqlite_sync(&q->base, err);
}

int tx_log_grown(void *ctx, sqlite3 *db, const char *name, int frames)
{
    struct store_sqlite *q = ctx;
    if (frames >= CHECKPOINT_FRAMES &&
        (sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) & 0xff) ==
            SQLITE_IOERR)
        atomic_store(&q->sync_failed, true);
    return SQLITE_OK;
}

/* Leaves no transaction behind. */
static void roll_back(struct store_sqlite *q)
{
    if (!sqlite3_get_autocommit(q->db))       /* some errors have rolled back already */
        (void)sql_run(q, SQL_ROLLBACK, NULL); /* fails only when there is nothing to roll back */
    q->results_made = false;
    index_roll_back(q);
}

static int commit(struct store_sqlite *q, bool durable, struct err *err)
{
    int rc = sql_run(q, SQL_COMMIT, err);
    if (rc < 0) {
        roll_back(q);
        return rc;
    }
    q->results_ready = q->results_ready || q->results_made;
    q->results_made = false;
    index_commit(q);
    return durable ? make_durable(q, err) : 0;
}

int tx_enter(struct store_sqlite *q, struct err *err)
{
    if (!q->in_batch)
        return sql_run(q, SQL_BEGIN_WRITE, err);
    if (q->broken.code != ERR_NONE && err != NULL)
        *err = q->broken;
    return -(int)q->broken.code;
}

/* What the batch is refused with from now on. */
static void break_batch(struct store_sqlite *q, int rc, const struct err *err)
{
    if (err != NULL)
        q->broken = *err;
    else
        (void)err_set(&q->broken, (enum err_code) - rc, "%s: a write of this batch failed",
                      q->path);
}

int tx_leave(struct store_sqlite *q, int rc, struct err *err)
{
    if (q->in_batch) {
        if (rc < 0 && !store_refused(rc) && q->broken.code == ERR_NONE)
            break_batch(q, rc, err);
        return rc;
    }
    if (rc >= 0)
        return commit(q, true, err);
    roll_back(q);
    return rc;
}

int tx_enter_read(struct store_sqlite *q, struct err *err)
{
    return q->in_batch ? 0 : sql_run(q, SQL_BEGIN_READ, err);
}

int tx_leave_read(struct store_sqlite *q, int rc)
{
    if (q->in_batch)
        return rc;
    if (!sqlite3_get_autocommit(q->db))
        (void)sql_run(q, SQL_COMMIT, NULL); /* the end of a snapshot cannot fail */
    index_commit(q);
    return rc;
}

int sqlite_begin(struct store *s, struct err *err)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    assert(!q->in_batch);
    int rc = sql_run(q, SQL_BEGIN_WRITE, err);
    if (rc < 0)
        return rc;
    q->in_batch = true;
    q->broken = (struct err){0};
    return 0;
}

int sqlite_commit(struct store *s, bool durable, struct err *err)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    assert(q->in_batch);
    int rc = tx_enter(q, err);
    if (rc == 0)
        rc = commit(q, durable, err);
    else
        roll_back(q);
    q->in_batch = false;
    return rc;
}

void sqlite_rollback(struct store *s)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    if (!q->in_batch)
        return;
    roll_back(q);
    q->in_batch = false;
}
