/* Many executors on one study of a PostgreSQL server: what one more of them brings, whether they
 * stall one another, and how long the study's lock is held.
 *
 *   bench_postgres      makes a server of its own, with fsync, below /tmp
 *
 * An executor is a thread with a handle of its own, that does what the executor's store thread does
 * for a trial: a claim in one batch, then 8 parameters, 10 reports and the end in another. All of
 * them and the server share this machine, as pods and a server would not. The lock is exclusive: so
 * when little but claims is done by many at once, one of them holds it no longer than there is time
 * for a claim, 1 / rate. */
#include <inttypes.h>
#include <libpq-fe.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench/measure.h"
#include "storage/storage.h"
#include "tests/lib/postgres.h"

enum { PARAMS = 8, STEPS = 10, MOST = 64, RUN_MS = 4000 };

static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};
static const enum direction minimize = DIRECTION_MINIMIZE;
static char url[256];
static atomic_bool stop;
static pthread_barrier_t ready; /* all are connected, and have done one trial */

struct executor {
    pthread_t thread;
    bool claims_only;
    int64_t trials;
    int64_t busy; /* batches that the server refused: locks, deadlocks, serialization */
    double longest_ms;
};

static _Noreturn void die(const struct err *err)
{
    (void)fprintf(stderr, "bench_postgres: %s\n", err->msg);
    exit(1);
}

static int claim(struct store *s, int64_t study, struct store_claim *out, struct err *err)
{
    const struct store_claim_opts opts = {.target = -1, .owner = "bench"};
    int rc = store_begin(s, err);
    if (rc == 0)
        rc = store_trial_claim(s, study, &opts, out, err);
    if (rc == 0)
        rc = store_commit(s, false, err);
    store_rollback(s);
    return rc;
}

/* bare: it failed before it had done anything. */
static int finish(struct store *s, const struct store_claim *c, bool bare, struct err *err)
{
    static const char *const names[PARAMS] = {"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"};
    struct trial_param params[PARAMS];
    struct trial_step steps[STEPS];
    const double value = 0.5;
    for (int i = 0; i < PARAMS; i++)
        params[i] = (struct trial_param){
            .name = names[i], .dist = &unit, .value = fmod((double)c->number * 0.618 + i * 0.1, 1)};
    for (int i = 0; i < STEPS; i++)
        steps[i] = (struct trial_step){.step = i, .value = 1.0 / (1 + i)};
    int rc = store_begin(s, err);
    if (rc == 0 && !bare)
        rc = store_trial_params(s, c->id, params, PARAMS, err);
    if (rc == 0 && !bare)
        rc = store_trial_steps(s, c->id, steps, STEPS, err);
    if (rc == 0)
        rc = bare ? store_trial_finish(s, c->id, TRIAL_FAIL, NULL, 0, err)
                  : store_trial_finish(s, c->id, TRIAL_COMPLETE, &value, 1, err);
    if (rc == 0)
        rc = store_commit(s, false, err);
    store_rollback(s);
    return rc;
}

/* Again while it is busy. */
static void must(struct executor *e, int rc, const struct err *err)
{
    if (rc == -ERR_BUSY)
        e->busy++;
    else if (rc < 0)
        die(err);
}

/* One trial from its claim to its end. */
static void one_trial(struct executor *e, struct store *s, int64_t study)
{
    struct store_claim c;
    struct err err = {0};
    double start = bench_now_ms();
    int rc = claim(s, study, &c, &err);
    must(e, rc, &err);
    if (rc == 0) {
        while ((rc = finish(s, &c, e->claims_only, &err)) == -ERR_BUSY)
            e->busy++;
        must(e, rc, &err);
    }
    double ms = bench_now_ms() - start;
    e->longest_ms = ms > e->longest_ms ? ms : e->longest_ms;
    e->trials += rc == 0;
}

static void *run(void *arg)
{
    struct executor *e = arg;
    AUTO_STORE struct store *s = NULL;
    struct err err = {0};
    int64_t study;
    if (store_open(&s, url, NULL, &err) < 0 ||
        store_study_open(s, "bench", &minimize, 1, &study, &err) < 0)
        die(&err);
    one_trial(e, s, study);
    e->longest_ms = 0;
    e->trials = 0;
    (void)pthread_barrier_wait(&ready);
    while (!atomic_load(&stop))
        one_trial(e, s, study);
    return NULL;
}

struct figures {
    double per_s, longest_ms;
    int64_t busy;
};

static void measure(int n, bool claims_only, struct figures *out)
{
    static struct executor all[MOST];
    const struct timespec ts = {.tv_sec = RUN_MS / 1000};
    int64_t trials = 0;
    *out = (struct figures){0};
    memset(all, 0, sizeof(all));
    atomic_store(&stop, false);
    (void)pthread_barrier_init(&ready, NULL, (unsigned)n + 1);
    for (int i = 0; i < n; i++) {
        all[i].claims_only = claims_only;
        if (pthread_create(&all[i].thread, NULL, run, &all[i]) != 0)
            bench_die("threads");
    }
    (void)pthread_barrier_wait(&ready);
    double start = bench_now_ms();
    (void)nanosleep(&ts, NULL);
    atomic_store(&stop, true);
    for (int i = 0; i < n; i++) {
        (void)pthread_join(all[i].thread, NULL);
        trials += all[i].trials;
        out->busy += all[i].busy;
        out->longest_ms = fmax(out->longest_ms, all[i].longest_ms);
    }
    (void)pthread_barrier_destroy(&ready);
    out->per_s = (double)trials * 1000 / (bench_now_ms() - start);
}

static void figure(const char *what, int n, double v, const char *unit_of)
{
    static char text[16][80];
    static size_t used;
    char *t = text[used++ % 16];
    (void)snprintf(t, sizeof(text[0]), "%d executors: %s", n, what);
    bench_figure(t, v, unit_of);
}

int main(void)
{
    static const int fleets[] = {1, 4, 16, 64};
    static struct pg_server server = {.durable = true};
    struct figures f = {0}, alone = {0};
    int64_t busy = 0;
    if (!pg_server_start(&server))
        return 1;
    (void)snprintf(url, sizeof(url), "%s", pg_url(server.dir, "postgres"));
    struct store *s = NULL;
    struct err err = {0};
    if (store_open(&s, url, NULL, &err) < 0)
        die(&err);
    store_destroy(s);
    double before = 0;
    for (size_t i = 0; i < ARRAY_LEN(fleets); i++) {
        measure(fleets[i], false, &f);
        figure("trials stored", fleets[i], f.per_s, "/s");
        figure("longest claim and end of one trial", fleets[i], f.longest_ms, " ms");
        if (i > 0)
            figure("of them for each executor added", fleets[i],
                   (f.per_s - before) / (fleets[i] - fleets[i - 1]), "/s");
        before = f.per_s;
        busy += f.busy;
        if (i == 0)
            alone = f;
    }
    bench_claim(&(const struct bench_claim){"64 executors to one: trials stored", AT_LEAST, 1,
                                            f.per_s / alone.per_s, "x"});
    bench_claim(&(const struct bench_claim){"batches refused by locks, deadlocks, serialization",
                                            AT_MOST, 0, (double)busy, ""});
    measure(MOST, true, &f);
    figure("bare claims", MOST, f.per_s, "/s");
    bench_claim(
        &(const struct bench_claim){"the study's lock is held for, at 64 executors, at most",
                                    AT_MOST, 1, 1000 / f.per_s, " ms"});
    pg_server_remove(&server);
    return bench_end("postgres");
}
