/* Who gets which trial, alone and against others. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "storage/sqlite/sqlite.h"
#include "tests/storage/store_fixture.h"

static void finish(struct store *s, int64_t id)
{
    const double v = 1;
    MUST(store_trial_finish(s, id, TRIAL_COMPLETE, &v, 1, &err));
}

Test(store_claim, stops_at_the_target_and_counts_what_runs)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    struct store_claim first = must_claim(s, a, 2, CLAIM_NEW);
    struct store_claim second = must_claim(s, a, 2, CLAIM_NEW);
    (void)must_claim(s, a, 2, CLAIM_LATER);
    finish(s, first.id);
    (void)must_claim(s, a, 2, CLAIM_LATER);
    MUST(store_trial_finish(s, second.id, TRIAL_FAIL, NULL, 0, &err));
    second = must_claim(s, a, 2, CLAIM_NEW); /* a failed one is made good */
    cr_expect_eq(second.number, 2);
    finish(s, second.id);
    (void)must_claim(s, a, 2, CLAIM_FULL);
    store_destroy(s);
}

Test(store_claim, pruned_trials_count_when_asked_to)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    struct store_claim c = must_claim(s, a, 1, CLAIM_NEW);
    MUST(store_trial_finish(s, c.id, TRIAL_PRUNED, NULL, 0, &err));
    const struct store_claim_opts both = {.target = 1,
                                          .target_states = STORE_STATE_BIT(TRIAL_COMPLETE) |
                                                           STORE_STATE_BIT(TRIAL_PRUNED)};
    MUST(store_trial_claim(s, a, &both, &c, &err));
    cr_expect_eq(c.kind, CLAIM_FULL);
    (void)must_claim(s, a, 1, CLAIM_NEW);
    store_destroy(s);
}

static int give_back(struct store *s, int64_t trial)
{
    return store_trial_state(s, trial, TRIAL_WAITING, NULL, 0, NULL, &err);
}

Test(store_claim, a_trial_that_is_given_back_waits_for_anybody)
{
    ONLY_WITH_TRANSACTIONS();
    const char *path = fresh_path();
    struct store *s = must_open(path), *other;
    int64_t a = must_study(s, "a"), counts[TRIAL_STATES];
    const struct store_claim_opts opts = {
        .target = 1, .target_states = STORE_STATE_BIT(TRIAL_COMPLETE), .owner = "me"};
    struct store_claim mine;
    MUST(store_trial_claim(s, a, &opts, &mine, &err));
    MUST(store_begin(s, &err));
    MUST(give_back(s, mine.id));
    store_rollback(s);
    MUST(store_study_counts(s, a, counts, &err));
    cr_expect_eq(counts[TRIAL_RUNNING], 1);
    MUST(give_back(s, mine.id));
    MUST(store_study_counts(s, a, counts, &err));
    cr_expect_eq(counts[TRIAL_RUNNING], 0);
    cr_expect_eq(counts[TRIAL_WAITING], 1);
    other = must_open(path);
    struct store_claim theirs = must_claim(other, a, 1, CLAIM_QUEUED);
    cr_expect_eq(theirs.number, mine.number);
    cr_expect_eq(theirs.trial->n_system_attrs, 0, "it still has its owner");
    finish(other, theirs.id);
    cr_expect_eq(give_back(s, mine.id), -ERR_FINISHED);
    cr_expect_eq(give_back(s, 77), -ERR_NOTFOUND);
    store_destroy(other);
    store_destroy(s);
}

/* --- taken over --------------------------------------------------------------------------------
 */

static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};

Test(store_claim, a_trial_that_was_failed_by_others_cannot_be_finished)
{
    ONLY_WITH_TRANSACTIONS();
    const char *path = fresh_path();
    struct store *zombie = must_open(path), *other = must_open(path);
    int64_t study = must_study(zombie, "a");
    const struct store_retry retry = {.max_retries = -1};
    const struct trial_param param = {"x", &unit, 0.5};
    int64_t trial = must_claim(zombie, study, -1, CLAIM_NEW).id;
    MUST(store_trial_retry(other, trial, &retry, NULL, NULL, &err));
    cr_expect_eq(finish_in_batch(zombie, trial), -ERR_FINISHED);
    REFUSED(ERR_FINISHED, store_trial_params(zombie, trial, &param, 1, &err));
    cr_expect_str_eq(rows(path, "SELECT count(*) FROM trial_values"), "0");
    cr_expect_str_eq(rows(path, "SELECT count(*) FROM trials WHERE state='FAIL'"), "1");
    store_destroy(zombie);
    store_destroy(other);
}

Test(store_claim, a_trial_that_was_put_back_and_taken_by_others_is_theirs)
{
    ONLY_WITH_TRANSACTIONS();
    const char *path = fresh_path();
    struct store *zombie = must_open(path), *other = must_open(path);
    int64_t study = must_study(zombie, "a");
    const struct trial_param param = {"x", &unit, 0.5};
    int64_t trial = must_claim(zombie, study, -1, CLAIM_NEW).id;
    const double v = 3;
    MUST(store_trial_state(other, trial, TRIAL_WAITING, NULL, 0, NULL, &err));
    REFUSED(ERR_CONFLICT, store_trial_finish(zombie, trial, TRIAL_COMPLETE, &v, 1, &err));
    cr_expect_eq(must_claim(other, study, -1, CLAIM_QUEUED).id, trial);
    REFUSED(ERR_CONFLICT, store_trial_finish(zombie, trial, TRIAL_COMPLETE, &v, 1, &err));
    cr_expect_not_null(strstr(err.msg, "not ours any more"), "%s", err.msg);
    cr_expect_eq(finish_in_batch(zombie, trial), -ERR_CONFLICT);
    REFUSED(ERR_CONFLICT, store_trial_params(zombie, trial, &param, 1, &err));
    MUST(store_trial_finish(other, trial, TRIAL_COMPLETE, &v, 1, &err));
    cr_expect_str_eq(rows(path, "SELECT count(*) FROM trial_values WHERE value=3"), "1");
    store_destroy(zombie);
    store_destroy(other);
}

Test(store_claim, a_trial_that_was_taken_over_is_theirs_although_we_looked_meanwhile)
{
    ONLY_WITH_TRANSACTIONS();
    const char *path = fresh_path();
    struct store *zombie = must_open(path), *other = must_open(path);
    int64_t study = must_study(zombie, "a"), counts[TRIAL_STATES];
    int64_t trial = must_claim(zombie, study, -1, CLAIM_NEW).id;
    const double v = 3;
    MUST(store_trial_state(other, trial, TRIAL_WAITING, NULL, 0, NULL, &err));
    MUST(store_study_counts(zombie, study, counts, &err)); /* it sees the trial wait */
    REFUSED(ERR_CONFLICT, store_trial_finish(zombie, trial, TRIAL_COMPLETE, &v, 1, &err));
    cr_expect_eq(must_claim(other, study, -1, CLAIM_QUEUED).id, trial);
    REFUSED(ERR_CONFLICT, store_trial_finish(zombie, trial, TRIAL_COMPLETE, &v, 1, &err));
    MUST(store_study_counts(zombie, study, counts, &err)); /* and run */
    cr_expect_eq(finish_in_batch(zombie, trial), -ERR_CONFLICT);
    cr_expect_str_eq(rows(path, "SELECT count(*) FROM trials WHERE state='RUNNING'"), "1");
    MUST(store_trial_state(other, trial, TRIAL_WAITING, NULL, 0, NULL, &err));
    cr_expect_eq(must_claim(zombie, study, -1, CLAIM_QUEUED).id, trial);
    MUST(store_trial_finish(zombie, trial, TRIAL_COMPLETE, &v, 1, &err)); /* ours again */
    store_destroy(zombie);
    store_destroy(other);
}

Test(store_claim, a_time_that_is_none_holds_no_trial_back)
{
    static const char *const now[] = {"NaN", "-1e300", "\"soon\""};
    static const char *const never[] = {"1e300", "Infinity"};
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    struct trial_attr at = {STORE_ATTR_NOT_BEFORE, NULL};
    const struct trial waiting = {.state = TRIAL_WAITING, .system_attrs = &at, .n_system_attrs = 1};
    for (size_t i = 0; i < ARRAY_LEN(never); i++) {
        at.json = never[i];
        MUST(store_trial_create(s, a, &waiting, NULL, NULL, &err));
    }
    for (size_t i = 0; i < ARRAY_LEN(now); i++) {
        at.json = now[i];
        MUST(store_trial_create(s, a, &waiting, NULL, NULL, &err));
    }
    for (size_t i = 0; i < ARRAY_LEN(now); i++)
        cr_expect_eq(must_claim(s, a, -1, CLAIM_QUEUED).number, (int64_t)(ARRAY_LEN(never) + i));
    cr_expect_gt(must_claim(s, a, 5, CLAIM_LATER).due_us, clock_utc_us());
    struct store *other = must_open(path); /* and who reads it from the tables */
    cr_expect_gt(must_claim(other, a, 5, CLAIM_LATER).due_us, clock_utc_us());
    store_destroy(other);
    store_destroy(s);
}

Test(store_claim, queued_trials_come_first_with_what_is_fixed)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    (void)must_claim(s, a, -1, CLAIM_NEW);
    /* as study.enqueue_trial writes it, from another connection */
    outside(path,
            "INSERT INTO trials(number, study_id, state) VALUES(1, 1, 'WAITING');"
            "INSERT INTO trial_system_attributes VALUES(1, 2, 'fixed_params', '{\"x\": 0.5}')");
    struct store_claim c = must_claim(s, a, -1, CLAIM_QUEUED);
    cr_expect_eq(c.number, 1);
    cr_expect_str_eq(c.fixed_params, "{\"x\": 0.5}");
    cr_expect_str_eq(
        rows(path, "SELECT state, datetime_start IS NULL FROM trials WHERE trial_id=2"),
        "RUNNING|0");
    cr_expect_eq(must_claim(s, a, -1, CLAIM_NEW).number, 2);
    store_destroy(s);
}

Test(store_claim, a_retry_waits_for_its_time_and_keeps_its_place)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    struct store_claim c = must_claim(s, a, 2, CLAIM_NEW);
    int64_t due = clock_utc_us() + 3600 * INT64_C(1000000);
    struct store_retry retry = {.max_retries = -1, .not_before_us = due};
    MUST(store_trial_retry(s, c.id, &retry, NULL, NULL, &err));
    c = must_claim(s, a, 2, CLAIM_NEW); /* one place is the retry's, one is free */
    struct store_claim later = must_claim(s, a, 2, CLAIM_LATER);
    cr_expect_eq(later.due_us, due);
    retry.not_before_us = clock_utc_us() - 1;
    MUST(store_trial_retry(s, c.id, &retry, NULL, NULL, &err));
    c = must_claim(s, a, 2, CLAIM_QUEUED); /* the younger one is due */
    cr_expect_eq(c.number, 3);
    store_destroy(s);
}

Test(store_claim, another_handle_knows_the_retrys_time)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    struct store_claim c = must_claim(s, a, 1, CLAIM_NEW);
    int64_t due = clock_utc_us() + 3600 * INT64_C(1000000);
    const struct store_retry retry = {.max_retries = 1, .not_before_us = due};
    MUST(store_trial_retry(s, c.id, &retry, NULL, NULL, &err));
    struct store *other = must_open(path);
    c = must_claim(other, a, 1, CLAIM_LATER);
    cr_expect_lt(llabs(c.due_us - due), 2); /* by way of a decimal fraction */
    store_destroy(other);
    store_destroy(s);
}

Test(store_claim, sees_what_other_connections_did)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    struct store *other = must_open(path);
    int64_t a = must_study(s, "a");
    struct store_claim mine = must_claim(s, a, 3, CLAIM_NEW);
    struct store_claim theirs = must_claim(other, a, 3, CLAIM_NEW);
    cr_expect_eq(theirs.number, 1);
    finish(other, mine.id); /* they end ours */
    finish(other, theirs.id);
    REFUSED(ERR_FINISHED, store_trial_finish(s, mine.id, TRIAL_FAIL, NULL, 0, &err));
    mine = must_claim(s, a, 3, CLAIM_NEW);
    cr_expect_eq(mine.number, 2);
    (void)must_claim(other, a, 3, CLAIM_LATER);
    int64_t counts[TRIAL_STATES];
    MUST(store_study_counts(other, a, counts, &err));
    cr_expect_eq(counts[TRIAL_COMPLETE], 2);
    cr_expect_eq(counts[TRIAL_RUNNING], 1);
    store_destroy(other);
    store_destroy(s);
}

Test(store_claim, survives_a_study_deleted_and_made_again_elsewhere)
{
    ONLY_FOR_FILES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    struct store *other = must_open(path);
    int64_t a = must_study(s, "a");
    for (int i = 0; i < 3; i++)
        finish(s, must_claim(s, a, -1, CLAIM_NEW).id);
    outside(path, "DELETE FROM trials; DELETE FROM trial_values; DELETE FROM study_directions;"
                  "DELETE FROM studies");
    REFUSED(ERR_NOTFOUND, store_trial_create(s, a, NULL, NULL, NULL, &err));
    cr_assert_eq(must_study(other, "a"), a); /* SQLite gives the id again */
    cr_expect_eq(must_claim(s, a, -1, CLAIM_NEW).number, 0);
    store_destroy(other);
    store_destroy(s);
}

/* SQLite gives a study's id again to one of the same name: nothing of the old one may be taken for
 * the new one's. */
static void make_again(struct store *other, int64_t study, int waiting)
{
    const enum direction both[] = {DIRECTION_MINIMIZE, DIRECTION_MAXIMIZE};
    const struct trial queued = {.state = TRIAL_WAITING};
    int64_t again = 0;
    MUST(store_study_delete(other, study, &err));
    MUST(store_study_create(other, "a", both, 2, &again, &err));
    cr_assert_eq(again, study);
    for (int i = 0; i < waiting; i++)
        MUST(store_trial_create(other, study, &queued, NULL, NULL, &err));
}

static void expect_two_objectives(struct store *s, int64_t study, enum claim_kind kind)
{
    const struct dist whole = {.kind = DIST_INT, .low = 0, .high = 3, .step = 1};
    const struct trial_param x = {"x", &whole, 1};
    const double values[] = {1, 2};
    struct store_claim c = must_claim(s, study, -1, kind);
    cr_expect_eq(c.number, 0);
    MUST(store_trial_params(s, c.id, &x, 1, &err));
    MUST(store_trial_finish(s, c.id, TRIAL_COMPLETE, values, 2, &err));
}

Test(store_claim, a_study_made_again_with_a_queue_is_not_the_one_whose_queue_we_ran)
{
    ONLY_FOR_FILES();
    const struct dist between = {.kind = DIST_FLOAT, .low = 0, .high = 1};
    const struct trial_param x = {"x", &between, 0.5};
    const struct trial queued = {.state = TRIAL_WAITING};
    const char *path = fresh_path();
    struct store *s = must_open(path);
    struct store *other = must_open(path);
    int64_t a = must_study(s, "a");
    MUST(store_trial_create(s, a, &queued, NULL, NULL, &err));
    struct store_claim c = must_claim(s, a, -1, CLAIM_QUEUED);
    MUST(store_trial_params(s, c.id, &x, 1, &err));
    finish(s, c.id);
    make_again(other, a, 2);
    expect_two_objectives(s, a, CLAIM_QUEUED);
    store_destroy(other);
    store_destroy(s);
}

Test(store_claim, a_study_made_again_before_anything_started_has_its_own_objectives)
{
    ONLY_FOR_FILES();
    const struct trial queued = {.state = TRIAL_WAITING};
    for (int waiting = 0; waiting < 2; waiting++) {
        const char *path = fresh_path();
        struct store *s = must_open(path);
        struct store *other = must_open(path);
        int64_t a = must_study(s, "a"), counts[TRIAL_STATES];
        for (int i = 0; i < waiting; i++)
            MUST(store_trial_create(other, a, &queued, NULL, NULL, &err));
        MUST(store_study_counts(s, a, counts, &err));
        cr_expect_eq(counts[TRIAL_WAITING], waiting);
        make_again(other, a, waiting);
        expect_two_objectives(s, a, waiting > 0 ? CLAIM_QUEUED : CLAIM_NEW);
        store_destroy(other);
        store_destroy(s);
    }
}

static int count_told(void *ctx, const struct trial *t)
{
    (void)t;
    ++*(int *)ctx;
    return 0;
}

Test(store_claim, a_study_whose_first_trial_others_start_is_still_the_same)
{
    const struct trial queued = {.state = TRIAL_WAITING};
    const char *path = fresh_path();
    struct store *s = must_open(path);
    struct store *other = must_open(path);
    int64_t a = must_study(s, "a");
    int told = 0;
    for (int i = 0; i < 3; i++)
        MUST(store_trial_create(other, a, &queued, NULL, NULL, &err));
    MUST(store_trials_sync(s, a, 0, count_told, &told, &err));
    cr_expect_eq(told, 3);
    told = 0;
    (void)must_claim(other, a, -1, CLAIM_QUEUED);
    MUST(store_trials_sync(s, a, 0, count_told, &told, &err));
    cr_expect_eq(told, 1, "all were told again");
    store_destroy(other);
    store_destroy(s);
}

Test(store_claim, processes_never_share_a_trial_and_meet_the_target_exactly, .timeout = 60)
{
    enum { PROCESSES = 3, TARGET = 120 };
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    const struct trial waiting = {.state = TRIAL_WAITING};
    for (int i = 0; i < 40; i++)
        MUST(store_trial_create(s, a, &waiting, NULL, NULL, &err));
    store_destroy(s);
    const char *const args[] = {path, "claim-all", "a", "120", NULL};
    FILE *out[PROCESSES];
    int pid[PROCESSES];
    int times[TARGET + PROCESSES] = {0};
    for (int i = 0; i < PROCESSES; i++)
        pid[i] = helper(&out[i], args);
    for (int i = 0; i < PROCESSES; i++) {
        int number;
        while (fscanf(out[i], "%d", &number) == 1) {
            cr_assert_lt(number, TARGET + PROCESSES);
            times[number]++;
        }
        (void)fclose(out[i]);
        cr_expect_eq(helper_wait(pid[i]), 0);
    }
    if (!store_has_transactions()) { /* a claim that was one too many was given back, and waits */
        cr_expect_str_eq(rows(path, "SELECT count(*), count(DISTINCT number) FROM trials WHERE"
                                    " state='COMPLETE'"),
                         "120|120");
        return;
    }
    for (int i = 0; i < TARGET; i++)
        cr_expect_eq(times[i], 1, "trial %d ran %d times", i, times[i]);
    cr_expect_str_eq(rows(path, "SELECT state, count(*), max(number) FROM trials GROUP BY state"),
                     "COMPLETE|120|119");
    cr_expect_str_eq(rows(path, "SELECT count(DISTINCT number) FROM trials"), "120");
}

/* How often a trial was looked up in an SQLite file since the last call; of others 0. */
static int64_t looks(struct store *s)
{
    if (strcmp(s->ops->scheme, "sqlite") != 0)
        return 0;
    const struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    sqlite3_stmt *look = q->stmts[SQL_TRIAL_LOOK];
    return look != NULL ? sqlite3_stmt_status(look, SQLITE_STMTSTATUS_RUN, 1) : 0;
}

static void expect_same_counts(struct store *s, struct store *other, int64_t study)
{
    int64_t a[TRIAL_STATES], b[TRIAL_STATES];
    MUST(store_study_counts(s, study, a, &err));
    MUST(store_study_counts(other, study, b, &err));
    for (int i = 0; i < TRIAL_STATES; i++)
        cr_expect_eq(a[i], b[i], "%s: %lld, not %lld", trial_state_name((enum trial_state)i),
                     (long long)a[i], (long long)b[i]);
}

Test(store_claim, a_long_queue_is_not_read_again_for_each_claim_of_others)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    struct store *other = must_open(path);
    int64_t a = must_study(s, "a");
    const struct trial waiting = {.state = TRIAL_WAITING};
    int64_t ids[300];
    MUST(store_begin(s, &err));
    for (int i = 0; i < 300; i++)
        MUST(store_trial_create(s, a, &waiting, &ids[i], NULL, &err));
    MUST(store_commit(s, false, &err));
    (void)looks(s);
    for (int i = 0; i < 20; i++) {
        finish(other, must_claim(other, a, -1, CLAIM_QUEUED).id);
        expect_same_counts(s, other, a);
    }
    cr_expect_lt(looks(s), 100);
    /* out of turn, to another end, and a new one at the same time */
    MUST(store_trial_finish(other, ids[150], TRIAL_FAIL, NULL, 0, &err));
    MUST(store_trial_create(other, a, &waiting, NULL, NULL, &err));
    expect_same_counts(s, other, a);
    MUST(store_trial_finish(other, ids[299], TRIAL_FAIL, NULL, 0, &err));
    expect_same_counts(s, other, a);
    for (int i = 0; i < 279; i++)
        (void)must_claim(i % 2 == 0 ? s : other, a, -1, CLAIM_QUEUED);
    (void)must_claim(s, a, -1, CLAIM_NEW);
    expect_same_counts(s, other, a);
    store_destroy(other);
    store_destroy(s);
}
