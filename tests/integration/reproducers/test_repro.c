/* forkless repro: each victim hangs when it forks and passes when it spawns, and a reproducer that
 * does something else than it should is no success. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "tests/lib/sandbox.h"

TestSuite(repro, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 240);

/* The last run's report; the caller decrefs it. */
static json_t *report(void)
{
    const char *text = sandbox_text("out");
    struct err err;
    json_t *j = json_read(text, strlen(text), &err);
    cr_assert(ne(ptr, j, NULL), "%s in: %s\n%s", err.msg, text, sandbox_text("err"));
    return j;
}

static int repro(const char *name, const char *method, const char *more)
{
    const char *argv[] = {FORKLESS,       "repro", name, "--start-method", method, "--json",
                          "--timeout=5s", more,    NULL};
    return sandbox_wait(sandbox_start(argv), 120);
}

/* How the first try of a case ended; "" when there is no such case. */
static const char *end_of(json_t *j, const char *name)
{
    json_t *c;
    size_t i;
    json_array_foreach(json_object_get(j, "cases"), i, c)
    {
        json_t *try = json_array_get(json_object_get(c, "tries"), 0);
        if (strcmp(json_string_value(json_object_get(c, "case")), name) == 0)
            return json_string_value(json_object_get(try, "end"));
    }
    return "";
}

/* Both arms of a case. Ends that depend on time are no matter here: a child that hangs never ends,
 * and one that passes has as long as it needs. */
static void both_arms(const char *name, const char *c)
{
    cr_expect(eq(int, repro(name, "fork", NULL), EXIT_OK));
    json_t *j = report();
    cr_expect(eq(str, (char *)end_of(j, c), "hung"));
    json_decref(j);
    cr_expect(eq(int, repro(name, "spawn", "--timeout=60s"), EXIT_OK));
    j = report();
    cr_expect(eq(str, (char *)end_of(j, c), "passed"));
    json_decref(j);
}

Test(repro, grpc_hangs_by_fork_and_passes_by_spawn)
{
    both_arms("grpc-fork", "newconn-idle");
    cr_expect(eq(int, repro("grpc-fork", "fork", NULL), EXIT_OK));
    json_t *j = report();
    cr_expect(eq(str, (char *)end_of(j, "inhchan-cq"), "hung"));
    json_decref(j);
}

Test(repro, the_backstop_heals_a_quiet_parent_and_no_other)
{
    cr_expect(eq(int, repro("grpc-fork", "fork", "--backstop"), EXIT_OK));
    json_t *j = report();
    cr_expect(eq(str, (char *)end_of(j, "newconn-idle"), "passed"));
    cr_expect(eq(str, (char *)end_of(j, "newconn-cq"), "hung"));
    json_decref(j);
    cr_expect(sandbox_has("out", "skipping fork() handlers"));
    cr_expect(sandbox_has("out", "\"fork_handlers_skipped\":true"));
}

Test(repro, openmp_hangs_by_fork_and_passes_by_spawn)
{
    both_arms("openmp-fork", "nthread-2");
}

Test(repro, locks_hang_by_fork_and_pass_by_spawn)
{
    both_arms("lock-fork", "logger");
    both_arms("lock-fork", "loader");
}

Test(repro, a_hang_has_its_evidence)
{
    cr_assert(eq(int, repro("lock-fork", "fork", NULL), EXIT_OK));
    json_t *j = report();
    json_t *c = json_array_get(json_object_get(j, "cases"), 0);
    json_t *try = json_array_get(json_object_get(c, "tries"), 0);
    cr_expect(gt(int, (int)json_integer_value(json_object_get(try, "child")), 0));
    cr_expect(gt(int, (int)json_integer_value(json_object_get(try, "parent_threads")), 1));
    cr_expect(sandbox_has("out", "futex"));
    json_decref(j);
}

Test(repro, people_see_where_the_child_stands)
{
    const char *argv[] = {FORKLESS, "repro", "lock-fork", "--timeout=2s", NULL};
    cr_expect(eq(int, sandbox_wait(sandbox_start(argv), 120), EXIT_OK));
    cr_expect(sandbox_has("out", "pthread_mutex_lock  libc"), "%s", sandbox_text("out"));
}

Test(repro, a_profile_shows_where_it_waits)
{
    cr_expect(eq(int, repro("lock-fork", "fork", "--profile=p.svg"), EXIT_OK));
    cr_expect(sandbox_has("p.svg", "<svg "));
    cr_expect(sandbox_has("p.svg", "logger: "), "the case");
    cr_expect(sandbox_has("p.svg", "pthread_mutex_lock: "), "%s", sandbox_text("p.svg"));
}

Test(repro, a_profile_that_cannot_be_written_is_said)
{
    cr_expect(eq(int, repro("lock-fork", "spawn", "--profile=none/p.svg"), EXIT_UNMET));
    cr_expect(sandbox_has("err", "none/p.svg: No such file"));
}

/* ---- victims that do not do what they say ---- */

/* Makes the programs that forkless finds beside itself; the victims are a script. */
static void lie(const char *run)
{
    char stub[4096], from[4096], cwd[4096];
    (void)snprintf(from, sizeof(from), "%s", FORKLESS);
    (void)snprintf(stub, sizeof(stub), "%s/forkless-exec", dirname(from));
    cr_assert(eq(int, symlink(stub, "forkless-exec"), 0));
    cr_assert(ne(ptr, getcwd(cwd, sizeof(cwd)), NULL));
    const char *copy[] = {"/bin/cp", FORKLESS, "forkless", NULL};
    cr_assert(eq(int, sandbox_wait(sandbox_start(copy), 30), 0));
    FILE *f = fopen("forkless-victims", "we");
    cr_assert(ne(ptr, f, NULL));
    (void)fprintf(f,
                  "#!/bin/sh\n"
                  "if [ \"$3\" = describe ]; then\n"
                  "  echo '{\"summary\":\"a lie\",\"cases\":[{\"name\":\"a\",\"about\":\"b\","
                  "\"expect\":\"hang\"}]}'\n"
                  "else\n  %s\nfi\n",
                  run);
    (void)fchmod(fileno(f), 0755);
    (void)fclose(f);
}

static int run_lie(void)
{
    const char *argv[] = {"./forkless", "repro", "lock-fork", "--json", "--timeout=1s", NULL};
    return sandbox_wait(sandbox_start(argv), 90);
}

Test(repro, one_that_should_hang_and_passes_is_no_success)
{
    lie("exit 0");
    cr_expect(eq(int, run_lie(), EXIT_UNMET));
    json_t *j = report();
    cr_expect(eq(str, (char *)end_of(j, "a"), "passed"));
    json_decref(j);
}

Test(repro, one_that_dies_is_no_success)
{
    lie("kill -SEGV $$");
    cr_expect(eq(int, run_lie(), EXIT_UNMET));
    json_t *j = report();
    cr_expect(eq(str, (char *)end_of(j, "a"), "failed"));
    json_decref(j);
}

Test(repro, time_alone_proves_no_hang)
{
    lie("echo '{\"event\":\"child_start\"}' >&3; sleep 600");
    cr_expect(eq(int, run_lie(), EXIT_UNMET));
    json_t *j = report();
    cr_expect(eq(str, (char *)end_of(j, "a"), "slow"));
    json_decref(j);
}

Test(repro, one_whose_program_is_missing_is_not_installed)
{
    lie("exit 0");
    (void)unlink("forkless-victims");
    cr_expect(eq(int, run_lie(), EXIT_USAGE));
    cr_expect(sandbox_has("err", "lock-fork is not installed"));
}

Test(repro, the_list_shows_what_cannot_run_here)
{
    const char *argv[] = {"./forkless", "repro", NULL};
    lie("exit 0");
    cr_assert(eq(int, truncate("forkless-victims", 10), 0)); /* "#!/bin/sh" alone: says nothing */
    cr_expect(eq(int, sandbox_wait(sandbox_start(argv), 30), EXIT_UNMET));
    FILE *f = fopen("forkless-victims", "we");
    cr_assert(ne(ptr, f, NULL));
    (void)fputs("#!/none/python3\n", f);
    (void)fclose(f);
    cr_expect(eq(int, sandbox_wait(sandbox_start(argv), 30), EXIT_OK));
    cr_expect(sandbox_has("out", "its interpreter is missing"), "%s", sandbox_text("out"));
    cr_expect(sandbox_has("out", "grpc-fork      not installed"), "%s", sandbox_text("out"));
}

Test(repro, a_name_that_is_none_gets_the_nearest)
{
    const char *argv[] = {FORKLESS, "repro", "grcp-fork", NULL};
    cr_expect(eq(int, sandbox_wait(sandbox_start(argv), 30), EXIT_USAGE));
    cr_expect(sandbox_has("err", "did you mean 'grpc-fork'?"));
}

/* ---- however it ends, nothing stays: sandbox_leave looks ---- */

static pid_t start_hang(void)
{
    const char *argv[] = {FORKLESS, "repro", "lock-fork", "--timeout=10m", NULL};
    pid_t pid = sandbox_start(argv);
    for (int i = 0; i < 600 && sandbox_processes("lock-fork") < 3; i++)
        (void)usleep(50000); /* forkless, the victim, and the child that it forked */
    cr_assert(eq(int, sandbox_processes("lock-fork"), 3));
    return pid;
}

Test(repro, a_stop_signal_ends_the_victim_too)
{
    pid_t pid = start_hang();
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 30), EXIT_PREEMPTED));
    cr_expect(eq(int, sandbox_processes("lock-fork"), 0));
}

Test(repro, a_kill_ends_the_victim_too)
{
    pid_t pid = start_hang();
    (void)kill(pid, SIGKILL);
    cr_expect(eq(int, sandbox_wait(pid, 30), 1000 + SIGKILL));
    cr_expect(sandbox_await_none("lock-fork", 30));
}
