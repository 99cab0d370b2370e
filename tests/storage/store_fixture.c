#include "tests/storage/store_fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>

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

const char *fresh_path(void)
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

static sqlite3 *connect_to(const char *path)
{
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    return db;
}

const char *rows(const char *path, const char *sql)
{
    static struct buf b;
    sqlite3 *db = connect_to(path);
    sqlite3_stmt *st = NULL;
    buf_clear(&b);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    while (sqlite3_step(st) == SQLITE_ROW) {
        if (b.len > 0)
            buf_putc(&b, '\n');
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            const char *text = (const char *)sqlite3_column_text(st, i);
            buf_printf(&b, "%s%s", i > 0 ? "|" : "", text != NULL ? text : "NULL");
        }
    }
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    return buf_str(&b);
}

void outside(const char *path, const char *sql)
{
    sqlite3 *db = connect_to(path);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    (void)sqlite3_close(db);
}

int helper(FILE **out, const char *const *args)
{
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
