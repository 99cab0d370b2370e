/* Writing trials: the rows must be those that Optuna writes. */
#include <math.h>
#include <string.h>

#include "tests/storage/store_fixture.h"

static const struct dist lr = {.kind = DIST_FLOAT, .low = 1e-5, .high = 0.1, .log = true};
static const struct dist linear = {.kind = DIST_FLOAT, .low = 1e-5, .high = 0.1};
static const struct dist wider = {.kind = DIST_FLOAT, .low = 1e-6, .high = 1, .log = true};

static int take_start(void *ctx, const struct trial *t)
{
    *(int64_t *)ctx = t->start_us;
    return 0;
}

Test(store_trial, a_start_that_is_given_to_a_queued_trial_stays)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a"), id, start = -1;
    const struct trial given = {.state = TRIAL_WAITING, .start_us = 1767225600123456};
    const struct trial none = {.state = TRIAL_WAITING};
    MUST(store_trial_create(s, a, &given, &id, NULL, &err));
    MUST(store_trial_get(s, id, 0, take_start, &start, &err));
    cr_expect_eq(start, given.start_us);
    MUST(store_trial_create(s, a, &none, &id, NULL, &err));
    MUST(store_trial_get(s, id, 0, take_start, &start, &err));
    cr_expect_eq(start, 0);
    store_destroy(s);
}

Test(store_trial, rows_are_optunas)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    int64_t id, number;
    const struct trial_step steps[] = {{0, 0.5}, {1, INFINITY}, {2, -INFINITY}, {3, NAN}};
    const struct trial_param p = {"lr", &lr, 0.001};
    const double v = 0.30000000000000004;
    MUST(store_trial_create(s, a, NULL, &id, &number, &err));
    cr_expect_eq(number, 0);
    MUST(store_trial_params(s, id, &p, 1, &err));
    MUST(store_trial_steps(s, id, steps, ARRAY_LEN(steps), &err));
    MUST(store_trial_finish(s, id, TRIAL_COMPLETE, &v, 1, &err));
    cr_expect_str_eq(rows(path, "SELECT number, state, datetime_start > '2020-01-01',"
                                " datetime_complete >= datetime_start FROM trials"),
                     "0|COMPLETE|1|1");
    cr_expect_str_eq(
        rows(path, "SELECT param_name, param_value, distribution_json FROM trial_params"),
        "lr|0.001|{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null,"
        " \"low\": 1e-05, \"high\": 0.1, \"log\": true}}");
    cr_expect_str_eq(rows(path, "SELECT step, intermediate_value, intermediate_value_type FROM"
                                " trial_intermediate_values ORDER BY step"),
                     "0|0.5|FINITE\n1|NULL|INF_POS\n2|NULL|INF_NEG\n3|NULL|NAN");
    cr_expect_str_eq(
        rows(path, "SELECT objective, value = 3.0000000000000004e-1, value_type FROM trial_values"),
        "0|1|FINITE");
    store_destroy(s);
}

static const struct trial_step losses[] = {{0, 0.5}, {1, 0.25}};
static const struct trial_attr user_attr = {"note", "\"n\""}, system_attr = {"rung", "1"};
static const double a_half = 0.5;
static const struct store_end good_end = {
    .state = TRIAL_COMPLETE, .values = &a_half, .n_values = 1};

/* All that a trial leaves, with its end. */
static struct store_write whole(const struct trial_param *p)
{
    return (struct store_write){.params = p,
                                .n_params = 1,
                                .steps = losses,
                                .n_steps = ARRAY_LEN(losses),
                                .system_attrs = &system_attr,
                                .n_system_attrs = 1,
                                .user_attrs = &user_attr,
                                .n_user_attrs = 1,
                                .end = &good_end};
}

static int take_loss(void *ctx, const struct trial *t)
{
    *(double *)ctx = t->n_steps > 0 ? t->steps[0].value : NAN;
    return 0;
}

static int expect_whole(void *ctx, const struct trial *t)
{
    (void)ctx;
    cr_expect_eq(t->state, TRIAL_COMPLETE);
    cr_assert_eq(t->n_params, 1);
    cr_expect_eq(t->params[0].value, 0.001);
    cr_assert_eq(t->n_steps, 2);
    cr_expect_eq(t->steps[1].value, 0.25);
    cr_assert_eq(t->n_values, 1);
    cr_expect_eq(t->values[0], 0.5);
    int found = 0;
    for (size_t i = 0; i < t->n_user_attrs; i++)
        found += strcmp(t->user_attrs[i].key, "note") == 0;
    for (size_t i = 0; i < t->n_system_attrs; i++)
        found += strcmp(t->system_attrs[i].key, "rung") == 0;
    cr_expect_eq(found, 2);
    return 0;
}

Test(store_trial, all_that_it_leaves_is_written_at_once)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    const struct trial_param p = {"lr", &lr, 0.001};
    const struct store_write w = whole(&p), nothing = {0};
    struct store_claim c = must_claim(s, a, -1, CLAIM_NEW);
    MUST(store_trial_write(s, c.id, &nothing, &err));
    MUST(store_trial_write(s, c.id, &w, &err));
    MUST(store_trial_get(s, c.id, WANT_ALL, expect_whole, NULL, &err));
    REFUSED(ERR_FINISHED, store_trial_write(s, c.id, &w, &err));
    REFUSED(ERR_NOTFOUND, store_trial_write(s, c.id + 1000, &w, &err));
    (void)must_claim(s, a, 1, CLAIM_FULL);
    store_destroy(s);
}

/* A trial that lacks something has not succeeded. */
Test(store_trial, an_end_is_not_written_when_what_comes_before_it_is_refused)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    const struct dist choice = {.kind = DIST_INT, .low = 0, .high = 3, .step = 1};
    const struct trial_param p = {"lr", &lr, 0.001}, other = {"lr", &choice, 1};
    struct store_claim c = must_claim(s, a, -1, CLAIM_NEW);
    struct store_claim d = must_claim(s, a, -1, CLAIM_NEW);
    const struct store_write good = whole(&p), bad = whole(&other);
    struct trial_head head;
    MUST(store_trial_write(s, c.id, &good, &err));
    REFUSED(ERR_CONFLICT, store_trial_write(s, d.id, &bad, &err));
    MUST(store_trial_look(s, d.id, &head, &err));
    cr_expect_eq(head.state, TRIAL_RUNNING);
    MUST(store_trial_write(s, d.id, &good, &err));
    store_destroy(s);
}

Test(store_trial, a_step_that_was_written_keeps_its_value)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    struct store_claim c = must_claim(s, a, -1, CLAIM_NEW);
    const struct trial_step again[] = {{0, 7}, {0, 8}};
    const struct store_write first = {.steps = losses, .n_steps = 1};
    const struct store_write second = {.steps = again, .n_steps = 2};
    double loss = 0;
    MUST(store_trial_write(s, c.id, &first, &err));
    MUST(store_trial_write(s, c.id, &second, &err));
    MUST(store_trial_get(s, c.id, WANT_STEPS, take_loss, &loss, &err));
    cr_expect_eq(loss, 0.5);
    store_destroy(s);
}

Test(store_trial, infinite_objectives_are_types)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    const double values[] = {INFINITY, -INFINITY};
    for (int i = 0; i < 2; i++) {
        struct store_claim c = must_claim(s, a, -1, CLAIM_NEW);
        MUST(store_trial_finish(s, c.id, TRIAL_COMPLETE, &values[i], 1, &err));
    }
    cr_expect_str_eq(rows(path, "SELECT value, value_type FROM trial_values ORDER BY trial_id"),
                     "NULL|INF_POS\nNULL|INF_NEG");
    store_destroy(s);
}

Test(store_trial, ends_once_and_then_never_changes)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    struct store_claim c = must_claim(s, a, -1, CLAIM_NEW);
    const double v = 1;
    const struct trial_step step = {1, 2};
    const struct trial_attr attr = {"k", "1"};
    const struct trial_param p = {"lr", &lr, 0.001};
    const struct store_retry retry = {.max_retries = 1};
    MUST(store_trial_finish(s, c.id, TRIAL_PRUNED, NULL, 0, &err));
    REFUSED(ERR_FINISHED, store_trial_finish(s, c.id, TRIAL_COMPLETE, &v, 1, &err));
    REFUSED(ERR_FINISHED, store_trial_steps(s, c.id, &step, 1, &err));
    REFUSED(ERR_FINISHED, store_trial_attrs(s, c.id, ATTR_SYSTEM, &attr, 1, &err));
    REFUSED(ERR_FINISHED, store_trial_params(s, c.id, &p, 1, &err));
    REFUSED(ERR_FINISHED, store_trial_retry(s, c.id, &retry, NULL, NULL, &err));
    REFUSED(ERR_NOTFOUND, store_trial_steps(s, c.id + 1, &step, 1, &err));
    store_destroy(s);
}

Test(store_trial, wrong_ends_are_refused)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    struct store_claim c = must_claim(s, a, -1, CLAIM_NEW);
    const double nan_value = NAN;
    const double two[] = {1, 2};
    REFUSED(ERR_INVALID, store_trial_finish(s, c.id, TRIAL_COMPLETE, &nan_value, 1, &err));
    REFUSED(ERR_INVALID, store_trial_finish(s, c.id, TRIAL_COMPLETE, two, 2, &err));
    REFUSED(ERR_INVALID, store_trial_finish(s, c.id, TRIAL_COMPLETE, NULL, 0, &err));
    REFUSED(ERR_INVALID, store_trial_finish(s, c.id, TRIAL_FAIL, two, 1, &err));
    REFUSED(ERR_INVALID, store_trial_finish(s, c.id, TRIAL_RUNNING, NULL, 0, &err));
    MUST(store_trial_finish(s, c.id, TRIAL_COMPLETE, two, 1, &err));
    store_destroy(s);
}

Test(store_trial, a_parameter_keeps_its_first_value_and_its_kind)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    struct store_claim c = must_claim(s, a, -1, CLAIM_NEW);
    const struct trial_param first = {"lr", &lr, 0.001};
    const struct trial_param second = {"lr", &wider, 0.5};
    const struct trial_param other = {"lr", &linear, 0.05};
    MUST(store_trial_params(s, c.id, &first, 1, &err));
    MUST(store_trial_params(s, c.id, &second, 1, &err));
    cr_expect_str_eq(rows(path, "SELECT param_value FROM trial_params"), "0.001");
    REFUSED(ERR_CONFLICT, store_trial_params(s, c.id, &other, 1, &err));
    store_destroy(s);
    s = must_open(path); /* another handle learns the kind from the file */
    c = must_claim(s, a, -1, CLAIM_NEW);
    REFUSED(ERR_CONFLICT, store_trial_params(s, c.id, &other, 1, &err));
    MUST(store_trial_params(s, c.id, &second, 1, &err)); /* ranges may change */
    store_destroy(s);
}

Test(store_trial, a_conflict_says_what_the_study_has_and_what_was_asked_for)
{
    struct store *s = must_open(fresh_path());
    struct store_claim c = must_claim(s, must_study(s, "a"), -1, CLAIM_NEW);
    struct value adam_sgd[] = {{.kind = VALUE_TEXT, .s = (char[]){"adam"}},
                               {.kind = VALUE_TEXT, .s = (char[]){"sgd"}}};
    struct value sgd_adam[] = {adam_sgd[1], adam_sgd[0]};
    const struct dist first = {.kind = DIST_CHOICE, .choices = adam_sgd, .n_choices = 2};
    const struct dist turned = {.kind = DIST_CHOICE, .choices = sgd_adam, .n_choices = 2};
    const struct trial_param there[] = {{"lr", &lr, 0.001}, {"opt", &first, 0}};
    const struct trial_param other_lr = {"lr", &linear, 0.05}, other_opt = {"opt", &turned, 0};
    MUST(store_trial_params(s, c.id, there, 2, &err));
    REFUSED(ERR_CONFLICT, store_trial_params(s, c.id, &other_lr, 1, &err));
    cr_expect_not_null(strstr(err.msg, "parameter 'lr' is asked for as float 1e-05 … 0.1, but the "
                                       "study has it as float 1e-05 … 0.1, log: only ranges may "
                                       "change"),
                       "%s", err.msg);
    REFUSED(ERR_CONFLICT, store_trial_params(s, c.id, &other_opt, 1, &err));
    cr_expect_not_null(strstr(err.msg, "parameter 'opt' is asked for as choice sgd, adam, but the "
                                       "study has it as choice adam, sgd: choices and their order "
                                       "stay"),
                       "%s", err.msg);
    store_destroy(s);
}

Test(store_trial, a_step_keeps_its_first_value_and_an_attribute_its_last)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    struct store_claim c = must_claim(s, a, -1, CLAIM_NEW);
    const struct trial_step steps[] = {{7, 1}, {7, NAN}};
    const struct trial_attr attrs[] = {{"k", "1"}, {"k", "\"two\""}};
    for (int i = 0; i < 2; i++) {
        MUST(store_trial_steps(s, c.id, &steps[i], 1, &err));
        MUST(store_trial_attrs(s, c.id, ATTR_USER, &attrs[i], 1, &err));
    }
    cr_expect_str_eq(
        rows(path, "SELECT step, intermediate_value_type FROM trial_intermediate_values"),
        "7|FINITE");
    cr_expect_str_eq(rows(path, "SELECT key, value_json FROM trial_user_attributes"), "k|\"two\"");
    const struct trial_attr bad = {"k", "NaN,"};
    REFUSED(ERR_INVALID, store_trial_attrs(s, c.id, ATTR_USER, &bad, 1, &err));
    store_destroy(s);
}

Test(store_trial, retry_leaves_optunas_lineage)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    struct store_claim c = must_claim(s, a, -1, CLAIM_NEW);
    const struct trial_param p = {"lr", &lr, 0.001};
    const struct trial_attr user[] = {{"note", "\"kept\""}, {"forkless:class", "\"oom\""}};
    const struct store_retry retry = {.max_retries = 2};
    int64_t id = 0, number = 0;
    MUST(store_trial_params(s, c.id, &p, 1, &err));
    MUST(store_trial_attrs(s, c.id, ATTR_USER, user, 2, &err));
    MUST(store_trial_retry(s, c.id, &retry, &id, &number, &err));
    cr_expect_eq(number, 1);
    c = must_claim(s, a, -1, CLAIM_QUEUED);
    cr_expect_eq(c.id, id);
    cr_expect_eq(c.trial->n_params, 1);
    cr_expect_eq(c.trial->params[0].value, 0.001);
    MUST(store_trial_retry(s, c.id, &retry, &id, &number, &err));
    c = must_claim(s, a, -1, CLAIM_QUEUED);
    MUST(
        store_trial_retry(s, c.id, &retry, &id, &number, &err)); /* the third failure is the last */
    cr_expect_eq(id, -1);
    cr_expect_eq(number, -1);
    cr_expect_str_eq(rows(path, "SELECT number, state FROM trials ORDER BY number"),
                     "0|FAIL\n1|FAIL\n2|FAIL");
    cr_expect_str_eq(
        rows(path, "SELECT number, key, value_json FROM trials JOIN"
                   " trial_system_attributes USING (trial_id) ORDER BY number, key"),
        "1|failed_trial|0\n1|retry_history|[0]\n2|failed_trial|0\n2|retry_history|[0, 1]");
    cr_expect_str_eq(rows(path, "SELECT number, key FROM trials JOIN trial_user_attributes"
                                " USING (trial_id) ORDER BY number, key"),
                     "0|forkless:class\n0|note\n1|note\n2|note");
    store_destroy(s);
}

static int take_running(void *ctx, const struct store_running *r)
{
    struct buf *b = ctx;
    buf_printf(b, "%lld %s %s;", (long long)r->number, r->owner != NULL ? r->owner : "-",
               r->heartbeat_age < 0     ? "silent"
               : r->heartbeat_age < 100 ? "fresh"
                                        : "old");
    return 0;
}

Test(store_trial, running_ones_tell_owner_and_heartbeat)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    AUTO(buf_free) struct buf told = BUF_INIT;
    const struct store_claim_opts opts = {.target = -1, .owner = "boot/pid \"1\""};
    struct store_claim mine;
    MUST(store_trial_claim(s, a, &opts, &mine, &err));
    MUST(store_heartbeat(s, &mine.id, 1, &err));
    MUST(store_heartbeat(s, &mine.id, 1, &err));
    outside(path,
            "INSERT INTO trials VALUES(7, 1, 1, 'RUNNING', '2026-01-01 00:00:00.000000', NULL);"
            "INSERT INTO trials VALUES(8, 2, 1, 'RUNNING', '2026-01-01 00:00:00.000000', NULL);"
            "INSERT INTO trial_heartbeats VALUES(99, 8, '2026-01-01 00:00:01.000000')");
    MUST(store_running_each(s, a, take_running, &told, &err));
    cr_expect_str_eq(buf_str(&told), "0 boot/pid \"1\" fresh;1 - silent;2 - old;");
    store_destroy(s);
}

Test(store_trial, a_refused_retry_writes_nothing)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    const struct store_retry retry = {.max_retries = -1};
    (void)must_claim(s, a, -1, CLAIM_NEW);
    struct store_claim c = must_claim(s, a, -1, CLAIM_NEW);
    outside(path, "INSERT INTO trial_params VALUES(101, 1, 'x', 1.0, '{\"name\":"
                  " \"IntDistribution\", \"attributes\": {\"log\": false, \"step\": 1, \"low\": 0,"
                  " \"high\": 1}}');"
                  "INSERT INTO trial_params VALUES(102, 2, 'x', 0.5, '{\"name\":"
                  " \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 0.0, \"high\":"
                  " 1.0, \"log\": false}}')");
    MUST(store_begin(s, &err));
    REFUSED(ERR_CONFLICT, store_trial_retry(s, c.id, &retry, NULL, NULL, &err));
    MUST(store_commit(s, true, &err));
    cr_expect_str_eq(rows(path, "SELECT number, state FROM trials"), "0|RUNNING\n1|RUNNING");
    store_destroy(s);
}

Test(store_trial, a_trial_may_have_thousands_of_retries)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    const struct store_retry retry = {.max_retries = -1};
    struct store_claim c = must_claim(s, a, -1, CLAIM_NEW);
    for (int i = 0; i < 1500; i++) {
        MUST(store_trial_retry(s, c.id, &retry, NULL, NULL, &err));
        c = must_claim(s, a, -1, CLAIM_QUEUED);
    }
    cr_expect_eq(c.number, 1500);
    store_destroy(s);
}
