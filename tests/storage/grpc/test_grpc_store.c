/* What a client of a proxy does with what the protocol has. */
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "storage/care.h"
#include "storage/ftf.h"
#include "tests/storage/store_fixture.h"

/* This file's tests are about grpc whatever FORKLESS_TEST_STORE says. */
static void begin(void)
{
    (void)setenv("FORKLESS_TEST_STORE", "grpc", 1);
}

TestSuite(grpc_store, .init = begin);

static const struct store_claim_opts of_two = {
    .target = 2, .target_states = STORE_STATE_BIT(TRIAL_COMPLETE), .owner = "me"};

Test(grpc_store, many_that_claim_at_once_never_end_above_the_target)
{
    enum { CLIENTS = 6, TARGET = 20 };
    const char *url = fresh_path();
    struct store *s[CLIENTS];
    struct store_claim_opts opts = of_two;
    int64_t study = 0, counts[TRIAL_STATES] = {0};
    opts.target = TARGET;
    for (int i = 0; i < CLIENTS; i++) {
        s[i] = must_open(url);
        study = must_study(s[i], "a");
    }
    for (int full = 0; full < CLIENTS;) {
        struct store_claim claims[CLIENTS];
        full = 0;
        for (int i = 0; i < CLIENTS; i++) { /* all look before any ends what it took */
            MUST(store_trial_claim(s[i], study, &opts, &claims[i], &err));
            full += claims[i].kind == CLAIM_FULL;
        }
        MUST(store_study_counts(s[0], study, counts, &err));
        cr_assert_leq(counts[TRIAL_COMPLETE] + counts[TRIAL_RUNNING], TARGET);
        for (int i = 0; i < CLIENTS; i++) {
            const double v = i;
            if (claims[i].kind == CLAIM_NEW || claims[i].kind == CLAIM_QUEUED)
                MUST(store_trial_finish(s[i], claims[i].id, TRIAL_COMPLETE, &v, 1, &err));
        }
    }
    MUST(store_study_counts(s[0], study, counts, &err));
    cr_expect_eq(counts[TRIAL_COMPLETE], TARGET);
    for (int i = 0; i < CLIENTS; i++)
        store_destroy(s[i]);
}

/* Another program that locks the file of the server's store. */
static sqlite3 *lock_file(const char *url)
{
    const char *path = strstr(url, "://") + 3;
    char file[160];
    (void)snprintf(file, sizeof(file), "%.*s.db", (int)strlen(path) - 5, path);
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void unlock_file(sqlite3 *db)
{
    cr_assert_eq(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
}

static struct store *open_impatient(const char *url)
{
    char slow[160];
    (void)snprintf(slow, sizeof(slow), "%s?timeout=1", url);
    return must_open(slow);
}

/* The call goes on at the server after the client has given it up. */
Test(grpc_store, a_claim_without_an_answer_is_found_when_the_server_is_back)
{
    const char *url = fresh_path();
    struct store *s = open_impatient(url);
    int64_t study = must_study(s, "a");
    struct store_claim c;
    MUST(store_trial_claim(s, study, &of_two, &c, &err));
    sqlite3 *db = lock_file(url);
    REFUSED(ERR_UNAVAILABLE, store_trial_claim(s, study, &of_two, &c, &err));
    unlock_file(db);
    while (strcmp(rows(url, "SELECT count(*) FROM trials"), "2") != 0)
        (void)usleep(1000);
    signal_server(SIGSTOP);
    REFUSED(ERR_UNAVAILABLE, store_trial_claim(s, study, &of_two, &c, &err));
    signal_server(SIGCONT);
    MUST(store_trial_claim(s, study, &of_two, &c, &err));
    cr_expect_eq(c.kind, CLAIM_NEW);
    cr_expect_eq(c.number, 1);
    cr_expect_str_eq(rows(url, "SELECT count(*) FROM trials"), "2");
    store_destroy(s);
}

/* What is written again is refused, for the trial has ended: by that very call. */
Test(grpc_store, an_end_without_an_answer_is_known_again_with_all_that_came_with_it)
{
    const char *url = fresh_path();
    struct store *s = open_impatient(url);
    int64_t study = must_study(s, "a");
    const double value = 0.25, other = 0.5;
    const struct trial_attr note = {"note", "1"};
    struct store_end end = {.state = TRIAL_COMPLETE, .values = &value, .n_values = 1};
    const struct store_write w = {.user_attrs = &note, .n_user_attrs = 1, .end = &end};
    struct store_claim c = must_claim(s, study, -1, CLAIM_NEW);
    sqlite3 *db = lock_file(url);
    REFUSED(ERR_UNAVAILABLE, store_trial_write(s, c.id, &w, &err));
    unlock_file(db);
    while (strcmp(rows(url, "SELECT state FROM trials"), "COMPLETE") != 0)
        (void)usleep(1000);
    MUST(store_trial_write(s, c.id, &w, &err));
    end.values = &other; /* of another */
    REFUSED(ERR_FINISHED, store_trial_write(s, c.id, &w, &err));
    store_destroy(s);
}

static void end_trials(struct store *s, int64_t study, int n, enum trial_state state)
{
    const double v = 1;
    for (int i = 0; i < n; i++) {
        int64_t id = must_claim(s, study, -1, CLAIM_NEW).id;
        MUST(store_trial_finish(s, id, state, &v, state == TRIAL_COMPLETE, &err));
    }
}

/* Its id is used again. */
static void make_again(struct store *s, int64_t study)
{
    MUST(store_study_delete(s, study, &err));
    cr_assert_eq(must_study(s, "a"), study);
}

Test(grpc_store, a_study_that_another_made_again_is_read_again)
{
    const char *url = fresh_path();
    struct store *s = must_open(url), *other = must_open(url);
    int64_t study = must_study(s, "a"), counts[TRIAL_STATES];
    end_trials(s, study, 3, TRIAL_COMPLETE);
    (void)must_claim(s, study, 3, CLAIM_FULL);
    make_again(other, study); /* and empty */
    struct store_claim c = must_claim(s, study, 3, CLAIM_NEW);
    cr_expect_eq(c.number, 0);
    MUST(store_trial_finish(s, c.id, TRIAL_COMPLETE, (const double[]){1}, 1, &err));
    make_again(other, study);
    end_trials(other, study, 1, TRIAL_FAIL); /* as many as there were, by other ends */
    MUST(store_study_counts(s, study, counts, &err));
    cr_expect_eq(counts[TRIAL_COMPLETE], 0);
    cr_expect_eq(counts[TRIAL_FAIL], 1);
    make_again(other, study);
    end_trials(other, must_study(other, "b"), 1, TRIAL_FAIL); /* has the ids of a's trials */
    end_trials(other, study, 1, TRIAL_COMPLETE);
    MUST(store_study_counts(s, study, counts, &err));
    cr_expect_eq(counts[TRIAL_COMPLETE], 1);
    cr_expect_eq(counts[TRIAL_FAIL], 0);
    store_destroy(s);
    store_destroy(other);
}

static int take_age(void *ctx, const struct store_running *r)
{
    *(double *)ctx = r->heartbeat_age;
    cr_expect_str_eq(r->owner, "me");
    return 0;
}

Test(grpc_store, heartbeats_are_seen_by_others)
{
    const char *url = fresh_path();
    struct store *s = must_open(url), *other = must_open(url);
    int64_t study = must_study(s, "a");
    struct store_claim c;
    double age = 0;
    MUST(store_trial_claim(s, study, &of_two, &c, &err));
    MUST(store_running_each(other, study, take_age, &age, &err));
    cr_expect_lt(age, 0);
    MUST(store_heartbeat(s, &c.id, 1, &err));
    MUST(store_running_each(other, study, take_age, &age, &err));
    cr_expect(age >= 0 && age < 60);
    MUST(store_trial_finish(s, c.id, TRIAL_FAIL, NULL, 0, &err));
    MUST(store_heartbeat(s, &c.id, 1, &err)); /* it needs none any more */
    store_destroy(s);
    store_destroy(other);
}

Test(grpc_store, rows_of_results_are_counted_and_the_best_stays)
{
    const char *url = fresh_path();
    struct store *s = must_open(url), *other = must_open(url);
    const struct store_run run = {.run_id = "r", .config = "{}", .status = "running"};
    struct store_result r = {.run_id = "r",
                             .study = "a",
                             .objective = 1,
                             .direction = DIRECTION_MAXIMIZE,
                             .run_status = "success"};
    int64_t n = -1;
    (void)must_study(s, "a");
    REFUSED(ERR_NOTFOUND, store_results_put(s, &r, 1, &err));
    MUST(store_run_start(s, &run, &err));
    MUST(store_results_put(s, &r, 1, &err));
    r.fold = 1;
    MUST(store_results_put(s, &r, 1, &err));
    r.objective = 0.5;
    r.trial_number = 7;
    r.run_status = "failed";
    MUST(store_results_put(s, &r, 1, &err)); /* worse */
    MUST(store_results_count(other, "r", "a", "success", &n, &err));
    cr_expect_eq(n, 2);
    r.objective = 2;
    MUST(store_results_put(s, &r, 1, &err));
    MUST(store_results_count(other, "r", NULL, "success", &n, &err));
    cr_expect_eq(n, 1);
    MUST(store_results_count(other, "q", NULL, NULL, &n, &err));
    cr_expect_eq(n, 0);
    MUST(store_run_end(s, "r", "success", &err));
    REFUSED(ERR_NOTFOUND, store_run_end(s, "q", "success", &err));
    store_destroy(s);
    store_destroy(other);
}

Test(grpc_store, a_token_that_no_header_can_carry_is_refused)
{
    static const char *const tokens[] = {"", "p\xc3\xa4ssword-of-the-proxy", "two words of it",
                                         "a\tb"};
    const char *url = fresh_path();
    struct store *s = NULL;
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        (void)setenv("FORKLESS_PROXY_TOKEN", tokens[i], 1);
        REFUSED(ERR_INVALID, store_open(&s, url, NULL, &err));
        cr_expect_null(strstr(err.msg, "word"), "%s", err.msg);
    }
    (void)setenv("FORKLESS_PROXY_TOKEN", "a-token-from-a-file-with-its-line-end\n", 1);
    store_destroy(must_open(url));
}

Test(grpc_store, a_token_does_not_leave_the_machine_in_the_clear)
{
    struct store *s = NULL;
    (void)setenv("FORKLESS_PROXY_TOKEN", "sesame", 1);
    REFUSED(ERR_INVALID, store_open(&s, "grpc://127.example.com:1", NULL, &err));
    cr_expect_not_null(strstr(err.msg, "grpcs://"), "%s", err.msg);
    cr_expect_null(strstr(err.msg, "sesame"));
}

/* A port of this machine where somebody listens. */
static int listen_somewhere(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, n), 0);
    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

/* gRPC would go through it even to this machine, and say the token there. */
Test(grpc_store, an_http_proxy_sees_nothing_of_calls_in_the_clear)
{
    static const char *const urls[] = {"grpc://localhost:1", "grpc://127.0.0.1:1",
                                       "grpcs://localhost:1"};
    const struct store_opts look = {.read_only = true};
    struct store *s = NULL;
    char proxy[64];
    int port, fd = listen_somewhere(&port);
    (void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", port);
    (void)setenv("http_proxy", proxy, 1);
    (void)setenv("https_proxy", proxy, 1);
    (void)setenv("FORKLESS_PROXY_TOKEN", "open-sesame-open", 1);
    (void)setenv("GRPC_DNS_RESOLVER", "native", 1); /* the other one leaks a name it knows */
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct pollfd seen = {.fd = fd, .events = POLLIN};
        REFUSED(ERR_UNAVAILABLE, store_open(&s, urls[i], &look, &err));
        cr_expect_eq(poll(&seen, 1, 0), 0, "%s went through the proxy", urls[i]);
    }
    (void)close(fd);
}

static int no_problem(void *ctx, const struct store_problem *p)
{
    (void)ctx;
    (void)p;
    return 0;
}

static int no_training(void *ctx, const struct store_training *t)
{
    (void)ctx;
    (void)t;
    return 0;
}

/* Nothing is down or broken: who asked meant another store. */
Test(grpc_store, what_a_proxy_does_not_have_is_a_mistake_of_the_caller)
{
    struct store *s = must_open(fresh_path());
    struct store_vacuumed done;
    struct store_config config;
    REFUSED(ERR_INVALID, store_check(s, true, no_problem, NULL, &err));
    REFUSED(ERR_INVALID, store_vacuum(s, &done, &err));
    REFUSED(ERR_INVALID, store_config_get(s, &config, &err));
    REFUSED(ERR_INVALID, store_trainings_each(s, 0, no_training, NULL, &err));
    cr_expect_not_null(strstr(err.msg, "name the store behind it"), "%s", err.msg);
    store_destroy(s);
}

/* Readers are told at once, writers after the patience that a restart of the server takes. */
Test(grpc_store, a_port_where_nothing_listens_is_told_as_such)
{
    struct store *s = NULL;
    const struct store_opts look = {.read_only = true};
    REFUSED(ERR_UNAVAILABLE, store_open(&s, "grpc://127.0.0.1:1", &look, &err));
    cr_expect_not_null(strstr(err.msg, "127.0.0.1:1: nothing answers there"), "%s", err.msg);
    cr_expect_not_null(strstr(err.msg, "Connection refused"), "%s", err.msg);
    REFUSED(ERR_UNAVAILABLE, store_open(&s, "grpc://127.0.0.1:1", NULL, &err));
    cr_expect_not_null(strstr(err.msg, "Connection refused"), "%s", err.msg);
    cr_expect_null(strstr(err.msg, "Deadline"), "%s", err.msg);
}

Test(grpc_store, urls_that_mean_nothing_are_refused)
{
    struct store *s = NULL;
    static const char *const urls[] = {"grpc://", "grpc://me:secret@host:1", "grpc://host/path",
                                       "grpc+unix://relative", "grpc://host:1?nope=1"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        REFUSED(ERR_INVALID, store_open(&s, urls[i], NULL, &err));
        cr_expect_null(strstr(err.msg, "secret"));
    }
}
