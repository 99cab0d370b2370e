/* Two executors on one study: what one learns, the other prunes by. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "storage/storage.h"
#include "tests/lib/sandbox.h"

TestSuite(shared, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 240);

static void await_file(const char *name)
{
    for (int i = 0; i < 6000 && sandbox_size(name) < 0; i++)
        (void)usleep(10000);
    cr_assert(sandbox_size(name) >= 0, "%s; %s", name, sandbox_text("err"));
}

static void make_file(const char *name)
{
    AUTO_FCLOSE FILE *f = fopen(name, "we");
    cr_assert(f != NULL);
}

static int count_reports(void *ctx, const struct trial *t)
{
    *(size_t *)ctx += t->n_steps;
    return 0;
}

/* Until somebody's report is in the store. */
static void await_report(void)
{
    AUTO_STORE struct store *s = NULL;
    const struct store_opts opts = {.read_only = true};
    const struct store_each_opts each = {.want = WANT_STEPS};
    struct err err = {0};
    int64_t study;
    size_t n = 0;
    cr_assert(store_open(&s, "sqlite:///s.db", &opts, &err) == 0 &&
                  store_study_find(s, "s", &study, &err) == 0,
              "%s", err.msg);
    for (int i = 0; i < 6000 && n == 0; i++) {
        (void)usleep(10000);
        cr_assert(store_trials_each(s, study, &each, count_reports, &n, &err) == 0, "%s", err.msg);
    }
    cr_assert(gt(sz, n, 0));
}

static pid_t start(const char *trials, const char *pruner, const char *script)
{
    char word[96];
    (void)snprintf(word, sizeof(word), "pruner=%s", pruner);
    return sandbox_run((const char *const[]){trials, "-j1", word, "x=float:0..1", "--", "/bin/sh",
                                             "-c", script, NULL});
}

/* The first executor opens the study before the second one reports, and its next trial is worse
 * than that, which is still running or has ended. */
static void expect_pruned(const char *pruner, bool ends)
{
    pid_t late = start("-n3", pruner,
                       "if [ $FORKLESS_TRIAL = 0 ]; then touch opened;"
                       " until [ -e go ]; do sleep 0.01; done; echo loss=0; else"
                       " echo '{\"loss\": 5, \"step\": 1}'; until [ -e end ]; do"
                       " sleep 0.01; done; fi");
    await_file("opened");
    char script[128];
    (void)snprintf(script, sizeof(script), "echo '{\"loss\": 0, \"step\": 1}'; %s; echo loss=0",
                   ends ? "true" : "until [ -e end ]; do sleep 0.01; done");
    pid_t early = start("-n2", pruner, script);
    await_report();
    for (int i = 0; ends && i < 6000 && sandbox_count(TRIAL_COMPLETE) == 0; i++)
        (void)usleep(10000);
    make_file("go");
    for (int i = 0; i < 1000 && sandbox_count(TRIAL_PRUNED) == 0; i++)
        (void)usleep(10000);
    struct sandbox_trial t[4];
    make_file("end");
    cr_expect(eq(int, sandbox_wait(early, 60), 0));
    cr_expect(eq(int, sandbox_wait(late, 60), 0));
    cr_assert(eq(int, sandbox_trials(t, 4), 3));
    cr_expect(eq(int, (int)t[2].state, TRIAL_PRUNED));
}

Test(shared, asha_sees_the_rungs_of_another_executor)
{
    expect_pruned("asha", false);
}

Test(shared, median_sees_the_reports_of_another_executor)
{
    expect_pruned("{median: {startup: 1}}", true);
}
