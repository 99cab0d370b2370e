/* Whole sweeps of the built-in XGBoost worker. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/rng.h"
#include "tests/lib/sandbox.h"

/* 300 rows: y is 0 or 1, z above 0. */
static void enter(void)
{
    sandbox_enter();
    AUTO_FCLOSE FILE *f = fopen("d.csv", "we");
    cr_assert_not_null(f);
    struct rng rng;
    rng_seed(&rng, 3);
    (void)fputs("a,b,y,z\n", f);
    for (int i = 0; i < 300; i++) {
        double a = rng_normal(&rng), b = rng_normal(&rng);
        (void)fprintf(f, "%.4f,%.4f,%d,%.4f\n", a, b, a + rng_normal(&rng) > 0, 9 + a - b);
    }
}

TestSuite(builtin, .init = enter, .fini = sandbox_leave, .timeout = 200);

static int run(const char *spec)
{
    static const char *const argv[] = {FORKLESS, "run", "t.yaml", NULL};
    AUTO_FCLOSE FILE *f = fopen("t.yaml", "we");
    cr_assert(f != NULL);
    (void)fprintf(f,
                  "study: {name: s, storage: 'sqlite:///s.db', metric: %s\n"
                  "budget: {trials: 3}\nslots: {jobs: 1, memory: off}\n",
                  spec);
    cr_assert_eq(fflush(f), 0);
    return sandbox_wait(sandbox_start(argv), 100);
}

Test(builtin, an_objective_may_be_sampled)
{
    struct sandbox_trial trials[8];
    cr_expect_eq(run("rmse}\nrun: {builtin: xgboost, data: d.csv, label: z, drop: [y], rounds: 5}\n"
                     "space: {objective: {choice: ['reg:squarederror', 'reg:gamma']}}\n"),
                 0, "%s", sandbox_text("err"));
    cr_expect_eq(sandbox_trials(trials, 8), 3);
}

Test(builtin, data_that_one_sampled_objective_cannot_have_stops_the_sweep_at_once)
{
    cr_expect_eq(run("logloss}\nrun: {builtin: xgboost, data: d.csv, label: z, drop: [y]}\n"
                     "space: {objective: {choice: ['reg:logistic', focal]}}\n"),
                 2, "%s", sandbox_text("err"));
    cr_expect(sandbox_has("err", "objective reg:logistic: row 1 has the label"), "%s",
              sandbox_text("err"));
    cr_expect_eq(sandbox_size("s.db"), -1);
}

Test(builtin, a_trials_log_says_what_was_done)
{
    cr_expect_eq(run("auc}\nrun: {builtin: xgboost, data: d.csv, label: y, drop: [z], rounds: 20,\n"
                     "  early_stop: 3, folds: {walk_forward: 2}, trials_per_worker: 2}\n"
                     "space: {eta: {float: [0.1, 0.5]}}\n"),
                 0, "%s", sandbox_text("err"));
    for (int i = 0; i < 3; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "forkless-runs/s/%d/stdout.log", i);
        cr_expect(sandbox_has(name, "d.csv: 300 rows × 2 columns, label y, 2 folds, "
                                    "binary:logistic, 20 rounds at most\n"),
                  "%s", sandbox_text(name));
        cr_expect(sandbox_has(name, "\nfold 2: auc 0."), "%s", sandbox_text(name));
        cr_expect(sandbox_has(name, ", trained on 200 rows, tested on 100\nauc 0."), "%s",
                  sandbox_text(name));
    }
    struct stat st;
    cr_expect(stat("forkless-runs/.data", &st) == 0 && S_ISDIR(st.st_mode));
}

/* With the disk of badsync.c. */
static int run_on_disk(void)
{
    (void)setenv("LD_PRELOAD", BADSYNC, 1);
    (void)setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
    int code = run("auc}\nrun: {builtin: xgboost, data: d.csv, label: y, drop: [z], rounds: 3}\n"
                   "space: {eta: {float: [0.1, 0.5]}}\nretry: {default: 0}\n");
    (void)unsetenv("LD_PRELOAD");
    return code;
}

Test(builtin, a_model_is_on_the_disk_before_it_has_its_name)
{
    cr_expect_eq(run_on_disk(), 0, "%s", sandbox_text("err"));
    cr_expect(sandbox_has("forkless-runs/s/0/stderr.log",
                          "disk: synced model.ubj.tmp\ndisk: synced model.json.tmp\n"
                          "disk: synced 0\n"),
              "%s", sandbox_text("forkless-runs/s/0/stderr.log"));
}

Test(builtin, a_model_that_the_disk_does_not_take_is_none)
{
    struct sandbox_trial trials[8];
    AUTO_FCLOSE FILE *f = fopen("model-sync-fails", "we");
    cr_expect_neq(run_on_disk(), 0);
    cr_assert_gt(sandbox_trials(trials, 8), 0);
    cr_expect_eq(trials[0].state, TRIAL_FAIL);
    cr_expect_not_null(strstr(trials[0].message, "model.ubj: Input/output error"), "%s",
                       trials[0].message);
    cr_expect_eq(sandbox_size("forkless-runs/s/0/model.ubj"), -1);
    cr_expect_eq(sandbox_size("forkless-runs/s/0/model.ubj.tmp"), -1);
}
