/* kill -9 at any instant, restarts until all is done. Each worker writes down when it starts and
 * when it has finished; the store is compared with that. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/rng.h"
#include "tests/lib/sandbox.h"

#ifndef KILLS
#define KILLS 15
#endif
#define TARGET (10 * KILLS) /* more than they let through */
/* Fewer were no test: with two executors the other one may be done early on a fast machine. */
#define LEAST_KILLS (KILLS / 3)
#define MAX_TRIALS 8192

TestSuite(restart, .init = sandbox_enter, .fini = sandbox_leave, .timeout = KILLS * 10 + 120);

struct history {
    int starts[MAX_TRIALS], ends[MAX_TRIALS];
};

static void read_history(struct history *h)
{
    AUTO_FCLOSE FILE *f = fopen("log", "re");
    char what[16];
    int number;
    *h = (struct history){0};
    while (f != NULL && fscanf(f, "%15s %d", what, &number) == 2) {
        cr_assert(number >= 0 && number < MAX_TRIALS);
        if (strcmp(what, "start") == 0)
            h->starts[number]++;
        else
            h->ends[number]++;
    }
}

/* Each number runs at most once, so a finished one never runs again; each finished trial has a run
 * behind it with its own result; and what is not stored was under way at one of the kills. */
static void compare(int kills, int jobs)
{
    static struct history h;
    static struct sandbox_trial t[MAX_TRIALS];
    int n = sandbox_trials(t, MAX_TRIALS), complete = 0, unstored = 0;
    read_history(&h);
    for (int i = 0; i < n; i++) {
        int k = (int)t[i].number;
        cr_expect(le(int, h.starts[k], 1), "trial %d ran %d times", k, h.starts[k]);
        if (t[i].state == TRIAL_COMPLETE) {
            complete++;
            cr_expect(eq(int, h.ends[k], 1), "trial %d is stored, but never finished", k);
            cr_expect(eq(dbl, t[i].value, (double)k));
        } else {
            unstored += h.ends[k];
            cr_expect(t[i].state == TRIAL_FAIL, "trial %d is %s", k, trial_state_name(t[i].state));
            cr_expect(strcmp(t[i].fail, "lost") == 0, "trial %d: %s: %s", k, t[i].fail,
                      t[i].message);
        }
    }
    cr_expect(eq(int, complete, TARGET));
    cr_expect(le(int, unstored, kills *jobs));
}

/* RESTART_SEED in the environment repeats a run's instants, as far as a machine does that. */
static void seed(struct rng *rng)
{
    const char *given = getenv("RESTART_SEED");
    uint64_t n = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    (void)fprintf(stderr, "RESTART_SEED=%" PRIu64 "\n", n);
    rng_seed(rng, n);
}

static pid_t start(void)
{
    char target[16];
    (void)snprintf(target, sizeof(target), "%d", TARGET);
    return sandbox_run((const char *const[]){"-n", target, "-j4", "-q", "budget.attempts=100000",
                                             "retry.lost=unlimited", "x=float:0..1", "--", VICTIM,
                                             "log", "log", "20", NULL});
}

Test(restart, killed_at_random_instants_it_ends_at_the_exact_target)
{
    struct rng rng;
    seed(&rng);
    int kills = 0;
    for (; kills < KILLS; kills++) {
        /* from before the first claim to some trials later; all work done: start over */
        pid_t pid = start();
        (void)usleep((useconds_t)(rng_unit(&rng) * 150000));
        (void)kill(pid, SIGKILL);
        int code = sandbox_wait(pid, 30);
        cr_assert(code == 1000 + SIGKILL || code == 0, "exit %d: %s", code, sandbox_text("err"));
        cr_assert(sandbox_await_none("", 10), "something outlived the executor (kill %d)", kills);
        if (code == 0)
            break;
    }
    cr_expect(ge(int, kills, LEAST_KILLS), "all work was done after %d kills", kills);
    cr_expect(eq(int, sandbox_wait(start(), 120), 0));
    compare(kills, 4);
    (void)fprintf(stderr, "%d kills\n", kills);
}

Test(restart, two_executors_of_which_one_is_killed_again_and_again_end_at_the_exact_target)
{
    struct rng rng;
    seed(&rng);
    pid_t steady = start();
    int kills = 0;
    for (int code = 0; kills < KILLS; kills++) {
        pid_t pid = start();
        (void)usleep((useconds_t)(rng_unit(&rng) * 150000));
        (void)kill(pid, SIGKILL);
        code = sandbox_wait(pid, 30);
        cr_assert(code == 1000 + SIGKILL || code == 0, "exit %d: %s", code, sandbox_text("err"));
        if (code == 0)
            break;
    }
    cr_expect(ge(int, kills, LEAST_KILLS), "all work was done after %d kills", kills);
    cr_expect(eq(int, sandbox_wait(start(), 120), 0));
    cr_expect(eq(int, sandbox_wait(steady, 120), 0));
    compare(kills, 4);
    (void)fprintf(stderr, "%d kills\n", kills);
}

Test(restart, the_whole_tree_of_a_worker_dies_with_the_executor)
{
    pid_t pid = sandbox_run(
        (const char *const[]){"-n2", "-j2", "x=float:0..1", "--", VICTIM, "tree", "log", NULL});
    cr_assert(sandbox_await("log", "start 1", 60));
    cr_assert(sandbox_await("log", "start 0", 60));
    cr_expect(ge(int, sandbox_processes("600000"), 6)); /* of each: child, own session, orphan */
    (void)kill(pid, SIGKILL);
    (void)sandbox_wait(pid, 10);
    cr_expect(sandbox_await_none("", 10));
}

Test(restart, a_killed_executor_that_nobody_collected_counts_as_dead)
{
    pid_t pid = sandbox_run(
        (const char *const[]){"-n1", "x=float:0..1", "--", VICTIM, "ignore-term", "log", NULL});
    cr_assert(sandbox_await("log", "start 0", 60));
    (void)kill(pid, SIGKILL);
    /* still a zombie: not waited for; its trial is lost, not under way elsewhere */
    cr_expect(eq(int, RUN(60, "-n1", "x=float:0..1", "--", VICTIM, "ok"), 0));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 1));
    cr_expect(eq(int, sandbox_count(TRIAL_FAIL), 1));
    (void)sandbox_wait(pid, 10);
}
