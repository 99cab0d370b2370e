/* The store is away, and the executor does not live to see it come back. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "storage/storage.h"
#include "tests/lib/sandbox.h"

TestSuite(spool, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 240);

#define WORDS(n)                                                                                   \
    (const char *const[])                                                                          \
    {                                                                                              \
        "-v", "-n" #n, "-j2", "--grace=1s", "budget.attempts=100", "x=float:0..1", "--", VICTIM,   \
            "log", "log", "700", NULL                                                              \
    }

/* How often a line stands in the workers' log. */
static int times(const char *line)
{
    int n = 0;
    for (const char *p = sandbox_text("log"); (p = strstr(p, line)) != NULL; p++)
        n++;
    return n;
}

/* Trials 0 and 1 end while another process holds the store, are spooled, and their executor is
 * killed. */
static void spool_two(int sig)
{
    struct err err = {0};
    pid_t pid = sandbox_run(WORDS(4));
    cr_assert(sandbox_await("log", "start 0\n", 60) && sandbox_await("log", "start 1\n", 60));
    AUTO_STORE struct store *s = NULL;
    cr_assert(eq(int, store_open(&s, "sqlite:///s.db", NULL, &err), 0), "%s", err.msg);
    cr_assert(eq(int, store_begin(s, &err), 0), "%s", err.msg);
    cr_assert(sandbox_await("log", "end 0\n", 60) && sandbox_await("log", "end 1\n", 60));
    cr_assert(sandbox_await("err", "\"spooled\"", 60), "%s", sandbox_text("err"));
    (void)sleep(3); /* the other one too */
    cr_assert(eq(int, (int)kill(pid, sig), 0));
    int code = sandbox_wait(pid, 60);
    cr_expect(eq(int, code, sig == SIGKILL ? 1000 + SIGKILL : 6), "%s", sandbox_text("err"));
    store_rollback(s);
    cr_assert(eq(int, sandbox_count(TRIAL_COMPLETE), 0)); /* the store knows nothing of them */
}

/* The one file in the spool's directory, or NULL. Valid until the next call. */
static const char *spool_file(const char *suffix)
{
    static char path[512];
    DIR *d = opendir("runs/.spool");
    const char *found = NULL;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        size_t n = strlen(e->d_name), k = strlen(suffix);
        if (e->d_name[0] == '.' || n < k || strcmp(e->d_name + n - k, suffix) != 0)
            continue;
        cr_assert(found == NULL, "two files");
        (void)snprintf(path, sizeof(path), "runs/.spool/%s", e->d_name);
        found = path;
    }
    if (d != NULL)
        (void)closedir(d);
    return found;
}

static void expect_four_and_no_repetition(void)
{
    cr_expect(eq(int,
                 RUN(120, "-v", "-n4", "-j2", "--grace=1s", "budget.attempts=100", "x=float:0..1",
                     "--", VICTIM, "log", "log", "1"),
                 0),
              "%s", sandbox_text("err"));
    cr_expect(sandbox_has("err", "\"spool_replayed\""), "%s", sandbox_text("err"));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 4));
    cr_expect(eq(int, sandbox_count(TRIAL_FAIL), 0));
    cr_expect(eq(int, times("start 0\n"), 1)); /* what was finished was not run again */
    cr_expect(eq(int, times("start 1\n"), 1));
    cr_expect(eq(int, access("runs/.spool", F_OK), -1));
}

Test(spool, results_outlive_a_kill_while_the_store_is_locked)
{
    spool_two(SIGKILL);
    cr_assert(spool_file(".spool") != NULL);
    expect_four_and_no_repetition();
}

Test(spool, stopped_while_the_store_is_locked_it_names_the_spool)
{
    spool_two(SIGTERM);
    const char *file = spool_file(".spool");
    cr_assert(file != NULL);
    cr_expect(sandbox_has("out", file), "%s", sandbox_text("out"));
    cr_expect(sandbox_has("out", "run the same command when it is back"));
    expect_four_and_no_repetition();
}

Test(spool, a_line_torn_by_the_kill_never_counted)
{
    spool_two(SIGKILL);
    FILE *f = fopen(spool_file(".spool"), "ae");
    (void)fputs("0badcafe {\"study\":\"s\",\"trial\":2,\"pa", f);
    (void)fclose(f);
    expect_four_and_no_repetition();
}

Test(spool, it_may_be_replayed_again_and_again)
{
    spool_two(SIGKILL);
    char path[512];
    (void)snprintf(path, sizeof(path), "%s", spool_file(".spool"));
    cr_assert(eq(int, link(path, "copy"), 0));
    expect_four_and_no_repetition();
    cr_assert(eq(int, mkdir("runs/.spool", 0755), 0));
    cr_assert(eq(int, link("copy", path), 0));
    expect_four_and_no_repetition();
    cr_expect(sandbox_has("err", "\"already\":2"), "%s", sandbox_text("err"));
}

Test(spool, one_that_was_never_needed_is_no_news)
{
    pid_t pid = sandbox_run(WORDS(2));
    cr_assert(sandbox_await("log", "start 0\n", 60));
    (void)kill(pid, SIGKILL);
    (void)sandbox_wait(pid, 60);
    cr_assert(spool_file(".spool") != NULL);
    cr_expect(
        eq(int, RUN(120, "-v", "-n2", "-j2", "x=float:0..1", "--", VICTIM, "log", "log", "1"), 0));
    cr_expect(not(sandbox_has("err", "spool_replayed")), "%s", sandbox_text("err"));
    cr_expect(eq(int, access("runs/.spool", F_OK), -1));
}

static int status(const char *more)
{
    return sandbox_wait(sandbox_start((const char *const[]){FORKLESS, "status", "--storage",
                                                            "sqlite:///s.db", more, NULL}),
                        60);
}

Test(spool, status_says_what_waits_since_when_and_for_whom)
{
    struct err err = {0};
    char alive[64];
    pid_t pid = sandbox_run(WORDS(4));
    cr_assert(sandbox_await("log", "start 0\n", 60) && sandbox_await("log", "start 1\n", 60));
    cr_expect(eq(int, status(NULL), 0));
    cr_expect(not(sandbox_has("out", "WAITS ON DISK")), "%s", sandbox_text("out"));
    cr_expect(eq(int, status("--json"), 0));
    cr_expect(sandbox_has("out", ",\"spools\":[]}"), "%s", sandbox_text("out"));
    AUTO_STORE struct store *s = NULL;
    cr_assert(eq(int, store_open(&s, "sqlite:///s.db", NULL, &err), 0), "%s", err.msg);
    cr_assert(eq(int, store_begin(s, &err), 0), "%s", err.msg);
    cr_assert(sandbox_await("log", "end 0\n", 60) && sandbox_await("log", "end 1\n", 60));
    (void)sleep(3); /* both are there */
    cr_expect(eq(int, status(NULL), 0));
    (void)snprintf(alive, sizeof(alive), " ago  alive, pid %d ", (int)pid);
    cr_expect(sandbox_has("out", alive), "%s", sandbox_text("out"));
    cr_expect(sandbox_has("out", "They are stored as soon as it takes them"));
    cr_expect(sandbox_has("out", "forkless spool ls --dir "));
    cr_expect(eq(int, status("--json"), 0));
    cr_expect(sandbox_has("out", "\"trials\":2,"), "%s", sandbox_text("out"));
    cr_expect(sandbox_has("out", "\"since\":\"20"));
    cr_assert(eq(int, (int)kill(pid, SIGKILL), 0));
    (void)sandbox_wait(pid, 60);
    store_rollback(s);
    cr_expect(eq(int, status(NULL), 0));
    cr_expect(sandbox_has("out", "run the same command again, or forkless spool replay"), "%s",
              sandbox_text("out"));
    expect_four_and_no_repetition();
    cr_expect(eq(int, status(NULL), 0));
    cr_expect(not(sandbox_has("out", "WAITS ON DISK")), "%s", sandbox_text("out"));
}

Test(spool, status_of_a_store_that_cannot_be_read_says_what_waits_in_the_usual_place)
{
    static const char zeros[4000];
    spool_two(SIGKILL);
    AUTO_CLOSE int fd = open("s.db", O_WRONLY | O_CLOEXEC);
    (void)unlink("s.db-wal");
    (void)unlink("s.db-shm");
    cr_assert(pwrite(fd, zeros, sizeof(zeros), 100) == (ssize_t)sizeof(zeros));
    cr_assert(eq(int, rename("runs", "forkless-runs"), 0));
    cr_expect(eq(int, status(NULL), 6));
    cr_expect(sandbox_has("err", "malformed"), "%s", sandbox_text("err"));
    cr_expect(sandbox_has("out", "forkless spool ls --dir forkless-runs"), "%s",
              sandbox_text("out"));
}

static int spool_command(const char *what, const char *more, const char *value)
{
    return sandbox_wait(sandbox_start((const char *const[]){FORKLESS, "spool", what, "--dir",
                                                            "runs", "--json", more, value, NULL}),
                        60);
}

Test(spool, the_command_lists_and_replays_it_without_a_run)
{
    spool_two(SIGKILL);
    cr_expect(eq(int, spool_command("ls", NULL, NULL), 0));
    cr_expect(sandbox_has("out", "\"state\":\"waits\",\"trials\":2"), "%s", sandbox_text("out"));
    /* another store, which has no such trials, takes nothing, and none is made */
    cr_expect(eq(int, spool_command("replay", "--storage", "sqlite:///other.db"), 1));
    cr_expect(eq(i64, sandbox_size("other.db"), -1));
    cr_expect(eq(int, spool_command("replay", NULL, NULL), 0), "%s", sandbox_text("err"));
    cr_expect(sandbox_has("out", "\"stored\":2"), "%s", sandbox_text("out"));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 2));
    cr_expect(eq(int, spool_command("ls", NULL, NULL), 0));
    cr_expect(eq(str, (char *)sandbox_text("out"), (char *)""));
}

Test(spool, the_command_names_a_directory_that_is_not_there)
{
    cr_expect(eq(int, spool_command("ls", NULL, NULL), 2));
    cr_expect(sandbox_has("err", "no run directory runs"), "%s", sandbox_text("err"));
}

/* Damages the line of one trial's end; returns which. */
static int damage(const char *path)
{
    AUTO_FREE char *text = strdup(sandbox_text(path));
    const char *at = strstr(text, "\"end\":");
    const char *trial = strstr(text, "\"trial\":");
    cr_assert(at != NULL && trial != NULL);
    for (const char *p = trial; (p = strstr(p + 1, "\"trial\":")) != NULL && p < at;)
        trial = p;
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    cr_assert(pwrite(fd, "X", 1, at - text) == 1);
    return atoi(trial + strlen("\"trial\":"));
}

Test(spool, a_damaged_line_costs_its_own_trial_alone)
{
    spool_two(SIGKILL);
    int lost = damage(spool_file(".spool"));
    cr_expect(eq(int,
                 RUN(120, "-v", "-n4", "-j2", "--grace=1s", "budget.attempts=100", "x=float:0..1",
                     "--", VICTIM, "log", "log", "1"),
                 0),
              "%s", sandbox_text("err"));
    cr_expect(sandbox_has("err", "\"damaged_lines\":1"), "%s", sandbox_text("err"));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 4));
    cr_expect(eq(int, sandbox_count(TRIAL_FAIL), 1)); /* lost, and its retry ran */
    cr_expect(eq(int, times(lost == 0 ? "start 1\n" : "start 0\n"), 1));
    cr_expect(spool_file(".spool.damaged") != NULL); /* what it holds is there for people */
}

Test(spool, an_executor_of_the_same_run_takes_over_what_a_dead_one_spooled)
{
    struct err err = {0};
    spool_two(SIGKILL);
    /* this one lives when the dead one's trials can be taken for lost */
    pid_t pid =
        sandbox_run((const char *const[]){"-v", "-n4", "-j1", "report.heartbeat=1s", "x=float:0..1",
                                          "--", VICTIM, "log", "log", "300", NULL});
    cr_expect(eq(int, sandbox_wait(pid, 120), 0), "%s", sandbox_text("err"));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 4), "%s", err.msg);
    cr_expect(eq(int, sandbox_count(TRIAL_FAIL), 0));
}

Test(spool, trials_are_not_lost_while_somebody_else_stores_their_outcomes)
{
    spool_two(SIGKILL);
    AUTO_CLOSE int fd = open(spool_file(".spool"), O_RDONLY | O_CLOEXEC);
    cr_assert(fd >= 0 && flock(fd, LOCK_EX) == 0);
    pid_t pid =
        sandbox_run((const char *const[]){"-v", "-n4", "-j1", "report.heartbeat=1s", "x=float:0..1",
                                          "--", VICTIM, "log", "log", "300", NULL});
    cr_assert(sandbox_await("err", "\"hpo_heartbeat\"", 60));
    cr_assert(eq(int, flock(fd, LOCK_UN), 0)); /* it gave up: the next one takes over */
    cr_expect(eq(int, sandbox_wait(pid, 120), 0), "%s", sandbox_text("err"));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 4));
    cr_expect(eq(int, sandbox_count(TRIAL_FAIL), 0));
}

Test(spool, one_that_is_not_for_this_store_is_told_once_and_stays)
{
    spool_two(SIGKILL);
    cr_expect(eq(int,
                 RUN(120, "-v", "--storage", "sqlite:///other.db", "-n12", "-j1",
                     "report.heartbeat=1s", "x=float:0..1", "--", VICTIM, "log", "log", "300"),
                 0),
              "%s", sandbox_text("err"));
    const char *told = strstr(sandbox_text("err"), "\"spool_replayed\"");
    cr_assert(told != NULL);
    cr_expect(strstr(told + 1, "\"hpo_heartbeat\"") != NULL);
    cr_expect(strstr(told + 1, "\"spool_replayed\"") == NULL);
    cr_expect(spool_file(".spool") != NULL);
}

Test(spool, a_full_disk_holds_what_was_reserved)
{
    static const char *words[] = {LAUNCH, "small", "small", NULL};
    cr_assert(eq(int, mkdir("small", 0755), 0));
    sandbox_launch_with(words);
    pid_t pid = sandbox_run((const char *const[]){
        "-v", "--storage", "sqlite:///small/s.db", "--dir", "small/runs", "-n300", "-j4",
        "--grace=1s", "x=float:0..1", "--", VICTIM, "log", "log", "1", NULL});
    for (int i = 0; i < 6000 && !sandbox_has("err", "store_waiting"); i++) {
        if (sandbox_has("err", "launch: "))
            cr_skip_test("%s", sandbox_text("err"));
        (void)usleep(10000);
    }
    cr_expect(sandbox_await("err", "\"spooled\"", 60), "%s", sandbox_text("err"));
    cr_expect(not(sandbox_has("err", "\"spool_failed\"")));
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 60), 6));
}
