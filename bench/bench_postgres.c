/* Many executors on one study of a PostgreSQL server: what one more of them brings, whether they
 * stall one another, and how long the study's lock is held.
 *
 *   bench_postgres      makes a server of its own, with fsync, below /tmp
 *
 * An executor is a thread with a handle of its own, that does what the executor's store thread does
 * for a trial: a claim in one batch, then 8 parameters, 10 reports and the end in another. All of
 * them and the server share this machine, as pods and a server would not.
 *
 * How long the study's lock is held is what the server says: from the start of the statement behind
 * the lock to the commit, for each claim, in a run with a trigger that notes the former. Optuna's
 * RDBStorage stores the same trials on the same server: FORKLESS_PYTHON=python, with psycopg2. */
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

enum { PARAMS = 8, STEPS = 10, MOST = 64, RUN_MS = 4000, PACED_MS = 20000, PEERS_MOST = 16 };

static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};
static const enum direction minimize = DIRECTION_MINIMIZE;
static const char *url;
static atomic_bool stop;
static pthread_barrier_t ready; /* all are connected, and have done one trial */

/* What so many executors do: bare claims, or trials that take some time between claim and end. */
struct load {
    int n;
    bool claims_only;
    int trial_ms, run_ms;
};

struct executor {
    pthread_t thread;
    const struct load *load;
    double phase; /* when it begins, in trials */
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

static void work(double part, int ms)
{
    const long us = (long)(part * ms * 1e3);
    const struct timespec ts = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    if (ms > 0)
        (void)nanosleep(&ts, NULL);
}

/* One trial from its claim to its end. */
static void one_trial(struct executor *e, struct store *s, int64_t study)
{
    struct store_claim c;
    struct err err = {0};
    double start = bench_now_ms();
    int rc = claim(s, study, &c, &err);
    must(e, rc, &err);
    /* as long as a trial takes, some more and some less */
    work(0.5 + fmod((double)c.number * 0.618, 1), rc == 0 ? e->load->trial_ms : 0);
    if (rc == 0) {
        while ((rc = finish(s, &c, e->load->claims_only, &err)) == -ERR_BUSY)
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
    work(e->phase, e->load->trial_ms); /* they did not all begin at once */
    while (!atomic_load(&stop))
        one_trial(e, s, study);
    return NULL;
}

struct figures {
    double per_s, longest_ms;
    int64_t busy;
};

static void must_exec(PGconn *c, const char *sql)
{
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        bench_die(PQerrorMessage(c));
    PQclear(r);
}

/* locks: where they are noted; NULL: nowhere. */
static void measure(const struct load *load, PGconn *locks, struct figures *out)
{
    static struct executor all[MOST];
    const struct timespec ts = {.tv_sec = (load->run_ms > 0 ? load->run_ms : RUN_MS) / 1000};
    int64_t trials = 0;
    *out = (struct figures){0};
    memset(all, 0, sizeof(all));
    atomic_store(&stop, false);
    (void)pthread_barrier_init(&ready, NULL, (unsigned)load->n + 1);
    for (int i = 0; i < load->n; i++) {
        all[i].load = load;
        all[i].phase = (double)i / load->n;
        if (pthread_create(&all[i].thread, NULL, run, &all[i]) != 0)
            bench_die("threads");
    }
    (void)pthread_barrier_wait(&ready);
    if (locks != NULL)
        must_exec(locks, "TRUNCATE held"); /* those of the beginning, all at once */
    double start = bench_now_ms();
    (void)nanosleep(&ts, NULL);
    atomic_store(&stop, true);
    for (int i = 0; i < load->n; i++) {
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

/* --- how long the study's lock is held ---------------------------------------------------------
 */

/* A claim's statement begins when the lock is there, and what it inserts is visible to others when
 * its transaction has committed. */
static void note_locks(PGconn *c)
{
    must_exec(c, "CREATE TABLE held (began timestamptz)");
    must_exec(c, "CREATE FUNCTION note_held() RETURNS trigger LANGUAGE plpgsql AS"
                 " 'BEGIN INSERT INTO held VALUES (statement_timestamp()); RETURN NEW; END'");
    must_exec(c, "CREATE TRIGGER note_held BEFORE INSERT ON trials FOR EACH ROW"
                 " EXECUTE FUNCTION note_held()");
}

static double held_ms(PGconn *c, double part)
{
    char sql[256];
    (void)snprintf(sql, sizeof(sql),
                   "SELECT percentile_disc(%g) WITHIN GROUP (ORDER BY"
                   " extract(epoch FROM pg_xact_commit_timestamp(xmin) - began) * 1000) FROM held",
                   part);
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        bench_die(PQerrorMessage(c));
    double ms = atof(PQgetvalue(r, 0, 0));
    PQclear(r);
    return ms;
}

/* With trials of no length this machine has no CPU to spare, and what holds the lock waits for its
 * turn; with trials of a second it has. */
static void measure_lock(void)
{
    static const struct load full = {.n = MOST},
                             paced = {.n = MOST, .trial_ms = 1000, .run_ms = PACED_MS};
    PGconn *c = PQconnectdb(url);
    struct figures f;
    note_locks(c);
    measure(&full, c, &f);
    figure("no CPU idle: the study's lock is held for, median", MOST, held_ms(c, 0.5), " ms");
    figure("no CPU idle: 99 of 100", MOST, held_ms(c, 0.99), " ms");
    measure(&paced, c, &f);
    figure("trials of 1 s, stored", MOST, f.per_s, "/s");
    figure("trials of 1 s: the study's lock is held for, median", MOST, held_ms(c, 0.5), " ms");
    bench_claim(
        &(const struct bench_claim){"64 executors, trials of 1 s: the lock is held for, 99 of 100",
                                    AT_MOST, 1, held_ms(c, 0.99), " ms"});
    PQfinish(c);
}

/* --- beside Optuna -----------------------------------------------------------------------------
 */

/* A database of its own, so that neither slows the other down. */
static double optuna_per_s(const char *python, const char *at, int processes)
{
    char n[16], seconds[16], text[64] = "";
    struct cost cost;
    (void)snprintf(n, sizeof(n), "%d", processes);
    (void)snprintf(seconds, sizeof(seconds), "%d", RUN_MS / 1000);
    char *const argv[] = {(char *)python, (char *)PEER, (char *)at, n, seconds, NULL};
    bench_command(argv, NULL, &cost, text, sizeof(text));
    return atof(text);
}

static void beside_optuna(const char *dir, const double *ours)
{
    static const int fleets[] = {1, 4, PEERS_MOST};
    const char *python = getenv("FORKLESS_PYTHON");
    char at[256];
    double theirs = 0;
    if (python == NULL) {
        (void)printf("  (Optuna: FORKLESS_PYTHON names no Python that has it, and psycopg2)\n");
        return;
    }
    (void)snprintf(at, sizeof(at), "%s", pg_fresh(dir));
    for (size_t i = 0; i < ARRAY_LEN(fleets); i++) {
        theirs = optuna_per_s(python, at, fleets[i]);
        figure("trials that Optuna stores", fleets[i], theirs, "/s");
    }
    bench_figure("trials stored by 16 executors for each by 16 Optuna processes", ours[2] / theirs,
                 "x");
}

int main(void)
{
    static const int fleets[] = {1, 4, 16, MOST};
    static const char *const options[] = {"-c", "track_commit_timestamp=on", "-c",
                                          "shared_buffers=256MB", NULL};
    static struct pg_server server = {.durable = true, .options = options};
    struct figures f = {0};
    double per_s[ARRAY_LEN(fleets)];
    int64_t busy = 0;
    if (!pg_server_start(&server))
        return 1;
    url = server.url;
    struct store *s = NULL;
    struct err err = {0};
    if (store_open(&s, url, NULL, &err) < 0)
        die(&err);
    store_destroy(s);
    for (size_t i = 0; i < ARRAY_LEN(fleets); i++) {
        measure(&(const struct load){.n = fleets[i]}, NULL, &f);
        per_s[i] = f.per_s;
        busy += f.busy;
        figure("trials stored", fleets[i], f.per_s, "/s");
        figure("longest claim and end of one trial", fleets[i], f.longest_ms, " ms");
        if (i > 0)
            figure("of them for each executor added", fleets[i],
                   (per_s[i] - per_s[i - 1]) / (fleets[i] - fleets[i - 1]), "/s");
    }
    bench_claim(&(const struct bench_claim){"64 executors to one: trials stored", AT_LEAST, 1,
                                            per_s[3] / per_s[0], "x"});
    bench_claim(&(const struct bench_claim){"batches refused by locks, deadlocks, serialization",
                                            AT_MOST, 0, (double)busy, ""});
    measure(&(const struct load){.n = MOST, .claims_only = true}, NULL, &f);
    figure("bare claims", MOST, f.per_s, "/s");
    measure_lock();
    beside_optuna(server.dir, per_s);
    pg_server_remove(&server);
    return bench_end("postgres");
}
