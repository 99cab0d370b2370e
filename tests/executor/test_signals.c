/* SIGTERM and Ctrl-C: how a sweep stops, and what it leaves for the next run. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "storage/ftf.h"
#include "storage/storage.h"
#include "tests/lib/sandbox.h"

TestSuite(signals, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 180);

#define START(...) sandbox_run((const char *const[]){__VA_ARGS__, NULL})

static void await_start(int trial)
{
    char line[32];
    (void)snprintf(line, sizeof(line), "start %d\n", trial);
    cr_assert(sandbox_await("log", line, 60), "trial %d did not start: %s", trial,
              sandbox_text("err"));
}

static void stop_and_go_on(int sig)
{
    pid_t pid =
        START("-n4", "-j2", "--grace=2s", "x=float:0..1", "--", VICTIM, "log", "log", "600000");
    await_start(0);
    await_start(1);
    (void)kill(pid, sig);
    cr_expect(eq(int, sandbox_wait(pid, 60), 75));
    struct sandbox_trial t[8];
    cr_assert(eq(int, sandbox_trials(t, 8), 4));
    for (int i = 0; i < 4; i++) {
        cr_expect(eq(int, (int)t[i].state, i < 2 ? TRIAL_FAIL : TRIAL_WAITING));
        cr_expect(eq(str, t[i].fail, (char *)(uintptr_t)(i < 2 ? "preempted" : "")));
    }
    cr_expect(eq(int, RUN(60, "-n4", "-j2", "x=float:0..1", "--", VICTIM, "log", "log", "1"), 0));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 4));
    cr_expect(eq(int, sandbox_count(TRIAL_WAITING), 0));
}

Test(signals, sigterm_gives_running_trials_to_the_next_run)
{
    stop_and_go_on(SIGTERM);
}

Test(signals, ctrl_c_gives_running_trials_to_the_next_run)
{
    stop_and_go_on(SIGINT);
}

Test(signals, trials_that_end_within_half_the_grace_are_kept)
{
    pid_t pid =
        START("-n4", "-j1", "--grace=40s", "x=float:0..1", "--", VICTIM, "log", "log", "1500");
    await_start(0);
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 60), 75));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 1));
    cr_expect(eq(int, sandbox_count(TRIAL_FAIL), 0));
}

/* Twenty short trials, so that one is held beside the long one that follows. */
Test(signals, a_trial_claimed_ahead_is_given_back_without_a_trace_and_run_later)
{
    struct sandbox_trial t[40];
    pid_t pid =
        START("-n30", "-j1", "--grace=2s", "x=float:0..1", "--", "/bin/sh", "-c",
              "[ $FORKLESS_TRIAL -lt 20 ] && exec " VICTIM " ok; exec " VICTIM " log log 600000");
    await_start(20);
    for (int i = 0; i < 200 && sandbox_count(TRIAL_RUNNING) < 2; i++)
        (void)usleep(10000);
    int held = sandbox_count(TRIAL_RUNNING) - 1;
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 60), 75));
    if (held == 0)
        cr_skip_test("no trial here was short: nothing was claimed ahead");
    cr_assert(eq(int, sandbox_trials(t, 40), 23)); /* the last one is the retry of 20 */
    cr_expect(eq(int, (int)t[20].state, TRIAL_FAIL));
    cr_expect(eq(int, (int)t[21].state, TRIAL_WAITING));
    cr_expect(eq(int, sandbox_count(TRIAL_RUNNING), 0));
    cr_expect(eq(int, access("runs/s/21", F_OK), -1));
    cr_expect(eq(int, RUN(60, "-n30", "-j1", "x=float:0..1", "--", VICTIM, "ok"), 0));
    cr_assert(eq(int, sandbox_trials(t, 40), 31));
    cr_expect(eq(int, (int)t[21].state, TRIAL_COMPLETE));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 30));
    cr_expect(eq(int, access("runs/s/21/params.json", F_OK), 0));
}

Test(signals, the_second_ctrl_c_stops_at_once)
{
    pid_t pid = START("-n1", "--grace=10m", "x=float:0..1", "--", VICTIM, "ignore-term", "log");
    await_start(0);
    (void)kill(pid, SIGINT);
    cr_assert(sandbox_await("err", "Once more", 30));
    (void)kill(pid, SIGINT);
    cr_expect(eq(int, sandbox_wait(pid, 60), 75)); /* of 600 s of grace */
    cr_expect(eq(int, sandbox_count(TRIAL_WAITING), 1));
}

/* When the log first tells the event, in ms of its day. */
static long told_ms(const char *event)
{
    char what[64], ts[32] = "";
    unsigned h = 0, min = 0, sec = 0, ms = 0;
    (void)snprintf(what, sizeof(what), "\"event\":\"%s\"", event);
    const char *text = sandbox_text("err"), *at = strstr(text, what);
    cr_assert(at != NULL, "no %s: %s", event, text);
    while (at > text && at[-1] != '\n')
        at--;
    int n = sscanf(at, "{\"ts\":\"%31[^\"]", ts);
    cr_assert(n == 1 && sscanf(ts, "%*[^T]T%u:%u:%u.%u", &h, &min, &sec, &ms) == 4, "%s", at);
    return (long)((h * 60 + min) * 60 + sec) * 1000 + (long)ms;
}

/* Not before, that is; the next test is about not much later. */
Test(signals, a_worker_that_ignores_sigterm_is_killed_at_the_end_of_the_grace)
{
    const long day = 86400000;
    pid_t pid = START("-n1", "--grace=1s", "x=float:0..1", "--", VICTIM, "ignore-term", "log");
    await_start(0);
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 60), 75));
    cr_expect(ge(long, (told_ms("worker_killed") - told_ms("signal") + day) % day, 990));
    cr_expect(eq(int, sandbox_count(TRIAL_WAITING), 1));
}

/* `kubectl delete --force` leaves 2 s. The best of three, since other tests want the CPU too. */
Test(signals, with_a_grace_of_1_s_all_is_durable_within_2_s)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 3 && best >= 2000; i++) {
        pid_t pid = START("-n1", "--grace=1s", "x=float:0..1", "--", VICTIM, "ignore-term", "log");
        await_start(i);
        uint64_t start = clock_mono_ms();
        (void)kill(pid, SIGTERM);
        cr_expect(eq(int, sandbox_wait(pid, 60), 75));
        uint64_t took = clock_mono_ms() - start;
        best = took < best ? took : best;
    }
    cr_expect(lt(long, (long)best, 2000));
}

Test(signals, a_mask_inherited_from_the_parent_hides_no_sigterm)
{
    static const char *const words[] = {LAUNCH, "blocked", "-", NULL};
    sandbox_launch_with(words);
    pid_t pid = START("-n1", "--grace=1s", "x=float:0..1", "--", VICTIM, "ignore-term", "log");
    await_start(0);
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 60), 75));
}

/* Ctrl-Z and fg, or docker pause: what came meanwhile is in the pipes. */
Test(signals, a_stopped_executor_takes_no_live_worker_for_a_hanging_one)
{
    pid_t pid =
        START("-n1", "--stall=3s", "budget.attempts=1", "x=float:0..1", "--", VICTIM, "tick", "40");
    cr_assert(sandbox_await("runs/s/0/stdout.log", "tick", 60));
    (void)kill(pid, SIGSTOP);
    (void)sleep(6);
    (void)kill(pid, SIGCONT);
    cr_expect(eq(int, sandbox_wait(pid, 90), 0));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 1));
}

static void as_pid_1(void)
{
    static const char *const words[] = {LAUNCH, "pid1", "-", NULL};
    sandbox_launch_with(words);
}

Test(signals, pid_1_obeys_sigterm)
{
    as_pid_1();
    pid_t pid = START("-n1", "--grace=1s", "x=float:0..1", "--", VICTIM, "ignore-term", "log");
    if (!sandbox_await("log", "start 0", 60)) {
        if (sandbox_wait(pid, 10) == 77)
            cr_skip_test("no PID namespace here: %s", sandbox_text("err"));
        cr_assert(false, "%s", sandbox_text("err"));
    }
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 60), 75));
    cr_expect(eq(int, sandbox_count(TRIAL_WAITING), 1));
}

static int count_run(void *ctx, const struct store_run *run)
{
    (void)run;
    (*(int *)ctx)++;
    return 0;
}

/* The result names the reason, and no count of a store that was not read. */
static void expect_no_knowledge(int code)
{
    const char *reason =
        code == 75 ? "\"exit\":75,\"reason\":\"preempted\",\"message\":\"stopped before the store "
                     "could be read; run the same command again to continue\""
                   : "\"exit\":3,\"reason\":\"time\",\"message\":\"out of time before the store "
                     "could be read; ";
    cr_expect(sandbox_has("out", reason), "%s", sandbox_text("out"));
    cr_expect(sandbox_has("out", "\"done\":null,\"target\":1,\"failed\":null"), "%s",
              sandbox_text("out"));
}

/* A run of the study s waits for its store, which somebody writes to; 20 s are far less than it
 * would wait. */
static void end_while_locked(const char *wall, int sig, int code)
{
    struct err err = {0};
    int runs = 0;
    AUTO_STORE struct store *s = NULL;
    cr_assert(eq(int, store_open(&s, "sqlite:///s.db", NULL, &err), 0), "%s", err.msg);
    cr_assert(eq(int, store_begin(s, &err), 0), "%s", err.msg);
    pid_t pid = START("-n1", "--wall", wall, "x=float:0..1", "--", VICTIM, "ok");
    cr_assert(sandbox_await("err", "store_waiting", 30), "%s", sandbox_text("err"));
    if (sig != 0)
        (void)kill(pid, sig);
    cr_expect(eq(int, sandbox_wait(pid, 20), code), "%s", sandbox_text("err"));
    expect_no_knowledge(code);
    store_rollback(s);
    cr_assert(eq(int, store_runs_each(s, count_run, &runs, &err), 0), "%s", err.msg);
    cr_expect(eq(int, runs, 0)); /* none that would look dead */
}

Test(signals, sigterm_ends_a_run_that_waits_for_a_locked_store)
{
    end_while_locked("1h", SIGTERM, 75);
}

Test(signals, ctrl_c_ends_a_run_that_waits_for_a_locked_store)
{
    end_while_locked("1h", SIGINT, 75);
}

Test(signals, a_run_that_waits_for_a_locked_store_ends_with_its_time)
{
    end_while_locked("3s", 0, 3);
}

/* What SQLite locks of an empty file to make tables in it. */
static const struct flock making_tables = {
    .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0x40000000, .l_len = 512};

static void end_while_unopened(const char *wall, int sig, int code)
{
    AUTO_CLOSE int fd = open("s.db", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    cr_assert(fd >= 0 && fcntl(fd, F_SETLK, &making_tables) == 0);
    pid_t pid = START("-n1", "--wall", wall, "x=float:0..1", "--", VICTIM, "ok");
    for (int i = 0; i < 3000 && access("runs/s", F_OK) < 0; i++)
        (void)usleep(10000);
    (void)usleep(300000); /* it is about to open the store */
    if (sig != 0)
        (void)kill(pid, sig);
    cr_expect(eq(int, sandbox_wait(pid, 20), code), "%s", sandbox_text("err"));
    expect_no_knowledge(code);
}

Test(signals, sigterm_ends_a_run_that_cannot_open_its_store)
{
    end_while_unopened("1h", SIGTERM, 75);
}

Test(signals, a_run_that_cannot_open_its_store_ends_with_its_time)
{
    end_while_unopened("3s", 0, 3);
}

Test(signals, pid_1_obeys_sigterm_while_the_store_cannot_be_opened)
{
    AUTO_CLOSE int fd = open("s.db", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    cr_assert(fd >= 0 && fcntl(fd, F_SETLK, &making_tables) == 0);
    as_pid_1();
    pid_t pid = START("-n1", "x=float:0..1", "--", VICTIM, "ok");
    for (int i = 0; i < 1000 && access("runs/s", F_OK) < 0; i++) {
        if (sandbox_has("err", "launch: "))
            cr_skip_test("no PID namespace here: %s", sandbox_text("err"));
        (void)usleep(10000);
    }
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 20), 75), "%s", sandbox_text("err"));
}

Test(signals, pid_1_leaves_no_zombie)
{
    as_pid_1();
    int code = RUN(120, "-n4", "-j1", "x=float:0..1", "--", "/bin/sh", "-c",
                   "[ $FORKLESS_TRIAL = 3 ] && exec " VICTIM " zombies; exec " VICTIM " daemon");
    if (code == 77)
        cr_skip_test("no PID namespace here: %s", sandbox_text("err"));
    struct sandbox_trial t[8];
    cr_assert(eq(int, code, 0), "%s", sandbox_text("err"));
    cr_assert(eq(int, sandbox_trials(t, 8), 4));
    cr_expect(eq(dbl, t[3].value, 0.0)); /* children of PID 1 that nobody collects */
}
