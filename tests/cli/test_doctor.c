/* forkless doctor: verdicts on real processes, and on the place where it runs. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/sandbox.h"

TestSuite(doctor, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 200);

#define DOCTOR(...)                                                                                \
    sandbox_wait(sandbox_start((const char *const[]){FORKLESS, "doctor", __VA_ARGS__, NULL}), 60)
#define SAYS(text) cr_expect(sandbox_has("out", text), "%s", sandbox_text("out"))

/* A process whose stdout is a file, in a session of its own. */
static pid_t start(const char *script, const char *program)
{
    pid_t pid = sandbox_start(
        (const char *const[]){"/usr/bin/setsid", "/bin/sh", "-c", script, program, ATFORK, NULL});
    cr_assert(sandbox_await("log", "ready", 60));
    return pid;
}

static int judge(pid_t pid)
{
    char number[16];
    (void)snprintf(number, sizeof(number), "%d", (int)pid);
    return DOCTOR("--pid", number);
}

static void end(pid_t pid)
{
    (void)kill(-pid, SIGKILL);
    (void)sandbox_wait(pid, 60);
    cr_expect(sandbox_await_none("", 60)); /* its children are ours to collect */
}

Test(doctor, a_deadlocked_child_is_5)
{
    pid_t pid = start("exec \"$0\" mutex >log", DEADLOCK);
    cr_expect(eq(int, judge(pid), 5));
    SAYS("verdict: deadlocked");
    SAYS("waits for a mutex");
    SAYS("1 process forked without exec");
    end(pid);
}

Test(doctor, a_pool_of_a_threaded_process_is_at_risk)
{
    pid_t pid = start("exec \"$0\" pool >log", DEADLOCK);
    cr_expect(eq(int, judge(pid), 1));
    SAYS("verdict: at risk");
    SAYS("3 processes forked without exec");
    end(pid);
}

/* 9 GiB are resident in it, all the same 64 MiB. */
Test(doctor, memory_that_is_shared_counts_once)
{
    pid_t pid = start("exec \"$0\" swell 9 >log", VICTIM);
    cr_expect(eq(int, judge(pid), 0));
    SAYS("0.1 GiB resident (PSS), not growing");
    end(pid);
}

Test(doctor, threads_alone_are_ok)
{
    pid_t pid = start("exec \"$0\" threads >log", DEADLOCK);
    cr_expect(eq(int, judge(pid), 0));
    SAYS("none of gRPC or OpenMP");
    SAYS("not growing");
    end(pid);
}

/* As a user who may not look at the process, which is this one's: needs root, or a machine of
 * somebody else. */
static int judge_as_nobody(pid_t pid)
{
    char number[16];
    if (geteuid() != 0)
        cr_skip_test("only root can become another user");
    (void)snprintf(number, sizeof(number), "%d", (int)pid);
    return sandbox_wait(sandbox_start((const char *const[]){
                            "/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                            FORKLESS, "doctor", "--pid", number, NULL}),
                        60);
}

Test(doctor, what_it_may_not_look_at_is_unknown_and_never_ok)
{
    pid_t pid = start("LD_PRELOAD=\"$1\" exec \"$0\" threads >log", DEADLOCK);
    cr_expect(eq(int, judge_as_nobody(pid), 1));
    SAYS("verdict: unknown");
    SAYS("could not look at process");
    SAYS("run as its owner or root");
    cr_expect(not(sandbox_has("out", "none of gRPC or OpenMP")));
    end(pid);
}

/* The incident's pods. Whoever may not see what is shared counts it all. */
Test(doctor, much_memory_that_grows_is_at_risk)
{
    pid_t pid = start("exec \"$0\" swell 9 >log", VICTIM);
    cr_expect(eq(int, judge_as_nobody(pid), 1));
    SAYS("verdict: at risk");
    SAYS("GiB resident (RSS: what processes share counts in each), growing: end it before the node "
         "runs out");
    end(pid);
}

Test(doctor, less_memory_may_grow)
{
    pid_t pid = start("exec \"$0\" swell 1 >log", VICTIM);
    (void)judge_as_nobody(pid);
    SAYS("ok          memory");
    SAYS("growing");
    end(pid);
}

Test(doctor, a_deadlock_it_may_not_look_at_is_not_denied)
{
    pid_t pid = start("exec \"$0\" mutex >log", DEADLOCK);
    cr_expect(eq(int, judge_as_nobody(pid), 1));
    SAYS("unknown     deadlock");
    cr_expect(not(sandbox_has("out", "none is seen")));
    end(pid);
}

Test(doctor, threads_of_grpc_are_a_risk)
{
    pid_t pid = start("LD_PRELOAD=\"$1\" exec \"$0\" threads >log", DEADLOCK);
    cr_expect(eq(int, judge(pid), 1));
    SAYS("gRPC's among them");
    end(pid);
}

Test(doctor, grpcs_line_in_its_log_is_a_risk)
{
    pid_t pid = start("exec >log; echo 'fork_posix.cc:75] Other threads are currently calling into "
                      "gRPC, skipping fork() handlers'; echo ready; exec \"$0\" 60",
                      "sleep");
    cr_expect(eq(int, judge(pid), 1));
    SAYS("1 line of gRPC's");
    end(pid);
}

/* Such as earlier output of its own, of any version. */
Test(doctor, who_speaks_of_grpcs_line_is_no_evidence)
{
    pid_t pid = start("exec >log; echo '1 line of fork_posix.cc (\"skipping fork() handlers\")'; "
                      "echo 'see fork_posix.cc:75] for more'; echo ready; "
                      "\"$0\" doctor --pid $$; exec sleep 60",
                      FORKLESS);
    (void)judge(pid);
    SAYS("no line of gRPC's");
    end(pid);
}

/* Also in the log of a worker far below the process that was asked for. */
Test(doctor, workers_logs_are_read_too)
{
    pid_t run = sandbox_run(
        (const char *const[]){"-n1", "-j1", "x=float:0..1", "--", "/bin/sh", "-c",
                              "echo 'fork_posix.cc:75] Other threads are calling, skipping fork() "
                              "handlers' >&2; echo ready; exec sleep 60",
                              NULL});
    cr_assert(sandbox_await("runs/s/0/stdout.log", "ready", 60));
    cr_expect(eq(int, judge(run), 1));
    SAYS("1 line of gRPC's");
    (void)kill(run, SIGTERM);
    cr_expect(eq(int, sandbox_wait(run, 60), 75));
}

Test(doctor, grpcs_variables_are_judged_by_what_was_measured)
{
    (void)unsetenv("GRPC_POLL_STRATEGY");
    (void)setenv("GRPC_ENABLE_FORK_SUPPORT", "1", 1);
    cr_expect(eq(int, DOCTOR("--json"), 1));
    SAYS("\"verdict\":\"at risk\"");
    SAYS("hangs pools that never use gRPC");
    (void)setenv("GRPC_ENABLE_FORK_SUPPORT", "0", 1);
    cr_expect(eq(int, DOCTOR("--json"), 1));
    SAYS("36 of 36");
}

Test(doctor, the_guard_is_tried_for_real)
{
    (void)unsetenv("GRPC_ENABLE_FORK_SUPPORT");
    (void)unsetenv("LOKY_START_METHOD");
    (void)unsetenv("JOBLIB_START_METHOD");
    cr_expect(eq(int, DOCTOR("--json"), 0));
    SAYS("can be seen as they happen (seccomp user notification, tried)");
    /* below the guard there is no second one */
    cr_expect(eq(int,
                 sandbox_wait(sandbox_start((const char *const[]){FORKLESS, "guard", "--", FORKLESS,
                                                                  "doctor", NULL}),
                              60),
                 1));
    SAYS("another program watches system calls here already");
}

Test(doctor, there_must_be_such_a_process)
{
    cr_expect(eq(int, DOCTOR("--pid", "4194305"), 2));
    cr_expect(eq(int, DOCTOR("--pid", "0"), 2));
    cr_expect(eq(int, DOCTOR("17"), 2));
}
