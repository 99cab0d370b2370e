/* Another program holds the store for HOLD seconds, as Python or a dashboard may: the loop does not
 * notice, a hung worker is ended on time, and nothing is lost or failed. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "storage/storage.h"
#include "tests/lib/sandbox.h"

#ifndef HOLD
#define HOLD 5
#endif

TestSuite(locked, .init = sandbox_enter, .fini = sandbox_leave, .timeout = HOLD + 200);

/* How often a text stands in the log so far. */
static int times(const char *text)
{
    int n = 0;
    for (const char *p = sandbox_text("err"); (p = strstr(p, text)) != NULL; p++)
        n++;
    return n;
}

static bool await_times(const char *text, int n, int seconds)
{
    for (int i = 0; i < seconds * 100 && times(text) < n; i++)
        (void)usleep(10000);
    return times(text) >= n;
}

/* Trials 0 and 1 of the sweep hang, with a stall of 2 s; the others take half a second. */
static pid_t start(void)
{
    return sandbox_run((const char *const[]){
        "-v", "-n12", "-j4", "--stall=2s", "--grace=1s", "retry.stalled=0", "budget.attempts=14",
        "report.heartbeat=1s", "x=float:0..1", "--", "/bin/sh", "-c",
        "[ $FORKLESS_TRIAL -lt 2 ] && exec " VICTIM " ignore-term log; exec " VICTIM " log log 500",
        NULL});
}

Test(locked, a_store_held_by_another_writer_delays_nothing_and_loses_nothing)
{
    struct err err = {0};
    pid_t pid = start();
    for (int i = 0; i < 4; i++) {
        char line[32];
        (void)snprintf(line, sizeof(line), "start %d\n", i);
        cr_assert(sandbox_await("log", line, 60));
    }
    {
        AUTO_STORE struct store *s = NULL;
        cr_assert(eq(int, store_open(&s, "sqlite:///s.db", NULL, &err), 0), "%s", err.msg);
        cr_assert(eq(int, store_begin(s, &err), 0), "%s", err.msg);
        const time_t until = time(NULL) + HOLD;
        int beats = times("hpo_heartbeat");
        cr_expect(await_times("worker_killed", 2, 60)); /* TERM, grace, KILL: while it is held */
        cr_expect(await_times("\"class\":\"stalled\"", 2, 60));
        cr_expect(await_times("hpo_heartbeat", beats + 3, 60));
        while (time(NULL) < until)
            (void)usleep(100000);
        cr_expect(eq(int, (int)kill(pid, 0), 0));
        store_rollback(s);
    }
    cr_expect(eq(int, sandbox_wait(pid, 120), 0), "%s", sandbox_text("err"));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 12));
    cr_expect(eq(int, sandbox_count(TRIAL_FAIL), 2)); /* the hung ones alone */
    cr_expect(sandbox_has("err", "store_back"));
}
