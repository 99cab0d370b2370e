/* Forks of workers are seen as they happen, whoever makes them and however. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "executor/guard.h"
#include "tests/lib/sandbox.h"

TestSuite(guard, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 120);

#define EVENT "\"event\":\"fork_after_threads\""

/* One trial of a program that makes a child; the errno that it met. */
static int try_fork(const char *mode, const char *program, const char *threads, const char *how)
{
    char fork[32];
    struct sandbox_trial t[2];
    (void)snprintf(fork, sizeof(fork), "watch.fork=%s", mode);
    cr_assert(eq(int, RUN(60, "-n1", "-j1", fork, "x=float:0..1", "--", program, threads, how), 0));
    cr_assert(eq(int, sandbox_trials(t, 2), 1));
    return (int)t[0].value;
}

static void expect_found(const char *program, const char *how)
{
    cr_expect(eq(int, try_fork("warn", program, "2", how), 0));
    cr_expect(sandbox_has("err", EVENT));
    cr_expect(sandbox_has("err", "\"threads\":3"));
    cr_expect(sandbox_has("runs/s/0/forks.jsonl", "goes on"));
}

static void expect_nothing(const char *threads, const char *how)
{
    cr_expect(eq(int, try_fork("warn", FORKER, threads, how), 0));
    cr_expect(not(sandbox_has("err", "fork_after_threads")));
    cr_expect(eq(long, (long)sandbox_size("runs/s/0/forks.jsonl"), -1));
}

Test(guard, a_fork_with_threads_that_goes_on_is_found)
{
    expect_found(FORKER, "fork");
}

Test(guard, a_system_call_of_ones_own_is_seen)
{
    expect_found(FORKER, "raw");
}

Test(guard, a_static_program_is_seen)
{
    expect_found(FORKER_STATIC, "fork");
}

Test(guard, a_fork_without_threads_is_only_counted)
{
    expect_nothing("0", "fork");
    cr_expect(
        sandbox_has("out", "\"forks\":{\"all\":1,\"threaded\":0,\"going_on\":0,\"denied\":0}"),
        "%s", sandbox_text("out"));
}

Test(guard, a_fork_that_execs_is_only_counted)
{
    expect_nothing("2", "exec");
    cr_expect(
        sandbox_has("out", "\"forks\":{\"all\":1,\"threaded\":1,\"going_on\":0,\"denied\":0}"),
        "%s", sandbox_text("out"));
}

Test(guard, vfork_passes)
{
    expect_nothing("2", "vfork");
}

Test(guard, posix_spawn_passes)
{
    expect_nothing("2", "spawn");
}

Test(guard, clone3_is_refused_as_in_containers)
{
    cr_expect(eq(int, try_fork("warn", FORKER, "0", "clone3"), ENOSYS));
}

/* Before that version a signal could make a watched fork fail. */
Test(guard, c_libraries_that_fork_with_signals_blocked_are_known)
{
    static const char *const yes[] = {"2.41", "2.42.9000", "3.0"}, *const no[] = {"2.36", "2.9",
                                                                                  "2", ""};
    for (size_t i = 0; i < 3; i++)
        cr_expect(guard_blocks_signals(yes[i]), "%s", yes[i]);
    for (size_t i = 0; i < 4; i++)
        cr_expect(not(guard_blocks_signals(no[i])), "%s", no[i]);
}

/* What makes the guard harmless there: the same fork under a rain of signals. */
Test(guard, a_fork_with_signals_blocked_is_never_interrupted)
{
    cr_expect(eq(int, try_fork("warn", FORKER, "0", "blocked"), 0));
}

/* clone3 gives away whether there is a filter. */
Test(guard, by_default_forks_are_seen_where_that_is_harmless)
{
    cr_expect(eq(int, try_fork("auto", FORKER, "0", "clone3"), guard_is_harmless() ? ENOSYS : 0));
}

/* Nothing changes for the worker; that a search may come upon its child is another matter. */
Test(guard, off_leaves_every_call_alone)
{
    cr_expect(eq(int, try_fork("off", FORKER, "2", "clone3"), 0));
    cr_expect(not(sandbox_has("err", "fork_guard")));
}

Test(guard, threads_alone_are_no_reason_to_deny)
{
    cr_expect(eq(int, try_fork("deny", FORKER, "2", "fork"), 0));
    cr_expect(sandbox_has("err", EVENT));
}

Test(guard, with_grpc_alive_deny_refuses_and_says_why)
{
    char preload[4200];
    (void)snprintf(preload, sizeof(preload), "--env=LD_PRELOAD=%s", ATFORK);
    cr_assert(eq(int,
                 RUN(60, "-n1", "-j1", "watch.fork=deny", preload, "x=float:0..1", "--", FORKER,
                     "0", "fork"),
                 0));
    struct sandbox_trial t[2];
    cr_assert(eq(int, sandbox_trials(t, 2), 1));
    cr_expect(eq(dbl, t[0].value, EAGAIN));
    cr_expect(sandbox_has("runs/s/0/stderr.log", "fork refused (EAGAIN)"));
    cr_expect(sandbox_has("runs/s/0/stderr.log", "gRPC's among them"));
    cr_expect(sandbox_has("runs/s/0/forks.jsonl", "denied"));
}

static int guard(const char *option, const char *threads, const char *how)
{
    pid_t pid = sandbox_start((const char *const[]){FORKLESS, "guard", "--json", option, "--",
                                                    FORKER, threads, how, NULL});
    return sandbox_wait(pid, 60);
}

/* --- where a fork comes from ------------------------------------------------------------------ */

static const char fork_py[] =
    "import os, threading, time\n"
    "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    "def make_a_child():\n"
    "    pid = os.fork()\n"
    "    if pid == 0:\n"
    "        time.sleep(0.7)\n"
    "        os._exit(0)\n"
    "    os.waitpid(pid, 0)\n"
    "make_a_child()\n"
    "print('loss=0', flush=True)\n"
    "os._exit(0)\n";

static const char *python(void)
{
    return sandbox_python("FORKLESS_PYTHON311", "python3.11");
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "we");
    cr_assert(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

Test(guard, the_line_of_a_python_program_that_forks_is_named)
{
    static const char place[] = "fork.py:4 in make_a_child";
    write_file("fork.py", fork_py);
    cr_assert(
        eq(int, RUN(60, "-n1", "-j1", "watch.fork=warn", "x=float:0..1", "--", python(), "fork.py"),
           0));
    cr_expect(sandbox_has("runs/s/0/forks.jsonl", place));
    cr_expect(sandbox_has("runs/s/0/forks.jsonl", "fork.py:9 in <module>"));
    cr_expect(sandbox_has("runs/s/0/forks.jsonl", "\"stack\":["));
    cr_expect(sandbox_has("err", place));
    (void)sandbox_wait(sandbox_start((const char *const[]){FORKLESS, "why", "--storage",
                                                           "sqlite:///s.db", "0", "s", NULL}),
                       60);
    cr_expect(sandbox_has("out", place), "%s", sandbox_text("out"));
}

Test(guard, the_function_of_a_c_program_that_forks_is_named)
{
    cr_expect(eq(int, guard("--json", "2", "fork"), 0));
    cr_expect(sandbox_has("err", "at make_child in forker"), "%s", sandbox_text("err"));
    cr_expect(sandbox_has("out", "\"make_child in forker\",\"main in forker\""), "%s",
              sandbox_text("out"));
}

/* Its caller does not live long after the error. */
Test(guard, a_fork_that_is_refused_is_named)
{
    char preload[4200];
    (void)snprintf(preload, sizeof(preload), "--env=LD_PRELOAD=%s", ATFORK);
    cr_assert(eq(int,
                 RUN(60, "-n1", "-j1", "watch.fork=deny", preload, "x=float:0..1", "--", FORKER,
                     "0", "fork"),
                 0));
    cr_expect(sandbox_has("runs/s/0/forks.jsonl", "make_child in forker"));
    cr_expect(sandbox_has("runs/s/0/stderr.log", "at make_child in forker"));
}

/* poll(2) fails for whoever answers: a fork that nobody answers would wait for ever. */
Test(guard, forks_fail_and_do_not_wait_when_nobody_can_answer)
{
    cr_expect(eq(int, try_fork("warn", FORKER, "0", "starve"), ENOSYS));
    cr_expect(sandbox_has("err", "\"event\":\"fork_guard_off\""));
    cr_expect(sandbox_has("runs/s/0/stderr.log", "they fail (ENOSYS)"));
}

/* A second listener cannot be had: said once, and the sweep goes on without. */
Test(guard, where_another_listener_is_the_run_says_so)
{
    static const char inner[] =
        "\"$0\" run --storage sqlite:///inner.db --metric loss -n3 -j1 --dir inner "
        "watch.fork=warn x=float:0..1 -- \"$1\" ok && echo loss=1";
    cr_expect(eq(int,
                 RUN(60, "-n1", "-j1", "--memory=off", "watch.fork=warn", "x=float:0..1", "--",
                     "sh", "-c", inner, FORKLESS, VICTIM),
                 0));
    cr_expect(sandbox_has("runs/s/0/stderr.log", "another program watches system calls"));
}

/* --- forkless guard -------------------------------------------------------------------------- */

Test(guard, a_command_with_a_finding_keeps_its_exit_code)
{
    cr_expect(eq(int, guard("--json", "2", "fork"), 0));
    cr_expect(sandbox_has("err", "with 3 threads alive"));
    cr_expect(not(sandbox_has("err", "left processes behind")));
    cr_expect(sandbox_has("out", "loss=0"));
    cr_expect(
        sandbox_has("out", "\"forks\":1,\"threaded\":1,\"going_on\":1,\"missed\":0,\"denied\":0"));
}

Test(guard, a_command_fails_on_a_finding_when_it_shall)
{
    cr_expect(eq(int, guard("--fail-on=fork-after-threads", "2", "fork"), 1));
}

Test(guard, a_child_that_soon_ends_without_exec_is_a_finding)
{
    cr_expect(eq(int, guard("--fail-on=fork-after-threads", "2", "brief"), 1));
    cr_expect(sandbox_has("out", "\"threaded\":1,\"going_on\":1"));
}

/* Whether it is seen depends on the machine; that it is counted does not. */
Test(guard, a_child_that_ends_at_once_is_a_finding_or_counted_as_missed)
{
    (void)guard("--fail-on=fork-after-threads", "2", "instant");
    bool found = sandbox_has("out", "\"threaded\":1,\"going_on\":1,\"missed\":0");
    bool missed = sandbox_has("out", "\"threaded\":1,\"going_on\":0,\"missed\":1");
    cr_expect(found != missed, "%s", sandbox_text("out"));
    cr_expect(eq(int, sandbox_has("err", "1 fork of a process with threads could not be judged"),
                 missed));
}

Test(guard, many_children_that_exec_something_short_are_none)
{
    cr_expect(eq(int, guard("--fail-on=fork-after-threads", "2", "execs"), 0));
    cr_expect(sandbox_has("out", "\"threaded\":200,\"going_on\":0"));
}

Test(guard, a_command_without_one_passes)
{
    cr_expect(eq(int, guard("--fail-on=fork-after-threads", "2", "exec"), 0));
    cr_expect(sandbox_has("out", "\"forks\":1,\"threaded\":1,\"going_on\":0,\"missed\":0"));
}

Test(guard, a_command_in_a_sweep_cannot_be_seen_and_a_lint_says_so)
{
    cr_expect(
        eq(int,
           RUN(60, "-n1", "-j1", "--memory=off", "watch.fork=warn", "x=float:0..1", "--", "sh",
               "-c", "\"$0\" guard --fail-on fork-after-threads -- true || echo loss=$?", FORKLESS),
           0));
    cr_expect(sandbox_has("runs/s/0/stderr.log", "forks are not seen: another program"));
}

Test(guard, a_command_whose_forks_nobody_can_answer_fails_and_is_told)
{
    cr_expect(eq(int, guard("--fail-on=fork-after-threads", "0", "starve"), 1));
    cr_expect(sandbox_has("out", "loss=38"));
    cr_expect(sandbox_has("out", "\"seen\":false"));
    cr_expect(sandbox_has("err", "forks are not seen any more"));
}

Test(guard, a_command_that_is_killed_is_told_as_shells_do)
{
    pid_t pid = sandbox_start(
        (const char *const[]){FORKLESS, "guard", "--", "sh", "-c", "kill -9 $$", NULL});
    cr_expect(eq(int, sandbox_wait(pid, 60), 128 + SIGKILL));
}

/* nohup, a background job of a shell, process substitution */
static int guard_by_shell(const char *script)
{
    return sandbox_wait(
        sandbox_start((const char *const[]){"/bin/sh", "-c", script, FORKLESS, NULL}), 60);
}

Test(guard, a_command_ignores_what_whoever_started_it_ignores)
{
    cr_expect(eq(int,
                 guard_by_shell("trap '' HUP INT; exec \"$0\" guard -- sh -c 'kill -HUP $$; kill "
                                "-INT $$; exit 7'"),
                 7));
    cr_expect(
        eq(int, guard_by_shell("exec \"$0\" guard -- sh -c 'kill -INT $$; exit 7'"), 128 + SIGINT));
}

Test(guard, a_command_has_the_descriptors_it_was_given_and_none_of_ours)
{
    static const char script[] =
        "echo three >3; echo four >4; echo nine >9; set -- sh -c 'cat <&9; cat <&3; cat "
        "<&4; exec ls /proc/$$/fd'\n"
        "\"$@\" 3<3 4<4 9<9 >plain; \"$0\" guard -- \"$@\" 3<3 4<4 9<9 >guarded\n"
        "cat plain; cmp plain guarded";
    cr_expect(eq(int, guard_by_shell(script), 0));
    cr_expect(sandbox_has("out", "nine\nthree\nfour\n0\n1\n"));
}

/* Then forks are not seen, and nobody may be told that they were. */
Test(guard, a_listener_for_which_there_is_no_descriptor_is_told)
{
    int ends[2], listener = 0, why = 0, sent = 0;
    char ok = 0;
    struct iovec text = {&ok, 1};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    memcpy(CMSG_DATA(&control.head), &sent, sizeof(sent));
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && sendmsg(ends[1], &message, 0) == 1);
    struct rlimit files, none;
    cr_assert(getrlimit(RLIMIT_NOFILE, &files) == 0);
    none = files;
    none.rlim_cur = 0;
    cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
    int n = guard_hello(ends[0], &listener, &why);
    cr_assert(setrlimit(RLIMIT_NOFILE, &files) == 0);
    cr_expect(eq(int, n, 1));
    cr_expect(eq(int, listener, -1));
    cr_expect(eq(int, why, EMFILE));
}
