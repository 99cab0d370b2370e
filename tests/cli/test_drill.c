/* forkless drill: every drill passes here, and one that is not met says so and keeps what it left.
 * The slack is generous: a busy machine is no finding. */
#include <criterion/criterion.h>

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "tests/lib/sandbox.h"

TestSuite(drill, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 300);

static int drill(const char *program, const char *name, const char *slack)
{
    char here[PATH_MAX];
    const char *const argv[] = {program, "drill", name, "--json", "--slack", slack, NULL};
    cr_assert_not_null(getcwd(here, sizeof(here)));
    (void)setenv("TMPDIR", here, 1); /* what it leaves behind goes with the sandbox */
    return sandbox_wait(sandbox_start(argv), 240);
}

static void expect_passed(const char *name, const char *check)
{
    int code = drill(FORKLESS, name, "1m");
    cr_expect(code == EXIT_OK, "exit %d: %s%s", code, sandbox_text("out"), sandbox_text("err"));
    cr_expect(sandbox_has("out", "\"passed\":true") && sandbox_has("out", "\"dir\":null") &&
                  sandbox_has("out", check) && !sandbox_has("out", "\"ok\":false"),
              "%s", sandbox_text("out"));
}

Test(drill, a_stall_ends_as_promised)
{
    expect_passed("stall", "row 1 in the store: FAIL, class stalled, a retry");
}

Test(drill, a_deadlock_ends_as_promised)
{
    expect_passed("deadlock", "its verdict is a proven fork deadlock");
}

Test(drill, a_worker_without_memory_ends_as_promised)
{
    expect_passed("oom", "row 0 in the store: FAIL, class oom");
}

Test(drill, a_stopped_run_ends_and_goes_on_as_promised)
{
    expect_passed("sigterm", "the run ends with exit code 75");
}

Test(drill, a_locked_store_delays_nothing)
{
    expect_passed("db-locked", "event store_back");
}

/* A copy of the programs, with a worker that does nothing. */
static void install_without_fault(void)
{
    static const char *const copies[][5] = {{"/bin/cp", FORKLESS, "forkless", NULL},
                                            {"/bin/cp", STUB, "forkless-exec", NULL},
                                            {"/bin/cp", "/bin/true", "forkless-drill", NULL}};
    for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++)
        cr_assert_eq(sandbox_wait(sandbox_start(copies[i]), 60), 0, "%s", sandbox_text("err"));
}

Test(drill, what_is_not_met_is_told_and_kept)
{
    install_without_fault();
    int code = drill("./forkless", "stall", "1m");
    cr_expect(code == EXIT_UNMET, "exit %d: %s", code, sandbox_text("err"));
    cr_expect(sandbox_has("out", "\"check\":\"the worker misbehaves\",\"ok\":false") &&
                  sandbox_has("out", "\"passed\":false") && sandbox_has("out", "/forkless-drill-"),
              "%s", sandbox_text("out"));
}

Test(drill, an_unknown_name_gets_a_hint)
{
    cr_expect(drill(FORKLESS, "stal", "1s") == EXIT_USAGE);
    cr_expect(sandbox_has("err", "did you mean 'stall'?"), "%s", sandbox_text("err"));
}
