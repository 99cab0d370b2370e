/* Many executors on one study of a PostgreSQL server: the target is met
 * exactly, by each trial once, whoever dies. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/postgres.h"
#include "tests/lib/sandbox.h"

enum { PODS = 8, TARGET = 500 };

static struct pg_server server, replica;
static const char *url;

static void enter(void)
{
    sandbox_enter();
    cr_assert(pg_server_start(&server));
    url = server.url;
}

static void leave(void)
{
    pg_server_remove(&replica);
    pg_server_remove(&server);
    sandbox_leave();
}

TestSuite(pods, .init = enter, .fini = leave, .timeout = 580);

static long ask(const char *sql)
{
    return pg_ask(url, sql);
}

static void expect_exit(pid_t pid, int pod, int status)
{
    char err[32];
    (void)snprintf(err, sizeof(err), "pod%d.err", pod);
    cr_expect(eq(int, sandbox_wait(pid, 400), status), "pod %d: %s", pod, sandbox_text(err));
}

static void await_complete(long n)
{
    for (int i = 0; i < 20000 && ask("SELECT count(*) FROM trials WHERE state='COMPLETE'") < n; i++)
        (void)usleep(20000);
}

/* Each trial says that it was started, in a line of its own. */
static pid_t start(int pod)
{
    char dir[32], script[512], cwd[256];
    (void)snprintf(dir, sizeof(dir), "pod%d", pod); /* its stderr is dir.err */
    (void)snprintf(script, sizeof(script),
                   "echo $FORKLESS_TRIAL >> %s/started; echo loss=$FORKLESS_TRIAL",
                   getcwd(cwd, sizeof(cwd)));
    return sandbox_start((const char *const[]){"/bin/sh",
                                               "-c",
                                               "exec \"$@\" 2>>\"$0.err\"",
                                               dir,
                                               FORKLESS,
                                               "run",
                                               "--storage",
                                               url,
                                               "--dir",
                                               dir,
                                               "--study",
                                               "s",
                                               "--metric",
                                               "loss",
                                               "-n",
                                               "500",
                                               "-j2",
                                               "--sampler",
                                               "random",
                                               "report.heartbeat=1s",
                                               "x=float:0..1",
                                               "--",
                                               "/bin/sh",
                                               "-c",
                                               script,
                                               NULL});
}

/* Numbers without a gap, each once, none left open. */
static void expect_whole(long complete)
{
    cr_expect(eq(long, ask("SELECT count(*) FROM trials WHERE state='COMPLETE'"), complete));
    cr_expect(
        eq(long, ask("SELECT count(*) FROM trials WHERE state IN ('RUNNING', 'WAITING')"), 0));
    cr_expect(eq(long, ask("SELECT count(*) - 1 - max(number) FROM trials"), 0));
    cr_expect(eq(long, ask("SELECT count(*) - count(DISTINCT number) FROM trials"), 0));
    cr_expect(eq(long,
                 ask("SELECT count(*) FROM (SELECT number - lag(number) OVER "
                     "(ORDER BY trial_id) AS"
                     " step FROM trials) d WHERE step <> 1"),
                 0),
              "numbers are not in the order of ids");
    cr_expect(eq(long,
                 ask("SELECT count(*) FROM trials t WHERE state='COMPLETE' AND NOT EXISTS"
                     " (SELECT 1 FROM trial_values v WHERE v.trial_id=t.trial_id)"),
                 0));
}

static int by_number(const void *a, const void *b)
{
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static void expect_no_trial_was_started_twice(void)
{
    static int numbers[4 * TARGET];
    size_t n = 0;
    FILE *f = fopen("started", "re");
    cr_assert(f != NULL);
    while (n < 4 * TARGET && fscanf(f, "%d", &numbers[n]) == 1)
        n++;
    (void)fclose(f);
    qsort(numbers, n, sizeof(*numbers), by_number);
    cr_expect(ge(sz, n, TARGET));
    for (size_t i = 1; i < n; i++)
        cr_expect(numbers[i] != numbers[i - 1], "trial %d was started twice", numbers[i]);
}

Test(pods, eight_meet_the_target_exactly_though_two_are_killed)
{
    pid_t pods[PODS];
    for (int i = 0; i < PODS; i++)
        pods[i] = start(i);
    await_complete(TARGET / 5);
    for (int i = 0; i < 2; i++) {
        (void)kill(pods[i], SIGKILL);
        cr_assert(eq(int, sandbox_wait(pods[i], 60), 1000 + SIGKILL));
    }
    pods[0] = start(0); /* one of them comes back */
    for (int i = 0; i < PODS; i++) {
        if (i != 1)
            expect_exit(pods[i], i, 0);
    }
    expect_whole(TARGET);
    expect_no_trial_was_started_twice();
}

/* Connections are cut, the server is restarted, killed and stopped: nobody
 * gives up, nothing is lost or there twice. */
Test(pods, a_server_that_comes_and_goes_costs_no_trial)
{
    pid_t pods[3];
    for (int i = 0; i < 3; i++)
        pods[i] = start(i);
    for (int i = 1; i <= 6; i++) {
        await_complete(60 * i);
        (void)ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                  " WHERE application_name='forkless'");
        if (i == 2 || i == 5) {
            pg_server_halt(&server, i == 2 ? SIGINT : SIGKILL);
            (void)usleep(300000);
            cr_assert(pg_server_again(&server));
        } else if (i == 4) {
            pg_server_signal_all(&server, SIGSTOP);
            (void)usleep(2500000);
            pg_server_signal_all(&server, SIGCONT);
        }
    }
    for (int i = 0; i < 3; i++)
        expect_exit(pods[i], i, 0);
    expect_whole(TARGET);
    expect_no_trial_was_started_twice();
}

/* The primary dies in the middle, its replica takes over: what was answered is there, what was not
 * is done once. */
Test(pods, a_failover_costs_no_trial_and_doubles_none)
{
    pid_t pods[3];
    cr_assert(pg_server_replicate(&replica, &server));
    static char both[256];
    (void)snprintf(both, sizeof(both),
                   "postgresql://forkless@/postgres?host=%s,%s&target_session_attrs=read-write",
                   server.dir, replica.dir);
    url = both;
    for (int i = 0; i < 3; i++)
        pods[i] = start(i);
    await_complete(TARGET / 3);
    pg_server_halt(&server, SIGKILL);
    (void)usleep(700000); /* for a while there is nobody */
    cr_assert(pg_server_promote(&replica));
    await_complete(TARGET / 2);
    cr_expect(gt(long,
                 ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                     " WHERE application_name='forkless'"),
                 0),
              "none has found the new primary");
    for (int i = 0; i < 3; i++)
        expect_exit(pods[i], i, 0);
    expect_whole(TARGET);
    expect_no_trial_was_started_twice();
}
