/* Short trials: the process and the directory of the next one are made ahead. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/sandbox.h"

TestSuite(spares, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 120);

#define TRIALS 40

Test(spares, a_killed_spare_is_not_missed)
{
    char n[16];
    struct sandbox_trial t[TRIALS + 1];
    (void)snprintf(n, sizeof(n), "-n%d", TRIALS);
    cr_expect(eq(int, RUN(100, n, "-j1", "x=float:0..1", "--", VICTIM, "kill-spare"), 0));
    cr_assert(eq(int, sandbox_trials(t, TRIALS + 1), TRIALS));
    int met = 0;
    for (int i = 0; i < TRIALS; i++)
        met += t[i].value > 0;
    /* whether a spare is there already is a matter of moments, and of how fast a trial is here */
    cr_expect(gt(int, met, 0), "no spare was ever met: nothing was tested");
}

Test(spares, nothing_that_was_made_ahead_is_left)
{
    cr_expect(eq(int, RUN(100, "-n20", "-j4", "x=float:0..1", "--", VICTIM, "ok"), 0));
    cr_expect(eq(int, sandbox_processes("forkless-exec"), 0));
    for (int i = 20; i < 28; i++) {
        char dir[64];
        (void)snprintf(dir, sizeof(dir), "runs/s/%d", i);
        cr_expect(ne(int, access(dir, F_OK), 0), "%s is left", dir);
    }
    cr_expect(eq(int, access("runs/s/19/params.json", F_OK), 0));
}

/* The orders of a spare go through a memory file: what the kernel takes, it takes. */
Test(spares, an_environment_of_a_mebibyte_reaches_the_worker)
{
    enum { PIECE = 100000, PIECES = 10 };
    static char value[PIECE + 1];
    memset(value, 'v', PIECE);
    for (int i = 0; i < PIECES; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "LARGE_%d", i);
        cr_assert(eq(int, setenv(name, value, 1), 0));
    }
    cr_expect(eq(int,
                 RUN(100, "-n8", "-j1", "x=float:0..1", "--", "sh", "-c",
                     "echo loss=$(printenv LARGE_0 LARGE_9 | wc -c)"),
                 0));
    struct sandbox_trial t[8];
    cr_assert(eq(int, sandbox_trials(t, 8), 8));
    for (int i = 0; i < 8; i++)
        cr_expect(eq(dbl, t[i].value, 2.0 * (PIECE + 1)));
}

/* It was there when the run began: one that is not is refused. */
Test(spares, a_directory_that_cannot_be_entered_is_named)
{
    cr_assert(eq(int, mkdir("gone", 0755), 0));
    cr_expect(eq(int,
                 RUN(60, "-n2", "-j1", "budget.attempts=2", "run.cwd=gone", "x=float:0..1", "--",
                     "/bin/sh", "-c", "rmdir ../gone; echo loss=1"),
                 1));
    struct sandbox_trial t[3];
    cr_assert(eq(int, sandbox_trials(t, 3), 2));
    cr_expect(strstr(t[1].message, "cannot enter the directory gone") != NULL, "%s", t[1].message);
}
