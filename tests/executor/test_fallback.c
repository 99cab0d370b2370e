/* A trial that fails goes down its ladder; what it was and what came of it is in the store. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "storage/ftf.h"
#include "tests/lib/sandbox.h"

TestSuite(fallback, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 240);

static struct err err;

/* Like a training that cannot have a steep gamma: it fails above $3 unless the loss is another. */
#define TRAIN                                                                                      \
    "run: [sh, train.sh, \"${g}\", \"${loss_function}\"]\n"                                        \
    "space: {g: {float: [0, 5]}, loss_function: focal}\n"
#define LADDER                                                                                     \
    "fallback:\n"                                                                                  \
    "  - {on: [hessian, overflow], set: {g: -1.0}, times: 3}\n"                                    \
    "  - {on: [hessian, overflow], set: {loss_function: logistic}, mark: rolled_back}\n"

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "we");
    cr_assert_not_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

static void write_sweep(const char *most, const char *more)
{
    char text[1500];
    (void)snprintf(text, sizeof(text),
                   "case \"$2,${1%%%%.*}\" in\n"
                   "  focal,[%s]) echo Hessian not positive definite >&2; echo bye >&2; exit 1;;\n"
                   "esac\n%secho loss=$1\n",
                   most, more);
    write_file("train.sh", text);
    (void)snprintf(
        text, sizeof(text),
        "study: {name: s, metric: loss, storage: 'sqlite:///s.db'}\n"
        "matrix: {crypto: [OPUSDC]}\nbudget: {trials: 1}\nslots: {jobs: 1}\n" TRAIN LADDER);
    write_file("t.yaml", text);
}

/* A trial to be run first, as a user enqueues it. */
static void enqueue(double g)
{
    AUTO_STORE struct store *s = NULL;
    const enum direction minimize = DIRECTION_MINIMIZE;
    int64_t study;
    char json[64];
    (void)snprintf(json, sizeof(json), "{\"g\": %g}", g);
    const struct trial_attr fixed = {"fixed_params", json};
    const struct trial t = {.state = TRIAL_WAITING, .system_attrs = &fixed, .n_system_attrs = 1};
    cr_assert_eq(store_open(&s, "sqlite:///s.db", NULL, &err), 0, "%s", err.msg);
    cr_assert_eq(store_study_open(s, "s", &minimize, 1, &study, &err), 0, "%s", err.msg);
    cr_assert_eq(store_trial_create(s, study, &t, NULL, NULL, &err), 0, "%s", err.msg);
}

static pid_t start_sweep(void)
{
    return sandbox_start((const char *const[]){FORKLESS, "run", "--dir", "runs", "t.yaml", NULL});
}

static int put_training(void *ctx, const struct store_training *t)
{
    buf_printf(ctx, "%s %s %s %s > %s%s\n", t->crypto_symbol, t->loss_function,
               t->failed ? t->failure_mode : "SUCCESS", t->requested, t->used,
               t->rolled_back ? " rolled_back" : "");
    return 0;
}

static const char *trainings(void)
{
    static struct buf b;
    AUTO_STORE struct store *s = NULL;
    buf_clear(&b);
    cr_assert_eq(store_open(&s, "sqlite:///s.db", NULL, &err), 0, "%s", err.msg);
    cr_assert_eq(store_trainings_each(s, 0, put_training, &b, &err), 0, "%s", err.msg);
    return buf_str(&b);
}

#define FOCAL(g) "{\"g\": " #g ", \"loss_function\": \"focal\"}"

Test(fallback, gamma_is_lowered_until_it_works_and_the_rows_say_both)
{
    write_sweep("345", "");
    enqueue(4.5);
    cr_assert_eq(sandbox_wait(start_sweep(), 60), 0, "%s", sandbox_text("err"));
    cr_expect_str_eq(trainings(),
                     "OPUSDC focal hessian " FOCAL(4.5) " > " FOCAL(
                         4.5) "\n"
                              "OPUSDC focal hessian " FOCAL(4.5) " > " FOCAL(
                                  3.5) "\n"
                                       "OPUSDC focal SUCCESS " FOCAL(4.5) " > " FOCAL(2.5) "\n");
    struct sandbox_trial t[4];
    cr_assert_eq(sandbox_trials(t, 4), 3);
    cr_expect(t[2].state == TRIAL_COMPLETE && t[2].value == 2.5);
    cr_expect(sandbox_has("err",
                          "\"event\":\"xgboost_training_failed\",\"study\":\"s\",\"trial\":0,"
                          "\"crypto_symbol\":\"OPUSDC\",\"factor\":null,\"loss_function\":"
                          "\"focal\",\"failure_class\":\"hessian\",\"failure_mode\":\"hessian\","
                          "\"message\":\"exit 1; it said: Hessian not positive definite\""),
              "%s", sandbox_text("err"));
}

Test(fallback, the_last_rung_is_the_baseline_and_is_marked)
{
    write_sweep("012345", "");
    enqueue(4);
    cr_assert_eq(sandbox_wait(start_sweep(), 60), 0, "%s", sandbox_text("err"));
    const char *last = "OPUSDC logistic SUCCESS " FOCAL(4.0) " > {\"g\": 1.0, \"loss_function\": "
                                                             "\"logistic\"} rolled_back\n";
    cr_expect_not_null(strstr(trainings(), last), "%s", trainings());
    cr_expect_eq(sandbox_count(TRIAL_FAIL), 4); /* 4, 3, 2, 1 */
}

Test(fallback, a_killed_executor_goes_on_where_the_trial_stood)
{
    write_sweep("45", "[ -e go ] || { touch waits; sleep 600; }\n");
    enqueue(4.5);
    pid_t pid = start_sweep();
    cr_assert(sandbox_await("waits", "", 60));
    for (int i = 0; i < 600 && sandbox_size("waits") < 0; i++)
        (void)usleep(100000);
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_expect_eq(sandbox_wait(pid, 60), 1000 + SIGKILL);
    write_file("go", "");
    cr_assert_eq(sandbox_wait(start_sweep(), 60), 0, "%s", sandbox_text("err"));
    cr_expect_str_eq(trainings(),
                     "OPUSDC focal hessian " FOCAL(4.5) " > " FOCAL(
                         4.5) "\n"
                              "OPUSDC focal SUCCESS " FOCAL(4.5) " > " FOCAL(3.5) "\n");
}

static int put_status(void *ctx, const struct store_result *r)
{
    buf_printf(ctx, "%s %s %s;", r->factor != NULL ? r->factor : "-", r->variant, r->run_status);
    return 0;
}

/* A learning rate so high that after one round no row has a positive second derivative. */
Test(fallback, the_xgboost_worker_goes_down_to_the_baseline)
{
    AUTO(buf_free) struct buf csv = BUF_INIT, results = BUF_INIT;
    buf_puts(&csv, "x,y\n");
    for (int i = 0; i < 400; i++)
        buf_printf(&csv, "%d,%d\n", i * 7919 % 400, (i * 7919 % 400 + i * 104729 % 300) > 350);
    write_file("d.csv", buf_str(&csv));
    write_file(
        "t.yaml",
        "study: {name: s, metric: auc, direction: maximize, storage: 'sqlite:///s.db'}\n"
        "budget: {trials: 1}\nslots: {jobs: 1, memory: off}\n"
        "run: {builtin: xgboost, data: d.csv, label: y, factor: focal_loss, crypto: OPUSDC,\n"
        "      rounds: 5, fixed: {eta: 1.0e+38}}\n"
        "space: {focal_gamma: {float: [3, 4]}}\n"
        "fallback:\n"
        "  - {on: [hessian, overflow], set: {focal_gamma: -1.0}, times: 3}\n"
        "  - {on: [hessian, overflow], set: {factor: baseline}, mark: rolled_back}\n");
    cr_assert_eq(sandbox_wait(start_sweep(), 60), 0, "%s", sandbox_text("err"));
    const char *all = trainings();
    cr_expect_not_null(strstr(all, "OPUSDC focal hessian {"), "%s", all);
    cr_expect_not_null(strstr(all, " > {\"focal_gamma\": 3.0}\n"), "%s", all);
    cr_expect_not_null(strstr(all, "OPUSDC binary:logistic SUCCESS"), "%s", all);
    cr_expect_not_null(strstr(all, "\"factor\": \"baseline\"} rolled_back\n"), "%s", all);
    AUTO_STORE struct store *s = NULL;
    cr_assert_eq(store_open(&s, "sqlite:///s.db", NULL, &err), 0, "%s", err.msg);
    cr_assert_eq(store_results_each(s, NULL, put_status, &results, &err), 0, "%s", err.msg);
    cr_expect_str_eq(buf_str(&results), "- baseline:rolled_back rolled_back;");
}

Test(fallback, behind_a_proxy_the_ladder_works_and_missing_trainings_are_told)
{
    const char *const serve[] = {FORKLESS,   "serve",       "--storage", "sqlite:///s.db",
                                 "--listen", "unix:p.sock", NULL};
    char url[200], setting[250], *cwd = getcwd(NULL, 0);
    if (access(FORKLESS "-serve", X_OK) < 0)
        cr_skip_test("built without gRPC");
    write_sweep("345", "");
    enqueue(4.5);
    pid_t proxy = sandbox_start(serve);
    for (int i = 0; i < 600 && sandbox_size("p.sock") < 0; i++)
        (void)usleep(100000);
    (void)snprintf(url, sizeof(url), "grpc+unix://%s/p.sock", cwd);
    (void)snprintf(setting, sizeof(setting), "study.storage=%s", url);
    free(cwd);
    const char *const run[] = {FORKLESS, "run", "--dir", "runs", "t.yaml", setting, NULL};
    cr_assert_eq(sandbox_wait(sandbox_start(run), 60), 0, "%s", sandbox_text("err"));
    cr_expect(sandbox_has("err", "this store keeps no training_runs"), "%s", sandbox_text("err"));
    struct sandbox_trial t[4];
    cr_assert_eq(sandbox_trials(t, 4), 3);
    cr_expect(t[2].state == TRIAL_COMPLETE && t[2].value == 2.5);
    (void)kill(proxy, SIGTERM);
    cr_expect_eq(sandbox_wait(proxy, 60), 0);
}

Test(fallback, failed_trainings_are_appended_to_the_failure_log)
{
    write_sweep("45", "");
    enqueue(4.5);
    const char *const argv[] = {
        FORKLESS, "run", "--dir", "runs", "t.yaml", "report.failure_log=f.log", NULL};
    cr_assert_eq(sandbox_wait(sandbox_start(argv), 60), 0, "%s", sandbox_text("err"));
    const char *log = sandbox_text("f.log");
    cr_expect_not_null(strstr(log, "\"failure_mode\": \"hessian\", \"message\": \"exit 1; it said: "
                                   "Hessian not positive definite\", \"requested\": {\"g\": 4.5, "
                                   "\"loss_function\": \"focal\"}"),
                       "%s", log);
    cr_expect(strchr(log, '\n') == log + strlen(log) - 1, "one line: %s", log);
    const char *const why[] = {FORKLESS, "why", "1", "s", "--storage", "sqlite:///s.db", NULL};
    cr_expect_eq(sandbox_wait(sandbox_start(why), 60), 0);
    cr_expect(sandbox_has("out", "fallback  step 1: asked for g=4.5\n"), "%s", sandbox_text("out"));
}

Test(fallback, a_failure_log_that_nobody_reads_holds_nobody_up)
{
    write_sweep("45", "");
    enqueue(4.5);
    cr_assert_eq(mkfifo("f.log", 0644), 0);
    const char *const argv[] = {
        FORKLESS, "run", "-v", "--dir", "runs", "t.yaml", "report.failure_log=f.log", NULL};
    cr_assert_eq(sandbox_wait(sandbox_start(argv), 60), 0, "%s", sandbox_text("err"));
    cr_expect(sandbox_has("err", "\"failure_log_not_written\""), "%s", sandbox_text("err"));
}

Test(fallback, soft_labels_are_never_tried_again)
{
    write_sweep("9",
                "echo 'ValueError: Calibration contract violation: target y must be discrete'\n"
                "exit 1\n");
    FILE *f = fopen("t.yaml", "ae");
    (void)fputs("retry: {default: 3}\nflap: off\n", f);
    (void)fclose(f);
    const char *const argv[] = {FORKLESS, "run", "--dir", "runs", "t.yaml", "budget.attempts=2",
                                NULL};
    cr_assert_eq(sandbox_wait(sandbox_start(argv), 60), 1, "%s", sandbox_text("err"));
    struct sandbox_trial t[4];
    cr_assert_eq(sandbox_trials(t, 4), 2); /* two trials, no retry */
    cr_expect_str_eq(t[0].fail, "calibration");
    cr_expect_not_null(strstr(trainings(), "OPUSDC focal calibration "), "%s", trainings());
}

Test(fallback, patterns_of_the_spec_tell_the_class_too)
{
    write_sweep("9", "echo 'LinAlgError: matrix 3 is singular' >&2\nexit 1\n");
    FILE *f = fopen("t.yaml", "ae");
    (void)fputs("classify: {hessian: 'LinAlgError: * singular'}\n", f);
    (void)fclose(f);
    const char *const argv[] = {FORKLESS, "run", "--dir", "runs", "t.yaml", "budget.attempts=1",
                                NULL};
    enqueue(0);
    cr_assert_eq(sandbox_wait(sandbox_start(argv), 60), 1, "%s", sandbox_text("err"));
    struct sandbox_trial t[4];
    cr_assert_eq(sandbox_trials(t, 4), 2); /* the next rung waits */
    cr_expect_str_eq(t[0].fail, "hessian");
    cr_expect_not_null(strstr(t[0].message, "LinAlgError: matrix 3 is singular"), "%s",
                       t[0].message);
}
