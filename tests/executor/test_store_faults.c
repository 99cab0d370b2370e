/* A store that is locked, full or not to be written, and standard streams that are not there. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "storage/storage.h"
#include "tests/lib/sandbox.h"

TestSuite(store_faults, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 240);

#define START(...) sandbox_run((const char *const[]){__VA_ARGS__, NULL})

static void launch(const char *how, const char *arg)
{
    static const char *words[4];
    words[0] = LAUNCH;
    words[1] = how;
    words[2] = arg;
    sandbox_launch_with(words);
}

Test(store_faults, a_locked_store_delays_no_kill_and_loses_nothing)
{
    struct err err = {0};
    pid_t pid = START("-n2", "-j2", "--stall=2s", "--grace=1s", "retry.stalled=0",
                      "budget.attempts=2", "x=float:0..1", "--", "/bin/sh", "-c",
                      "[ $FORKLESS_TRIAL = 0 ] && exec " VICTIM " ignore-term log; exec " VICTIM
                      " log log 1000");
    cr_assert(sandbox_await("log", "start 0", 60));
    cr_assert(sandbox_await("log", "start 1", 60));
    {
        AUTO_STORE struct store *s = NULL;
        cr_assert(eq(int, store_open(&s, "sqlite:///s.db", NULL, &err), 0), "%s", err.msg);
        cr_assert(eq(int, store_begin(s, &err), 0), "%s", err.msg);
        /* both trials end while nobody can write */
        cr_expect(sandbox_await("log", "end 1", 60));
        cr_expect(sandbox_await("err", "evidence_saved", 60));
        cr_expect(sandbox_await("err", "worker_killed", 60));
        cr_expect(sandbox_await("err", "\"class\":\"stalled\"", 60)); /* and it is dead */
        (void)sleep(3);
        cr_expect(eq(int, (int)kill(pid, 0), 0));
        store_rollback(s);
    }
    cr_expect(eq(int, sandbox_wait(pid, 120), 5));
    struct sandbox_trial t[4];
    cr_assert(eq(int, sandbox_trials(t, 4), 2));
    cr_expect(eq(str, t[0].fail, (char *)"stalled"));
    cr_expect(eq(int, (int)t[1].state, TRIAL_COMPLETE));
    cr_expect(eq(dbl, t[1].value, 1.0));
}

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    cr_assert(eq(int, sqlite3_open("s.db", &db), SQLITE_OK));
    (void)sqlite3_busy_timeout(db, 10000);
    cr_assert(eq(int, sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK), "%s",
              sqlite3_errmsg(db));
    (void)sqlite3_close(db);
}

/* As while a dump is being restored. */
Test(store_faults, a_table_that_is_gone_for_a_while_loses_nothing)
{
    pid_t pid = START("-n2", "-j1", "x=float:0..1", "--", VICTIM, "log", "log", "1500");
    cr_assert(sandbox_await("log", "start 0", 60));
    run_sql("ALTER TABLE trial_values RENAME TO gone");
    cr_assert(sandbox_await("log", "end 0", 60));
    cr_expect(sandbox_await("err", "\"spooled\"", 60), "%s", sandbox_text("err"));
    cr_expect(sandbox_await("err", "no such table: ", 60), "%s", sandbox_text("err"));
    cr_expect(sandbox_has("err", "no such table: main.trial_values") ||
                  sandbox_has("err", "no such table: trial_values"),
              "%s", sandbox_text("err"));
    run_sql("ALTER TABLE gone RENAME TO trial_values");
    cr_expect(eq(int, sandbox_wait(pid, 120), 0), "%s", sandbox_text("err"));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 2));
}

Test(store_faults, a_directory_that_may_not_be_written_is_named_at_once)
{
    cr_assert(mkdir("ro", 0755) == 0 && mkdir("runs", 0777) == 0 && chmod("runs", 0777) == 0 &&
              chmod("ro", 0555) == 0 && chmod(".", 0755) == 0);
    launch("user", "54321");
    int code = RUN(60, "--storage", "sqlite:///ro/s.db", "-n1", "x=float:0..1", "--", VICTIM, "ok");
    if (code == 77)
        cr_skip_test("%s", sandbox_text("err"));
    cr_expect(eq(int, code, 6));
    cr_expect(sandbox_has("err", "ro/s.db"), "%s", sandbox_text("err"));
    cr_expect(eq(long, (long)sandbox_size("runs/s/0"), -1)); /* nothing ran */
}

/* As another user, who may use the run directory. The code, 77 where that is not to be had. */
static int run_as_other(void)
{
    cr_assert(mkdir("runs", 0777) == 0 || errno == EEXIST);
    cr_assert(chmod("runs", 0777) == 0 && chmod(".", 0755) == 0);
    launch("user", "54321");
    return RUN(60, "--dir", "runs/other", "-n5", "x=float:0..1", "--", VICTIM, "ok");
}

static void expect_forbidden(int code)
{
    if (code == 77)
        cr_skip_test("%s", sandbox_text("err"));
    cr_expect(eq(int, code, 6));
    cr_expect(sandbox_has("err", "s.db cannot be written: Permission denied; let user 54321"), "%s",
              sandbox_text("err"));
}

Test(store_faults, a_file_that_may_not_be_written_is_named_at_once)
{
    cr_assert(eq(int, RUN(60, "-n1", "x=float:0..1", "--", VICTIM, "ok"), 0));
    cr_assert(eq(int, chmod("s.db", 0444), 0));
    expect_forbidden(run_as_other());
}

Test(store_faults, a_file_whose_log_may_not_be_written_is_named_at_once)
{
    cr_assert(eq(int, RUN(60, "-n1", "x=float:0..1", "--", VICTIM, "ok"), 0));
    cr_assert(eq(int, chmod("s.db", 0666), 0));
    expect_forbidden(run_as_other());
}

Test(store_faults, a_mistake_in_a_name_is_no_lost_store)
{
    static const char *const mistakes[][4] = {
        {"--storage", "mysql://me:secret@host/db", "only sqlite"},
        {"--storage", "sqlite:///no/such/s.db", "there is no directory no/such"},
        {"--storage", "sqlite:///text", "text: file is not a database"},
        {"--storage", "memory:", "gone when the run ends"},
        {"--storage", "sqlite:///.", "is a directory"},
        {"--dir", "text/runs", "make the run directory"},
    };
    FILE *f = fopen("text", "we");
    for (int i = 0; i < 100; i++)
        (void)fprintf(f, "this is a text\n");
    (void)fclose(f);
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        cr_expect(
            eq(int,
               RUN(60, mistakes[i][0], mistakes[i][1], "-n1", "x=float:0..1", "--", VICTIM, "${x}"),
               2));
        const char *said = sandbox_text("err");
        cr_expect(strstr(said, mistakes[i][2]) != NULL, "%s", said);
        cr_expect(strstr(said, "lost") == NULL && strstr(said, "secret") == NULL, "%s", said);
        cr_expect(strchr(said, '\n') != NULL && strchr(said, '\n')[1] == '\0', "%s", said);
    }
}

/* The disk is full in earnest. Its files are seen below the process's own root. */
static pid_t start_on_small_disk(const char *grace)
{
    cr_assert(eq(int, mkdir("small", 0755), 0));
    launch("small", "small");
    return START("--storage", "sqlite:///small/s.db", "-n300", "-j4", grace, "x=float:0..1", "--",
                 VICTIM, "log", "log", "1");
}

static bool await_full(pid_t pid)
{
    for (int i = 0; i < 6000 && !sandbox_has("err", "store_waiting"); i++) {
        if (sandbox_has("err", "launch: "))
            return (void)sandbox_wait(pid, 60), false;
        (void)usleep(10000);
    }
    return true;
}

Test(store_faults, a_disk_that_is_full_is_waited_for_and_told_again)
{
    char path[256], cwd[128];
    pid_t pid = start_on_small_disk("--grace=1s");
    if (!await_full(pid))
        cr_skip_test("%s", sandbox_text("err"));
    cr_expect(sandbox_has("err", "database or disk is full"), "%s", sandbox_text("err"));
    const char *first = strstr(sandbox_text("err"), "store_waiting");
    cr_assert(first != NULL);
    for (int i = 0; i < 6000 && strstr(first + 1, "\"store_waiting\"") == NULL; i++) {
        (void)usleep(10000);
        first = strstr(sandbox_text("err"), "\"store_waiting\"");
    }
    cr_expect(ne(ptr, (void *)strstr(first + 1, "\"store_waiting\""), NULL), "said once only");
    cr_assert(getcwd(cwd, sizeof(cwd)) != NULL);
    (void)snprintf(path, sizeof(path), "/proc/%d/root%s/small/filler", (int)pid, cwd);
    cr_assert(eq(int, unlink(path), 0), "%s", path);
    cr_expect(eq(int, sandbox_wait(pid, 120), 0), "%s", sandbox_text("err"));
    cr_expect(sandbox_has("out", "300 trials are stored"), "%s", sandbox_text("out"));
}

Test(store_faults, a_stop_while_the_disk_is_full_takes_no_longer_than_the_grace)
{
    pid_t pid = start_on_small_disk("--grace=1s");
    if (!await_full(pid))
        cr_skip_test("%s", sandbox_text("err"));
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 30), 6)); /* patience alone would last ten minutes */
    cr_expect(not(sandbox_has("err", "store_back")), "%s", sandbox_text("err"));
}

/* Nobody runs who would need the grace, and the results are in the spool. */
Test(store_faults, a_stop_without_workers_leaves_a_full_disk_less_than_the_grace)
{
    pid_t pid = start_on_small_disk("--grace=30s");
    if (!await_full(pid))
        cr_skip_test("%s", sandbox_text("err"));
    (void)sleep(1); /* the last trials have ended */
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 29), 6));
    cr_expect(sandbox_has("out", "\"spooled\":"), "%s", sandbox_text("out"));
}

/* A file limit stands for a full disk: both refuse in the middle of a write. */
Test(store_faults, a_full_disk_is_waited_for)
{
    launch("fsize", "300000");
    pid_t pid = START("-n200", "-j4", "x=float:0..1", "--", VICTIM, "log", "log", "1");
    cr_assert(sandbox_await("err", "store_waiting", 60), "%s", sandbox_text("err"));
    cr_expect(sandbox_has("err", "the store refuses, results wait for it"));
    (void)sleep(1);
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    cr_assert(prlimit(pid, RLIMIT_FSIZE, &none, NULL) == 0);
    cr_expect(eq(int, sandbox_wait(pid, 120), 0));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 200));
    cr_expect(eq(int, sandbox_count(TRIAL_FAIL), 0)); /* no result was lost */
}

Test(store_faults, stopped_while_the_disk_is_full_it_says_so_and_can_go_on)
{
    launch("fsize", "300000");
    pid_t pid =
        START("-n200", "-j4", "--grace=1s", "x=float:0..1", "--", VICTIM, "log", "log", "1");
    cr_assert(sandbox_await("err", "store_waiting", 60), "%s", sandbox_text("err"));
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 60), 6));
    cr_expect(sandbox_has("out", "the store is lost"), "%s", sandbox_text("out"));
    cr_expect(not(sandbox_has("err", "store_back")), "%s", sandbox_text("err"));
    cr_expect(
        eq(int, RUN(120, "-n200", "-j4", "x=float:0..1", "--", VICTIM, "log", "log", "1"), 0));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 200));
}

Test(store_faults, streams_that_nobody_reads_end_no_sweep)
{
    launch("widow", "-");
    cr_expect(eq(int, RUN(60, "-v", "-n5", "x=float:0..1", "--", VICTIM, "ok"), 0));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 5));
}

Test(store_faults, a_log_that_nobody_reads_stops_no_sweep)
{
    launch("deaf", "-"); /* a pipe holds 64 KiB */
    cr_expect(eq(int, RUN(120, "-v", "-n400", "-j2", "x=float:0..1", "--", VICTIM, "ok"), 0));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 400));
}

/* What is opened then must not take a standard stream's number: the result line would end in it. */
static void run_without(const char *fds)
{
    launch("close", fds);
    cr_expect(eq(int, RUN(60, "-v", "-n5", "x=float:0..1", "--", VICTIM, "flood", "1"), 0));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 5));
    cr_expect(eq(int, RUN(60, "-n5", "x=float:0..1", "--", VICTIM, "ok"), 0));
}

Test(store_faults, without_stdout_the_sweep_ends_well)
{
    run_without("1");
}

Test(store_faults, without_stderr_the_sweep_ends_well)
{
    run_without("2");
}

Test(store_faults, without_any_stream_the_sweep_ends_well)
{
    run_without("012");
}
