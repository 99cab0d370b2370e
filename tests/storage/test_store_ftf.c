#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "storage/ftf.h"
#include "tests/storage/store_fixture.h"

/* --- training_runs -------------------------------------------------------------------------------
 */

static struct store_training training(const char *crypto, int64_t trial, const char *class)
{
    return (struct store_training){.run_id = "r1",
                                   .study = "s",
                                   .trial_number = trial,
                                   .crypto_symbol = crypto,
                                   .factor = "focal_loss",
                                   .loss_function = "focal",
                                   .failed = class != NULL,
                                   .failure_class = class,
                                   .failure_mode = class,
                                   .requested = "{\"focal_gamma\": 4.0}",
                                   .used = "{\"focal_gamma\": 3.0}"};
}

static int take_training(void *ctx, const struct store_training *t)
{
    buf_printf(ctx, "%s/%d %s %s %s %s;", t->crypto_symbol, (int)t->trial_number,
               t->failed ? "FAILED" : "SUCCESS", t->failed ? t->failure_class : "-", t->requested,
               t->used);
    return 0;
}

Test(store_ftf, trainings_since_a_time_are_told_oldest_first)
{
    ONLY_WITH_TABLES();
    struct store *s = must_open(fresh_path());
    AUTO(buf_free) struct buf told = BUF_INIT;
    MUST(store_trainings_each(s, 0, take_training, &told, &err)); /* before there are tables */
    struct store_training t = training("OPUSDC", 1, "hessian");
    t.created_us = 2000000;
    MUST(store_training_put(s, &t, &err));
    t = training("ARBUSDC", 0, NULL);
    t.created_us = 1000000;
    MUST(store_training_put(s, &t, &err));
    MUST(store_trainings_each(s, 1000001, take_training, &told, &err));
    cr_expect_str_eq(buf_str(&told), "OPUSDC/1 FAILED hessian {\"focal_gamma\": 4.0}"
                                     " {\"focal_gamma\": 3.0};");
    buf_clear(&told);
    MUST(store_trainings_each(s, 0, take_training, &told, &err));
    cr_expect(strstr(buf_str(&told), "ARBUSDC/0 SUCCESS - ") == buf_str(&told));
    store_destroy(s);
}

Test(store_ftf, a_training_written_again_stands_once)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    struct store_training t = training("OPUSDC", 1, NULL);
    MUST(store_training_put(s, &t, &err));
    MUST(store_training_put(s, &t, &err)); /* after a doubtful commit */
    t.used = "[1]";
    REFUSED(ERR_INVALID, store_training_put(s, &t, &err));
    cr_expect_str_eq(rows(path, "SELECT count(*) FROM training_runs"), "1");
    store_destroy(s);
}

/* --- ftf_config ----------------------------------------------------------------------------------
 */

static int64_t set(struct store *s, const char *env, int64_t expected)
{
    const struct store_config_change c = {
        .base_env = env, .expected = expected, .who = "ann", .why = "a test"};
    int64_t version = -1;
    MUST(store_config_set(s, &c, &version, &err));
    return version;
}

static int take_event(void *ctx, const struct store_config_event *e)
{
    buf_printf(ctx, "%d %s %s %s>%s;", (int)e->version, e->who, e->why != NULL ? e->why : "-",
               e->old_env != NULL ? e->old_env : "-", e->new_env);
    return 0;
}

Test(store_ftf, config_begins_with_first_values_and_each_change_is_kept)
{
    ONLY_WITH_TABLES();
    struct store *s = must_open(fresh_path());
    AUTO_STORE_CONFIG struct store_config c = {0};
    AUTO(buf_free) struct buf told = BUF_INIT;
    REFUSED(ERR_NOTFOUND, store_config_get(s, &c, &err));
    MUST(store_config_history(s, take_event, &told, &err));
    cr_expect_eq(told.len, 0);
    cr_expect_eq(set(s, "{\"a\": \"1\"}", 0), 2);
    cr_expect_eq(set(s, "{\"a\": \"2\"}", 2), 3);
    MUST(store_config_get(s, &c, &err));
    cr_expect_str_eq(c.base_env, "{\"a\": \"2\"}");
    cr_expect_eq(c.version, 3);
    cr_expect_lt(clock_utc_us() - c.changed_us, 3600000000);
    MUST(store_config_history(s, take_event, &told, &err));
    /* jsonb has an order of keys of its own */
    const char *first =
        IN_SQL(STORE_CONFIG_FIRST,
               "{\"CVN_FOCAL_ALPHA\": \"0.25\", \"CVN_FOCAL_GAMMA\": \"2.0\","
               " \"CVN_CLEANLAB_MODE\": \"off\", \"CVN_LOSS_FUNCTION\": \"binary:logistic\"}");
    AUTO(buf_free) struct buf expected = BUF_INIT;
    buf_printf(&expected,
               "3 ann a test {\"a\": \"1\"}>{\"a\": \"2\"};2 ann a test %s>{\"a\": \"1\"};"
               "1 forkless first values ->%s;",
               first, first);
    cr_expect_str_eq(buf_str(&told), buf_str(&expected));
    store_destroy(s);
}

Test(store_ftf, a_change_made_from_an_older_version_is_refused)
{
    ONLY_WITH_TABLES();
    struct store *s = must_open(fresh_path());
    AUTO_STORE_CONFIG struct store_config c = {0};
    (void)set(s, "{\"a\": \"1\"}", -1);
    const struct store_config_change late = {
        .base_env = "{\"a\": \"9\"}", .expected = 1, .who = "bob"};
    REFUSED(ERR_CONFLICT, store_config_set(s, &late, NULL, &err));
    const struct store_config_change bad = {.base_env = "[1]", .expected = -1, .who = "bob"};
    REFUSED(ERR_INVALID, store_config_set(s, &bad, NULL, &err));
    MUST(store_config_get(s, &c, &err));
    cr_expect_str_eq(c.base_env, "{\"a\": \"1\"}");
    store_destroy(s);
}

Test(store_ftf, a_row_that_was_deleted_is_made_again)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    AUTO_STORE_CONFIG struct store_config c = {0};
    (void)set(s, "{\"a\": \"1\"}", 0);
    outside(path, "DELETE FROM ftf_config");
    REFUSED(ERR_NOTFOUND, store_config_get(s, &c, &err));
    cr_expect_eq(set(s, "{\"a\": \"2\"}", 0), 3);
    store_destroy(s);
}

/* --- statements of the runbooks, as they stand where SQLite has the words
 * --------------------------------------------------------------------------------------- */

Test(store_ftf, a_statement_of_somebody_else_is_in_the_history)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    AUTO_STORE_CONFIG struct store_config c = {0};
    AUTO(buf_free) struct buf told = BUF_INIT;
    (void)set(s, "{\"CVN_CLEANLAB_MODE\": \"prune\"}", 0);
    outside(path, IN_SQL("UPDATE ftf_config SET base_env = json_set(base_env,"
                         " '$.CVN_CLEANLAB_MODE', 'off') WHERE id = 1",
                         "UPDATE ftf_config SET base_env = jsonb_set(base_env,"
                         " '{CVN_CLEANLAB_MODE}', '\"off\"', true) WHERE id = 1;"));
    MUST(store_config_get(s, &c, &err));
    cr_expect_str_eq(c.base_env,
                     IN_SQL("{\"CVN_CLEANLAB_MODE\":\"off\"}", "{\"CVN_CLEANLAB_MODE\": \"off\"}"));
    cr_expect_eq(c.version, 3);
    MUST(store_config_history(s, take_event, &told, &err));
    cr_expect(strstr(buf_str(&told), "3 SQL - {\"CVN_CLEANLAB_MODE\": \"prune\"}>") ==
              buf_str(&told));
    outside(path, "UPDATE ftf_config SET base_env = base_env"); /* changes nothing */
    cr_expect_str_eq(rows(path, "SELECT version FROM ftf_config"), "3");
    store_destroy(s);
}

Test(store_ftf, the_active_config_and_the_blast_radius_are_found_by_sql)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    const char *const classes[] = {"hessian", "hessian", NULL};
    for (int i = 0; i < 3; i++) {
        struct store_training t = training("OPUSDC", i, classes[i]);
        MUST(store_training_put(s, &t, &err));
    }
    struct store_training old = training("OPUSDC", 3, "hessian");
    old.created_us = clock_utc_us() - INT64_C(5) * 3600 * 1000000;
    MUST(store_training_put(s, &old, &err));
    cr_expect_str_eq(rows(path, "SELECT base_env->>'CVN_LOSS_FUNCTION' AS loss_function,"
                                " base_env->>'CVN_FOCAL_GAMMA' AS focal_gamma,"
                                " base_env->>'CVN_FOCAL_ALPHA' AS focal_alpha"
                                " FROM ftf_config WHERE id = 1;"),
                     "binary:logistic|2.0|0.25");
    char sql[512];
    (void)snprintf(
        sql, sizeof(sql),
        "SELECT crypto_symbol,"
        " COUNT(*) FILTER (WHERE status='FAILED' AND loss_function='focal') AS "
        "failed_focal,"
        " COUNT(*) FILTER (WHERE status='SUCCESS' AND loss_function='focal') AS "
        "success_focal"
        " FROM training_runs WHERE created_at >= %s"
        " GROUP BY crypto_symbol ORDER BY failed_focal DESC;",
        IN_SQL("datetime('now', '-4 hours')", "(NOW() AT TIME ZONE 'UTC') - INTERVAL '4 hours'"));
    cr_expect_str_eq(rows(path, sql), "OPUSDC|2|1");
    outside(path, "INSERT INTO training_runs(crypto_symbol, status, loss_function)"
                  " VALUES ('OPUSDC', 'FAILED', 'focal')"); /* by another program */
    if (!store_speaks_sqlite()) {                           /* whatever time zone its session has */
        char elsewhere[600];
        (void)snprintf(elsewhere, sizeof(elsewhere), "SET TIME ZONE 'America/New_York'; %s", sql);
        cr_expect_str_eq(rows(path, elsewhere), "OPUSDC|3|1");
        (void)snprintf(elsewhere, sizeof(elsewhere), "SET TIME ZONE 'Asia/Tokyo'; %s", sql);
        cr_expect_str_eq(rows(path, elsewhere), "OPUSDC|3|1");
    }
    cr_expect_str_eq(rows(path, sql), "OPUSDC|3|1");
    store_destroy(s);
}

Test(store_ftf, tables_of_the_first_version_are_brought_to_this_one)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    const struct store_run run = {.run_id = "r1", .config = "{}"};
    MUST(store_run_start(s, &run, &err));
    store_destroy(s);
    outside(path, "DROP TABLE training_runs; DROP TABLE ftf_config; DROP TABLE ftf_config_history;"
                  " UPDATE forkless_schema SET version = 1");
    s = must_open(path);
    AUTO(buf_free) struct buf told = BUF_INIT;
    MUST(store_trainings_each(s, 0, take_training, &told, &err));
    (void)set(s, "{}", 0);
    (void)set(s, "{}", -1);
    cr_expect_str_eq(rows(path, "SELECT run_id FROM finetune_runs"), "r1");
    cr_expect_str_eq(rows(path, "SELECT version FROM forkless_schema"), "2");
    store_destroy(s);
}

/* --- finetune_results ----------------------------------------------------------------------------
 */

static int take_result(void *ctx, const struct store_result *r)
{
    buf_printf(ctx, "%s %s %s %d %.1f %s %s %d;", r->study, r->factor,
               r->crypto_symbol != NULL ? r->crypto_symbol : "-", (int)r->fold, r->objective,
               r->run_status, r->metrics, (int)r->buy_trades);
    return 0;
}

Test(store_ftf, result_rows_are_told_by_run)
{
    ONLY_WITH_TABLES();
    struct store *s = must_open(fresh_path());
    AUTO(buf_free) struct buf told = BUF_INIT;
    MUST(store_results_each(s, NULL, take_result, &told, &err));
    for (int i = 0; i < 2; i++) {
        const char *const runs[] = {"r1", "r2"};
        const struct store_run run = {.run_id = runs[i], .config = "{}"};
        const struct store_result r = {.run_id = runs[i],
                                       .study = "s",
                                       .variant = "v",
                                       .factor = "baseline",
                                       .fold = i,
                                       .objective = i == 0 ? 0.5 : NAN,
                                       .direction = DIRECTION_MAXIMIZE,
                                       .run_status = i == 0 ? "success" : "failed",
                                       .metrics = "{\"auc\": 0.5}",
                                       .buy_trades = i == 0 ? 60 : -1};
        MUST(store_run_start(s, &run, &err));
        MUST(store_results_put(s, &r, 1, &err));
    }
    MUST(store_results_each(s, "r1", take_result, &told, &err));
    cr_expect_str_eq(buf_str(&told), "s baseline - 0 0.5 success {\"auc\": 0.5} 60;");
    buf_clear(&told);
    MUST(store_results_each(s, NULL, take_result, &told, &err));
    cr_expect_str_eq(buf_str(&told), "s baseline - 0 0.5 success {\"auc\": 0.5} 60;"
                                     "s baseline - 1 nan failed {\"auc\": 0.5} -1;");
    store_destroy(s);
}
