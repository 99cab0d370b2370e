/* What only a server has: connections that are lost, locks of others, trials that are taken over.
 */
#include <libpq-fe.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "storage/care.h"
#include "tests/lib/cut.h"
#include "tests/lib/postgres.h"
#include "tests/storage/store_fixture.h"

extern char **environ;

static struct pg_server server;
static const char *url;

static void enter(void)
{
    cr_assert(pg_server_start(&server));
    url = server.url;
}

static void leave(void)
{
    pg_server_remove(&server);
}

TestSuite(postgres, .init = enter, .fini = leave, .timeout = 120);

static PGconn *must_connect(void)
{
    PGconn *c = PQconnectdb(url);
    cr_assert_eq(PQstatus(c), CONNECTION_OK, "%s", PQerrorMessage(c));
    return c;
}

static void must_exec(PGconn *c, const char *sql)
{
    PGresult *r = PQexec(c, sql);
    ExecStatusType status = PQresultStatus(r);
    cr_assert(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, "%s: %s", sql,
              PQerrorMessage(c));
    PQclear(r);
}

static long ask(const char *sql)
{
    PGconn *c = must_connect();
    PGresult *r = PQexec(c, sql);
    cr_assert_eq(PQresultStatus(r), PGRES_TUPLES_OK, "%s", PQerrorMessage(c));
    long n = atol(PQgetvalue(r, 0, 0));
    PQclear(r);
    PQfinish(c);
    return n;
}

static void outside_all(const char *sql)
{
    PGconn *c = must_connect();
    must_exec(c, sql);
    PQfinish(c);
}

static struct store *open_with(const char *at, int busy_ms)
{
    const struct store_opts opts = {.busy_ms = busy_ms};
    struct store *s = NULL;
    MUST(store_open(&s, at, &opts, &err));
    return s;
}

/* --- commits whose answer is lost --------------------------------------------------------------
 */

static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};
static const struct trial_param x = {"x", &unit, 0.5};

/* What a batch does, and what it got. */
struct work {
    int64_t study, running, failing;
    int64_t created, claimed, fresh, retry;
};

/* Everything that must not be done twice. */
static int do_work(struct store *s, struct work *w, struct cut_relay *relay, enum cut what)
{
    const struct store_claim_opts any = {.target = -1, .owner = "me"};
    const struct store_retry retry = {.max_retries = -1};
    const struct trial waiting = {.state = TRIAL_WAITING, .params = &x, .n_params = 1};
    const struct trial_attr attr = {"k", "1"};
    const double v = 0.25;
    struct store_claim c;
    MUST(store_begin(s, &err));
    MUST(store_trial_claim(s, w->study, &any, &c, &err)); /* one that waits */
    cr_expect_eq(c.kind, CLAIM_QUEUED);
    w->claimed = c.id;
    MUST(store_trial_claim(s, w->study, &any, &c, &err));
    cr_expect_eq(c.kind, CLAIM_NEW);
    w->fresh = c.id;
    MUST(store_trial_params(s, w->running, &x, 1, &err));
    MUST(store_trial_attrs(s, w->running, ATTR_USER, &attr, 1, &err));
    MUST(store_trial_finish(s, w->running, TRIAL_COMPLETE, &v, 1, &err));
    MUST(store_trial_retry(s, w->failing, &retry, &w->retry, NULL, &err));
    MUST(store_trial_create(s, w->study, &waiting, &w->created, NULL, &err));
    if (relay != NULL)
        cut_next(relay, what);
    int rc = store_commit(s, true, &err);
    store_rollback(s);
    return rc;
}

static void expect_done_once(struct store *s, const struct work *w)
{
    int64_t counts[TRIAL_STATES];
    MUST(store_study_counts(s, w->study, counts, &err));
    cr_expect_eq(counts[TRIAL_COMPLETE], 1);
    cr_expect_eq(counts[TRIAL_FAIL], 1);
    cr_expect_eq(counts[TRIAL_RUNNING], 2);
    cr_expect_eq(counts[TRIAL_WAITING], 2);
    cr_expect_eq(ask("SELECT count(*) FROM trials"), 6);
    cr_expect_eq(ask("SELECT count(DISTINCT number) FROM trials"), 6);
    cr_expect_eq(ask("SELECT max(number) FROM trials"), 5);
    cr_expect_eq(ask("SELECT count(*) FROM trial_values"), 1);
}

static int count_told(void *ctx, const struct trial *t)
{
    (void)t;
    ++*(int *)ctx;
    return 0;
}

static void commit_is_lost(enum cut what)
{
    struct cut_relay *relay = cut_start(server.dir);
    struct store *s = open_with(pg_url(cut_dir(relay), "postgres"), 20000);
    struct work w = {.study = must_study(s, "a")}, again;
    const struct trial waiting = {.state = TRIAL_WAITING};
    int told = 0;
    w.running = must_claim(s, w.study, -1, CLAIM_NEW).id;
    w.failing = must_claim(s, w.study, -1, CLAIM_NEW).id;
    MUST(store_trial_create(s, w.study, &waiting, NULL, NULL, &err));
    MUST(store_trials_sync(s, w.study, 0, count_told, &told, &err));
    again = w;
    cr_assert_eq(do_work(s, &w, relay, what), -ERR_UNAVAILABLE, "%s", err.msg);
    cr_expect_eq(ask("SELECT count(*) FROM trials"), what == CUT_ANSWER ? 6 : 4);
    MUST(do_work(s, &again, NULL, CUT_NOTHING));
    if (what == CUT_ANSWER) /* it finds what it has done */
        cr_expect(again.created == w.created && again.claimed == w.claimed &&
                  again.fresh == w.fresh && again.retry == w.retry);
    expect_done_once(s, &again);
    told = 0;
    MUST(store_trials_sync(s, w.study, 0, count_told, &told, &err));
    cr_expect_eq(told, 0, "its own work is told as that of others");
    cr_expect_eq(must_claim(s, w.study, -1, CLAIM_QUEUED).number, 4); /* nothing is found twice */
    cr_expect_eq(must_claim(s, w.study, -1, CLAIM_QUEUED).number, 5);
    cr_expect_eq(must_claim(s, w.study, -1, CLAIM_NEW).number, 6);
    store_destroy(s);
    cut_stop(relay);
}

Test(postgres, a_commit_whose_answer_is_lost_is_done_once)
{
    commit_is_lost(CUT_ANSWER);
}

Test(postgres, a_commit_that_never_arrived_is_done_the_second_time)
{
    commit_is_lost(CUT_REQUEST);
}

static void claim_is_lost(enum cut what, enum claim_kind kind)
{
    const struct trial waiting = {.state = TRIAL_WAITING};
    const struct store_claim_opts opts = {.target = -1, .owner = "me"};
    struct cut_relay *relay = cut_start(server.dir);
    struct store *s = open_with(pg_url(cut_dir(relay), "postgres"), 20000);
    struct store *other = must_open(url);
    struct store_claim c = {0}, before;
    int64_t study = must_study(s, "a");
    before = must_claim(s, study, -1, CLAIM_NEW);
    if (kind == CLAIM_QUEUED)
        MUST(store_trial_create(s, study, &waiting, NULL, NULL, &err));
    cut_next(relay, what);
    REFUSED(ERR_UNAVAILABLE, store_trial_claim(s, study, &opts, &c, &err));
    cr_expect_eq(must_claim(other, study, -1, what == CUT_REQUEST ? kind : CLAIM_NEW).number,
                 what == CUT_REQUEST ? 1 : 2);
    MUST(store_trial_claim(s, study, &opts, &c, &err));
    cr_expect_eq(c.kind, what == CUT_REQUEST ? CLAIM_NEW : kind);
    cr_expect_eq(c.number, what == CUT_REQUEST ? 2 : 1);
    cr_expect_eq(ask("SELECT count(*) FROM trials WHERE state='RUNNING'"), 3);
    MUST(store_trial_finish(s, c.id, TRIAL_FAIL, NULL, 0, &err));
    MUST(store_trial_finish(s, before.id, TRIAL_FAIL, NULL, 0, &err));
    MUST(store_trial_claim(s, study, &opts, &c, &err));
    cr_expect_eq(c.number, 3, "a claim is found twice");
    store_destroy(other);
    store_destroy(s);
    cut_stop(relay);
}

Test(postgres, a_claim_whose_answer_is_lost_is_found)
{
    claim_is_lost(CUT_ANSWER, CLAIM_NEW);
    outside_all("DELETE FROM trial_system_attributes; DELETE FROM trials");
    claim_is_lost(CUT_ANSWER, CLAIM_QUEUED);
}

Test(postgres, a_claim_that_never_arrived_is_made)
{
    claim_is_lost(CUT_REQUEST, CLAIM_NEW);
    outside_all("DELETE FROM trial_system_attributes; DELETE FROM trials");
    claim_is_lost(CUT_REQUEST, CLAIM_QUEUED);
}

/* A retry and trials whose ids nobody asks for, which wait for the commit. */
static int add_trials(struct store *s, int64_t study, int64_t failing, struct cut_relay *relay,
                      enum cut what)
{
    const struct trial_attr attr = {"k", "1"};
    const struct trial waiting = {.state = TRIAL_WAITING, .user_attrs = &attr, .n_user_attrs = 1};
    const struct store_retry again = {.max_retries = -1};
    int rc = store_begin(s, &err);
    if (rc == 0)
        rc = store_trial_retry(s, failing, &again, NULL, NULL, &err);
    for (int i = 0; i < 2 && rc == 0; i++) /* two that are alike */
        rc = store_trial_create(s, study, &waiting, NULL, NULL, &err);
    if (relay != NULL)
        cut_next(relay, what);
    int committed = store_commit(s, true, &err);
    store_rollback(s);
    return rc < 0 ? rc : committed;
}

static void additions_are_lost(enum cut what)
{
    struct cut_relay *relay = cut_start(server.dir);
    struct store *s = open_with(pg_url(cut_dir(relay), "postgres"), 20000);
    int64_t study = must_study(s, "a"), failing = must_claim(s, study, -1, CLAIM_NEW).id;
    cr_assert_eq(add_trials(s, study, failing, relay, what), -ERR_UNAVAILABLE, "%s", err.msg);
    cr_expect_eq(ask("SELECT count(*) FROM trials"), what == CUT_ANSWER ? 4 : 1);
    int rc = -ERR_BUSY; /* a guard is wrong: it has ended */
    while (rc == -ERR_BUSY)
        rc = add_trials(s, study, failing, NULL, CUT_NOTHING);
    MUST(rc);
    cr_expect_eq(ask("SELECT count(*) FROM trials"), 4);
    cr_expect_eq(ask("SELECT count(DISTINCT number) FROM trials WHERE number < 4"), 4);
    cr_expect_eq(ask("SELECT count(*) FROM trials WHERE state='WAITING'"), 3);
    cr_expect_eq(ask("SELECT count(*) FROM trial_user_attributes"), 2);
    for (int i = 1; i < 4; i++)
        cr_expect_eq(must_claim(s, study, -1, CLAIM_QUEUED).number, i);
    MUST(add_trials(s, study, must_claim(s, study, -1, CLAIM_NEW).id, NULL, CUT_NOTHING));
    cr_expect_eq(ask("SELECT count(*) FROM trials"), 8, "it is found once more");
    store_destroy(s);
    cut_stop(relay);
}

Test(postgres, trials_whose_addition_was_not_answered_are_there_once)
{
    additions_are_lost(CUT_ANSWER);
}

Test(postgres, trials_whose_addition_never_arrived_are_added_the_second_time)
{
    additions_are_lost(CUT_REQUEST);
}

Test(postgres, a_new_trial_whose_answer_is_lost_is_found)
{
    struct cut_relay *relay = cut_start(server.dir);
    struct store *s = open_with(pg_url(cut_dir(relay), "postgres"), 20000);
    int64_t study = must_study(s, "a"), id, number;
    MUST(store_trial_create(s, study, NULL, NULL, NULL, &err));
    for (int i = 0; i < 2; i++) {
        cut_next(relay, i == 0 ? CUT_ANSWER : CUT_REQUEST);
        REFUSED(ERR_UNAVAILABLE, store_trial_create(s, study, NULL, &id, &number, &err));
        MUST(store_trial_create(s, study, NULL, &id, &number, &err));
        cr_expect_eq(number, i + 1);
        cr_expect_eq(ask("SELECT count(*) FROM trials"), i + 2);
    }
    store_destroy(s);
    cut_stop(relay);
}

/* Whoever retries a trial, or makes one, may go on with the batch: nobody waits for it. */
Test(postgres, nobody_waits_for_a_batch_that_has_retried_a_trial)
{
    const struct trial waiting = {.state = TRIAL_WAITING, .params = &x, .n_params = 1};
    const struct store_retry again = {.max_retries = -1};
    struct store *s = open_with(url, 20000), *other = open_with(url, 400);
    int64_t study = must_study(s, "a"), number, counts[TRIAL_STATES];
    int64_t failing = must_claim(s, study, -1, CLAIM_NEW).id;
    MUST(store_begin(s, &err));
    MUST(store_trial_retry(s, failing, &again, NULL, NULL, &err));
    MUST(store_trial_create(s, study, &waiting, NULL, NULL, &err));
    MUST(store_study_counts(s, study, counts, &err)); /* as behind every outcome */
    cr_expect(counts[TRIAL_WAITING] == 2 && counts[TRIAL_FAIL] == 1 && counts[TRIAL_RUNNING] == 0);
    MUST(store_trial_create(other, study, NULL, NULL, &number, &err));
    cr_expect_eq(number, 1);
    (void)must_claim(other, study, -1, CLAIM_NEW);
    MUST(store_commit(s, true, &err));
    cr_expect_eq(ask("SELECT count(DISTINCT number) FROM trials WHERE number < 5"), 5);
    cr_expect_eq(ask("SELECT number FROM trials t JOIN trial_system_attributes a USING (trial_id)"
                     " WHERE key='failed_trial'"),
                 3);
    cr_expect_eq(ask("SELECT number FROM trials t JOIN trial_params USING (trial_id)"), 4);
    cr_expect_eq(must_claim(s, study, -1, CLAIM_QUEUED).number, 3);
    store_destroy(s);
    store_destroy(other);
}

/* The commit has landed, but not what was to be added to a study that is gone. */
Test(postgres, an_end_that_landed_beside_a_deleted_study_is_ours_the_second_time)
{
    const struct trial waiting = {.state = TRIAL_WAITING};
    const double value = 1;
    struct store *s = must_open(url), *other = must_open(url);
    int64_t kept = must_study(s, "a"), gone = must_study(s, "b");
    int64_t id = must_claim(s, kept, -1, CLAIM_NEW).id;
    MUST(store_begin(s, &err));
    MUST(store_trial_state(s, id, TRIAL_COMPLETE, &value, 1, NULL, &err));
    MUST(store_trial_create(s, gone, &waiting, NULL, NULL, &err));
    MUST(store_study_delete(other, gone, &err));
    REFUSED(ERR_NOTFOUND, store_commit(s, true, &err));
    cr_expect_eq(ask("SELECT count(*) FROM trials WHERE state='COMPLETE'"), 1);
    MUST(store_begin(s, &err));
    MUST(store_trial_state(s, id, TRIAL_COMPLETE, &value, 1, NULL, &err));
    MUST(store_commit(s, true, &err));
    store_destroy(s);
    store_destroy(other);
}

/* Who looks within a batch sees what it has made. */
Test(postgres, a_batch_sees_the_trials_that_wait_for_its_commit)
{
    const struct trial waiting = {.state = TRIAL_WAITING};
    struct store *s = must_open(url);
    int64_t study = must_study(s, "a"), counts[TRIAL_STATES];
    MUST(store_begin(s, &err));
    MUST(store_trial_create(s, study, &waiting, NULL, NULL, &err));
    MUST(store_study_counts(s, study, counts, &err));
    cr_expect_eq(counts[TRIAL_WAITING], 1);
    MUST(store_trial_create(s, study, &waiting, NULL, NULL, &err));
    cr_expect_eq(must_claim(s, study, -1, CLAIM_QUEUED).number, 0);
    MUST(store_trial_create(s, study, &waiting, NULL, NULL, &err));
    store_rollback(s); /* the claim has committed what was before it */
    MUST(store_study_counts(s, study, counts, &err));
    cr_expect(counts[TRIAL_WAITING] == 1 && counts[TRIAL_RUNNING] == 1);
    cr_expect_eq(ask("SELECT count(*) FROM trials"), 2);
    store_destroy(s);
}

/* What stands before a claim is committed with it; a batch that fails behind it is done again. */
Test(postgres, a_batch_that_fails_behind_a_claim_is_done_once)
{
    const struct store_claim_opts opts = {.target = -1, .owner = "me"};
    struct store *s = open_with(url, 20000);
    struct store_claim c;
    const double v = 0.25;
    int64_t study = must_study(s, "a"), fresh[2], retry[2];
    int64_t running = must_claim(s, study, -1, CLAIM_NEW).id;
    int64_t failing = must_claim(s, study, -1, CLAIM_NEW).id;
    const struct store_retry again = {.max_retries = -1, .not_before_us = clock_utc_us() * 2};
    for (int i = 0; i < 2; i++) {
        MUST(store_begin(s, &err));
        MUST(store_trial_params(s, running, &x, 1, &err));
        MUST(store_trial_finish(s, running, TRIAL_COMPLETE, &v, 1, &err));
        MUST(store_trial_retry(s, failing, &again, &retry[i], NULL, &err));
        MUST(store_trial_claim(s, study, &opts, &c, &err));
        cr_expect_eq(c.kind, CLAIM_NEW);
        fresh[i] = c.id;
        if (i == 0)
            store_rollback(s);
        else
            MUST(store_commit(s, true, &err));
    }
    cr_expect_eq(fresh[0], fresh[1]);
    cr_expect_eq(retry[0], retry[1]);
    cr_expect_eq(ask("SELECT count(*) FROM trials"), 4);
    cr_expect_eq(ask("SELECT count(*) FROM trial_values"), 1);
    MUST(store_trial_claim(s, study, &opts, &c, &err));
    cr_expect_neq(c.id, fresh[1], "the claim is found once more");
    REFUSED(ERR_FINISHED, store_trial_finish(s, running, TRIAL_COMPLETE, &v, 1, &err));
    store_destroy(s);
}

Test(postgres, a_study_whose_creation_was_not_answered_is_ours)
{
    const enum direction minimize = DIRECTION_MINIMIZE;
    struct cut_relay *relay = cut_start(server.dir);
    struct store *s = open_with(pg_url(cut_dir(relay), "postgres"), 20000);
    int64_t study = 0;
    MUST(store_begin(s, &err));
    MUST(store_study_create(s, "a", &minimize, 1, &study, &err));
    cut_next(relay, CUT_ANSWER);
    REFUSED(ERR_UNAVAILABLE, store_commit(s, true, &err));
    int64_t again = 0;
    MUST(store_study_create(s, "a", &minimize, 1, &again, &err));
    cr_expect_eq(again, study);
    REFUSED(ERR_EXISTS, store_study_create(s, "a", &minimize, 1, &again, &err));
    store_destroy(s);
    cut_stop(relay);
}

Test(postgres, a_return_that_was_not_answered_puts_nothing_of_others_back)
{
    struct cut_relay *relay = cut_start(server.dir);
    struct store *s = open_with(pg_url(cut_dir(relay), "postgres"), 20000);
    struct store *other = must_open(url);
    int64_t study = must_study(s, "a");
    int64_t trial = must_claim(s, study, -1, CLAIM_NEW).id;
    const double v = 1;
    bool changed = true;
    MUST(store_begin(s, &err));
    MUST(store_trial_state(s, trial, TRIAL_WAITING, NULL, 0, NULL, &err));
    cut_next(relay, CUT_ANSWER);
    REFUSED(ERR_UNAVAILABLE, store_commit(s, true, &err));
    cr_expect_eq(must_claim(other, study, -1, CLAIM_QUEUED).id, trial);
    MUST(store_trial_state(s, trial, TRIAL_WAITING, NULL, 0, &changed, &err));
    cr_expect_not(changed);
    cr_expect_eq(ask("SELECT count(*) FROM trials WHERE state='RUNNING'"), 1);
    MUST(store_trial_finish(other, trial, TRIAL_COMPLETE, &v, 1, &err));
    store_destroy(s);
    store_destroy(other);
    cut_stop(relay);
}

Test(postgres, an_id_with_more_than_32_bits_is_of_no_study)
{
    const int64_t far = INT64_C(1) << 40;
    struct store *s = must_open(url);
    REFUSED(ERR_NOTFOUND, store_study_look(s, far, NULL, NULL, &err));
    REFUSED(ERR_NOTFOUND, store_study_delete(s, far, &err));
    REFUSED(ERR_NOTFOUND, store_study_attr_set(s, far, ATTR_USER, "k", "1", &err));
    char *json;
    REFUSED(ERR_NOTFOUND, store_study_attr_get(s, far, ATTR_USER, "k", &json, &err));
    const struct store_each_opts after = {.after_id = far, .want = WANT_ALL};
    MUST(store_trials_each(s, must_study(s, "a"), &after, NULL, NULL, &err));
    store_destroy(s);
}

Test(postgres, an_import_of_old_ids_draws_none_and_one_of_new_ids_is_passed)
{
    struct store *s = must_open(url);
    const enum direction minimize = DIRECTION_MINIMIZE;
    const struct study_info b = {
        .id = 100, .name = "b", .directions = &minimize, .n_directions = 1};
    struct trial t = {.id = 7, .state = TRIAL_FAIL, .start_us = 1, .complete_us = 2};
    int64_t study = must_study(s, "a");
    (void)ask("SELECT max(nextval('trials_trial_id_seq')) FROM generate_series(1, 9)");
    MUST(store_study_import(s, &b, &err));
    MUST(store_trial_import(s, b.id, &t, &err));
    cr_expect_eq(ask("SELECT last_value FROM trials_trial_id_seq"), 9);
    t.id = 20;
    t.number = 1;
    MUST(store_trial_import(s, b.id, &t, &err));
    cr_expect_eq(must_claim(s, study, -1, CLAIM_NEW).id, 21);
    cr_expect_eq(must_study(s, "c"), 101);
    store_destroy(s);
}

/* --- locks of others ---------------------------------------------------------------------------
 */

Test(postgres, a_lock_of_somebody_else_is_busy_not_for_ever)
{
    struct store *s = open_with(url, 400);
    int64_t study = must_study(s, "a");
    PGconn *holder = must_connect();
    must_exec(holder, "BEGIN; SELECT * FROM studies FOR UPDATE");
    REFUSED(ERR_BUSY, store_trial_create(s, study, NULL, NULL, NULL, &err));
    must_exec(holder, "ROLLBACK");
    MUST(store_trial_create(s, study, NULL, NULL, NULL, &err));
    PQfinish(holder);
    store_destroy(s);
}

Test(postgres, a_deadlock_is_busy_and_the_second_time_it_goes_through)
{
    struct store *s = open_with(url, 20000);
    int64_t study = must_study(s, "a");
    const double v = 1;
    int64_t a = must_claim(s, study, -1, CLAIM_NEW).id, b = must_claim(s, study, -1, CLAIM_NEW).id;
    PGconn *other = must_connect();
    must_exec(other, "BEGIN; SET LOCAL deadlock_timeout='1min';"
                     "SELECT * FROM trials WHERE number=1 FOR UPDATE");
    MUST(store_begin(s, &err));
    MUST(store_trial_finish(s, a, TRIAL_COMPLETE, &v, 1, &err));
    int64_t counts[TRIAL_STATES];
    MUST(store_study_counts(s, study, counts, &err)); /* the lock on a is taken */
    cr_assert_eq(PQsendQuery(other, "SELECT * FROM trials WHERE number=0 FOR UPDATE"), 1);
    MUST(store_trial_finish(s, b, TRIAL_COMPLETE, &v, 1, &err));
    REFUSED(ERR_BUSY, store_commit(s, true, &err));
    store_rollback(s);
    PQfinish(other);
    cr_expect_eq(finish_in_batch(s, a), 0);
    cr_expect_eq(finish_in_batch(s, b), 0);
    cr_expect_eq(ask("SELECT count(*) FROM trials WHERE state='COMPLETE'"), 2);
    store_destroy(s);
}

Test(postgres, one_who_stands_still_in_a_claim_stops_nobody_else_for_long)
{
    struct store *s = open_with(url, 60000);
    int64_t study = must_study(s, "a");
    const char *const args[] = {url, "hold-study", "a", NULL};
    FILE *out;
    char line[16];
    int pid = helper(&out, args);
    cr_assert_not_null(fgets(line, sizeof(line), out)); /* it has the study's lock */
    (void)kill(pid, SIGSTOP);
    (void)must_claim(s, study, -1, CLAIM_NEW); /* the server has ended its transaction */
    (void)kill(pid, SIGKILL);
    (void)helper_wait(pid);
    (void)fclose(out);
    store_destroy(s);
}

/* --- a server in trouble -----------------------------------------------------------------------
 */

Test(postgres, a_server_that_stands_still_is_given_up_and_found_again)
{
    struct store *s = open_with(url, 500);
    int64_t study = must_study(s, "a");
    int64_t trial = must_claim(s, study, -1, CLAIM_NEW).id;
    int64_t counts[TRIAL_STATES];
    pg_server_signal_all(&server, SIGSTOP);
    REFUSED(ERR_UNAVAILABLE, store_trial_params(s, trial, &x, 1, &err));
    cr_expect_not_null(strstr(err.msg, "does not answer"), "%s", err.msg);
    REFUSED(ERR_UNAVAILABLE, store_study_counts(s, study, counts, &err));
    REFUSED(ERR_UNAVAILABLE, store_begin(s, &err));
    pg_server_signal_all(&server, SIGCONT);
    int rc = -ERR_UNAVAILABLE;
    for (int i = 0; i < 100 && rc == -ERR_UNAVAILABLE; i++)
        rc = store_trial_params(s, trial, &x, 1, &err);
    MUST(rc);
    cr_expect_eq(ask("SELECT count(*) FROM trial_params"), 1);
    store_destroy(s);
}

Test(postgres, a_connection_that_is_cut_is_made_again)
{
    struct store *s = open_with(url, 20000);
    int64_t study = must_study(s, "a");
    int64_t trial = must_claim(s, study, -1, CLAIM_NEW).id;
    for (int i = 0; i < 3; i++) {
        (void)ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                  " WHERE application_name='forkless'");
        if (i == 2) {
            pg_server_halt(&server, SIGQUIT);
            cr_assert(pg_server_again(&server));
        }
        REFUSED(ERR_UNAVAILABLE, store_trial_params(s, trial, &x, 1, &err));
        MUST(store_trial_params(s, trial, &x, 1, &err));
    }
    cr_expect_eq(must_claim(s, study, -1, CLAIM_NEW).number, 1);
    store_destroy(s);
}

/* A full disk, as it looks to a process: no file may grow any more. */
Test(postgres, a_full_disk_is_unavailable_and_the_batch_can_be_repeated)
{
    enum { MIB = 1 << 20 };
    struct rlimit before, tight;
    struct store *s = open_with(url, 20000);
    int64_t study = must_study(s, "a");
    AUTO_FREE char *text = malloc(MIB + 1);
    cr_assert_not_null(text);
    uint32_t seed = 1;
    for (int i = 0; i < MIB; i++) { /* digits that do not compress away */
        seed = seed * 1664525 + 1013904223;
        text[i] = (char)('1' + (seed >> 24) % 9);
    }
    text[MIB] = '\0';
    const struct trial_attr attr = {"k", text};
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = (struct rlimit){.rlim_cur = 17 * MIB, .rlim_max = before.rlim_max};
    pg_server_halt(&server, SIGINT);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &tight), 0); /* it inherits that */
    cr_assert(pg_server_again(&server));
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    int64_t counts[TRIAL_STATES];
    REFUSED(ERR_UNAVAILABLE, store_study_counts(s, study, counts, &err)); /* the restart */
    int rc = 0, done = 0;
    for (; rc == 0 && done < 100; done += rc == 0) {
        int64_t id;
        MUST(store_begin(s, &err));
        rc = store_trial_create(s, study, NULL, &id, NULL, &err);
        for (int k = 0; k < 4 && rc == 0; k++) {
            const struct trial_attr each = {(const char *[]){"a", "b", "c", "d"}[k], attr.json};
            rc = store_trial_attrs(s, id, ATTR_USER, &each, 1, &err);
        }
        int committed = store_commit(s, true, &err);
        store_rollback(s);
        rc = rc == 0 ? committed : rc;
    }
    cr_assert_eq(rc, -ERR_UNAVAILABLE, "%d after %d: %s", rc, done, err.msg);
    cr_expect_eq(ask("SELECT count(*) FROM trials"), done);
    cr_expect_eq(ask("SELECT count(*) FROM trial_user_attributes"), 4 * done);
    pg_server_halt(&server, SIGINT);
    cr_assert(pg_server_again(&server));
    if (store_study_counts(s, study, counts, &err) < 0)
        MUST(store_study_counts(s, study, counts, &err));
    cr_expect_eq(counts[TRIAL_RUNNING], done);
    cr_expect_eq(must_claim(s, study, -1, CLAIM_NEW).number, done);
    store_destroy(s);
}

/* --- opening -----------------------------------------------------------------------------------
 */

static int try_open(const char *at)
{
    struct store *s = NULL;
    int rc = store_open(&s, at, NULL, &err);
    store_destroy(s);
    return rc;
}

Test(postgres, what_cannot_be_opened_says_why_without_the_password)
{
    static const struct {
        const char *head, *tail; /* the server's directory stands between them; or no tail */
    } wrong[] = {
        {"postgresql://me:s3cret%zz@host/db", NULL},
        {"postgresql://me:s3cret@host:port/db", NULL},
        {"postgresql://me:s3cret@host/db?sslmode", NULL},
        {"postgresql://me:p@s3cret@host/db", NULL},
        {"postgresql://me:s3cret/p@host/db", NULL},
        {"postgresql://me:p@p/s3cret@host/db", NULL},
        {"postgresql+psycopg2://me:s3cret@/none?host=", ""},
        {"postgresql://nobody:s3cret@/postgres?host=", ""},
        {"postgresql://forkless:s3cret@/postgres?host=", "&sslmode=nonsense"},
        {"postgresql://forkless@/postgres?host=", "&nonsense=1&password=s3cret"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char at[256];
        bool host = wrong[i].tail != NULL;
        (void)snprintf(at, sizeof(at), "%s%s%s", wrong[i].head, host ? server.dir : "",
                       host ? wrong[i].tail : "");
        err.msg[0] = '\0';
        REFUSED(ERR_INVALID, try_open(at));
        cr_expect_null(strstr(err.msg, "s3cret"), "%s", err.msg);
        cr_expect_null(strchr(err.msg, '\n'), "%s", err.msg);
    }
    REFUSED(ERR_UNAVAILABLE, try_open("postgresql://me:s3cret@/db?host=/tmp/forkless-no-server"));
    cr_expect_null(strstr(err.msg, "s3cret"), "%s", err.msg);
}

/* --- TLS ---------------------------------------------------------------------------------------
 */

/* Runs a command; the server's owner gets what it has made. */
static void make_file(const char *name, const char *const *argv)
{
    struct stat dir;
    char path[96];
    pid_t pid;
    int status = -1;
    cr_assert_eq(posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ), 0);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0, "openssl for %s", name);
    (void)snprintf(path, sizeof(path), "%s/%s", server.dir, name);
    cr_assert_eq(stat(server.dir, &dir), 0);
    cr_assert_eq(chmod(path, 0600), 0);
    cr_assert(geteuid() != 0 || chown(path, dir.st_uid, dir.st_gid) == 0);
}

/* NAME.pem and NAME.key in the server's directory: a certificate for localhost that is its own
 * authority. */
static void make_certificate(const char *name)
{
    char cert[96], key[96], file[32];
    (void)snprintf(cert, sizeof(cert), "%s/%s.pem", server.dir, name);
    (void)snprintf(key, sizeof(key), "%s/%s.key", server.dir, name);
    (void)snprintf(file, sizeof(file), "%s.key", name);
    const char *const argv[] = {"openssl",
                                "req",
                                "-x509",
                                "-newkey",
                                "ec",
                                "-pkeyopt",
                                "ec_paramgen_curve:P-256",
                                "-nodes",
                                "-days",
                                "2",
                                "-subj",
                                "/CN=localhost",
                                "-addext",
                                "subjectAltName=DNS:localhost",
                                "-out",
                                cert,
                                "-keyout",
                                key,
                                NULL};
    make_file(file, argv);
    (void)snprintf(file, sizeof(file), "%s.pem", name);
    make_file(file, (const char *const[]){"true", NULL});
}

static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, n), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    return ntohs(at.sin_port);
}

/* Starts the server anew, with TLS, at a port of 127.0.0.1. */
static void serve_tls(void)
{
    static char port[32], cert[128], key[128];
    static const char *const options[] = {
        "-c", "listen_addresses=127.0.0.1", "-c", port, "-c", "ssl=on", "-c", cert, "-c", key,
        NULL};
    int n = free_port();
    (void)snprintf(port, sizeof(port), "port=%d", n);
    (void)snprintf(cert, sizeof(cert), "ssl_cert_file=%s/right.pem", server.dir);
    (void)snprintf(key, sizeof(key), "ssl_key_file=%s/right.key", server.dir);
    (void)setenv("PGPORT", port + strlen("port="), 1);
    make_certificate("right");
    make_certificate("wrong");
    pg_server_halt(&server, SIGINT);
    server.options = options;
    cr_assert(pg_server_again(&server));
}

static const char *tls_url(const char *host, const char *mode, const char *authority)
{
    static char at[320];
    (void)snprintf(at, sizeof(at),
                   "postgresql://forkless:s3cret@%s:%s/postgres?hostaddr=127.0.0.1&sslmode=%s"
                   "&sslrootcert=%s/%s.pem",
                   host, getenv("PGPORT"), mode, server.dir, authority);
    return at;
}

Test(postgres, tls_is_spoken_with_whom_the_authority_vouches_for_alone)
{
    static const struct {
        const char *host, *mode, *authority, *says;
    } wrong[] = {
        {"localhost", "verify-full", "wrong", "certificate verify failed"},
        {"localhost", "verify-ca", "wrong", "certificate verify failed"},
        {"elsewhere", "verify-full", "right", "does not match host name"},
        {"localhost", "verify-full", "no-such-file", "root certificate file"},
    };
    serve_tls();
    struct store *s = must_open(tls_url("localhost", "verify-full", "right"));
    (void)must_claim(s, must_study(s, "a"), -1, CLAIM_NEW);
    cr_expect_eq(ask("SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING(pid)"
                     " WHERE ssl AND application_name='forkless'"),
                 1);
    store_destroy(s);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        REFUSED(ERR_INVALID, try_open(tls_url(wrong[i].host, wrong[i].mode, wrong[i].authority)));
        cr_expect_not_null(strstr(err.msg, wrong[i].says), "%s", err.msg);
        cr_expect_null(strstr(err.msg, "s3cret"), "%s", err.msg);
    }
}

Test(postgres, other_revisions_are_refused_and_3_0_is_upgraded)
{
    struct store_upgraded done = {0};
    const struct store_opts upgrade = {.upgrade = &done};
    struct store *s = NULL;
    PGconn *c = must_connect();
    REFUSED(ERR_NOTFOUND, store_open(&s, url, &upgrade, &err));
    store_destroy(must_open(url));
    must_exec(c, "UPDATE alembic_version SET version_num='v9.0.0.a'");
    REFUSED(ERR_UNSUPPORTED, try_open(url));
    cr_expect_not_null(strstr(err.msg, "perhaps a newer one"), "%s", err.msg);
    must_exec(c, "UPDATE alembic_version SET version_num='v2.6.0.a'");
    REFUSED(ERR_UNSUPPORTED, try_open(url));
    cr_expect_not_null(strstr(err.msg, "optuna storage upgrade"), "%s", err.msg);
    must_exec(c, "UPDATE alembic_version SET version_num='a1b2c3'"); /* no order tells its age */
    REFUSED(ERR_UNSUPPORTED, try_open(url));
    cr_expect_not_null(strstr(err.msg, "perhaps a newer one"), "%s", err.msg);
    must_exec(c,
              "UPDATE alembic_version SET version_num='v3.0.0.d'; DROP INDEX ix_trials_study_id");
    REFUSED(ERR_UNSUPPORTED, try_open(url));
    cr_expect_not_null(strstr(err.msg, "forkless db upgrade"), "%s", err.msg);
    MUST(store_open(&s, url, &upgrade, &err));
    store_destroy(s);
    cr_expect_str_eq(done.from, "v3.0.0.d");
    MUST(try_open(url));
    cr_expect_eq(ask("SELECT count(*) FROM pg_indexes WHERE indexname='ix_trials_study_id'"), 1);
    PQfinish(c);
}

Test(postgres, many_that_come_first_at_once_make_one_schema)
{
    enum { PROCESSES = 6 };
    const char *const args[] = {url, "claim", "a", NULL};
    int pids[PROCESSES];
    FILE *out[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        pids[i] = helper(&out[i], args);
    for (int i = 0; i < PROCESSES; i++) {
        cr_expect_eq(helper_wait(pids[i]), 0);
        (void)fclose(out[i]);
    }
    cr_expect_eq(ask("SELECT count(*) FROM alembic_version"), 1);
    cr_expect_eq(ask("SELECT count(*) FROM studies"), 1);
    cr_expect_eq(ask("SELECT count(*) FROM trials WHERE state='COMPLETE'"), PROCESSES);
}

Test(postgres, one_who_may_only_read_reads)
{
    struct store *s = must_open(url);
    int64_t study = must_study(s, "a"), counts[TRIAL_STATES];
    PGconn *c = must_connect();
    char at[256];
    must_exec(c, "CREATE ROLE looker LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker");
    (void)snprintf(at, sizeof(at), "postgresql://looker@/postgres?host=%s", server.dir);
    const struct store_opts look = {.read_only = true};
    struct store *reader = NULL;
    MUST(store_open(&reader, at, &look, &err));
    MUST(store_study_counts(reader, study, counts, &err));
    store_destroy(reader);
    MUST(store_open(&reader, at, NULL, &err));
    REFUSED(ERR_UNSUPPORTED, store_trial_create(reader, study, NULL, NULL, NULL, &err));
    cr_expect_not_null(strstr(err.msg, "permission denied"), "%s", err.msg);
    store_destroy(reader);
    store_destroy(s);
    PQfinish(c);
}
