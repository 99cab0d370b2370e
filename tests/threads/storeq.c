/* The store's queue under ThreadSanitizer: jobs of all kinds from the loop, a store that is locked
 * by somebody else meanwhile, and the end of it all. A plain program: Criterion does not start
 * under TSan. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executor/spool/spool.h"
#include "executor/storeq.h"

#define JOBS 400
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

struct test {
    uv_loop_t loop;
    struct storeq *q;
    int64_t study;
    int done, refused, troubles, recoveries;
    int broken;
    int created;    /* trials, by jobs that went well */
    int last_write; /* writes come back in the order in which they went in */
    uv_timer_t timer;
    int pushed;
};

struct job {
    struct storeq_job job;
    struct test *t;
    int number;
    int64_t trial;
    int committed; /* on the writer's thread; nobody else looks before the job is done */
    struct spool_chain chain;
};

/* It fails when it has written already. */
static bool breaks(const struct job *job)
{
    return job->number % 50 == 21;
}

static int run(struct storeq_job *j, struct store *s, struct err *err)
{
    struct job *job = CONTAINER_OF(j, struct job, job);
    int64_t counts[TRIAL_STATES];
    const struct trial_attr attr = {"k", "1"};
    if (j->kind == STOREQ_READ)
        return store_study_counts(s, job->t->study, counts, err);
    if (job->number % 10 == 3)
        return store_trial_attrs(s, 1 << 30, ATTR_USER, &attr, 1, err); /* no such trial */
    int rc = store_trial_create(s, job->t->study, NULL, &job->trial, NULL, err);
    return rc == 0 && breaks(job) ? err_set(err, ERR_NOMEM, "half way") : rc;
}

/* While the store refuses; on either of the queue's threads. */
static void put_spool(struct storeq_job *j, unsigned generation, struct buf *out)
{
    struct job *job = CONTAINER_OF(j, struct job, job);
    const struct entry e = {.study = "s", .number = job->number};
    spool_put(out, &e, spool_chain_next(&job->chain, generation));
}

static void committed(struct storeq_job *j)
{
    CONTAINER_OF(j, struct job, job)->committed++;
}

static void done(struct storeq_job *j)
{
    AUTO_FREE struct job *job = CONTAINER_OF(j, struct job, job);
    struct test *t = job->t;
    t->done++;
    CHECK(job->committed == (j->rc == 0)); /* once, and before */
    if (j->kind == STOREQ_WRITE || j->kind == STOREQ_DURABLE) {
        CHECK(job->number > t->last_write);
        t->last_write = job->number;
    }
    if (j->kind != STOREQ_READ && job->number % 10 == 3) {
        CHECK(j->rc == -ERR_NOTFOUND);
        t->refused++;
    } else if (breaks(job)) {
        CHECK(j->rc == -ERR_NOMEM && strcmp(j->err.msg, "half way") == 0);
        t->broken++;
    } else {
        CHECK(j->rc == 0);
        t->created += j->kind != STOREQ_READ;
    }
    if (t->done == JOBS)
        storeq_stop(t->q);
}

static void on_trouble(void *ctx, bool trouble, const struct err *err)
{
    struct test *t = ctx;
    CHECK(!trouble || err->msg[0] != '\0');
    t->troubles += trouble;
    t->recoveries += !trouble;
}

static void push_some(uv_timer_t *timer)
{
    static const enum storeq_kind kinds[] = {
        STOREQ_WRITE,       STOREQ_DURABLE, STOREQ_READ,        STOREQ_CLAIM,       STOREQ_WRITE,
        STOREQ_CLAIM_AHEAD, STOREQ_DURABLE, STOREQ_CLAIM_AHEAD, STOREQ_CLAIM_AHEAD, STOREQ_WRITE};
    struct test *t = CONTAINER_OF(timer, struct test, timer);
    for (int i = 0; i < 20 && t->pushed < JOBS; i++, t->pushed++) {
        struct job *job = calloc(1, sizeof(*job));
        CHECK(job != NULL);
        job->job = (struct storeq_job){
            .kind = kinds[t->pushed % 10], .run = run, .committed = committed, .done = done};
        if (job->job.kind == STOREQ_WRITE || job->job.kind == STOREQ_DURABLE)
            job->job.spool = put_spool;
        job->t = t;
        job->number = t->pushed;
        storeq_push(t->q, &job->job);
    }
    if (t->pushed == JOBS)
        uv_close((uv_handle_t *)timer, NULL);
}

/* Somebody else: holds the write lock for a while, again and again, once for longer than the queue
 * waits before it tells. */
static void *lock_it(void *url)
{
    struct err err;
    struct store *s = NULL;
    const struct timespec hold = {.tv_nsec = 150000000},
                          long_hold = {.tv_sec = 1, .tv_nsec = 400000000};
    CHECK(store_open(&s, url, NULL, &err) == 0);
    for (int i = 0; i < 5; i++) {
        CHECK(store_begin(s, &err) == 0);
        (void)nanosleep(i == 0 ? &long_hold : &hold, NULL);
        store_rollback(s);
    }
    store_destroy(s);
    return NULL;
}

/* What a job wrote that failed is not there, what its company wrote is. */
static void check_trials(const char *url, const struct test *t)
{
    struct err err;
    struct store *s = NULL;
    int64_t counts[TRIAL_STATES];
    CHECK(store_open(&s, url, NULL, &err) == 0);
    CHECK(store_study_counts(s, t->study, counts, &err) == 0);
    CHECK(counts[TRIAL_RUNNING] == t->created);
    store_destroy(s);
}

static int64_t make_study(const char *url)
{
    struct err err;
    struct store *s = NULL;
    const enum direction direction = DIRECTION_MINIMIZE;
    int64_t study;
    CHECK(store_open(&s, url, NULL, &err) == 0);
    CHECK(store_study_open(s, "s", &direction, 1, &study, &err) == 0);
    store_destroy(s);
    return study;
}

int main(void)
{
    char dir[] = "/tmp/forkless-storeq-XXXXXX", url[128], path[160];
    struct test t = {.last_write = -1};
    struct err err = {0};
    pthread_t other;
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(url, sizeof(url), "sqlite:///%s/s.db", dir);
    t.study = make_study(url);
    CHECK(uv_loop_init(&t.loop) == 0);
    struct spool *spool = NULL;
    const struct spool_conf keep = {.run_dir = dir, .storage = url, .run_id = "r", .owner = "me"};
    CHECK(spool_create(&spool, &keep, &err) == 0);
    const struct storeq_conf conf = {
        .url = url, .spool = spool, .patience_ms = 60000, .on_trouble = on_trouble, .ctx = &t};
    CHECK(storeq_start(&t.q, &t.loop, &conf, &err) == 0);
    CHECK(pthread_create(&other, NULL, lock_it, url) == 0);
    CHECK(uv_timer_init(&t.loop, &t.timer) == 0 && uv_timer_start(&t.timer, push_some, 0, 20) == 0);
    (void)uv_run(&t.loop, UV_RUN_DEFAULT);
    (void)pthread_join(other, NULL);
    CHECK(uv_loop_close(&t.loop) == 0);
    CHECK(t.done == JOBS);
    CHECK(t.refused == JOBS / 10);
    check_trials(url, &t);
    CHECK(t.troubles > 0 && t.troubles == t.recoveries);
    CHECK(spool_left(spool) <= t.broken); /* what the store has not taken for good */
    AUTO_FREE char *left = strdup(spool_path(spool));
    spool_destroy(spool);
    if (left != NULL)
        (void)unlink(left);
    static const char *const files[] = {"s.db", "s.db-wal", "s.db-shm", SPOOL_DIR, ""};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        (void)remove(path);
    }
    return 0;
}
