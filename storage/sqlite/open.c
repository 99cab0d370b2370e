/* Opening the file: its url, its journal mode, and the table of operations. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/text.h"
#include "storage/sqlite/care.h"
#include "storage/sqlite/index.h"
#include "storage/sqlite/reader.h"
#include "storage/sqlite/sqlite.h"

enum { BUSY_MS_DEFAULT = 60000 };
#define MEMORY "memory:"

static void sqlite_destroy(struct store *s)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    sqlite_rollback(s);
    index_free(q);
    reader_destroy(q->reader);
    for (size_t i = 0; i < ARRAY_LEN(q->stmts); i++)
        (void)sqlite3_finalize(q->stmts[i]); /* repeats an error of its last step */
    (void)sqlite3_close(q->db);              /* cannot fail: no statement is left */
    free(q->path);
    free(q);
}

static const struct store_ops sqlite_ops = {
    .scheme = "sqlite",
    .destroy = sqlite_destroy,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .sync = sqlite_sync,
    .rollback = sqlite_rollback,
    .study_create = sqlite_study_create,
    .study_find = sqlite_study_find,
    .study_directions = sqlite_study_directions,
    .studies_each = sqlite_studies_each,
    .study_look = sqlite_study_look,
    .study_delete = sqlite_study_delete,
    .study_attr_set = sqlite_study_attr_set,
    .study_attr_get = sqlite_study_attr_get,
    .study_attrs_each = sqlite_study_attrs_each,
    .study_counts = sqlite_study_counts,
    .trial_create = sqlite_trial_create,
    .trial_claim = sqlite_trial_claim,
    .trial_params = sqlite_trial_params,
    .trial_steps = sqlite_trial_steps,
    .trial_attrs = sqlite_trial_attrs,
    .trial_finish = sqlite_trial_finish,
    .trial_state = sqlite_trial_state,
    .trial_retry = sqlite_trial_retry,
    .heartbeat = sqlite_heartbeat,
    .running_each = sqlite_running_each,
    .trials_each = sqlite_trials_each,
    .trial_get = sqlite_trial_get,
    .trial_look = sqlite_trial_look,
    .trial_find = sqlite_trial_find,
    .trials_sync = sqlite_trials_sync,
    .run_start = sqlite_run_start,
    .run_end = sqlite_run_end,
    .runs_each = sqlite_runs_each,
    .results_put = sqlite_results_put,
    .results_count = sqlite_results_count,
    .ftf = &sqlite_ftf_ops,
    .care = &sqlite_care_ops,
};

/* Takes "?timeout=SECONDS" off the path. */
static int read_query(char *path, int *busy_ms, struct err *err)
{
    char *query = strchr(path, '?');
    double seconds;
    if (query == NULL)
        return 0;
    *query++ = '\0';
    if (strncmp(query, "timeout=", 8) != 0 || !text_double(query + 8, &seconds) ||
        !(seconds > 0 && seconds <= 86400))
        return err_set(err, ERR_INVALID,
                       "storage url: '?%s' is not understood, only ?timeout=SECONDS is", query);
    *busy_ms = (int)(seconds * 1000);
    return 0;
}

/* memory: is the handle's own; memory:NAME is shared by the handles of the process, for as long as
 * there is one. */
static int read_memory(struct store_sqlite *q, const char *name, struct err *err)
{
    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] !=
        '\0')
        return err_set(err, ERR_INVALID,
                       "storage 'memory:%s': a name has letters, digits, '_', '.' and '-'", name);
    q->in_memory = true;
    if (*name == '\0')
        q->path = strdup(":memory:");
    else if (asprintf(&q->path, "file:/%s?vfs=memdb", name) < 0)
        q->path = NULL;
    return q->path == NULL ? err_set(err, ERR_NOMEM, "storage url") : 0;
}

/* The file that a url names: what follows the third slash, or the bare path. */
static int read_url(struct store_sqlite *q, const char *url, struct err *err)
{
    const char *rest = strstr(url, "://");
    if (rest == NULL && strncmp(url, MEMORY, strlen(MEMORY)) == 0)
        return read_memory(q, url + strlen(MEMORY), err);
    if (rest == NULL) {
        q->path = strdup(url);
        return q->path == NULL ? err_set(err, ERR_NOMEM, "storage url") : 0;
    }
    rest += 3;
    if (*rest != '/' && *rest != '\0') {
        char shown[256];
        return err_set(
            err, ERR_INVALID,
            "storage '%s': sqlite:///FILE needs three slashes, or four for an absolute path",
            text_mask_url(url, shown, sizeof(shown)));
    }
    q->path = strdup(rest[0] == '\0' || rest[1] == '\0' ? ":memory:" : rest + 1);
    if (q->path == NULL)
        return err_set(err, ERR_NOMEM, "storage url");
    return read_query(q->path, &q->busy_ms, err);
}

/* WAL keeps an index in memory shared by the processes of one machine: not for files that
 * several machines mount. */
static bool on_network(const char *path)
{
    static const unsigned long types[] = {
        0x6969 /* NFS */, 0xfe534d42 /* SMB2 */, 0xff534d42 /* CIFS */,
        0x517b /* SMB */, 0x01021997 /* 9P */,   0x5346414f /* AFS */,
        0x0bd00bd0 /* Lustre */};
    struct statfs fs;
    if (statfs(path, &fs) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if ((unsigned long)fs.f_type == types[i])
            return true;
    }
    return false;
}

/* Whether nothing has been written to it yet. */
static bool is_new(struct store_sqlite *q)
{
    sqlite3_stmt *st = NULL;
    int pages = -1;
    if (sqlite3_prepare_v2(q->db, "PRAGMA page_count", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        pages = sqlite3_column_int(st, 0);
    (void)sqlite3_finalize(st); /* repeats the error */
    return pages == 0;
}

/* WAL for a file that we make; another's stays as it is, for its owner may copy it as one file or
 * keep it where WAL does not work. */
static int set_journal(struct store_sqlite *q, struct err *err)
{
    sqlite3_stmt *st = NULL;
    const char *sql = q->base.read_only || q->in_memory || on_network(q->path) || !is_new(q)
                          ? "PRAGMA journal_mode"
                          : "PRAGMA journal_mode=WAL";
    if (sqlite3_prepare_v2(q->db, sql, -1, &st, NULL) != SQLITE_OK)
        return sql_fail(q, err);
    int rc = sqlite3_step(st);
    q->wal = rc == SQLITE_ROW && strcmp(sql_text(st, 0), "wal") == 0;
    int failed = rc == SQLITE_ROW || (rc & 0xff) == SQLITE_BUSY ? 0 : sql_fail(q, err);
    (void)sqlite3_finalize(st); /* repeats the error */
    if (failed < 0)
        return failed;
    return sql_exec(q, q->wal ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL", err);
}

/* The log's file, for sqlite_sync. The first sync, which also makes its directory entry durable, is
 * done here: later ones may come from another thread. */
static int find_log(struct store_sqlite *q, struct err *err)
{
    sqlite3_file *log = NULL;
    if (!q->wal || q->base.read_only)
        return 0;
    if (sqlite3_file_control(q->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&log) !=
        SQLITE_OK)
        return sql_fail(q, err);
    if (log == NULL || log->pMethods == NULL)
        return err_set(err, ERR_UNAVAILABLE, "%s: its write-ahead log is not open", q->path);
    q->log = log;
    (void)sqlite3_wal_hook(q->db, tx_log_grown, q);
    return sqlite_sync(&q->base, err);
}

/* The file need not be there yet, but its directory. */
static int no_file(struct store_sqlite *q, struct err *err)
{
    AUTO_FREE char *copy = strdup(q->path);
    const char *dir = copy != NULL ? dirname(copy) : "?";
    struct stat st;
    if (q->must_exist)
        return err_set(err, ERR_NOTFOUND, "there is no file %s", q->path);
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_set(err, ERR_INVALID, "%s: there is no directory %s", q->path, dir);
    /* SQLite tries to read it then, and knows only that it cannot open it */
    if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) < 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s cannot be made: user %u may not write the directory %s: %s", q->path,
                       (unsigned)geteuid(), dir, strerrordesc_np(errno));
    q->made_file = true;
    return 0;
}

static int check_path(struct store_sqlite *q, struct err *err)
{
    struct stat st;
    if (q->in_memory || strcmp(q->path, ":memory:") == 0)
        return 0;
    if (stat(q->path, &st) == 0)
        return !S_ISDIR(st.st_mode)
                   ? 0
                   : err_set(err, ERR_INVALID, "%s is a directory, not a database file", q->path);
    return errno == ENOENT || errno == ENOTDIR ? no_file(q, err)
                                               : err_sys(err, errno, "%s", q->path);
}

/* Percent-encodes the path for SQLite's own `file:` form. */
static char *immutable_uri(const char *path)
{
    struct buf b = BUF_INIT;
    buf_puts(&b, "file:");
    for (const char *p = path; *p != '\0'; p++) {
        if (strchr("%?#", *p) != NULL)
            buf_printf(&b, "%%%02x", (unsigned char)*p);
        else
            buf_putc(&b, *p);
    }
    buf_puts(&b, "?immutable=1");
    return buf_steal(&b);
}

/* A WAL file in a directory that we cannot write to opens only as "immutable", which ignores the
 * log; without a log beside it nothing is missed. */
static int reopen_immutable(struct store_sqlite *q, struct err *err)
{
    AUTO_FREE char *uri = immutable_uri(q->path);
    AUTO_FREE char *log = NULL;
    int failed = sql_fail(q, err);
    if (uri == NULL || asprintf(&log, "%s-wal", q->path) < 0 || access(log, F_OK) == 0)
        return failed;
    (void)sqlite3_close(q->db);
    if (sqlite3_open_v2(uri, &q->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI,
                        NULL) != SQLITE_OK)
        return sql_fail(q, err);
    return 0;
}

static int open_file(struct store_sqlite *q, struct err *err)
{
    int flags = q->base.read_only ? SQLITE_OPEN_READONLY
                : q->must_exist   ? SQLITE_OPEN_READWRITE
                                  : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int rc = check_path(q, err);
    if (rc < 0)
        return rc;
    flags |= SQLITE_OPEN_NOMUTEX | (q->in_memory ? SQLITE_OPEN_URI : 0);
    if (sqlite3_open_v2(q->path, &q->db, flags, NULL) != SQLITE_OK)
        return q->db == NULL ? err_set(err, ERR_NOMEM, "%s", q->path) : sql_fail(q, err);
    (void)sqlite3_extended_result_codes(q->db, 1);
    (void)sqlite3_busy_timeout(q->db, q->busy_ms);
    /* the first read, which opens the log and looks at the header */
    rc = sqlite3_exec(q->db, "SELECT 1 FROM sqlite_master LIMIT 1", NULL, NULL, NULL);
    if (rc == SQLITE_OK) /* SQLite falls back to reading without a word */
        return !q->base.read_only && sqlite3_db_readonly(q->db, "main") == 1 ? sql_forbidden(q, err)
                                                                             : 0;
    if (q->base.read_only && ((rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_READONLY))
        return reopen_immutable(q, err);
    return sql_fail(q, err);
}

int store_sqlite_open(struct store **out, const char *url, const struct store_opts *opts,
                      struct err *err)
{
    struct store_sqlite *q = calloc(1, sizeof(*q));
    if (q == NULL)
        return err_set(err, ERR_NOMEM, "store");
    q->base = (struct store){.ops = &sqlite_ops, .owner = getpid(), .read_only = opts->read_only};
    q->must_exist = opts->read_only || opts->upgrade != NULL;
    q->busy_ms = opts->busy_ms > 0 ? opts->busy_ms : BUSY_MS_DEFAULT;
    q->data_version = -1;
    int rc = read_url(q, url, err);
    q->base.is_private = rc == 0 && strcmp(q->path, ":memory:") == 0;
    q->base.in_memory = q->in_memory || q->base.is_private;
    if (rc == 0)
        rc = open_file(q, err);
    if (rc == 0)
        rc = set_journal(q, err);
    if (rc == 0)
        rc = schema_open(q, opts->upgrade, err); /* reads, so the log is open after it */
    if (rc == 0)
        rc = find_log(q, err);
    if (rc < 0) {
        sqlite_destroy(&q->base);
        return rc;
    }
    *out = &q->base;
    return 0;
}
