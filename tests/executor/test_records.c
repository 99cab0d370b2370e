/* What is stored of a trial: all of it, or the trial did not succeed; and never without limit. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "storage/storage.h"
#include "tests/lib/sandbox.h"

#define PEAK_KIB 40960 /* the executor's memory, whatever a worker says */

TestSuite(records, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 240);

/* One trial of one try. Returns the exit code. */
#define TRY(...)                                                                                   \
    RUN(120, "-n1", "-j1", "--grace=1s", "budget.attempts=1", "x=float:0..1", __VA_ARGS__)
#define START(...) sandbox_run((const char *const[]){__VA_ARGS__, NULL})

static void touch(const char *path)
{
    FILE *f = fopen(path, "we");
    cr_assert(f != NULL && fclose(f) == 0);
}

static struct sandbox_trial only_trial(void)
{
    struct sandbox_trial t[2];
    cr_assert(eq(int, sandbox_trials(t, 2), 1));
    return t[0];
}

static int64_t open_study(struct store **s)
{
    struct err err = {0};
    int64_t study;
    cr_assert(eq(int, store_open(s, "sqlite:///s.db", NULL, &err), 0), "%s", err.msg);
    cr_assert(eq(int, store_study_find(*s, "s", &study, &err), 0), "%s", err.msg);
    return study;
}

Test(records, a_parameter_that_the_study_has_as_another_kind_is_a_mistake_in_the_spec)
{
    cr_expect(eq(int, RUN(60, "-n1", "x=float:0..1", "--", VICTIM, "ok"), 0));
    cr_expect(eq(int, RUN(60, "-n2", "--json", "x=int:0..9", "--", VICTIM, "ok"), 2));
    cr_expect(sandbox_has("out",
                          "\"exit\":2,\"reason\":\"spec\",\"message\":\"argument "
                          "'x=int:0..9': x was float 0.0 … 1.0 in this study, now int 0 … "
                          "9: only ranges may change; change it back or name another study\","
                          "\"proven\":false,\"done\":null,\"target\":2,\"failed\":null"),
              "%s", sandbox_text("out"));
    cr_expect(sandbox_has("out", "{\"name\":\"s\",\"complete\":null,\"pruned\":null,"
                                 "\"failed\":null,\"seed\":null}"));
    cr_expect(eq(int, (int)only_trial().state, TRIAL_COMPLETE)); /* nothing ran */
    cr_expect(eq(int, RUN(60, "-n2", "x=float:0..2", "--", VICTIM, "ok"), 0));
}

static int take_status(void *ctx, const struct store_run *run)
{
    buf_printf(ctx, "%s %s\n", run->run_id, run->status);
    return 0;
}

Test(records, a_refused_command_leaves_the_row_of_the_run_before_alone)
{
    AUTO_STORE struct store *s = NULL;
    AUTO(buf_free) struct buf runs = BUF_INIT;
    struct err err = {0};
    cr_expect(eq(int, RUN(60, "-n1", "--run-id=r1", "x=float:0..1", "--", VICTIM, "ok"), 0));
    cr_expect(eq(int, RUN(60, "-n2", "--run-id=r1", "x=int:0..9", "--", VICTIM, "ok"), 2));
    cr_expect(eq(int, RUN(60, "-n2", "--run-id=r2", "x=int:0..9", "--", VICTIM, "ok"), 2));
    cr_assert(store_open(&s, "sqlite:///s.db", NULL, &err) == 0 &&
                  store_runs_each(s, take_status, &runs, &err) == 0,
              "%s", err.msg);
    cr_expect(eq(str, (char *)buf_str(&runs), (char *)"r1 success\n"));
}

static int take_x(void *ctx, const struct trial *t)
{
    if (t->number == 0 && t->n_params == 1)
        *(double *)ctx = t->params[0].value;
    return 0;
}

/* Of the first trial of a study in a database of its own. */
static double first_value(const char *name, const char *seed)
{
    char storage[64];
    struct store *s = NULL;
    struct err err = {0};
    const struct store_each_opts each = {.want = WANT_PARAMS};
    double value = -1;
    int64_t study;
    (void)snprintf(storage, sizeof(storage), "sqlite:///%s.db", name);
    const char *const words[] = {FORKLESS, "run", "--storage", storage, "--study", "s",
                                 "--dir",  name,  "--metric",  "loss",  "-n1",     "x=float:0..1",
                                 seed,     "--",  VICTIM,      "ok",    NULL};
    cr_assert(eq(int, sandbox_wait(sandbox_start(words), 60), 0), "%s", sandbox_text("err"));
    cr_assert(store_open(&s, storage, NULL, &err) == 0 &&
                  store_study_find(s, "s", &study, &err) == 0 &&
                  store_trials_each(s, study, &each, take_x, &value, &err) == 0,
              "%s", err.msg);
    store_destroy(s);
    return value;
}

Test(records, a_study_without_a_seed_draws_one_keeps_it_and_tells_it)
{
    char *json = NULL, seed[64];
    struct store *s = NULL;
    struct err err = {0};
    double a = first_value("a", "-q"), b = first_value("b", "-q");
    cr_expect(ne(dbl, a, b));
    cr_expect(eq(dbl, first_value("a", "-n2"), a)); /* it goes on, the first is as it was */
    cr_assert(store_open(&s, "sqlite:///a.db", NULL, &err) == 0, "%s", err.msg);
    cr_assert(store_study_attr_get(s, 1, ATTR_USER, "forkless:seed", &json, &err) == 0, "%s",
              err.msg);
    cr_expect(sandbox_has("out", json), "%s", sandbox_text("out"));
    (void)snprintf(seed, sizeof(seed), "--seed=%s", json);
    cr_expect(eq(dbl, first_value("c", seed), a));
    free(json);
    store_destroy(s);
}

Test(records, a_suggestion_of_another_kind_than_the_studys_is_refused)
{
    touch("go");
    cr_expect(eq(int, RUN(60, "-n1", "y=float:0..1", "--", VICTIM, "ok"), 0));
    cr_expect(eq(
        int,
        RUN(60, "-n2", "-j1", "budget.attempts=2", "x=float:0..1", "--", VICTIM, "suggest", "go"),
        1));
    struct sandbox_trial t[2];
    cr_assert(eq(int, sandbox_trials(t, 2), 2));
    cr_expect(eq(int, (int)t[1].state, TRIAL_FAIL));
    cr_expect(strstr(t[1].message, "y was float 0.0 … 1.0 in this study, now int ") != NULL, "%s",
              t[1].message);
}

Test(records, a_trial_whose_parameters_the_store_refuses_has_failed)
{
    pid_t pid =
        START("-n1", "-j1", "budget.attempts=1", "x=float:0..1", "--", VICTIM, "suggest", "go");
    cr_assert(sandbox_await("log", "start 0", 60));
    {
        /* another process gives y another kind meanwhile */
        const struct dist real = {.kind = DIST_FLOAT, .low = 0, .high = 1};
        const struct trial_param y = {"y", &real, 0.5};
        const struct trial other = {.state = TRIAL_FAIL, .params = &y, .n_params = 1};
        AUTO_STORE struct store *s = NULL;
        struct err err = {0};
        int64_t study = open_study(&s);
        cr_assert(eq(int, store_trial_create(s, study, &other, NULL, NULL, &err), 0), "%s",
                  err.msg);
    }
    touch("go");
    cr_expect(eq(int, sandbox_wait(pid, 60), 1));
    struct sandbox_trial t[2];
    cr_assert(eq(int, sandbox_trials(t, 2), 2));
    cr_expect(eq(int, (int)t[0].state, TRIAL_FAIL));
    cr_expect(eq(str, t[0].fail, (char *)"storage"));
    cr_expect(strstr(t[0].message, "but the study has it as") != NULL, "%s", t[0].message);
}

/* The store is locked while the worker asks and ends, so the refusal meets the outcome there. */
Test(records, a_refusal_that_meets_the_outcome_is_a_failure_in_the_log_too)
{
    pid_t pid = START("-n2", "-j1", "--json", "budget.attempts=2", "x=float:0..1", "--", "/bin/sh",
                      "-c", "[ $FORKLESS_TRIAL = 1 ] && exec " VICTIM " suggest go; echo loss=7");
    cr_assert(sandbox_await("log", "start 1", 60));
    {
        const struct dist real = {.kind = DIST_FLOAT, .low = 0, .high = 1};
        const struct trial_param y = {"y", &real, 0.5};
        const struct trial other = {.state = TRIAL_FAIL, .params = &y, .n_params = 1};
        AUTO_STORE struct store *s = NULL;
        struct err err = {0};
        int64_t study = open_study(&s);
        cr_assert(eq(int, store_begin(s, &err), 0), "%s", err.msg);
        touch("go");
        cr_assert(sandbox_await("runs/s/1/stdout.log", "loss=", 60));
        (void)sleep(1); /* for the loop to see its end */
        cr_assert(eq(int, store_trial_create(s, study, &other, NULL, NULL, &err), 0), "%s",
                  err.msg);
        cr_assert(eq(int, store_commit(s, false, &err), 0), "%s", err.msg);
    }
    cr_expect(eq(int, sandbox_wait(pid, 60), 1));
    struct sandbox_trial t[3];
    cr_assert(eq(int, sandbox_trials(t, 3), 3));
    cr_expect(eq(str, t[1].fail, (char *)"storage"));
    cr_expect(strstr(t[1].message, "but the study has it as") != NULL, "%s", t[1].message);
    cr_expect(sandbox_has("err", "\"trial\":1,\"state\":\"FAIL\",\"value\":null,"
                                 "\"class\":\"storage\",\"message\":\"not stored: "));
    cr_expect(not(sandbox_has("err", "\"trial\":1,\"state\":\"COMPLETE\"")));
    cr_expect(sandbox_has("out", "\"best\":{\"number\":0,\"value\":7"), "%s", sandbox_text("out"));
}

static int count_steps(void *ctx, const struct trial *t)
{
    *(size_t *)ctx += t->n_steps;
    return 0;
}

Test(records, reports_without_end_are_cut_off)
{
    cr_expect(eq(int, TRY("--", VICTIM, "report", "101000"), 0));
    cr_expect(eq(int, (int)only_trial().state, TRIAL_COMPLETE));
    cr_expect(sandbox_has("err", "over 100000 reports"));
    if (!SANDBOX_SANITIZED)
        cr_expect(lt(long, sandbox_peak_kib(), PEAK_KIB));
    const struct store_each_opts steps = {.want = WANT_STEPS};
    AUTO_STORE struct store *s = NULL;
    struct err err = {0};
    size_t n = 0;
    int64_t study = open_study(&s);
    cr_assert(eq(int, store_trials_each(s, study, &steps, count_steps, &n, &err), 0));
    cr_expect(eq(sz, n, 100000));
}

Test(records, rows_beyond_4_mib_are_cut_off)
{
    cr_expect(eq(int, TRY("--", VICTIM, "rows", "6000"), 0));
    cr_expect(sandbox_has("err", "over 4 MiB of rows and attributes"));
    AUTO_STORE struct store *s = NULL;
    struct err err = {0};
    int64_t n = 0;
    (void)open_study(&s);
    cr_assert(eq(int, store_results_count(s, NULL, NULL, NULL, &n, &err), 0));
    cr_expect(gt(long, (long)n, 3500)); /* of a KiB and a bit */
    cr_expect(lt(long, (long)n, 4096));
}

/* --- what a worker may say of itself */

static void expect_fail(const char *fail)
{
    struct sandbox_trial t = only_trial();
    cr_expect(eq(int, (int)t.state, TRIAL_FAIL));
    cr_expect(eq(str, t.fail, (char *)(uintptr_t)fail));
}

Test(records, one_that_prunes_itself_has_failed)
{
    cr_expect(eq(int, TRY("--", VICTIM, "say", "{\"op\":\"pruned\"}"), 1));
    expect_fail("pruned_by_worker");
}

Test(records, a_class_that_a_worker_cannot_know_is_class_exit)
{
    cr_expect(eq(
        int,
        TRY("--", VICTIM, "say", "{\"op\":\"fail\",\"class\":\"preempted\",\"message\":\"again\"}"),
        1));
    expect_fail("exit");
}

Test(records, a_class_that_a_worker_knows_is_kept)
{
    cr_expect(eq(int, TRY("--", VICTIM, "say", "{\"op\":\"fail\",\"class\":\"hessian\"}"), 1));
    expect_fail("hessian");
}

Test(records, a_worker_cannot_pass_its_event_for_ours)
{
    (void)TRY("--", VICTIM, "say", "{\"op\":\"event\",\"event\":\"proof\",\"proven\":true}");
    cr_expect(sandbox_has("err", "\"event\":\"worker_event\",\"name\":\"proof\""));
    cr_expect(not(sandbox_has("err", "\"level\":\"info\",\"event\":\"proof\"")));
}

Test(records, what_an_older_trial_left_in_the_directory_goes)
{
    static const char *const old[] = {"runs/s/0/evidence.json", "runs/s/0/stdout.log.1",
                                      "runs/s/0/stdout.log.gone", "runs/s/0/model.ubj"};
    cr_assert(mkdir("runs", 0755) == 0 && mkdir("runs/s", 0755) == 0 &&
              mkdir("runs/s/0", 0755) == 0);
    for (size_t i = 0; i < ARRAY_LEN(old); i++)
        touch(old[i]);
    cr_expect(eq(int, TRY("--", VICTIM, "ok"), 0));
    for (size_t i = 0; i < ARRAY_LEN(old); i++)
        cr_expect(eq(long, (long)sandbox_size(old[i]), -1), "%s", old[i]);
}

/* --- trials of others */

static int64_t put_trial(const struct trial *t)
{
    const enum direction minimize = DIRECTION_MINIMIZE;
    AUTO_STORE struct store *s = NULL;
    struct err err = {0};
    int64_t study, id;
    cr_assert(eq(int, store_open(&s, "sqlite:///s.db", NULL, &err), 0), "%s", err.msg);
    cr_assert(eq(int, store_study_open(s, "s", &minimize, 1, &study, &err), 0), "%s", err.msg);
    cr_assert(eq(int, store_trial_create(s, study, t, &id, NULL, &err), 0), "%s", err.msg);
    return id;
}

Test(records, pruned_trials_alone_prove_nothing)
{
    const double value = 0.5;
    const struct trial pruned = {.state = TRIAL_PRUNED, .values = &value, .n_values = 1};
    (void)put_trial(&pruned);
    cr_expect(eq(int, RUN(60, "-n1", "x=float:0..1", "--", VICTIM, "ok"), 1));
    (void)RUN(60, "-n2", "x=float:0..1", "--", VICTIM, "ok");
    cr_expect(eq(int, RUN(60, "-n2", "x=float:0..1", "--", VICTIM, "ok"), 0));
}

static void finish_trial(int64_t id)
{
    AUTO_STORE struct store *s = NULL;
    struct err err = {0};
    (void)open_study(&s);
    cr_assert(eq(int, store_trial_finish(s, id, TRIAL_FAIL, NULL, 0, &err), 0), "%s", err.msg);
}

Test(records, a_trial_that_somebody_else_runs_for_long_is_named)
{
    int64_t id = put_trial(NULL); /* as of a Python process without heartbeats */
    pid_t pid = START("-n1", "-j1", "--stall=1s", "report.heartbeat=1s", "x=float:0..1", "--",
                      VICTIM, "ok");
    cr_expect(sandbox_await("err", "\"event\":\"waiting_for_others\"", 30));
    cr_expect(sandbox_await("err", "\"trials\":\"0\"", 30));
    cr_expect(sandbox_await("err", "study 's' waits for trials", 30));
    finish_trial(id);
    cr_expect(eq(int, sandbox_wait(pid, 60), 0));
}

Test(records, a_trial_of_a_living_executor_is_not_lost_however_seldom_its_heartbeats)
{
    pid_t slow = START("-n2", "-j1", "report.heartbeat=1h", "x=float:0..1", "--", VICTIM, "log",
                       "log", "7000");
    cr_assert(sandbox_await("log", "start 0", 60));
    cr_expect(eq(int,
                 RUN(60, "-n2", "-j1", "report.heartbeat=1s", "x=float:0..1", "--", VICTIM, "log",
                     "log", "6000"),
                 0));
    cr_expect(eq(int, sandbox_wait(slow, 60), 0));
    cr_expect(eq(int, sandbox_count(TRIAL_FAIL), 0));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 2));
}

struct last_history {
    int64_t number;
    char text[64];
};

static int take_history(void *ctx, const struct trial *t)
{
    struct last_history *h = ctx;
    h->number = t->number;
    h->text[0] = '\0';
    for (size_t i = 0; i < t->n_system_attrs; i++) {
        if (strcmp(t->system_attrs[i].key, "retry_history") == 0)
            (void)snprintf(h->text, sizeof(h->text), "%s", t->system_attrs[i].json);
    }
    return 0;
}

Test(records, a_preemption_uses_up_no_retry)
{
    pid_t pid =
        START("-n1", "-j1", "--grace=1s", "x=float:0..1", "--", VICTIM, "ignore-term", "log");
    cr_assert(sandbox_await("log", "start 0", 60));
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 60), 75));
    cr_expect(eq(int,
                 RUN(120, "-n1", "-j1", "retry.exit=1", "budget.attempts=2", "x=float:0..1", "--",
                     VICTIM, "exit", "3"),
                 1));
    const struct store_each_opts system = {.want = WANT_SYSTEM_ATTRS};
    AUTO_STORE struct store *s = NULL;
    struct err err = {0};
    struct last_history last;
    int64_t study = open_study(&s);
    cr_assert(eq(int, store_trials_each(s, study, &system, take_history, &last, &err), 0));
    cr_expect(eq(long, (long)last.number, 2));
    cr_expect(eq(str, last.text, (char *)"[0, 1]"), "%s", last.text);
}

static int take_steps(void *ctx, const struct trial *t)
{
    struct buf *b = ctx;
    for (size_t i = 0; i < t->n_steps; i++)
        buf_printf(b, "%" PRId64 "=%g ", t->steps[i].step, t->steps[i].value);
    return 0;
}

Test(records, a_step_reported_twice_keeps_its_first_value)
{
    AUTO_STORE struct store *s = NULL;
    AUTO(buf_free) struct buf steps = BUF_INIT;
    const struct store_each_opts each = {.want = WANT_STEPS};
    struct err err = {0};
    int64_t study;
    cr_expect(eq(int,
                 RUN(60, "-n1", "x=float:0..1", "--", "/bin/sh", "-c",
                     "say() { echo \"{\\\"step\\\": $1, \\\"loss\\\": $2}\"; };"
                     " say 1 1; say 2 2; say 2 3; say 1 4"),
                 0));
    cr_expect(sandbox_has("err", "step_reported_again"), "%s", sandbox_text("err"));
    cr_assert(store_open(&s, "sqlite:///s.db", NULL, &err) == 0 &&
                  store_study_find(s, "s", &study, &err) == 0 &&
                  store_trials_each(s, study, &each, take_steps, &steps, &err) == 0,
              "%s", err.msg);
    cr_expect(eq(str, (char *)buf_str(&steps), (char *)"1=1 2=2 "));
}

static int take_run(void *ctx, const struct store_run *run)
{
    buf_printf(ctx, "%s of %s: %s", run->run_id, run->dag_id != NULL ? run->dag_id : "none",
               run->status);
    return 0;
}

Test(records, a_run_is_named_after_what_scheduled_it)
{
    AUTO_STORE struct store *s = NULL;
    AUTO(buf_free) struct buf runs = BUF_INIT;
    struct err err = {0};
    (void)setenv("AIRFLOW_CTX_DAG_ID", "nightly", 1);
    (void)setenv("AIRFLOW_CTX_DAG_RUN_ID", "manual__1", 1);
    cr_expect(eq(int, RUN(60, "-n1", "x=float:0..1", "--", VICTIM, "ok"), 0));
    cr_assert(store_open(&s, "sqlite:///s.db", NULL, &err) == 0 &&
                  store_runs_each(s, take_run, &runs, &err) == 0,
              "%s", err.msg);
    cr_expect(eq(str, (char *)buf_str(&runs), (char *)"manual__1 of nightly: success"));
}
