/* The PostgreSQL server goes away, and the executor does not live to see it come back. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/postgres.h"
#include "tests/lib/sandbox.h"

static struct pg_server server;
static const char *url;

static void enter(void)
{
    sandbox_enter();
    cr_assert(pg_server_start(&server));
    url = server.url;
}

static void leave(void)
{
    pg_server_remove(&server);
    sandbox_leave();
}

TestSuite(spool_server, .init = enter, .fini = leave, .timeout = 240);

/* By another connection than the run's. */
static bool tell(const char *sql)
{
    PGconn *c = PQconnectdb(pg_url(server.dir, "template1"));
    PGresult *r = PQexec(c, sql);
    ExecStatusType status = PQresultStatus(r);
    PQclear(r);
    PQfinish(c);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* A database that is in use has to lose its connections first, and the run makes new ones. */
static bool rename_database(const char *from, const char *to)
{
    char end[160], rename[96];
    (void)snprintf(end, sizeof(end),
                   "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                   " WHERE datname='%s'",
                   from);
    (void)snprintf(rename, sizeof(rename), "ALTER DATABASE %s RENAME TO %s", from, to);
    for (int i = 0; i < 100; i++) {
        if (tell(end) && tell(rename))
            return true;
    }
    return false;
}

static long count(const char *state)
{
    char sql[96];
    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM trials WHERE state='%s'", state);
    return pg_ask(url, sql);
}

static void run_sql(const char *sql)
{
    PGconn *c = PQconnectdb(url);
    PGresult *r = PQexec(c, sql);
    cr_assert(eq(int, (int)PQresultStatus(r), (int)PGRES_COMMAND_OK), "%s", PQerrorMessage(c));
    PQclear(r);
    PQfinish(c);
}

static pid_t start(const char *ms)
{
    return sandbox_run((const char *const[]){"--storage", url, "-v", "-n4", "-j2", "--grace=1s",
                                             "x=float:0..1", "--", VICTIM, "log", "log", ms, NULL});
}

Test(spool_server, results_outlive_the_server_and_a_kill)
{
    pid_t pid = start("1500");
    cr_assert(sandbox_await("log", "start 0\n", 60) && sandbox_await("log", "start 1\n", 60));
    pg_server_halt(&server, SIGKILL);
    cr_assert(sandbox_await("log", "end 0\n", 60) && sandbox_await("log", "end 1\n", 60));
    cr_assert(sandbox_await("err", "\"spooled\"", 60), "%s", sandbox_text("err"));
    (void)sleep(3); /* the other one too */
    (void)kill(pid, SIGKILL);
    (void)sandbox_wait(pid, 60);
    cr_assert(pg_server_again(&server));
    cr_assert(eq(long, count("COMPLETE"), 0));
    cr_expect(eq(int, sandbox_wait(start("1"), 120), 0), "%s", sandbox_text("err"));
    cr_expect(sandbox_has("err", "\"spool_replayed\""), "%s", sandbox_text("err"));
    cr_expect(eq(long, count("COMPLETE"), 4));
    cr_expect(eq(long, count("FAIL"), 0));
    const char *log = sandbox_text("log"); /* none was run again */
    const char *first = strstr(log, "start 0\n");
    cr_expect(first != NULL && strstr(first + 1, "start 0\n") == NULL, "%s", log);
}

/* The server answers all the while, and says no. */
Test(spool_server, results_outlive_a_database_that_is_not_there_for_a_while)
{
    pid_t pid = start("1500");
    cr_assert(sandbox_await("log", "start 0\n", 60) && sandbox_await("log", "start 1\n", 60));
    cr_assert(rename_database("postgres", "moved"));
    cr_assert(sandbox_await("log", "end 0\n", 60) && sandbox_await("log", "end 1\n", 60));
    cr_expect(sandbox_await("err", "\"spooled\"", 60), "%s", sandbox_text("err"));
    (void)sleep(3); /* tries are in vain meanwhile */
    cr_assert(rename_database("moved", "postgres"));
    cr_expect(eq(int, sandbox_wait(pid, 120), 0), "%s", sandbox_text("err"));
    cr_expect(eq(long, count("COMPLETE"), 4));
    cr_expect(eq(long, count("RUNNING") + count("FAIL"), 0));
    const char *log = sandbox_text("log"); /* none was run again */
    const char *first = strstr(log, "start 0\n");
    cr_expect(first != NULL && strstr(first + 1, "start 0\n") == NULL, "%s", log);
}

/* As while a backup is being restored. */
Test(spool_server, results_outlive_a_table_that_is_not_there_for_a_while)
{
    pid_t pid = start("1500");
    cr_assert(sandbox_await("log", "start 0\n", 60) && sandbox_await("log", "start 1\n", 60));
    run_sql("ALTER TABLE trial_values RENAME TO gone");
    cr_assert(sandbox_await("log", "end 0\n", 60) && sandbox_await("log", "end 1\n", 60));
    cr_expect(sandbox_await("err", "\"spooled\"", 60), "%s", sandbox_text("err"));
    cr_expect(sandbox_await("err", "trial_values\\\" does not exist (42P01)", 60), "%s",
              sandbox_text("err"));
    run_sql("ALTER TABLE gone RENAME TO trial_values");
    cr_expect(eq(int, sandbox_wait(pid, 120), 0), "%s", sandbox_text("err"));
    cr_expect(eq(long, count("COMPLETE"), 4));
    cr_expect(eq(long, count("RUNNING") + count("FAIL"), 0));
}
