/* A trial counts only when it has reached the disk, and a disk that failed once is not believed. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/storage.h"
#include "tests/lib/sandbox.h"

static void enter(void)
{
    sandbox_enter();
    (void)setenv("LD_PRELOAD", BADSYNC, 1);
    (void)setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
}

static void leave(void)
{
    (void)unsetenv("LD_PRELOAD");
    sandbox_leave();
}

TestSuite(durable, .init = enter, .fini = leave, .timeout = 240);

/* One trial, which first makes the disk so. */
static pid_t start(const char *how)
{
    char command[64];
    (void)snprintf(command, sizeof(command), "touch %s; echo loss=1", how);
    return sandbox_run((const char *const[]){"-v", "-n1", "--grace=1s", "report.heartbeat=1s",
                                             "x=float:0..1", "--", "/bin/sh", "-c", command, NULL});
}

/* How often a text stands in the log so far. */
static int times(const char *text)
{
    int n = 0;
    for (const char *p = sandbox_text("err"); (p = strstr(p, text)) != NULL; p++)
        n++;
    return n;
}

Test(durable, a_trial_that_is_not_synced_is_not_counted)
{
    pid_t pid = start("sync-waits");
    for (int i = 0; i < 6000 && sandbox_size("sync-waits") < 0; i++)
        (void)usleep(10000);
    for (int n = times("hpo_heartbeat"), i = 0; times("hpo_heartbeat") < n + 3 && i < 6000; i++)
        (void)usleep(10000);
    cr_expect(eq(int, (int)kill(pid, 0), 0));
    cr_expect(eq(int, times("\"done\":1"), 0), "%s", sandbox_text("err"));
    cr_expect(not(sandbox_has("err", "\"proof\"")));
    cr_assert(eq(int, unlink("sync-waits"), 0));
    cr_expect(eq(int, sandbox_wait(pid, 60), 0), "%s", sandbox_text("err"));
}

Test(durable, after_a_failed_sync_the_data_is_written_anew)
{
    cr_expect(eq(int, sandbox_wait(start("sync-fails-once"), 60), 0), "%s", sandbox_text("err"));
    const char *failed = strstr(sandbox_text("err"), "disk: failed s.db-wal");
    cr_assert(failed != NULL);
    const char *anew = strstr(failed, "disk: synced s.db\n"), *proof = strstr(failed, "\"proof\"");
    cr_expect(anew != NULL && proof != NULL && anew < proof, "%s", failed);
}

Test(durable, what_cannot_be_synced_is_never_proven)
{
    pid_t pid = start("sync-fails");
    cr_assert(sandbox_await("err", "store_waiting", 60), "%s", sandbox_text("err"));
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 60), 6));
    cr_expect(eq(int, times("\"done\":1"), 0), "%s", sandbox_text("err"));
    cr_expect(not(sandbox_has("err", "\"proof\"")));
}

Test(durable, a_study_is_opened_without_a_sync_for_each_of_its_rows)
{
    cr_assert(eq(int, sandbox_wait(start("first"), 60), 0), "%s", sandbox_text("err"));
    pid_t pid = sandbox_run((const char *const[]){"-n2", "-j1", "x=float:0..1", "--", "/bin/sh",
                                                  "-c", "cp err before; echo loss=1", NULL});
    cr_assert(eq(int, sandbox_wait(pid, 60), 0), "%s", sandbox_text("err"));
    cr_assert(sandbox_size("before") >= 0);
    int syncs = 0;
    for (const char *p = sandbox_text("before"); (p = strstr(p, "disk: synced")) != NULL; p++)
        syncs++;
    cr_expect(le(int, syncs, 3)); /* the log, its directory, its header */
}
