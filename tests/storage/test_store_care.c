/* Damage is named by table and row; copies are whole or not at all. */
#include <math.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "storage/care.h"
#include "storage/ftf.h"
#include "storage/tables.h"
#include "tests/storage/store_fixture.h"

TestSuite(store_care, .timeout = 60);

/* A study with a finished trial that has everything. */
static const char *sound(void)
{
    static char path[128];
    const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};
    const struct trial_param param = {"x", &unit, 0.5};
    const struct trial_step step = {0, 0.25};
    const struct trial_attr attr = {"k", "[1, NaN]"};
    const double value = 1;
    const struct trial t = {.state = TRIAL_COMPLETE,
                            .values = &value,
                            .n_values = 1,
                            .params = &param,
                            .n_params = 1,
                            .steps = &step,
                            .n_steps = 1,
                            .user_attrs = &attr,
                            .n_user_attrs = 1};
    (void)strcpy(path, fresh_path());
    struct store *s = must_open(path);
    int64_t study = must_study(s, "s");
    for (int i = 0; i < 3; i++)
        MUST(store_trial_create(s, study, &t, NULL, NULL, &err));
    store_destroy(s);
    return path;
}

static int put_problem(void *ctx, const struct store_problem *p)
{
    buf_printf(ctx, "%s %s.%s %lld: %s\n", p->severity == STORE_BROKEN ? "broken" : "note",
               p->table, p->column, (long long)p->row, p->text);
    return 0;
}

static char *problems(const char *path)
{
    struct buf b = BUF_INIT;
    const struct store_opts look = {.read_only = true};
    AUTO_STORE struct store *s = NULL;
    MUST(store_open(&s, path, &look, &err));
    MUST(store_check(s, false, put_problem, &b, &err));
    return b.len > 0 ? buf_steal(&b) : strdup("");
}

Test(store_care, a_sound_store_has_no_problem)
{
    ONLY_WITH_TABLES();
    AUTO_FREE char *found = problems(sound());
    cr_expect_str_eq(found, "");
}

Test(store_care, each_damage_is_named_with_its_row)
{
    ONLY_WITH_TABLES();
    static const char *const cases[][3] = {
        {"UPDATE trials SET number=NULL WHERE trial_id=2", "broken trials.number 2: is missing"},
        {"UPDATE trials SET number=0 WHERE trial_id=2", "broken trials.number 2: stands twice"},
        {"UPDATE trials SET number=5 WHERE trial_id=3", "broken trials.number 0: the study's num"},
        {"UPDATE trials SET number=2-number", "note trials.number 2: is not in the order"},
        {"UPDATE trials SET state='complete' WHERE trial_id=1", "broken trials.state 1: is no sta",
         "files"},
        {"UPDATE trials SET datetime_complete=NULL WHERE trial_id=1",
         "broken trials.datetime_start 1: the trial has ended and lacks a time"},
        {"UPDATE trials SET datetime_start='yesterday' WHERE trial_id=3",
         "broken trials.datetime_start 3: is no time: yesterday", "files"},
        {"UPDATE trials SET datetime_complete=12345 WHERE trial_id=3",
         "broken trials.datetime_complete 3: is no time: 12345", "files"},
        {"UPDATE trials SET state='RUNNING' WHERE trial_id=1",
         "note trial_values.value 1: a trial that failed, runs or waits has values"},
        {"UPDATE trials SET datetime_complete='2001-01-01 00:00:00' WHERE trial_id=1",
         "note trials.datetime_complete 1: is before the start"},
        {"DELETE FROM trial_values WHERE trial_id=2", "broken trial_values.value 2: a COMPLETE"},
        {"UPDATE trial_values SET objective=1 WHERE trial_id=2",
         "broken trial_values.objective 2: the objectives are not"},
        {"UPDATE trial_values SET value=NULL WHERE trial_id=2", /* what a NaN would have become */
         "broken trial_values.value_type 2: does not fit the value"},
        {"UPDATE trial_intermediate_values SET intermediate_value_type='NAN' WHERE trial_id=1",
         "broken trial_intermediate_values.intermediate_value_type 1: does not fit"},
        {"UPDATE trial_params SET distribution_json='{\"name\": ' WHERE trial_id=2",
         "broken trial_params.distribution_json 2: is no distribution"},
        {"UPDATE trial_params SET param_value=7, distribution_json='{\"name\":"
         " \"CategoricalDistribution\", \"attributes\": {\"choices\": [\"a\"]}}' WHERE trial_id=2",
         "broken trial_params.distribution_json 2: param_value 7 is no index of its choices"},
        {"UPDATE trial_user_attributes SET value_json='{' WHERE trial_id=3",
         "broken trial_user_attributes.value_json 3: is not JSON: {"},
        {"UPDATE study_directions SET direction='up'",
         "broken study_directions.direction 1: is nei", "files"},
        {"DELETE FROM study_directions", "broken study_directions.study_id 1: the study has no"},
        {"DELETE FROM trials WHERE trial_id=3",
         "note trial_params.trial_id 3: its row in trials is not there", "files"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (cases[i][2] != NULL && !store_speaks_sqlite()) /* a server's types and keys refuse it */
            continue;
        const char *path = sound();
        harm(path, cases[i][0]);
        AUTO_FREE char *found = problems(path);
        cr_expect(strstr(found, cases[i][1]) != NULL, "%s: %s", cases[i][0], found);
    }
}

Test(store_care, a_damaged_file_is_told_by_its_pages)
{
    ONLY_FOR_FILES();
    const char *path = sound();
    outside(path, "PRAGMA wal_checkpoint(TRUNCATE)");
    FILE *f = fopen(path, "r+e");
    cr_assert_not_null(f);
    for (long page = 4; page < 20; page++) {
        (void)fseek(f, page * 4096 + 8, SEEK_SET);
        (void)fputs("zzzzzzzzzzzzzzzz", f);
    }
    (void)fclose(f);
    struct buf b = BUF_INIT;
    const struct store_opts look = {.read_only = true};
    AUTO_STORE struct store *s = NULL;
    int rc = store_open(&s, path, &look, &err);
    if (rc == 0)
        rc = store_check(s, false, put_problem, &b, &err);
    cr_expect(rc == -ERR_CORRUPT || (rc == 0 && strncmp(buf_str(&b), "broken", 6) == 0), "%d %s",
              rc, buf_str(&b));
    buf_free(&b);
}

Test(store_care, a_vacuum_gives_room_back)
{
    ONLY_FOR_FILES();
    char path[64];
    (void)strcpy(path, sound());
    outside(path, "CREATE TABLE big AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM"
                  " n WHERE i < 5000) SELECT i, zeroblob(100) FROM n; DROP TABLE big");
    struct store *s = must_open(path);
    struct store_vacuumed done = {0};
    MUST(store_vacuum(s, &done, &err));
    cr_expect_lt(done.after_bytes, done.before_bytes / 2);
    store_destroy(s);
    AUTO_FREE char *found = problems(path);
    cr_expect_str_eq(found, "");
}

Test(store_care, a_copy_beside_others_gets_new_ids_and_keeps_numbers)
{
    char from[128];
    (void)strcpy(from, sound());
    const struct store_copy_opts all = {0};
    struct store_copied done = {0};
    struct store *src = must_open(from), *dst = must_open(fresh_path());
    int64_t other = must_study(dst, "other"), study, trial;
    MUST(store_trial_create(dst, other, NULL, NULL, NULL, &err));
    MUST(store_copy(dst, src, &all, &done, &err));
    cr_expect(done.trials == 3 && !done.kept_ids);
    MUST(store_study_find(dst, "s", &study, &err));
    MUST(store_trial_find(dst, study, 2, &trial, &err));
    cr_expect_eq(trial, 4);
    REFUSED(ERR_EXISTS, store_copy(dst, src, &all, &done, &err));
    const char *const names[] = {"nobody"};
    const struct store_copy_opts wrong = {.names = names, .n_names = 1};
    REFUSED(ERR_NOTFOUND, store_copy(dst, src, &wrong, &done, &err));
    store_destroy(src);
    store_destroy(dst);
}

Test(store_care, a_copy_that_fails_leaves_nothing)
{
    ONLY_WITH_TRANSACTIONS();
    char from[128], to[128];
    (void)strcpy(from, sound());
    (void)strcpy(to, fresh_path());
    outside(from, "UPDATE trial_user_attributes SET value_json='{' WHERE trial_id=3");
    harm(from, IN_SQL("UPDATE trials SET state='gone' WHERE trial_id=3",
                      "UPDATE trials SET datetime_start='infinity' WHERE trial_id=3"));
    const struct store_copy_opts all = {0};
    struct store_copied done = {0};
    struct store *src = must_open(from), *dst = must_open(to);
    REFUSED(ERR_CORRUPT, store_copy(dst, src, &all, &done, &err));
    store_destroy(src);
    store_destroy(dst);
    cr_expect_str_eq(rows(to, "SELECT count(*) FROM studies"), "0");
    cr_expect_str_eq(rows(to, "SELECT count(*) FROM trials"), "0");
}

/* --- the tables beside Optuna's
 * ------------------------------------------------------------------------------------ */

static void put_training(struct store *s, const char *study, int64_t number, const char *symbol)
{
    const struct store_training t = {.run_id = "r1",
                                     .study = study,
                                     .trial_number = number,
                                     .crypto_symbol = symbol,
                                     .loss_function = "focal",
                                     .failed = number == 1,
                                     .failure_class = number == 1 ? "hessian" : NULL,
                                     .requested = "{\"focal_gamma\": 4.0}",
                                     .rolled_back = number == 1,
                                     .created_us = 1700000000123456 + number};
    MUST(store_training_put(s, &t, &err));
}

static void set_config(struct store *s, const char *env)
{
    const struct store_config_change c = {.base_env = env, .expected = -1, .who = "ann"};
    MUST(store_config_set(s, &c, NULL, &err));
}

static void put_result(struct store *s, const char *run, const char *study, int64_t number)
{
    const struct store_result r = {.run_id = run,
                                   .study = study,
                                   .variant = "v",
                                   .fold = 2,
                                   .crypto_symbol = "OPUSDC",
                                   .factor = "focal_loss",
                                   .trial_number = number,
                                   .objective = number == 0   ? 0.1 + 0.2
                                                : number == 1 ? INFINITY
                                                              : NAN,
                                   .direction = DIRECTION_MAXIMIZE,
                                   .run_status = number < 2 ? "success" : "failed",
                                   .metrics = "{\"auc\": 0.5}",
                                   .buy_trades = number - 1};
    MUST(store_results_put(s, &r, 1, &err));
}

/* The sound study, with rows of every kind, beside another one's; the file's path. */
static const char *with_tables(void)
{
    static char path[128];
    (void)strcpy(path, fresh_file());
    const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};
    const struct trial_param param = {"x", &unit, 0.5};
    const struct trial t = {.state = TRIAL_RUNNING, .params = &param, .n_params = 1};
    static const struct store_run runs[] = {
        {.run_id = "r1", .config = "{\"studies\":[\"s\"]}", .dag_id = "dag"},
        {.run_id = "r2", .config = "{\"studies\":[\"other\"]}"},
        {.run_id = "r3", .config = "{\"studies\":[\"s\",\"other\"]}"}};
    struct store *s = must_open(path);
    MUST(store_trial_create(s, must_study(s, "s"), &t, NULL, NULL, &err));
    MUST(store_trial_create(s, must_study(s, "other"), &t, NULL, NULL, &err));
    for (size_t i = 0; i < ARRAY_LEN(runs); i++)
        MUST(store_run_start(s, &runs[i], &err));
    MUST(store_run_end(s, "r1", "success", &err));
    put_result(s, "r1", "s", 0);
    put_result(s, "r2", "other", 1);
    put_result(s, "r3", "other", 2);
    put_training(s, "s", 0, "OPUSDC");
    put_training(s, "other", 1, "ARBUSDC");
    put_training(s, NULL, -1, NULL); /* by another program, twice */
    put_training(s, NULL, -1, NULL);
    set_config(s, "{\"a\": \"1\"}");
    set_config(s, "{\"a\": \"2\"}");
    store_destroy(s);
    sqlite3 *db = NULL; /* what only other programs write */
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "UPDATE finetune_runs SET image_sha='cafe', power_mode='low'"
                              " WHERE run_id='r1'; UPDATE ftf_config SET base_env='{\"a\": \"3\"}'",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    (void)sqlite3_close(db);
    return path;
}

struct dump {
    struct buf b;
    enum store_table table;
};

static int put_cells(void *ctx, const char *const *cells)
{
    struct dump *d = ctx;
    const struct table_form *form = &table_forms[d->table];
    buf_puts(&d->b, form->name);
    for (size_t i = 0; i < form->n; i++) {
        bool truth = form->columns[i].kind == CELL_BOOL;
        const char *text = cells[i] == NULL                           ? "NULL"
                           : !truth                                   ? cells[i]
                           : cells[i][0] == 't' || cells[i][0] == '1' ? "yes"
                                                                      : "no";
        buf_printf(&d->b, "|%s", text);
    }
    buf_putc(&d->b, '\n');
    return 0;
}

/* All rows, but for the first values of the history, whose keys jsonb has in an order of its own.
 */
static char *dump(struct store *s)
{
    struct dump d = {0};
    for (d.table = 0; d.table < STORE_TABLES; d.table++)
        MUST(store_rows_each(s, d.table, NULL, put_cells, &d, &err));
    char *all = d.b.len > 0 ? buf_steal(&d.b) : strdup("");
    for (char *first; (first = strstr(all, "{\"CVN")) != NULL;)
        memmove(first, strchr(first, '}') + 1, strlen(strchr(first, '}') + 1) + 1);
    return all;
}

static struct store_copied must_copy(struct store *dst, struct store *src, const char *study)
{
    const struct store_copy_opts opts = {.names = &study, .n_names = study != NULL ? 1 : 0};
    struct store_copied done = {0};
    MUST(store_copy(dst, src, &opts, &done, &err));
    return done;
}

Test(store_care, a_copy_there_and_back_has_every_row_of_every_table)
{
    ONLY_WITH_TABLES();
    struct store *src = must_open(with_tables()), *there = must_open(fresh_path());
    struct store *back = must_open(fresh_file());
    struct store_copied done = must_copy(there, src, NULL);
    cr_expect(done.studies == 2 && done.kept_ids);
    cr_expect(done.rows[STORE_RUNS] == 3 && done.rows[STORE_RESULTS] == 3);
    cr_expect(done.rows[STORE_TRAININGS] == 4 && done.rows[STORE_CONFIG] == 1);
    cr_expect_eq(done.rows[STORE_CONFIG_HISTORY], 4);
    for (int i = 0; i < STORE_TABLES; i++)
        cr_expect_null(done.left[i].why);
    (void)must_copy(back, there, NULL);
    AUTO_FREE char *before = dump(src), *on_the_way = dump(there), *after = dump(back);
    cr_expect_not_null(strstr(before, "|low|success|"), "%s", before);
    cr_expect_not_null(strstr(before, "|0.30000000000000004|"), "%s", before);
    cr_expect_str_eq(on_the_way, before);
    cr_expect_str_eq(after, before);
    store_destroy(src);
    store_destroy(there);
    store_destroy(back);
}

Test(store_care, a_copied_study_has_its_own_rows_and_says_what_stays)
{
    ONLY_WITH_TABLES();
    char to[256];
    (void)snprintf(to, sizeof(to), "%s", fresh_path());
    struct store *src = must_open(with_tables()), *dst = must_open(to);
    struct store_copied done = must_copy(dst, src, "s");
    cr_expect_str_eq(rows(to, "SELECT run_id FROM finetune_runs ORDER BY run_id"), "r1\nr3");
    cr_expect_str_eq(rows(to, "SELECT run_id, study FROM finetune_results"), "r1|s");
    cr_expect_str_eq(rows(to, "SELECT study, crypto_symbol FROM training_runs"), "s|OPUSDC");
    cr_expect_eq(done.left[STORE_CONFIG].rows, 1);
    done = must_copy(dst, src, "other"); /* a run that both have is there already */
    cr_expect_str_eq(rows(to, "SELECT run_id FROM finetune_runs ORDER BY run_id"), "r1\nr2\nr3");
    cr_expect_str_eq(rows(to, "SELECT count(*) FROM finetune_results"), "3");
    cr_expect_str_eq(rows(to, "SELECT version FROM ftf_config"), "1");
    store_destroy(src);
    store_destroy(dst);
}

Test(store_care, a_copy_that_is_run_again_doubles_nothing)
{
    ONLY_WITH_TABLES();
    const struct store_copy_opts all = {0};
    struct store_copied done = {0};
    struct store *src = must_open(with_tables()), *dst = must_open(fresh_path());
    int64_t study;
    (void)must_copy(dst, src, NULL);
    AUTO_FREE char *once = dump(dst);
    REFUSED(ERR_EXISTS, store_copy(dst, src, &all, &done, &err));
    AUTO_FREE char *refused = dump(dst);
    cr_expect_str_eq(refused, once);
    for (int i = 0; i < 2; i++) { /* their rows stay */
        MUST(store_study_find(dst, i == 0 ? "s" : "other", &study, &err));
        MUST(store_study_delete(dst, study, &err));
    }
    done = must_copy(dst, src, NULL);
    cr_expect_null(done.left[STORE_CONFIG].why);
    AUTO_FREE char *again = dump(dst);
    cr_expect_str_eq(again, once);
    store_destroy(src);
    store_destroy(dst);
}

Test(store_care, another_run_of_the_same_id_refuses_a_copy)
{
    ONLY_WITH_TABLES();
    const struct store_copy_opts all = {0};
    struct store_copied done = {0};
    struct store *src = must_open(with_tables()), *dst = must_open(fresh_path());
    const struct store_run other = {.run_id = "r3", .config = "{}"};
    int64_t study;
    MUST(store_run_start(dst, &other, &err));
    REFUSED(ERR_EXISTS, store_copy(dst, src, &all, &done, &err));
    cr_expect_not_null(strstr(err.msg, "another run 'r3'"), "%s", err.msg);
    REFUSED(ERR_NOTFOUND, store_study_find(dst, "s", &study, &err));
    store_destroy(src);
    store_destroy(dst);
}

Test(store_care, an_ftf_config_that_is_there_stays)
{
    ONLY_WITH_TABLES();
    struct store *src = must_open(with_tables()), *dst = must_open(fresh_path());
    AUTO_STORE_CONFIG struct store_config c = {0};
    set_config(dst, "{\"mine\": \"1\"}");
    struct store_copied done = must_copy(dst, src, NULL);
    cr_expect(done.left[STORE_CONFIG].rows == 1 && done.rows[STORE_CONFIG_HISTORY] == 0);
    MUST(store_config_get(dst, &c, &err));
    cr_expect_str_eq(c.base_env, "{\"mine\": \"1\"}");
    store_destroy(src);
    store_destroy(dst);
}

Test(store_care, a_copy_to_or_from_a_proxy_says_what_stays_behind)
{
    if (store_has_transactions())
        cr_skip_test("of a proxy");
    struct store *src = must_open(with_tables()), *proxy = must_open(fresh_path());
    struct store *back = must_open(fresh_file());
    struct store_copied done = must_copy(proxy, src, NULL);
    cr_expect_eq(done.studies, 2);
    cr_expect(done.left[STORE_RESULTS].rows == 3 && done.left[STORE_TRAININGS].rows == 4);
    cr_expect(done.left[STORE_CONFIG].rows == 1 && done.rows[STORE_RUNS] == 0);
    done = must_copy(back, proxy, NULL);
    cr_expect_eq(done.studies, 2);
    cr_expect(done.left[STORE_RESULTS].rows == 0 && done.left[STORE_RESULTS].why != NULL);
    store_destroy(src);
    store_destroy(proxy);
    store_destroy(back);
}

/* Its protocol has no transactions. */
Test(store_care, a_copy_to_a_proxy_that_fails_is_taken_back)
{
    if (store_has_transactions())
        cr_skip_test("of a proxy");
    char to[128];
    (void)strcpy(to, fresh_path());
    const char *from = with_tables();
    const struct store_copy_opts all = {0};
    struct store_copied done = {0};
    cr_assert_eq(
        try_outside(from, "INSERT INTO trials(number, study_id, state) VALUES (1, 2, '?')"), 0);
    struct store *src = must_open(from), *dst = must_open(to);
    REFUSED(ERR_CORRUPT, store_copy(dst, src, &all, &done, &err));
    cr_expect_str_eq(rows(to, "SELECT count(*) FROM studies"), "0");
    store_destroy(src);
    store_destroy(dst);
}

Test(store_care, a_file_that_is_discarded_is_gone_unless_it_was_there_or_is_used)
{
    ONLY_FOR_FILES();
    const char *made = fresh_file();
    store_discard(must_open(made));
    cr_expect_neq(access(made, F_OK), 0);
    store_destroy(must_open(made));
    store_discard(must_open(made)); /* it was there */
    cr_expect_eq(access(made, F_OK), 0);
    made = fresh_file();
    struct store *s = must_open(made), *other = must_open(made);
    (void)must_study(other, "s");
    store_destroy(other);
    store_discard(s);
    cr_expect_eq(access(made, F_OK), 0);
    made = fresh_file();
    s = must_open(made);
    other = must_open(made);
    store_discard(s); /* the other is about to put a study into it */
    cr_expect_eq(access(made, F_OK), 0);
    (void)must_study(other, "s");
    store_destroy(other);
    cr_expect_str_eq(rows(made, "SELECT count(*) FROM studies"), "1");
}

/* What Optuna does: it looks, and then changes whatever is there. */
Test(store_care, a_second_claim_and_a_second_end_are_refused_to_all)
{
    ONLY_FOR_FILES();
    const struct trial queued = {.state = TRIAL_WAITING};
    const char *path = fresh_path();
    AUTO_STORE struct store *s = must_open(path);
    int64_t study = must_study(s, "s");
    MUST(store_trial_create(s, study, &queued, NULL, NULL, &err));
    const char *claim = "UPDATE trials SET state='RUNNING' WHERE trial_id=1";
    const char *end = "UPDATE trials SET state='FAIL' WHERE trial_id=1";
    cr_expect_eq(try_outside(path, claim), 0);
    cr_expect_eq(try_outside(path, claim), SQLITE_CONSTRAINT_TRIGGER);
    cr_expect_eq(try_outside(path, end), 0);
    cr_expect_eq(try_outside(path, end), SQLITE_CONSTRAINT_TRIGGER);
}
