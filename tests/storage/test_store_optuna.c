/* What Optuna's BaseStorage does beyond an executor's needs. */
#include <math.h>
#include <string.h>

#include "tests/storage/store_fixture.h"

static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};

static int64_t must_create(struct store *s, int64_t study, enum trial_state state)
{
    const struct trial t = {.state = state};
    int64_t id = 0;
    MUST(store_trial_create(s, study, &t, &id, NULL, &err));
    return id;
}

static bool must_state(struct store *s, int64_t trial, enum trial_state state)
{
    bool changed = false;
    MUST(store_trial_state(s, trial, state, NULL, 0, &changed, &err));
    return changed;
}

Test(store_optuna, a_waiting_trial_is_claimed_once)
{
    const char *path = fresh_path();
    struct store *a = must_open(path);
    struct store *b = must_open(path);
    int64_t study = must_study(a, "a");
    int64_t trial = must_create(a, study, TRIAL_WAITING);
    int64_t counts[TRIAL_STATES];
    MUST(store_study_counts(b, study, counts, &err));
    cr_expect_eq(counts[TRIAL_WAITING], 1);
    cr_expect(must_state(a, trial, TRIAL_RUNNING));
    cr_expect_not(must_state(b, trial, TRIAL_RUNNING));
    cr_expect_not(must_state(a, trial, TRIAL_RUNNING));
    cr_expect_str_eq(rows(path, "SELECT state, datetime_start > '2020-01-01' FROM trials"),
                     "RUNNING|1");
    MUST(store_study_counts(b, study, counts, &err));
    cr_expect_eq(counts[TRIAL_RUNNING], 1);
    store_destroy(a);
    store_destroy(b);
}

Test(store_optuna, a_state_is_set_until_the_trial_is_finished)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t study = must_study(s, "a");
    const double v[] = {1.5, 2};
    const double nan_value = NAN;
    int64_t trial = must_create(s, study, TRIAL_RUNNING);
    REFUSED(ERR_INVALID, store_trial_state(s, trial, TRIAL_COMPLETE, NULL, 0, NULL, &err));
    REFUSED(ERR_INVALID, store_trial_state(s, trial, TRIAL_COMPLETE, &nan_value, 1, NULL, &err));
    REFUSED(ERR_INVALID, store_trial_state(s, trial, TRIAL_FAIL, v, 1, NULL, &err));
    MUST(store_trial_state(s, trial, TRIAL_COMPLETE, v, 1, NULL, &err));
    for (int state = 0; state < TRIAL_STATES; state++)
        REFUSED(ERR_FINISHED, store_trial_state(s, trial, (enum trial_state)state, v,
                                                state == TRIAL_COMPLETE, NULL, &err));
    REFUSED(ERR_NOTFOUND, store_trial_state(s, trial + 1, TRIAL_RUNNING, NULL, 0, NULL, &err));
    cr_expect_str_eq(rows(path, "SELECT state, value FROM trials, trial_values"), "COMPLETE|1.5");
    store_destroy(s);
}

Test(store_optuna, a_running_trial_put_back_is_claimed_again)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    struct store *other = must_open(path);
    int64_t study = must_study(s, "a");
    int64_t first = must_claim(s, study, -1, CLAIM_NEW).id;
    for (int i = 0; i < 40; i++)
        (void)must_create(s, study, TRIAL_WAITING);
    int64_t last = must_claim(s, study, -1, CLAIM_QUEUED).id;
    int64_t counts[TRIAL_STATES];
    MUST(store_study_counts(other, study, counts, &err));
    cr_expect(must_state(s, first, TRIAL_WAITING));
    cr_expect(must_state(s, last, TRIAL_WAITING));
    cr_expect(must_state(s, last + 1, TRIAL_RUNNING)); /* as many wait as before */
    cr_expect(must_state(s, last + 2, TRIAL_RUNNING));
    for (int64_t id = first; id <= last + 39; id++) {
        if (id != last + 1 && id != last + 2)
            cr_expect_eq(must_claim(other, study, -1, CLAIM_QUEUED).id, id);
    }
    (void)must_claim(other, study, -1, CLAIM_NEW);
    store_destroy(s);
    store_destroy(other);
}

Test(store_optuna, a_step_set_again_has_the_new_value)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t trial = must_claim(s, must_study(s, "a"), -1, CLAIM_NEW).id;
    const struct trial_step steps[] = {{-7, 1}, {-7, NAN}, {-7, 2.5}};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        MUST(store_trial_steps_set(s, trial, &steps[i], 1, &err));
    cr_expect_str_eq(rows(path, "SELECT step, intermediate_value, intermediate_value_type FROM"
                                " trial_intermediate_values"),
                     "-7|2.5|FINITE");
    REFUSED(ERR_NOTFOUND, store_trial_steps_set(s, trial + 1, steps, 1, &err));
    MUST(store_trial_finish(s, trial, TRIAL_FAIL, NULL, 0, &err));
    REFUSED(ERR_FINISHED, store_trial_steps_set(s, trial, steps, 1, &err));
    store_destroy(s);
}

static int put_study(void *ctx, const struct study_info *info)
{
    struct buf *b = ctx;
    buf_printf(b, "%lld %s", (long long)info->id, info->name);
    for (size_t i = 0; i < info->n_directions; i++)
        buf_putc(b, info->directions[i] == DIRECTION_MAXIMIZE ? '+' : '-');
    buf_putc(b, ';');
    return 0;
}

Test(store_optuna, studies_are_looked_at_by_id)
{
    struct store *s = must_open(fresh_path());
    AUTO(buf_free) struct buf b = BUF_INIT;
    enum direction many[40];
    int64_t id;
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = i % 2 == 0 ? DIRECTION_MINIMIZE : DIRECTION_MAXIMIZE;
    MUST(store_study_create(s, "many", many, ARRAY_LEN(many), &id, &err));
    MUST(store_study_create(s, "\xe7\xa0\x94", many, 2, &id, &err));
    MUST(store_study_look(s, id, put_study, &b, &err));
    cr_expect_str_eq(buf_str(&b), "2 \xe7\xa0\x94-+;");
    buf_clear(&b);
    MUST(store_studies_look(s, put_study, &b, &err));
    cr_expect_str_eq(buf_str(&b),
                     "1 many-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+;2 \xe7\xa0\x94-+;");
    REFUSED(ERR_NOTFOUND, store_study_look(s, 3, put_study, &b, &err));
    REFUSED(ERR_NOTFOUND, store_study_look(s, 0, put_study, &b, &err));
    store_destroy(s);
}

static int put_attr(void *ctx, const struct trial_attr *attr)
{
    buf_printf(ctx, "%s=%s;", attr->key, attr->json);
    return 0;
}

Test(store_optuna, attributes_of_a_study_are_listed_by_kind)
{
    struct store *s = must_open(fresh_path());
    int64_t study = must_study(s, "a");
    AUTO(buf_free) struct buf b = BUF_INIT;
    MUST(store_study_attr_set(s, study, ATTR_USER, "z", "[NaN, -Infinity]", &err));
    MUST(store_study_attr_set(s, study, ATTR_USER, "", "null", &err));
    MUST(store_study_attr_set(s, study, ATTR_SYSTEM, "s", "1e-05", &err));
    MUST(store_study_attrs_each(s, study, ATTR_USER, put_attr, &b, &err));
    MUST(store_study_attrs_each(s, study, ATTR_SYSTEM, put_attr, &b, &err));
    cr_expect_str_eq(buf_str(&b), "=null;z=[NaN, -Infinity];s=1e-05;");
    REFUSED(ERR_NOTFOUND, store_study_attrs_each(s, study + 1, ATTR_USER, put_attr, &b, &err));
    store_destroy(s);
}

Test(store_optuna, a_trial_is_looked_up_by_id)
{
    struct store *s = must_open(fresh_path());
    (void)must_study(s, "a");
    int64_t study = must_study(s, "b");
    struct trial_head head;
    (void)must_create(s, study, TRIAL_WAITING);
    int64_t trial = must_create(s, study, TRIAL_FAIL);
    MUST(store_trial_look(s, trial, &head, &err));
    cr_expect(head.study == study && head.number == 1 && head.state == TRIAL_FAIL);
    REFUSED(ERR_NOTFOUND, store_trial_look(s, trial + 1, &head, &err));
    store_destroy(s);
}

static int put_number(void *ctx, const struct trial *t)
{
    buf_printf(ctx, "%lld ", (long long)t->number);
    return 0;
}

Test(store_optuna, trials_named_are_read_with_those_behind)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    int64_t b = must_study(s, "b");
    AUTO(buf_free) struct buf told = BUF_INIT;
    int64_t first = must_create(s, a, TRIAL_RUNNING);
    int64_t foreign = must_create(s, b, TRIAL_RUNNING);
    int64_t second = must_create(s, a, TRIAL_RUNNING);
    int64_t third = must_create(s, a, TRIAL_FAIL);
    (void)must_create(s, a, TRIAL_RUNNING);
    const int64_t also[] = {second, foreign, 99, -1, third + 1, first};
    const struct store_each_opts opts = {
        .after_id = third, .also = also, .n_also = ARRAY_LEN(also)};
    MUST(store_trials_each(s, a, &opts, put_number, &told, &err));
    cr_expect(strcmp(buf_str(&told), "1 0 3 ") == 0 || strcmp(buf_str(&told), "0 1 3 ") == 0, "%s",
              buf_str(&told));
    store_destroy(s);
}

/* A study with a row in every table. */
static int64_t full_study(struct store *s, const char *name)
{
    const struct trial_param p = {"x", &unit, 0.5};
    const struct trial_step step = {1, 2};
    const struct trial_attr attr = {"k", "1"};
    const double v = 1;
    int64_t study = must_study(s, name);
    int64_t trial = must_claim(s, study, -1, CLAIM_NEW).id;
    MUST(store_study_attr_set(s, study, ATTR_USER, "k", "1", &err));
    MUST(store_study_attr_set(s, study, ATTR_SYSTEM, "k", "1", &err));
    MUST(store_trial_params(s, trial, &p, 1, &err));
    MUST(store_trial_steps(s, trial, &step, 1, &err));
    MUST(store_trial_attrs(s, trial, ATTR_USER, &attr, 1, &err));
    MUST(store_trial_attrs(s, trial, ATTR_SYSTEM, &attr, 1, &err));
    MUST(store_heartbeat(s, &trial, 1, &err));
    MUST(store_trial_finish(s, trial, TRIAL_COMPLETE, &v, 1, &err));
    return study;
}

#define ALL_ROWS                                                                                   \
    "SELECT (SELECT count(*) FROM studies), (SELECT count(*) FROM study_directions),"              \
    " (SELECT count(*) FROM study_user_attributes), (SELECT count(*) FROM"                         \
    " study_system_attributes), (SELECT count(*) FROM trials), (SELECT count(*) FROM"              \
    " trial_values), (SELECT count(*) FROM trial_params), (SELECT count(*) FROM"                   \
    " trial_intermediate_values), (SELECT count(*) FROM trial_user_attributes),"                   \
    " (SELECT count(*) FROM trial_system_attributes), (SELECT count(*) FROM trial_heartbeats)"

Test(store_optuna, a_study_is_deleted_with_all_that_is_its)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    (void)full_study(s, "kept");
    int64_t study = full_study(s, "gone");
    cr_expect_str_eq(rows(path, ALL_ROWS), "2|2|2|2|2|2|2|2|2|2|2");
    MUST(store_study_delete(s, study, &err));
    cr_expect_str_eq(rows(path, ALL_ROWS), "1|1|1|1|1|1|1|1|1|1|1");
    REFUSED(ERR_NOTFOUND, store_study_delete(s, study, &err));
    int64_t counts[TRIAL_STATES];
    REFUSED(ERR_NOTFOUND, store_study_counts(s, study, counts, &err));
    store_destroy(s);
}

Test(store_optuna, a_deletion_that_is_rolled_back_leaves_the_study)
{
    ONLY_WITH_TRANSACTIONS();
    struct store *s = must_open(fresh_path());
    int64_t study = full_study(s, "a");
    int64_t counts[TRIAL_STATES];
    MUST(store_begin(s, &err));
    MUST(store_study_delete(s, study, &err));
    REFUSED(ERR_NOTFOUND, store_study_counts(s, study, counts, &err));
    store_rollback(s);
    MUST(store_study_counts(s, study, counts, &err));
    cr_expect_eq(counts[TRIAL_COMPLETE], 1);
    store_destroy(s);
}

/* SQLite gives the ids of what was deleted to what comes next. */
Test(store_optuna, a_study_made_anew_under_the_same_name_and_id_is_another)
{
    ONLY_FOR_FILES();
    const char *path = fresh_path();
    struct store *here = must_open(path);
    struct store *there = must_open(path);
    const struct dist other = {.kind = DIST_FLOAT, .low = 0.1, .high = 1, .log = true};
    const struct trial_param p = {"x", &other, 0.5};
    int64_t study = full_study(here, "a");
    (void)must_claim(here, study, -1, CLAIM_NEW);
    MUST(store_study_delete(there, study, &err));
    cr_assert_eq(must_study(there, "a"), study);
    int64_t b = must_study(there, "b");
    (void)must_create(there, study, TRIAL_RUNNING);
    (void)must_create(there, b, TRIAL_RUNNING);
    (void)must_create(there, study, TRIAL_RUNNING);
    int64_t number = -1, trial = 0, counts[TRIAL_STATES];
    MUST(store_trial_create(here, study, NULL, &trial, &number, &err));
    cr_expect_eq(number, 2);
    MUST(store_trial_params(here, trial, &p, 1, &err)); /* its distributions are new, too */
    MUST(store_study_counts(here, study, counts, &err));
    cr_expect_eq(counts[TRIAL_COMPLETE], 0);
    cr_expect_eq(counts[TRIAL_RUNNING], 3);
    store_destroy(here);
    store_destroy(there);
}
