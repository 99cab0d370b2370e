/* What whoever is paged types: forkless triage and forkless config, on rows of many trainings. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "storage/ftf.h"
#include "tests/lib/postgres.h"
#include "tests/lib/sandbox.h"

static char url[256]; /* a file, or a database of the server that $FORKLESS_TEST_PG names */

static bool on_a_server(void)
{
    return getenv("FORKLESS_TEST_PG") != NULL;
}

static void enter(void)
{
    sandbox_enter();
    (void)snprintf(url, sizeof(url), "%s",
                   on_a_server() ? pg_fresh(getenv("FORKLESS_TEST_PG")) : "sqlite:///s.db");
}

TestSuite(operate, .init = enter, .fini = sandbox_leave, .timeout = 120);

static struct err err;
#define MUST(call) cr_assert((call) >= 0, "%s: %s", #call, err.msg)
#define SAY(...)                                                                                   \
    sandbox_wait(                                                                                  \
        sandbox_start((const char *const[]){FORKLESS, __VA_ARGS__, "--storage", url, NULL}), 60)
#define EXPECT(file, text)                                                                         \
    cr_expect_not_null(strstr(sandbox_text(file), text), "%s", sandbox_text(file))

static void train(struct store *s, const char *crypto, const char *loss, int failed, int succeeded,
                  const char *mode)
{
    for (int i = 0; i < failed + succeeded; i++) {
        const struct store_training t = {.trial_number = -1,
                                         .crypto_symbol = crypto,
                                         .loss_function = loss,
                                         .failed = i < failed,
                                         .failure_class = i < failed ? mode : NULL,
                                         .failure_mode = i < failed ? mode : NULL,
                                         .message = i < failed ? "its last words" : NULL};
        MUST(store_training_put(s, &t, &err));
    }
}

static struct store *open_store(void)
{
    struct store *s = NULL;
    MUST(store_open(&s, url, NULL, &err));
    return s;
}

static void focal_config(const char *gamma)
{
    char word[64];
    (void)snprintf(word, sizeof(word), "CVN_FOCAL_GAMMA=%s", gamma);
    cr_assert_eq(SAY("config", "set", "CVN_LOSS_FUNCTION=focal", word), EXIT_OK, "%s",
                 sandbox_text("err"));
}

Test(operate, widespread_failures_are_rolled_back_once_and_the_change_is_in_the_history)
{
    AUTO_STORE struct store *s = open_store();
    focal_config("4.0");
    train(s, "OPUSDC", "focal", 6, 4, "hessian");
    train(s, "ARBUSDC", "focal", 0, 9, NULL);
    cr_expect_eq(SAY("triage"), EXIT_UNMET);
    EXPECT("out", "OPUSDC        6   4  60 %");
    EXPECT("out", "path A: roll back to binary:logistic");
    EXPECT("out", "latest   OPUSDC: its last words");
    cr_expect_eq(SAY("triage", "--apply"), EXIT_OK, "%s", sandbox_text("err"));
    EXPECT("out", "applied  CVN_LOSS_FUNCTION=binary:logistic");
    cr_expect_eq(SAY("config", "get", "CVN_LOSS_FUNCTION"), EXIT_OK);
    cr_expect_str_eq(sandbox_text("out"), "binary:logistic\n");
    cr_expect_eq(SAY("config", "history"), EXIT_OK);
    EXPECT("out", "CVN_LOSS_FUNCTION focal > binary:logistic");
    EXPECT("out", "triage: 1 of 2 cryptos fail at over 50 %");
    cr_expect_eq(SAY("triage", "--apply"), EXIT_UNMET); /* what failed before says nothing now */
    EXPECT("out", "verdict  no data");
    train(s, "OPUSDC", "binary:logistic", 0, 3, NULL);
    cr_expect_eq(SAY("triage", "--apply"), EXIT_OK);
    EXPECT("out", "healthy");
    cr_expect_eq(SAY("config", "rollback"), EXIT_OK);
    cr_expect_eq(SAY("config", "get", "CVN_LOSS_FUNCTION"), EXIT_OK);
    cr_expect_str_eq(sandbox_text("out"), "focal\n");
}

Test(operate, numerical_failures_lower_gamma_step_by_step)
{
    AUTO_STORE struct store *s = open_store();
    focal_config("2.0");
    const char *const gammas[] = {"1.0\n", "0.0\n"};
    for (int i = 0; i < 2; i++) {
        train(s, "OPUSDC", "focal", 2, 8, "hessian");
        cr_expect_eq(SAY("triage", "--apply"), EXIT_OK, "%s", sandbox_text("out"));
        cr_expect_eq(SAY("config", "get", "CVN_FOCAL_GAMMA"), EXIT_OK);
        cr_expect_str_eq(sandbox_text("out"), gammas[i]);
    }
    train(s, "OPUSDC", "focal", 2, 8, "hessian");
    cr_expect_eq(SAY("triage", "--apply"), EXIT_OK);
    EXPECT("out", "applied  CVN_LOSS_FUNCTION=binary:logistic");
}

Test(operate, all_five_failing_is_told_to_page_and_goes_on_being_told)
{
    static const char *const five[] = {"OPUSDC", "ARBUSDC", "AAVEUSDC", "UNIUSDC", "LDOUSDC"};
    AUTO_STORE struct store *s = open_store();
    focal_config("2.0");
    for (int i = 0; i < 5; i++)
        train(s, five[i], "focal", 2, 1, "dependency");
    cr_expect_eq(SAY("triage", "--json"), EXIT_UNMET);
    EXPECT("out", "\"verdict\":\"rollback\",\"page\":true");
    EXPECT("out", "\"pattern\":\"dependency\"");
    cr_expect_eq(SAY("triage", "--apply"), EXIT_UNMET); /* done, but somebody has to come */
    EXPECT("out", "P1, page the DRI now");
    for (int i = 0; i < 5; i++)
        train(s, five[i], "binary:logistic", 2, 1, "dependency");
    cr_expect_eq(SAY("triage"), EXIT_UNMET);
    EXPECT("out", "without the focal loss");
    EXPECT("out", "P1, page the DRI now");
}

Test(operate, a_focal_loss_that_no_config_asked_for_is_not_rolled_back_in_vain)
{
    AUTO_STORE struct store *s = open_store();
    train(s, "OPUSDC", "focal", 6, 4, "hessian"); /* the first values name the baseline */
    cr_expect_eq(SAY("triage", "--apply"), EXIT_UNMET);
    EXPECT("out", "path A, in the spec: go back to binary:logistic there");
    EXPECT("out", "hint     the Hessian is lost where gamma is steep: the baseline has no gamma\n");
    EXPECT("out", "applied  nothing: ftf_config is as it was");
    EXPECT("out", "from its own spec, not from ftf_config");
    cr_expect_null(strstr(sandbox_text("out"), "lower gamma"), "%s", sandbox_text("out"));
    cr_expect_eq(SAY("triage", "--json"), EXIT_UNMET);
    EXPECT("out", "\"in_spec\":true,\"applied\":null");
    cr_expect_eq(SAY("config", "history"), EXIT_OK);
    cr_expect_null(strstr(sandbox_text("out"), "triage"));
}

Test(operate, old_trainings_are_outside_of_the_window)
{
    AUTO_STORE struct store *s = open_store();
    const struct store_training old = {.trial_number = -1,
                                       .crypto_symbol = "OPUSDC",
                                       .loss_function = "focal",
                                       .failed = true,
                                       .created_us = 1000000};
    MUST(store_training_put(s, &old, &err));
    cr_expect_eq(SAY("triage"), EXIT_UNMET);
    EXPECT("out", "no trainings");
    EXPECT("out", "verdict  no data");
    cr_expect_null(strstr(sandbox_text("out"), "healthy: nothing"), "%s", sandbox_text("out"));
    cr_expect_eq(SAY("triage", "--json"), EXIT_UNMET);
    EXPECT("out", "\"verdict\":\"no_data\"");
    cr_expect_eq(SAY("triage", "--window", "999999h"), EXIT_UNMET);
    cr_expect_eq(SAY("triage", "--window", "99999999999d"), EXIT_UNMET);
    EXPECT("out", "trainings since 1970-01-01 00:00:00 UTC");
}

static int take_config(void *ctx, const struct store_run *run)
{
    (void)snprintf(ctx, 1000, "%s", run->config);
    return 0;
}

static int take_value(void *ctx, const struct trial *t)
{
    *(double *)ctx = t->n_values == 1 ? t->values[0] : 0;
    return 0;
}

static int take_loss(void *ctx, const struct store_training *t)
{
    (void)snprintf(ctx, 100, "%s", t->loss_function != NULL ? t->loss_function : "none");
    return 0;
}

Test(operate, a_sweep_starts_from_ftf_config_when_its_spec_says_so)
{
    AUTO_STORE struct store *s = open_store();
    char config[1000] = "", loss[100] = "";
    focal_config("3.0");
    (void)setenv("CVN_FOCAL_GAMMA", "9", 1); /* whatever forkless has itself */
    FILE *f = fopen("t.yaml", "we");
    cr_assert_not_null(f);
    (void)fprintf(f,
                  "study: {name: s, metric: loss, storage: '%s'}\n"
                  "run: {command: [sh, -c, 'echo loss=$CVN_FOCAL_GAMMA'], base_env: ftf_config}\n"
                  "budget: {trials: 1}\n",
                  url);
    (void)fclose(f);
    const char *const argv[] = {FORKLESS, "run", "--dir", "runs", "t.yaml", NULL};
    cr_assert_eq(sandbox_wait(sandbox_start(argv), 60), EXIT_OK, "%s", sandbox_text("err"));
    int64_t study;
    double value = 0;
    MUST(store_study_find(s, "s", &study, &err));
    MUST(store_trials_each(s, study, &(const struct store_each_opts){0}, take_value, &value, &err));
    cr_expect(value == 3);
    MUST(store_runs_each(s, take_config, config, &err));
    static const char *const parts[] = {"\"ftf_config\":{\"version\":2,\"base_env\":{",
                                        "\"CVN_LOSS_FUNCTION\": \"focal\"",
                                        "\"CVN_FOCAL_GAMMA\": \"3.0\""};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        cr_expect_not_null(strstr(config, parts[i]), "%s", config);
    MUST(store_trainings_each(s, 0, take_loss, loss, &err));
    cr_expect_str_eq(loss, "focal");
}

Test(operate, factors_are_compared_and_what_was_rolled_back_is_left_out)
{
    AUTO_STORE struct store *s = open_store();
    const struct store_run run = {.run_id = "r1", .config = "{}"};
    static const char *const factors[] = {"baseline", "focal_loss"}, *const cryptos[] = {"A", "B",
                                                                                         "C"};
    cr_expect_eq(SAY("compare"), EXIT_UNMET);
    EXPECT("err", "there is no run with results yet");
    MUST(store_run_start(s, &run, &err));
    for (int i = 0; i < 24; i++) {
        char study[32], metrics[64];
        bool focal = i >= 12;
        const char *factor = factors[focal], *crypto = cryptos[i % 3];
        (void)snprintf(study, sizeof(study), "%s-%s", crypto, factor);
        (void)snprintf(metrics, sizeof(metrics), "{\"auc\": %g}",
                       0.6 + 0.01 * (i % 12) + (focal ? 0.02 + 0.001 * (i % 12) : 0));
        const struct store_result r = {.run_id = "r1",
                                       .study = study,
                                       .variant = factor,
                                       .fold = i % 12 / 3,
                                       .crypto_symbol = crypto,
                                       .factor = factor,
                                       .objective = 0.5,
                                       .direction = DIRECTION_MAXIMIZE,
                                       .run_status = "success",
                                       .metrics = metrics,
                                       .buy_trades = 60};
        struct store_result back = r;
        back.variant = "focal:rolled_back";
        back.run_status = "rolled_back";
        MUST(store_results_put(s, &r, 1, &err));
        MUST(store_results_put(s, &back, 1, &err));
    }
    cr_expect_eq(SAY("compare"), EXIT_OK, "%s", sandbox_text("err"));
    EXPECT("out", "run r1, auc (more is better), against baseline");
    EXPECT("out", "12/12      3/3  0.0005  lock");
    EXPECT("out", "left out: 0 failed, 24 rolled back, 0 without auc");
    cr_expect_eq(SAY("compare", "--json"), EXIT_OK);
    EXPECT("out", "\"factor\":\"focal_loss\",\"rows\":12,");
    EXPECT("out",
           "\"pairs\":12,\"better\":12,\"cryptos\":3,\"cryptos_better\":3,\"p\":0.00048828125,"
           "\"exact\":true");
    cr_expect_eq(SAY("compare", "--metric", "sharpe"), EXIT_USAGE);
    EXPECT("err", "is more or less of 'sharpe' better? say --maximize or --minimize");
    cr_expect_eq(SAY("compare", "--metric", "sharpe", "--maximize"), EXIT_UNMET);
    EXPECT("err", "no row of run 'r1' has the metric 'sharpe'");
    cr_expect_eq(SAY("compare", "--metric", "brier"), EXIT_UNMET);
    cr_expect_eq(SAY("compare", "--minimize", "--maximize"), EXIT_USAGE);
}

Test(operate, a_store_that_is_not_there_is_not_made_by_looking)
{
    cr_expect_eq(SAY("triage", "--apply"), EXIT_USAGE);
    cr_expect_eq(SAY("config", "rollback"), EXIT_USAGE);
    cr_expect_eq(SAY("config", "set", "CVN_LOSS_FUNCTION=binary:logistic"), EXIT_USAGE);
    EXPECT("err", on_a_server() ? "holds no studies"
                                : "there is no file s.db: name the store with --storage");
    cr_expect_eq(SAY("config", "get"), EXIT_USAGE);
    cr_expect_eq(SAY("compare"), EXIT_USAGE);
    EXPECT("err", on_a_server() ? "holds no studies" : "name the store with --storage");
    const struct store_opts look = {.read_only = true};
    struct store *s = NULL;
    cr_expect_eq(store_open(&s, url, &look, &err), -ERR_NOTFOUND);
}

/* What a statement of SQL may have put there. */
Test(operate, a_sweep_does_not_start_from_settings_that_cannot_be)
{
    static const struct {
        const char *base_env, *message;
    } cases[] = {
        {"{\"CVN_LOSS_FUNCTION\": \"focall\"}", "CVN_LOSS_FUNCTION: expected one of"},
        {"{\"CVN_FOCAL_GAMMA\": 3}", "CVN_FOCAL_GAMMA is no text"},
        {"{\"LD_PRELOAD\": \"/tmp/x.so\"}", "'LD_PRELOAD' is no setting: expected a name"},
    };
    AUTO_STORE struct store *s = open_store();
    FILE *f = fopen("t.yaml", "we");
    cr_assert_not_null(f);
    (void)fprintf(f,
                  "study: {name: s, metric: loss, storage: '%s'}\n"
                  "run: {command: [sh, -c, 'echo loss=1'], base_env: ftf_config}\n"
                  "budget: {trials: 1}\n",
                  url);
    (void)fclose(f);
    const char *const argv[] = {FORKLESS, "run", "--dir", "runs", "t.yaml", NULL};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct store_config_change c = {
            .base_env = cases[i].base_env, .expected = -1, .who = "test"};
        MUST(store_config_set(s, &c, NULL, &err));
        cr_expect_eq(sandbox_wait(sandbox_start(argv), 60), EXIT_USAGE);
        EXPECT("err", "ftf_config: ");
        EXPECT("err", cases[i].message);
    }
    const struct store_config_change own = {
        .base_env = "{\"CVN_OWN\": \"1\"}", .expected = -1, .who = "test"};
    MUST(store_config_set(s, &own, NULL, &err));
    cr_expect_eq(sandbox_wait(sandbox_start(argv), 60), EXIT_OK);
}

Test(operate, a_second_rollback_says_that_it_redoes_what_the_first_undid)
{
    store_destroy(open_store());
    focal_config("2.0");
    cr_expect_eq(SAY("config", "set", "CVN_FOCAL_GAMMA=3"), EXIT_OK);
    cr_expect_eq(SAY("config", "rollback"), EXIT_OK);
    EXPECT("out", "CVN_FOCAL_GAMMA    2.0");
    cr_expect_null(strstr(sandbox_text("err"), "note"), "%s", sandbox_text("err"));
    cr_expect_eq(SAY("config", "rollback"), EXIT_OK);
    EXPECT("out", "CVN_FOCAL_GAMMA    3");
    EXPECT("err", "note: version 4 had undone version 3: these are the values of version 3 again");
    cr_expect_eq(SAY("config", "rollback", "2"), EXIT_OK);
    EXPECT("out", "CVN_FOCAL_GAMMA    2.0");
}

static void write_rows(const char *path)
{
    FILE *f = fopen(path, "we");
    cr_assert_not_null(f);
    (void)fputs("a,b,y\n", f);
    for (int i = 0; i < 200; i++)
        (void)fprintf(f, "%d,%d,%d\n", i % 17, i % 5, i * 7 % 3 == 0);
    (void)fclose(f);
}

/* The first values would train four factors alike, and compare them. */
Test(operate, a_factor_that_ftf_config_overrides_is_told_once)
{
    store_destroy(open_store());
    write_rows("d.csv");
    FILE *f = fopen("t.yaml", "we");
    cr_assert_not_null(f);
    (void)fputs("study: {name: \"${matrix.crypto}-${matrix.factor}\", storage: 'sqlite:///s.db'}\n"
                "matrix: {crypto: [A, B], factor: [baseline, cleanlab, focal_loss]}\n"
                "run: {builtin: xgboost, data: d.csv, label: y, rounds: 2, save_model: false,\n"
                "      factor: \"${matrix.factor}\", base_env: ftf_config}\n"
                "space: {eta: {float: [0.1, 0.3]}}\n"
                "budget: {trials: 1}\n",
                f);
    (void)fclose(f);
    const char *const argv[] = {FORKLESS, "run", "--memory=off", "--dir", "runs", "t.yaml", NULL};
    const char *const own[] = {FORKLESS,
                               "run",
                               "--memory=off",
                               "--dir",
                               "runs",
                               "t.yaml",
                               "run.env.CVN_LOSS_FUNCTION=focal",
                               NULL};
    cr_assert_eq(sandbox_wait(sandbox_start(argv), 60), EXIT_OK, "%s", sandbox_text("err"));
    const char *const told[] = {
        "CVN_LOSS_FUNCTION=binary:logistic of ftf_config is over the spec: factor focal_loss "
        "trains without the focal loss",
        "CVN_CLEANLAB_MODE=off of ftf_config is over the spec: factor cleanlab cleans no labels"};
    for (int i = 0; i < 2; i++) {
        const char *first = strstr(sandbox_text("err"), told[i]);
        cr_assert_not_null(first, "%s", sandbox_text("err"));
        cr_expect_null(strstr(first + 1, told[i]), "twice: %s", told[i]);
    }
    cr_expect_null(strstr(sandbox_text("err"), "factor baseline"), "%s", sandbox_text("err"));
    cr_assert_eq(sandbox_wait(sandbox_start(own), 60), EXIT_OK, "%s", sandbox_text("err"));
    cr_expect_null(strstr(sandbox_text("err"), "factor focal_loss"), "%s", sandbox_text("err"));
}

Test(operate, mistakes_in_config_are_told_and_change_nothing)
{
    store_destroy(open_store());
    focal_config("2.0");
    cr_expect_eq(SAY("config", "set", "CVN_FOCAL_GAMMA=3", "CVN_FOCAL_GAMA=3"), EXIT_USAGE);
    EXPECT("err", "did you mean 'CVN_FOCAL_GAMMA'?");
    cr_expect_eq(SAY("config", "set", "CVN_FOCAL_GAMMA=3", "--version", "1"), EXIT_UNMET);
    EXPECT("err", "it is at version 2, not 1");
    cr_expect_eq(SAY("config", "rollback", "9"), EXIT_UNMET);
    EXPECT("err", "there is no version 9");
    cr_expect_eq(SAY("config", "hsitory"), EXIT_USAGE);
    EXPECT("err", "did you mean 'history'?");
    cr_expect_eq(SAY("config", "get"), EXIT_OK);
    EXPECT("out", "version 2,");
    cr_expect_eq(SAY("config", "set", "CVN_FOCAL_GAMMA=7"), EXIT_OK);
    EXPECT("err", "note: CVN_FOCAL_GAMMA=7 is over 6");
}
