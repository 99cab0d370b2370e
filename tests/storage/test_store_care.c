/* Damage is named by table and row; copies are whole or not at all. */
#include <sqlite3.h>
#include <string.h>

#include "storage/care.h"
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
