/* forkless why: what a person on call is told of a trial. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "storage/storage.h"
#include "tests/lib/sandbox.h"

TestSuite(why, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 200);

#define WHY(...)                                                                                   \
    sandbox_wait(sandbox_start((const char *const[]){FORKLESS, "why", "--storage",                 \
                                                     "sqlite:///s.db", __VA_ARGS__, NULL}),        \
                 60)
#define STATUS(more)                                                                               \
    sandbox_wait(sandbox_start((const char *const[]){FORKLESS, "status", "--storage",              \
                                                     "sqlite:///s.db", more, NULL}),               \
                 60)
#define SAYS(text) cr_expect(sandbox_has("out", text), "%s", sandbox_text("out"))

Test(why, a_deadlock_names_its_cause_the_fix_and_the_evidence)
{
    cr_expect(eq(int,
                 RUN(120, "-n1", "-j1", "--stall=30m", "--grace=1s", "watch.deadlock=1s",
                     "budget.attempts=2", "retry.fork_deadlock=1", "x=float:0..1", "--", DEADLOCK,
                     "mutex"),
                 5));
    cr_expect(eq(int, WHY("0"), 5));
    SAYS("a mutex that a thread of its parent held");
    SAYS("run_mutex");
    SAYS("1 of the children went on without exec");
    SAYS("fix       n_jobs=1");
    SAYS("tried     2 times");
    SAYS("trial 1 tried it again");
    SAYS("runs/s/0/evidence.txt");
    SAYS("forkless logs 0 s");
    cr_expect(eq(int, WHY("1", "s", "--json"), 5));
    SAYS("\"cause\":\"mutex\"");
    SAYS("\"verdict\":\"proven\"");
    SAYS("retry.fork_deadlock allows no more");
}

Test(why, a_running_trial_is_judged_where_it_stands)
{
    pid_t run = sandbox_run((const char *const[]){"-n1", "-j1", "--stall=30m", "--grace=1s",
                                                  "watch.deadlock=off", "budget.attempts=1",
                                                  "x=float:0..1", "--", DEADLOCK, "mutex", NULL});
    cr_assert(sandbox_await("runs/s/0/stdout.log", "ready", 60));
    cr_expect(eq(int, WHY("0", "--json"), 5));
    SAYS("\"state\":\"RUNNING\"");
    SAYS("\"verdict\":\"proven\"");
    SAYS("\"cause\":\"mutex\"");
    SAYS("\"at\":\"run_mutex (deadlock)\"");
    (void)kill(run, SIGTERM);
    cr_expect(eq(int, sandbox_wait(run, 60), 75));
    cr_expect(eq(int, WHY("0"), 1));
    SAYS("preempted");
    SAYS(
        "trial 1 is its next try, queued: nobody runs this study here: run the same command again");
    cr_expect(eq(int, WHY("1"), 0));
    SAYS("it has not started: it is the next try of trial 0 (preempted)");
    SAYS("next      nobody runs this study here: run the same command again");
    cr_expect(eq(int, STATUS(NULL), 0));
    SAYS("s: 1 trial waits (1 next try of a failed one): the same command, run again, starts it "
         "first");
}

static void queue(struct store *s, int64_t study, const char *system_attr)
{
    struct err err = {0};
    const struct trial_attr attr = {system_attr, "{\"x\": 0.5}"};
    const struct trial t = {.state = TRIAL_WAITING,
                            .system_attrs = &attr,
                            .n_system_attrs = system_attr != NULL ? 1 : 0};
    cr_assert(eq(int, store_trial_create(s, study, &t, NULL, NULL, &err), 0), "%s", err.msg);
}

Test(why, what_waits_says_whose_it_is_and_who_starts_it)
{
    struct err err = {0};
    char pid_text[32];
    int64_t study = 0;
    pid_t run = sandbox_run((const char *const[]){"-n9", "-j1", "--grace=1s", "x=float:0..1", "--",
                                                  "/bin/sh", "-c", "touch begun; sleep 600", NULL});
    for (int i = 0; i < 6000 && sandbox_size("begun") < 0; i++)
        (void)usleep(10000);
    AUTO_STORE struct store *s = NULL;
    cr_assert(eq(int, store_open(&s, "sqlite:///s.db", NULL, &err), 0), "%s", err.msg);
    cr_assert(eq(int, store_study_find(s, "s", &study, &err), 0), "%s", err.msg);
    queue(s, study, "fixed_params");
    queue(s, study, NULL);
    cr_expect(eq(int, WHY("1"), 0));
    SAYS("it was enqueued with values of its own");
    (void)snprintf(pid_text, sizeof(pid_text), "pid %d, starts it when", (int)run);
    SAYS(pid_text);
    cr_expect(eq(int, WHY("2"), 0));
    SAYS("a run had taken it ahead of its turn, and gave it back when it stopped");
    cr_expect(not(sandbox_has("out", "logs ")), "%s", sandbox_text("out"));
    cr_expect(eq(int, STATUS(NULL), 0));
    (void)snprintf(pid_text, sizeof(pid_text), "): pid %d starts them", (int)run);
    SAYS("s: 2 trials wait (1 enqueued, 1 given back at a stop");
    SAYS(pid_text);
    cr_expect(eq(int, STATUS("--json"), 0));
    SAYS("\"waiting_trials\":{\"retries\":0,\"enqueued\":1,\"added\":0,\"given_back\":1}");
    (void)kill(run, SIGTERM);
    cr_expect(eq(int, sandbox_wait(run, 60), 75));
}

Test(why, a_missing_metric_names_the_one_that_was_seen)
{
    cr_expect(eq(int,
                 RUN(60, "-n1", "-j1", "budget.attempts=1", "x=float:0..1", "--", "/bin/echo",
                     "val_loss=0.5"),
                 1));
    cr_expect(eq(int, WHY("0"), 1));
    SAYS("use --metric val_loss");
    SAYS("name the metric that it prints");
}

Test(why, a_result_that_is_nan_says_what_to_do_and_with_which_parameters)
{
    cr_expect(eq(int,
                 RUN(60, "-n1", "-j1", "--retries=0", "budget.attempts=2", "x=int:7..7", "--",
                     "/bin/sh", "-c", "[ $FORKLESS_TRIAL = 0 ] && echo loss=nan || echo loss=high"),
                 1));
    cr_expect(eq(int, WHY("0"), 1));
    SAYS("its result is NaN, which can be compared with nothing");
    SAYS("find in its log where NaN begins");
    SAYS("with      x=7");
    cr_expect(eq(int, WHY("1"), 1));
    SAYS("what it printed as its result is no number at all");
    cr_expect(eq(int, WHY("--json", "0"), 1));
    SAYS("\"cause\":\"nan\"");
    SAYS("\"parameters\":\"x=7\"");
}

Test(why, a_good_trial_is_no_question)
{
    cr_expect(eq(int, RUN(60, "-n1", "-j1", "x=float:0..1", "--", "/bin/echo", "loss=0.5"), 0));
    cr_expect(eq(int, WHY("0"), 0));
    SAYS("it completed");
    cr_expect(eq(int, WHY("7"), 2));
}

/* Stacks prove nothing here: a child that waits for a semaphore of its own. */
Test(why, what_only_looks_deadlocked_is_1)
{
    pid_t run = sandbox_run((const char *const[]){"-n1", "-j1", "--stall=30m", "--grace=1s",
                                                  "budget.attempts=1", "x=float:0..1", "--",
                                                  DEADLOCK, "alone", NULL});
    cr_assert(sandbox_await("runs/s/0/stdout.log", "ready", 60));
    cr_expect(eq(int, WHY("0"), 1));
    SAYS("not proven to be a deadlock");
    (void)kill(run, SIGTERM);
    cr_expect(eq(int, sandbox_wait(run, 60), 75));
}
