#include <math.h>
#include <string.h>

#include "tests/storage/store_fixture.h"

static struct store_result row(int64_t fold, int64_t trial, double objective)
{
    return (struct store_result){.run_id = "r1",
                                 .study = "a",
                                 .variant = "base",
                                 .fold = fold,
                                 .trial_number = trial,
                                 .objective = objective,
                                 .direction = DIRECTION_MAXIMIZE,
                                 .run_status = isnan(objective) ? "failed" : "success",
                                 .metrics = "{\"auc\": 0.5}",
                                 .buy_trades = -1};
}

static void start(struct store *s)
{
    const struct store_run run = {.run_id = "r1", .config = "{\"spec\": 1}"};
    MUST(store_run_start(s, &run, &err));
}

static int64_t count(struct store *s, const char *run, const char *study, const char *status)
{
    int64_t n = -1;
    MUST(store_results_count(s, run, study, status, &n, &err));
    return n;
}

Test(store_results, the_best_trials_row_stays)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    start(s);
    const double objectives[] = {NAN, 0.5, 0.4, 0.7, NAN, INFINITY, 0.9};
    const char *const kept[] = {"0|NULL|failed", "1|0.5|success", "1|0.5|success", "3|0.7|success",
                                "3|0.7|success", "5|Inf|success", "5|Inf|success"};
    for (int i = 0; i < 7; i++) {
        struct store_result r = row(1, i, objectives[i]);
        MUST(store_results_put(s, &r, 1, &err));
        cr_expect_str_eq(
            rows(path, "SELECT trial_number, objective, run_status FROM finetune_results"),
            kept[i]);
    }
    cr_expect_eq(count(s, "r1", NULL, NULL), 1);
    store_destroy(s);
}

Test(store_results, less_is_better_when_minimised_and_the_same_trial_may_come_again)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    start(s);
    struct store_result r = row(0, 4, 2);
    r.direction = DIRECTION_MINIMIZE;
    MUST(store_results_put(s, &r, 1, &err));
    r.trial_number = 5;
    r.objective = 1;
    MUST(store_results_put(s, &r, 1, &err));
    r.metrics = "{\"auc\": 0.75}"; /* written again after a doubtful commit */
    MUST(store_results_put(s, &r, 1, &err));
    cr_expect_str_eq(rows(path, "SELECT trial_number, metrics FROM finetune_results"),
                     "5|{\"auc\": 0.75}");
    store_destroy(s);
}

/* Somebody drops a table in mid-run, or restores a backup. */
Test(store_results, a_table_that_is_gone_is_trouble_and_no_answer)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t study = must_study(s, "a");
    const struct store_result r = row(0, 4, 2);
    static const char *const tables[] = {"finetune_results", "finetune_runs", "forkless_schema",
                                         "trials"};
    char sql[96];
    start(s);
    MUST(store_results_put(s, &r, 1, &err));
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        (void)snprintf(sql, sizeof(sql), "ALTER TABLE %s RENAME TO gone_%s", tables[i], tables[i]);
        outside(path, sql);
        REFUSED(ERR_UNAVAILABLE, store_results_put(s, &r, 1, &err));
    }
    REFUSED(ERR_UNAVAILABLE, store_trial_create(s, study, NULL, NULL, NULL, &err));
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        (void)snprintf(sql, sizeof(sql), "ALTER TABLE gone_%s RENAME TO %s", tables[i], tables[i]);
        outside(path, sql);
    }
    MUST(store_results_put(s, &r, 1, &err));
    MUST(store_trial_create(s, study, NULL, NULL, NULL, &err));
    cr_expect_eq(count(s, NULL, NULL, NULL), 1);
    store_destroy(s);
}

Test(store_results, tables_that_were_rolled_back_are_made_again)
{
    ONLY_WITH_TABLES();
    struct store *s = must_open(fresh_path());
    for (int i = 0; i < 2; i++) {
        MUST(store_begin(s, &err));
        start(s);
        start(s);
        store_rollback(s);
    }
    start(s);
    const struct store_result r = row(0, 4, 2);
    MUST(store_results_put(s, &r, 1, &err));
    store_destroy(s);
}

/* The row of a worker whose text holds what jsonb does not take. */
Test(store_results, a_nul_in_a_text_costs_no_row)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    start(s);
    struct store_result r = row(1, 0, 0.5);
    r.metrics = "{\"note\": \"a\\u0000b\", \"path\": \"c:\\\\u0000\", \"auc\": NaN}";
    MUST(store_results_put(s, &r, 1, &err));
    cr_expect_str_eq(rows(path, IN_SQL("SELECT metrics FROM finetune_results",
                                       "SELECT metrics->>'note' FROM finetune_results")),
                     IN_SQL(r.metrics, "a\xef\xbf\xbd"
                                       "b"));
    store_destroy(s);
}

Test(store_results, counts_by_run_study_and_status)
{
    ONLY_WITH_TABLES();
    struct store *s = must_open(fresh_path());
    cr_expect_eq(count(s, NULL, NULL, NULL), 0); /* before there are tables */
    start(s);
    const struct store_result some[] = {row(1, 0, 0.5), row(2, 0, 0.5), row(3, 1, NAN)};
    MUST(store_results_put(s, some, 3, &err));
    cr_expect_eq(count(s, NULL, NULL, NULL), 3);
    cr_expect_eq(count(s, "r1", "a", "success"), 2);
    cr_expect_eq(count(s, "r1", "b", NULL), 0);
    cr_expect_eq(count(s, "r2", NULL, NULL), 0);
    store_destroy(s);
}

Test(store_results, rows_need_their_run_and_json)
{
    struct store *s = must_open(fresh_path());
    struct store_result r = row(1, 0, 0.5);
    REFUSED(ERR_NOTFOUND, store_results_put(s, &r, 1, &err));
    start(s);
    r.run_id = "typo";
    REFUSED(ERR_NOTFOUND, store_results_put(s, &r, 1, &err));
    r = row(1, 0, 0.5);
    r.metrics = "auc=1";
    REFUSED(ERR_INVALID, store_results_put(s, &r, 1, &err));
    cr_expect_eq(count(s, NULL, NULL, NULL), 0);
    store_destroy(s);
}

static int take_run(void *ctx, const struct store_run *run)
{
    buf_printf(ctx, "%s %s %s %d;", run->run_id, run->status, run->config,
               run->ended_us >= run->started_us);
    return 0;
}

Test(store_results, a_run_starts_ends_and_is_continued)
{
    ONLY_WITH_TABLES();
    struct store *s = must_open(fresh_path());
    AUTO(buf_free) struct buf told = BUF_INIT;
    MUST(store_runs_each(s, take_run, &told, &err));
    REFUSED(ERR_NOTFOUND, store_run_end(s, "r1", "success", &err));
    start(s);
    MUST(store_run_end(s, "r1", "preempted", &err));
    MUST(store_runs_each(s, take_run, &told, &err));
    start(s); /* continued */
    MUST(store_runs_each(s, take_run, &told, &err));
    cr_expect_str_eq(buf_str(&told), "r1 preempted {\"spec\": 1} 1;r1 running {\"spec\": 1} 0;");
    REFUSED(ERR_NOTFOUND, store_run_end(s, "r2", "success", &err));
    store_destroy(s);
}

Test(store_results, tables_that_another_process_made_meanwhile_are_seen)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    struct store *late = must_open(path), *first = must_open(path);
    (void)must_study(late, "s"); /* it knows the file without them */
    start(first);
    start(late);
    store_destroy(first);
    store_destroy(late);
    cr_expect_str_eq(rows(path, "SELECT count(*) FROM finetune_runs"), "1");
}

Test(store_results, tables_are_made_once_and_newer_ones_are_left_alone)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    for (int i = 0; i < 2; i++) {
        struct store *s = must_open(path);
        start(s);
        store_destroy(s);
    }
    cr_expect_str_eq(rows(path, "SELECT version FROM forkless_schema"), "2");
    outside(path, "UPDATE forkless_schema SET version=99");
    struct store *s = must_open(path);
    const struct store_run run = {.run_id = "r1", .config = "{}"};
    REFUSED(ERR_UNSUPPORTED, store_run_start(s, &run, &err));
    store_destroy(s);
}

Test(store_results, tables_made_in_a_batch_that_is_rolled_back_are_made_again)
{
    ONLY_WITH_TABLES();
    struct store *s = must_open(fresh_path());
    MUST(store_begin(s, &err));
    start(s);
    store_rollback(s);
    start(s);
    struct store_result r = row(1, 0, 0.5);
    MUST(store_results_put(s, &r, 1, &err));
    store_destroy(s);
}
