/* A deadlock that a fork left behind is proven, written down and ended long before silence would
 * tell; what only looks like one is left alone. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

#include "tests/lib/sandbox.h"

TestSuite(watchdog, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 200);

/* One try with a short watch.deadlock; silence alone would take half an hour. */
#define WATCH_FOR(deadlock, mode, ...)                                                             \
    RUN(120, "-n1", "-j1", "--stall=30m", "--grace=1s", "watch.deadlock=" deadlock,                \
        "budget.attempts=1", "retry.fork_deadlock=0", ##__VA_ARGS__, "x=float:0..1", "--",         \
        DEADLOCK, mode)
#define WATCH(mode, ...) WATCH_FOR("1s", mode, ##__VA_ARGS__)

static void expect_deadlock(const char *why)
{
    struct sandbox_trial t[2];
    cr_assert(eq(int, sandbox_trials(t, 2), 1));
    cr_expect(eq(str, t[0].fail, (char *)"fork_deadlock"));
    cr_expect(strstr(t[0].message, why) != NULL, "%s", t[0].message);
    cr_expect(sandbox_has("err", "\"reason\":\"deadlock\""));
    cr_expect(sandbox_has("runs/s/0/evidence.json", "\"kind\": \"proven\"") ||
                  sandbox_has("runs/s/0/evidence.json", "\"kind\":\"proven\""),
              "%s", sandbox_text("runs/s/0/evidence.json"));
    cr_expect(gt(long, (long)sandbox_size("runs/s/0/evidence.txt"), 0));
}

Test(watchdog, an_orphaned_mutex_is_class_fork_deadlock)
{
    cr_expect(eq(int, WATCH("mutex"), 5));
    expect_deadlock("mutex");
}

Test(watchdog, also_while_other_threads_burn_the_cpu)
{
    cr_expect(eq(int, WATCH("mutex-and-burn"), 5));
    expect_deadlock("mutex");
}

Test(watchdog, an_after_fork_handler_is_known_by_its_stack)
{
    cr_expect(eq(int, WATCH("atfork"), 5));
    expect_deadlock("pthread_atfork");
}

/* Where forks are not seen as they happen, the search among the descendants finds them. */
Test(watchdog, the_search_finds_and_tells_the_fork)
{
    cr_expect(eq(int, WATCH("mutex", "watch.fork=off"), 5));
    expect_deadlock("mutex");
    cr_expect(sandbox_has("err", "\"event\":\"fork_after_threads\""));
    cr_expect(sandbox_has("runs/s/0/forks.jsonl", "found later"));
}

Test(watchdog, the_guard_sees_it_at_once)
{
    cr_expect(eq(int, WATCH("mutex", "watch.fork=warn"), 5));
    expect_deadlock("mutex");
    cr_expect(sandbox_has("runs/s/0/forks.jsonl", "goes on"));
    cr_expect(sandbox_has("runs/s/0/evidence.json", "\"how\": \"goes on\"") ||
              sandbox_has("runs/s/0/evidence.json", "\"how\":\"goes on\""));
    cr_expect(sandbox_has("runs/s/0/evidence.txt", "fork (goes on): deadlock"));
    cr_expect(sandbox_has("runs/s/0/evidence.txt", "in deadlock\n"), "the stack of the fork");
}

/* The time limit ends them: a deadlock would have been acted on ten times by then. */
static void expect_left_alone(const char *mode)
{
    cr_expect(eq(int, WATCH(mode, "--timeout=12s"), 5));
    struct sandbox_trial t[2];
    cr_assert(eq(int, sandbox_trials(t, 2), 1));
    cr_expect(eq(str, t[0].fail, (char *)"timeout"), "%s", t[0].message);
}

Test(watchdog, a_pool_that_waits_for_work_is_left_alone)
{
    expect_left_alone("pool");
}

Test(watchdog, threads_that_pass_a_mutex_round_are_left_alone)
{
    expect_left_alone("contention");
}

Test(watchdog, off_looks_for_nothing)
{
    cr_expect(eq(int, WATCH_FOR("off", "mutex", "--timeout=4s"), 5));
    struct sandbox_trial t[2];
    cr_assert(eq(int, sandbox_trials(t, 2), 1));
    /* the evidence of the timeout knows it, and says so */
    cr_expect(eq(str, t[0].fail, (char *)"timeout"), "%s", t[0].message);
}

Test(watchdog, a_hang_that_is_only_told_ends_nobody)
{
    cr_expect(eq(int, WATCH("mutex", "watch.on_stall=[dump]", "--timeout=6s"), 5));
    struct sandbox_trial t[2];
    cr_assert(eq(int, sandbox_trials(t, 2), 1));
    cr_expect(eq(str, t[0].fail, (char *)"timeout"), "%s", t[0].message);
    cr_expect(sandbox_has("err", "\"reason\":\"deadlock\""));
}
