/* Reading trials back, whole and only what is new. */
#include <math.h>
#include <string.h>

#include "tests/storage/store_fixture.h"

static struct value choices[] = {{.kind = VALUE_TEXT, .s = (char *)"a"},
                                 {.kind = VALUE_INT, .i = 1}};
static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};
static const struct dist choice = {.kind = DIST_CHOICE, .choices = choices, .n_choices = 2};

/* A line for each trial, to compare as text. */
static int write_down(void *ctx, const struct trial *t)
{
    struct buf *b = ctx;
    buf_printf(b, "#%lld %s", (long long)t->number, trial_state_name(t->state));
    for (size_t i = 0; i < t->n_values; i++)
        buf_printf(b, " =%g", t->values[i]);
    for (size_t i = 0; i < t->n_params; i++) {
        buf_printf(b, " %s:", t->params[i].name);
        dist_put_value_json(b, t->params[i].dist, t->params[i].value);
    }
    for (size_t i = 0; i < t->n_steps; i++)
        buf_printf(b, " @%lld:%g", (long long)t->steps[i].step, t->steps[i].value);
    for (size_t i = 0; i < t->n_user_attrs; i++)
        buf_printf(b, " u.%s=%s", t->user_attrs[i].key, t->user_attrs[i].json);
    for (size_t i = 0; i < t->n_system_attrs; i++)
        buf_printf(b, " s.%s=%s", t->system_attrs[i].key, t->system_attrs[i].json);
    buf_putc(b, '\n');
    return 0;
}

/* Two studies whose trials alternate, so that ids of one have gaps. */
static void fill(struct store *s, int64_t a, int64_t b)
{
    const struct trial_param params[] = {{"z", &unit, 0.5}, {"c", &choice, 1}, {"a", &unit, 0.25}};
    const struct trial_step steps[] = {{5, INFINITY}, {1, 0.5}, {3, NAN}};
    const struct trial_attr user[] = {{"k", "[1, NaN]"}};
    const struct trial_attr system[] = {{"grid_id", "4"}};
    const double v = -INFINITY;
    const struct trial full = {.state = TRIAL_COMPLETE,
                               .values = &v,
                               .n_values = 1,
                               .params = params,
                               .n_params = 3,
                               .steps = steps,
                               .n_steps = 3,
                               .user_attrs = user,
                               .n_user_attrs = 1,
                               .system_attrs = system,
                               .n_system_attrs = 1};
    const struct trial failed = {.state = TRIAL_FAIL};
    MUST(store_trial_create(s, a, &full, NULL, NULL, &err));
    MUST(store_trial_create(s, b, &full, NULL, NULL, &err));
    MUST(store_trial_create(s, a, &failed, NULL, NULL, &err));
    MUST(store_trial_create(s, b, &failed, NULL, NULL, &err));
    MUST(store_trial_create(s, a, &full, NULL, NULL, &err));
}

#define FULL "COMPLETE =-inf z:0.5 c:1 a:0.25 @1:0.5 @3:nan @5:inf u.k=[1, NaN] s.grid_id=4\n"

Test(store_read, each_gives_whole_trials_of_that_study)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    int64_t b = must_study(s, "b");
    AUTO(buf_free) struct buf got = BUF_INIT;
    fill(s, a, b);
    const struct store_each_opts all = {.want = WANT_ALL};
    MUST(store_trials_each(s, a, &all, write_down, &got, &err));
    cr_expect_str_eq(buf_str(&got), "#0 " FULL "#1 FAIL\n#2 " FULL);
    buf_clear(&got);
    const struct store_each_opts some = {
        .after_id = 1, .states = STORE_STATE_BIT(TRIAL_COMPLETE), .want = WANT_PARAMS};
    MUST(store_trials_each(s, a, &some, write_down, &got, &err));
    cr_expect_str_eq(buf_str(&got), "#2 COMPLETE =-inf z:0.5 c:1 a:0.25\n");
    REFUSED(ERR_NOTFOUND, store_trials_each(s, 99, &all, write_down, &got, &err));
    store_destroy(s);
}

Test(store_read, one_trial_by_id_and_by_number)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    int64_t b = must_study(s, "b");
    int64_t id;
    AUTO(buf_free) struct buf got = BUF_INIT;
    fill(s, a, b);
    MUST(store_trial_find(s, b, 1, &id, &err));
    cr_expect_eq(id, 4);
    MUST(store_trial_find(s, a, 2, &id, &err));
    MUST(store_trial_get(s, id, WANT_ALL, write_down, &got, &err));
    cr_expect_str_eq(buf_str(&got), "#2 " FULL);
    REFUSED(ERR_NOTFOUND, store_trial_find(s, b, 2, &id, &err));
    REFUSED(ERR_NOTFOUND, store_trial_get(s, 77, WANT_ALL, write_down, &got, &err));
    store_destroy(s);
}

static int stop_at_once(void *ctx, const struct trial *t)
{
    (void)t;
    ++*(int *)ctx;
    return 42;
}

Test(store_read, a_callback_can_stop_and_the_store_goes_on)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    fill(s, a, must_study(s, "b"));
    const struct store_each_opts all = {.want = WANT_ALL};
    int calls = 0;
    cr_expect_eq(store_trials_each(s, a, &all, stop_at_once, &calls, &err), 42);
    cr_expect_eq(calls, 1);
    MUST(store_trial_create(s, a, NULL, NULL, NULL, &err));
    store_destroy(s);
}

Test(store_read, deprecated_distributions_are_understood)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    AUTO(buf_free) struct buf got = BUF_INIT;
    (void)must_claim(s, a, -1, CLAIM_NEW);
    outside(
        path,
        "INSERT INTO trial_params VALUES(1, 1, 'u', 0.5, '{\"name\": \"UniformDistribution\","
        " \"attributes\": {\"low\": 0.0, \"high\": 1.0}}'), (2, 1, 'i', 4,"
        " '{\"name\": \"IntLogUniformDistribution\", \"attributes\": {\"low\": 1, \"high\": 8}}')");
    const struct store_each_opts all = {.want = WANT_ALL};
    MUST(store_trials_each(s, a, &all, write_down, &got, &err));
    cr_expect_str_eq(buf_str(&got), "#0 RUNNING u:0.5 i:4\n");
    store_destroy(s);
}

Test(store_read, damage_names_the_trial)
{
    static const struct {
        const char *sql;
        bool files_only; /* where columns have types they refuse it */
    } damage[] = {
        {"UPDATE trials SET state='running'", true},
        {"UPDATE trials SET datetime_start='yesterday'", true},
        {"UPDATE trials SET datetime_start='infinity'", false},
        {"UPDATE trial_values SET value=NULL, value_type='FINITE'", false},
        {"UPDATE trial_values SET objective=1", false},
        {"UPDATE trial_intermediate_values SET intermediate_value_type='HUGE'", true},
        {"UPDATE trial_params SET distribution_json='{'", false},
        {"UPDATE trial_params SET param_value=2 WHERE param_name='c'", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
        if (damage[i].files_only && !store_speaks_sqlite())
            continue;
        const char *path = fresh_path();
        struct store *s = must_open(path);
        int64_t a = must_study(s, "a");
        AUTO(buf_free) struct buf got = BUF_INIT;
        fill(s, a, must_study(s, "b"));
        store_destroy(s);
        harm(path, damage[i].sql);
        s = must_open(path);
        const struct store_each_opts all = {.want = WANT_ALL};
        REFUSED(ERR_CORRUPT, store_trials_each(s, a, &all, write_down, &got, &err));
        cr_expect_not_null(strstr(err.msg, "trial id 1"), "%s: %s", damage[i].sql, err.msg);
        store_destroy(s);
    }
}

Test(store_read, sync_tells_all_once_and_then_what_others_did)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    AUTO(buf_free) struct buf got = BUF_INIT;
    const double v = 3;
    struct store_claim old = must_claim(s, a, -1, CLAIM_NEW);
    MUST(store_trials_sync(s, a, WANT_ALL, write_down, &got, &err));
    cr_expect_str_eq(buf_str(&got), "#0 RUNNING\n");

    buf_clear(&got); /* our own do not come back */
    MUST(store_trial_finish(s, old.id, TRIAL_COMPLETE, &v, 1, &err));
    struct store_claim mine = must_claim(s, a, -1, CLAIM_NEW);
    MUST(store_trials_sync(s, a, WANT_ALL, write_down, &got, &err));
    cr_expect_str_eq(buf_str(&got), "");

    struct store *other = must_open(path);
    struct store_claim done = must_claim(other, a, -1, CLAIM_NEW);
    MUST(store_trial_finish(other, done.id, TRIAL_COMPLETE, &v, 1, &err));
    struct store_claim running = must_claim(other, a, -1, CLAIM_NEW);
    MUST(store_trials_sync(s, a, WANT_ALL, write_down, &got, &err));
    cr_expect_str_eq(buf_str(&got), "#2 COMPLETE =3\n#3 RUNNING\n");

    buf_clear(&got); /* they fail ours and finish theirs */
    MUST(store_trial_finish(other, mine.id, TRIAL_FAIL, NULL, 0, &err));
    MUST(store_trial_finish(other, running.id, TRIAL_PRUNED, &v, 1, &err));
    MUST(store_trials_sync(s, a, WANT_ALL, write_down, &got, &err));
    cr_expect_str_eq(buf_str(&got), "#1 FAIL\n#3 PRUNED =3\n");
    buf_clear(&got);
    MUST(store_trials_sync(s, a, WANT_ALL, write_down, &got, &err));
    cr_expect_str_eq(buf_str(&got), "");
    store_destroy(other);
    store_destroy(s);
}

static int count_told(void *ctx, const struct trial *t)
{
    (void)t;
    ++*(int *)ctx;
    return 0;
}

Test(store_read, a_rollback_tells_again_only_what_was_told_since_the_commit_before)
{
    ONLY_WITH_TRANSACTIONS();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    struct store *other = must_open(path);
    int64_t a = must_study(s, "a");
    const double v = 3;
    int told = 0;
    for (int i = 0; i < 20; i++)
        MUST(store_trial_finish(other, must_claim(other, a, -1, CLAIM_NEW).id, TRIAL_COMPLETE, &v,
                                1, &err));
    for (int again = 0; again < 2; again++) { /* the first telling, rolled back */
        told = 0;
        MUST(store_begin(s, &err));
        MUST(store_trials_sync(s, a, 0, count_told, &told, &err));
        cr_expect_eq(told, 20);
        again == 0 ? store_rollback(s) : (void)store_commit(s, true, &err);
    }
    MUST(store_trial_finish(other, must_claim(other, a, -1, CLAIM_NEW).id, TRIAL_COMPLETE, &v, 1,
                            &err));
    for (int again = 0; again < 3; again++) {
        told = 0;
        MUST(store_begin(s, &err));
        MUST(store_trials_sync(s, a, 0, count_told, &told, &err));
        cr_expect_eq(told, 1);
        MUST(store_trials_sync(s, a, 0, count_told, &told, &err));
        cr_expect_eq(told, 1);
        cr_expect_eq(must_claim(s, a, -1, CLAIM_NEW).number, 21);
        store_rollback(s);
    }
    told = 0;
    MUST(store_trials_sync(s, a, 0, count_told, &told, &err));
    cr_expect_eq(told, 1);
    MUST(store_trials_sync(s, a, 0, count_told, &told, &err));
    cr_expect_eq(told, 1);
    store_destroy(other);
    store_destroy(s);
}

Test(store_read, what_others_store_beyond_us_is_kept_as_it_is)
{
    static const char *const foreign[] = {
        "{\"name\": \"IntDistribution\", \"attributes\": {\"log\": false, \"step\": 1, \"low\": 0,"
        " \"high\": 1152921504606846976}}",
        "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [[1, [2, null]], "
        "{\"a\":"
        " 1}]}}",
        "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\":"
        " [1180591620717411303424, NaN]}}",
        "{\"name\": \"LatticeDistribution\", \"attributes\": {\"k\": 3}}",
    };
    static const char *const shown[] = {"1", "{\"a\": 1}", "\"NaN\"", "1"};
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    const struct store_retry retry = {.max_retries = -1};
    struct store_claim c = must_claim(s, a, -1, CLAIM_NEW);
    AUTO(buf_free) struct buf sql = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        buf_printf(&sql, "INSERT INTO trial_params VALUES(%zu, 1, 'p%zu', 1.0, '%s');", 100 + i, i,
                   foreign[i]);
    outside(path, buf_str(&sql));
    MUST(store_trial_retry(s, c.id, &retry, NULL, NULL, &err));
    c = must_claim(s, a, -1, CLAIM_QUEUED);
    cr_assert_eq(c.trial->n_params, ARRAY_LEN(foreign));
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        const struct trial_param *p = &c.trial->params[i];
        AUTO(buf_free) struct buf json = BUF_INIT, value = BUF_INIT;
        dist_put_json(&json, p->dist);
        dist_put_value_text(&value, p->dist, p->value);
        cr_expect_eq(p->dist->kind, DIST_OPAQUE);
        cr_expect_str_eq(buf_str(&json), foreign[i]);
        cr_expect_str_eq(buf_str(&value), shown[i]);
    }
    store_destroy(s); /* the clone's are the same texts */
    cr_expect_str_eq(rows(path, "SELECT count(DISTINCT distribution_json), count(*) FROM"
                                " trial_params"),
                     "4|8");
}
