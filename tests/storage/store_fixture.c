#include "tests/storage/store_fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <libpq-fe.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/lib/postgres.h"

extern char **environ;
struct err err;

static char dirs[64][64]; /* made by this test */
static size_t n_dirs;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_dirs(void)
{
    while (n_dirs > 0)
        (void)nftw(dirs[--n_dirs], remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static bool over_postgresql(void)
{
    const char *backend = getenv("FORKLESS_TEST_STORE");
    return backend != NULL && strcmp(backend, "postgresql") == 0;
}

static bool over_memory(void)
{
    const char *backend = getenv("FORKLESS_TEST_STORE");
    return backend != NULL && strcmp(backend, "memory") == 0;
}

/* A file behind a proxy of its own. */
static bool over_grpc(void)
{
    const char *backend = getenv("FORKLESS_TEST_STORE");
    return backend != NULL && strcmp(backend, "grpc") == 0;
}

bool store_speaks_sqlite(void)
{
    return !over_postgresql();
}

bool store_is_in_memory(void)
{
    return over_memory();
}

bool store_has_transactions(void)
{
    return !over_grpc();
}

bool store_is_a_file(void)
{
    return !over_postgresql() && !over_memory() && !over_grpc();
}

/* Where SQLite finds what a url names. */
static const char *sqlite_name(const char *url)
{
    static char uri[128];
    if (strncmp(url, "memory:", strlen("memory:")) != 0)
        return url;
    (void)snprintf(uri, sizeof(uri), "file:/%s?vfs=memdb", url + strlen("memory:"));
    return uri;
}

static sqlite3 *kept[64]; /* stores in memory live as long as somebody has them open */
static size_t n_kept;

static void close_memory(void)
{
    while (n_kept > 0)
        (void)sqlite3_close(kept[--n_kept]);
}

static const char *fresh_memory(void)
{
    static char url[64];
    cr_assert_lt(n_kept, ARRAY_LEN(kept));
    (void)snprintf(url, sizeof(url), "memory:test%zu", n_kept);
    cr_assert_eq(sqlite3_open_v2(sqlite_name(url), &kept[n_kept],
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI,
                                 NULL),
                 SQLITE_OK);
    if (n_kept++ == 0)
        (void)atexit(close_memory);
    return url;
}

/* A database of its own on the server that tests/lib/with_postgres has started. */
static const char *fresh_database(void)
{
    static char url[256];
    const char *server = getenv("FORKLESS_TEST_PG");
    cr_assert_not_null(server, "run it by with_postgres");
    (void)snprintf(url, sizeof(url), "%s", pg_fresh(server));
    return url;
}

const char *fresh_file(void)
{
    static char path[64];
    char *dir = dirs[n_dirs];
    cr_assert_lt(n_dirs, ARRAY_LEN(dirs));
    (void)strcpy(dir, "/tmp/forkless-store-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    if (n_dirs++ == 0)
        (void)atexit(remove_dirs);
    (void)snprintf(path, sizeof(path), "%.48s/s.db", dir);
    return path;
}

static pid_t servers[ARRAY_LEN(dirs)];
static size_t n_servers;

static void stop_servers(void)
{
    while (n_servers > 0)
        (void)kill(servers[--n_servers], SIGKILL);
}

void signal_server(int sig)
{
    cr_assert_gt(n_servers, 0);
    pid_t pid = servers[n_servers - 1];
    cr_assert_eq(kill(pid, sig), 0);
    if (sig == SIGSTOP) /* until its last thread stands still */
        cr_assert_eq(waitpid(pid, NULL, WUNTRACED), pid);
}

/* Starts a proxy for the file on the socket, and waits until it listens. */
static void start_server(const char *file, const char *listen)
{
    const char *const argv[] = {SERVE, "--storage", file, "--listen", listen, NULL};
    posix_spawn_file_actions_t actions;
    int fds[2];
    char line[512];
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, fds[1], STDERR_FILENO);
    (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    cr_assert_eq(
        posix_spawn(&servers[n_servers], SERVE, &actions, NULL, (char *const *)argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (n_servers++ == 0)
        (void)atexit(stop_servers);
    (void)close(fds[1]);
    FILE *said = fdopen(fds[0], "r"); /* stays open: the server may have more to say */
    cr_assert(said != NULL && fgets(line, sizeof(line), said) != NULL);
    cr_assert_not_null(strstr(line, "serve_listening"), "%s", line);
}

static const char *fresh_proxy(void)
{
    static char url[128];
    char listen[96];
    const char *file = fresh_file();
    (void)snprintf(listen, sizeof(listen), "unix:%.*s.sock", (int)strlen(file) - 3, file);
    start_server(file, listen);
    (void)snprintf(url, sizeof(url), "grpc+unix://%s", listen + strlen("unix:"));
    return url;
}

/* The file that SQL means. */
static const char *file_of(const char *url)
{
    static char file[96];
    const char *path = strstr(url, "://");
    if (!over_grpc() || path == NULL)
        return url;
    path += 3;
    (void)snprintf(file, sizeof(file), "%.*s.db", (int)strlen(path) - 5, path);
    return file;
}

const char *fresh_path(void)
{
    return over_postgresql() ? fresh_database()
           : over_memory()   ? fresh_memory()
           : over_grpc()     ? fresh_proxy()
                             : fresh_file();
}

struct store *must_open(const char *url)
{
    struct store *s = NULL;
    MUST(store_open(&s, url, NULL, &err));
    return s;
}

int64_t must_study(struct store *s, const char *name)
{
    const enum direction minimize = DIRECTION_MINIMIZE;
    int64_t study = 0;
    MUST(store_study_open(s, name, &minimize, 1, &study, &err));
    return study;
}

struct store_claim must_claim(struct store *s, int64_t study, int64_t target, enum claim_kind kind)
{
    const struct store_claim_opts opts = {.target = target,
                                          .target_states = STORE_STATE_BIT(TRIAL_COMPLETE)};
    struct store_claim claim = {0};
    MUST(store_trial_claim(s, study, &opts, &claim, &err));
    cr_assert_eq(claim.kind, kind, "claim of kind %d, not %d", claim.kind, kind);
    return claim;
}

int finish_in_batch(struct store *s, int64_t trial)
{
    const double v = 1;
    for (;;) {
        MUST(store_begin(s, &err));
        int rc = store_trial_finish(s, trial, TRIAL_COMPLETE, &v, 1, &err);
        int committed = store_commit(s, true, &err);
        store_rollback(s);
        if (committed != -ERR_BUSY) /* a guard was wrong: once more, with a look */
            return rc < 0 ? rc : committed;
    }
}

static sqlite3 *connect_to(const char *url)
{
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open_v2(sqlite_name(file_of(url)), &db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, NULL),
                 SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    return db;
}

static void put_field(struct buf *b, int row, int column, const char *text)
{
    if (row > 0 && column == 0)
        buf_putc(b, '\n');
    buf_printf(b, "%s%s", column > 0 ? "|" : "", text != NULL ? text : "NULL");
}

static void file_rows(struct buf *b, const char *path, const char *sql)
{
    sqlite3 *db = connect_to(path);
    sqlite3_stmt *st = NULL;
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    for (int row = 0; sqlite3_step(st) == SQLITE_ROW; row++) {
        for (int i = 0; i < sqlite3_column_count(st); i++)
            put_field(b, row, i, (const char *)sqlite3_column_text(st, i));
    }
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
}

/* SQLite's words for what PostgreSQL calls t, f, Infinity and -Infinity. */
static const char *as_in_files(const PGresult *r, int row, int column)
{
    enum { BOOL_OID = 16, FLOAT8_OID = 701 };
    const char *text = PQgetvalue(r, row, column);
    if (PQftype(r, column) == BOOL_OID)
        return text[0] == 't' ? "1" : "0";
    if (PQftype(r, column) == FLOAT8_OID && strstr(text, "Infinity") != NULL)
        return text[0] == '-' ? "-Inf" : "Inf";
    return text;
}

static void server_rows(struct buf *b, const char *url, const char *sql)
{
    PGconn *c = PQconnectdb(url);
    PGresult *r = PQexec(c, sql);
    ExecStatusType status = PQresultStatus(r);
    cr_assert(status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK, "%s: %s", sql,
              PQerrorMessage(c));
    for (int row = 0; row < PQntuples(r); row++) {
        for (int i = 0; i < PQnfields(r); i++)
            put_field(b, row, i, PQgetisnull(r, row, i) ? NULL : as_in_files(r, row, i));
    }
    PQclear(r);
    PQfinish(c);
}

const char *rows(const char *path, const char *sql)
{
    static struct buf b;
    buf_clear(&b);
    if (over_postgresql())
        server_rows(&b, path, sql);
    else
        file_rows(&b, path, sql);
    return buf_str(&b);
}

int try_outside(const char *path, const char *sql)
{
    sqlite3 *db = connect_to(path);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    rc = rc == SQLITE_OK ? rc : sqlite3_extended_errcode(db);
    (void)sqlite3_close(db);
    return rc;
}

void outside(const char *path, const char *sql)
{
    if (over_postgresql()) {
        (void)rows(path, sql);
        return;
    }
    sqlite3 *db = connect_to(path);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    (void)sqlite3_close(db);
}

void harm(const char *path, const char *sql)
{
    if (store_speaks_sqlite())
        outside(path, "DROP TRIGGER IF EXISTS forkless_trial_once");
    outside(path, sql);
}

int helper(FILE **out, const char *const *args)
{
    if (over_memory())
        cr_skip_test("another process has no part in a store in memory");
    const char *argv[8] = {STORE_TOOL};
    posix_spawn_file_actions_t actions;
    int fds[2];
    pid_t pid;
    for (int i = 0; args[i] != NULL; i++)
        argv[i + 1] = args[i];
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    cr_assert_eq(posix_spawn(&pid, STORE_TOOL, &actions, NULL, (char *const *)argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(fds[1]);
    *out = fdopen(fds[0], "r");
    cr_assert_not_null(*out);
    return pid;
}

int helper_wait(int pid)
{
    int status = -1;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status;
}
