/* Databases that older Optunas made: dumps of real ones, see old/make.py. */
#include <string.h>

#include "storage/care.h"
#include "tests/storage/store_fixture.h"

TestSuite(store_old, .timeout = 60);

static const char *const versions[] = {"3.0.6", "3.6.2", "4.9.0", "5.0.0"};

static const char *load(const char *version)
{
    char file[256];
    const char *path = fresh_path();
    (void)snprintf(file, sizeof(file), STORE_OLD "/optuna-%s.sql", version);
    AUTO_FCLOSE FILE *f = fopen(file, "re");
    cr_assert_not_null(f, "%s", file);
    AUTO_FREE char *text = NULL;
    size_t size = 0;
    cr_assert_gt(getdelim(&text, &size, '\0', f), 0);
    { /* an empty file, as SQLite takes it */
        AUTO_FCLOSE FILE *made = fopen(path, "we");
        cr_assert_not_null(made);
    }
    outside(path, text);
    return path;
}

static int no_problem(void *ctx, const struct store_problem *p)
{
    (void)ctx;
    cr_expect_fail("%s.%s row %lld: %s", p->table, p->column, (long long)p->row, p->text);
    return 0;
}

static int count(void *ctx, const struct trial *t)
{
    int64_t *by_state = ctx;
    by_state[t->state]++;
    if (t->state == TRIAL_COMPLETE)
        cr_expect_eq(t->n_params, 3);
    cr_expect_eq(t->start_us == 0, t->state == TRIAL_WAITING);
    return 0;
}

Test(store_old, each_is_sound_and_read_whole)
{
    ONLY_FOR_FILES();
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        const struct store_opts look = {.read_only = true};
        const struct store_each_opts all = {.want = WANT_ALL};
        int64_t study, n[TRIAL_STATES] = {0};
        AUTO_STORE struct store *s = NULL;
        MUST(store_open(&s, load(versions[i]), &look, &err));
        MUST(store_check(s, false, no_problem, NULL, &err));
        MUST(store_study_find(s, "old", &study, &err));
        MUST(store_trials_each(s, study, &all, count, n, &err));
        cr_expect(n[TRIAL_COMPLETE] == 3 && n[TRIAL_PRUNED] == 1 && n[TRIAL_FAIL] == 1 &&
                      n[TRIAL_RUNNING] == 1 && n[TRIAL_WAITING] == 1,
                  "%s", versions[i]);
    }
}

Test(store_old, optuna_3_0_is_refused_until_it_is_upgraded)
{
    ONLY_FOR_FILES();
    struct store_upgraded done = {0};
    const struct store_opts opts = {.upgrade = &done};
    const char *path = load("3.0.6");
    struct store *s = NULL;
    REFUSED(ERR_UNSUPPORTED, store_open(&s, path, NULL, &err));
    cr_expect_not_null(strstr(err.msg, "forkless db upgrade"), "%s", err.msg);
    MUST(store_open(&s, path, &opts, &err));
    store_destroy(s);
    cr_expect_str_eq(done.from, "v3.0.0.d");
    cr_expect_str_eq(done.to, "v3.2.0.a");
    MUST(store_open(&s, path, &opts, &err)); /* again: nothing to do */
    store_destroy(s);
    cr_expect_str_eq(done.from, "v3.2.0.a");
    cr_expect_str_eq(rows(path, "SELECT name FROM sqlite_master WHERE name='ix_trials_study_id'"),
                     "ix_trials_study_id");
    s = must_open(path);
    int64_t study;
    MUST(store_study_find(s, "old", &study, &err));
    struct store_claim c = must_claim(s, study, 100, CLAIM_QUEUED);
    cr_expect_eq(c.number, 6);
    cr_expect_str_eq(c.fixed_params, "{\"lr\": 0.01}");
    store_destroy(s);
}

Test(store_old, an_upgrade_makes_no_file_and_keeps_newer_ones)
{
    ONLY_FOR_FILES();
    struct store_upgraded done = {0};
    const struct store_opts opts = {.upgrade = &done};
    struct store *s = NULL;
    const char *path = fresh_path();
    REFUSED(ERR_NOTFOUND, store_open(&s, path, &opts, &err));
    cr_expect_neq(access(path, F_OK), 0);
    path = load("5.0.0");
    outside(path, "UPDATE alembic_version SET version_num='v9.0.0.a'");
    REFUSED(ERR_UNSUPPORTED, store_open(&s, path, &opts, &err));
    cr_expect_str_eq(rows(path, "SELECT version_num FROM alembic_version"), "v9.0.0.a");
}

Test(store_old, a_file_that_another_made_keeps_its_journal)
{
    ONLY_FOR_FILES();
    const char *path = load("4.9.0");
    struct store *s = must_open(path);
    int64_t study;
    MUST(store_study_find(s, "old", &study, &err));
    (void)must_claim(s, study, 100, CLAIM_QUEUED);
    store_destroy(s);
    cr_expect_str_eq(rows(path, "PRAGMA journal_mode"), "delete");
}

Test(store_old, a_copy_is_the_same_with_ids_and_numbers)
{
    ONLY_FOR_FILES();
    static const char dump[] =
        "SELECT * FROM (SELECT 'study', study_id, study_name, '' FROM studies UNION ALL"
        " SELECT 'direction', study_id, objective, direction FROM study_directions UNION ALL"
        " SELECT 'attr', study_id, key, value_json FROM study_user_attributes UNION ALL"
        " SELECT 'trial', trial_id, number || state || study_id, datetime_start || ' ' ||"
        " datetime_complete FROM trials UNION ALL"
        " SELECT 'param', trial_id, param_name || param_value, distribution_json FROM trial_params"
        " UNION ALL SELECT 'value', trial_id, objective || ' ' || ifnull(value, ''), value_type"
        " FROM trial_values UNION ALL"
        " SELECT 'step', trial_id, step || ' ' || ifnull(intermediate_value, ''),"
        " intermediate_value_type FROM trial_intermediate_values UNION ALL"
        " SELECT 'user', trial_id, key, value_json FROM trial_user_attributes UNION ALL"
        " SELECT 'system', trial_id, key, value_json FROM trial_system_attributes) ORDER BY 1, 2, "
        "3";
    const struct store_copy_opts all = {0};
    const struct store_opts look = {.read_only = true};
    struct store_copied done = {0};
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        AUTO_FREE char *from = strdup(load(versions[i]));
        AUTO_FREE char *to = strdup(fresh_path());
        AUTO_STORE struct store *src = NULL;
        AUTO_STORE struct store *dst = must_open(to);
        MUST(store_open(&src, from, &look, &err));
        MUST(store_copy(dst, src, &all, &done, &err));
        cr_expect(done.studies == 2 && done.trials == 10 && done.running == 1 && done.kept_ids);
        AUTO_FREE char *was = strdup(rows(from, dump));
        cr_expect_str_eq(rows(to, dump), was, "%s", versions[i]);
    }
}
