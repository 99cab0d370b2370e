/* The executor never forks, whatever is loaded into it. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdlib.h>

#include "tests/lib/sandbox.h"

TestSuite(forks, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 120);

static void set_tripwire(void)
{
    static const char *const words[] = {LAUNCH, "tripwire", "-", NULL};
    sandbox_launch_with(words);
}

static void load_grpc(void)
{
    (void)setenv("LD_PRELOAD", ATFORK, 1);
    (void)setenv("ATFORK_LOG", "forks", 1);
    (void)setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
}

Test(forks, the_tripwire_kills_what_forks)
{
    set_tripwire();
    pid_t pid = sandbox_start((const char *const[]){VICTIM, "fork", NULL});
    cr_expect(eq(int, sandbox_wait(pid, 60), 1000 + SIGSYS));
}

Test(forks, the_counter_counts_with_grpc_loaded)
{
    load_grpc();
    pid_t pid = sandbox_start((const char *const[]){VICTIM, "fork", NULL});
    cr_expect(eq(int, sandbox_wait(pid, 60), 0));
    cr_expect(eq(str, (char *)(uintptr_t)sandbox_text("forks"), (char *)"grpc up, forks 1\n"));
}

Test(forks, a_sweep_makes_none)
{
    set_tripwire();
    cr_expect(eq(int, RUN(60, "-n30", "-j4", "x=float:0..1", "--", VICTIM, "ok"), 0));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 30));
}

Test(forks, a_hang_makes_none_with_its_evidence_and_its_kill)
{
    set_tripwire();
    cr_expect(eq(int,
                 RUN(60, "-n1", "-j1", "--stall=1s", "--grace=1s", "budget.attempts=1",
                     "x=float:0..1", "--", VICTIM, "ignore-term", "log"),
                 5));
    cr_expect(sandbox_has("runs/s/0/evidence.json", "victim"));
}

Test(forks, a_sweep_with_grpc_loaded_makes_none)
{
    load_grpc();
    set_tripwire();
    cr_expect(eq(int, RUN(100, "-n10", "-j2", "x=float:0..1", "--", VICTIM, "ok"), 0));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 10));
    cr_expect(eq(str, (char *)(uintptr_t)sandbox_text("forks"), (char *)"grpc up, forks 0\n"));
}
