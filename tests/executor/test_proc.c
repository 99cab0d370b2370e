/* Process trees as /proc shows them. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/births.h"
#include "executor/proc.h"
#include "tests/lib/sandbox.h"

TestSuite(proc, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 120);

static bool is_kept(void *ctx, pid_t pid)
{
    return ctx != NULL && pid == *(pid_t *)ctx;
}

static bool everybody(void *ctx, pid_t pid)
{
    (void)ctx;
    (void)pid;
    return true;
}

static pid_t start(const char *mode, const char *arg)
{
    return sandbox_start((const char *const[]){VICTIM, mode, arg, NULL});
}

Test(proc, cpu_time_of_a_tree_has_that_of_its_children)
{
    (void)setenv("FORKLESS_TRIAL", "0", 1);
    pid_t pid = sandbox_start((const char *const[]){"/bin/sh", "-c", VICTIM " burn 600; exit 1",
                                                    NULL}); /* the shell itself only waits */
    uint64_t before = proc_tree_cpu_ms(pid), now = before;
    for (int i = 0; i < 600 && now < before + 50; i++) {
        (void)usleep(100000);
        now = proc_tree_cpu_ms(pid);
    }
    cr_expect(ge(u64, now, before + 50));
    proc_kill_tree(pid, SIGKILL);
    cr_expect(eq(int, sandbox_wait(pid, 30), 1000 + SIGKILL));
    cr_expect(eq(u64, proc_tree_cpu_ms(pid), 0));
}

Test(proc, a_sleeper_uses_none)
{
    pid_t pid = start("sleep", NULL);
    (void)usleep(200000);
    uint64_t before = proc_tree_cpu_ms(pid);
    (void)usleep(500000);
    cr_expect(le(u64, proc_tree_cpu_ms(pid), before + 10)); /* one tick of the clock */
    proc_kill_tree(pid, SIGKILL);
    (void)sandbox_wait(pid, 30);
}

Test(proc, what_a_tree_reads_is_counted)
{
    struct proc_usage before, now = {0};
    pid_t pid = start("read", "600");
    proc_tree_usage(pid, &before);
    for (int i = 0; i < 600 && now.call_bytes < before.call_bytes + 200000; i++) {
        (void)usleep(100000);
        proc_tree_usage(pid, &now);
    }
    cr_expect(ge(u64, now.call_bytes, before.call_bytes + 200000));
    proc_kill_tree(pid, SIGKILL);
    (void)sandbox_wait(pid, 30);
}

Test(proc, a_new_process_is_the_newest_for_a_while)
{
    int64_t before = proc_newest();
    pid_t pid = start("sleep", NULL);
    cr_expect(gt(i64, before, 0));
    cr_expect(proc_newest() != before);
    proc_kill_tree(pid, SIGKILL);
    (void)sandbox_wait(pid, 30);
}

/* Whether a child of a process was among those that were met; other programs fork as well. */
struct meeting {
    pid_t parent;
    bool met;
};

static void note(void *ctx, pid_t pid)
{
    struct meeting *m = ctx;
    struct proc_stat st;
    m->met = m->met || (proc_read_stat(pid, &st) && st.ppid == m->parent);
}

/* Whether the process that forked has threads may change: who asks for births does not look. */
Test(proc, a_forked_child_is_found_among_the_new)
{
    static const char *const threads[] = {"0", "2"};
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        struct births b = {0};
        struct meeting m = {0};
        cr_expect(not(births_look(&b, 1u << 20, note, &m))); /* nothing is known yet */
        m.parent = sandbox_start((const char *const[]){FORKER, threads[i], "fork", NULL});
        for (int k = 0; k < 600 && !m.met; k++) {
            (void)usleep(20000);
            (void)births_look(&b, 1u << 20, note, &m);
        }
        cr_expect(m.met, "%s threads", threads[i]);
        (void)sandbox_wait(m.parent, 60);
    }
}

/* But for the moment between the two. */
Test(proc, a_child_that_execs_is_not_found)
{
    struct births b = {0};
    struct meeting m = {0};
    int in_a_row = 0;
    (void)births_look(&b, 1u << 20, note, &m);
    m.parent = sandbox_start((const char *const[]){FORKER, "2", "spawn", NULL});
    for (int k = 0; k < 600 && waitpid(m.parent, NULL, WNOHANG) == 0; k++) {
        (void)usleep(20000);
        m.met = false;
        (void)births_look(&b, 1u << 20, note, &m);
        in_a_row = m.met ? in_a_row + 1 : 0;
        cr_expect(lt(int, in_a_row, 2));
    }
}

Test(proc, too_many_new_processes_are_not_asked)
{
    struct births b = {0};
    struct meeting m = {0};
    (void)births_look(&b, 1u << 20, note, &m);
    (void)births_look(&b, 1u << 20, note, &m);
    cr_expect(births_look(&b, 1u << 20, note, &m));
    pid_t pid = start("sleep", NULL);
    cr_expect(not(births_look(&b, 0, note, &m)));
    (void)kill(pid, SIGKILL);
    (void)sandbox_wait(pid, 30);
}

Test(proc, the_whole_tree_is_killed_sessions_or_not)
{
    (void)setenv("FORKLESS_TRIAL", "0", 1);
    pid_t pid = start("tree", "log");
    cr_assert(sandbox_await("log", "start", 60));
    int before = sandbox_processes("600000");
    for (int i = 0; i < 300 && before < 3; i++, before = sandbox_processes("600000"))
        (void)usleep(100000);      /* those that it has started become what they are */
    cr_expect(ge(int, before, 3)); /* a child, one in a session of its own, one without a parent */
    proc_kill_tree(pid, SIGKILL);
    (void)sandbox_wait(pid, 30);
    for (int i = 0; i < 300 && sandbox_processes("600000") > 1; i++)
        (void)usleep(100000);
    /* the one without a parent is in no tree any more: it is met as an orphan */
    cr_expect(eq(int, sandbox_processes("600000"), 1));
    cr_expect(ge(int, proc_reap_orphans(is_kept, everybody, NULL), 0));
}

Test(proc, orphans_are_ended_and_collected_workers_are_not)
{
    pid_t keep = start("sleep", NULL), stray = start("sleep", NULL);
    int left = 1;
    for (int i = 0; i < 300 && left > 0; i++) {
        left = proc_reap_orphans(is_kept, everybody, &keep);
        (void)usleep(10000);
    }
    cr_expect(eq(int, left, 0));
    cr_expect(eq(int, kill(stray, 0), -1));
    cr_expect(eq(int, waitpid(keep, NULL, WNOHANG), 0));
    (void)kill(keep, SIGKILL);
    (void)waitpid(keep, NULL, 0);
}

Test(proc, an_environment_is_read_by_whole_names)
{
    char out[32];
    (void)setenv("ABC_D", "no", 1);
    (void)setenv("ABC", "yes=1", 1);
    pid_t pid = start("sleep", NULL);
    /* in the middle of its exec a process has no environment yet */
    for (int i = 0; i < 1000 && !proc_environ(pid, "ABC", out, sizeof(out)); i++)
        (void)usleep(10000);
    cr_expect(proc_environ(pid, "ABC", out, sizeof(out)));
    cr_expect(eq(str, out, (char *)"yes=1"));
    cr_expect(proc_environ(pid, "AB", out, sizeof(out)) == false);
    cr_expect(proc_environ(pid, "bc", out, sizeof(out)) == false);
    (void)kill(pid, SIGKILL);
    (void)sandbox_wait(pid, 30);
    cr_expect(proc_environ(pid, "ABC", out, sizeof(out)) == false);
}
