/* What a trial costs in the store: 8 parameters, 10 intermediate values, a value and a state.
 *
 *   bench_store [DIRECTORY]      the directory holds the databases; default: $TMPDIR or /tmp
 *
 * Side by side in one run: the store; the same rows by a bare loop of prepared statements, which
 * knows all ids and checks nothing; and Optuna's RDBStorage (bench/store_peer.py under
 * $FORKLESS_PYTHON). Prints one JSON object; times are CPU microseconds a trial unless named
 * otherwise. */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "storage/storage.h"

extern char **environ;

enum { PARAMS = 8, STEPS = 10, LOOP = 5000, DURABLE_LOOP = 1000, ROUNDS = 5 };

static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};
static const enum direction minimize = DIRECTION_MINIMIZE;
static struct err err;

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_store: %s: %s\n", what, err.msg);
    exit(1);
}

static double cpu_us(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static struct store *open_new(const char *path, int64_t *study)
{
    char log[4200];
    struct store *s = NULL;
    (void)unlink(path);
    (void)snprintf(log, sizeof(log), "%s-wal", path);
    (void)unlink(log);
    if (store_open(&s, path, NULL, &err) < 0 ||
        store_study_open(s, "bench", &minimize, 1, study, &err) < 0)
        die(path);
    return s;
}

/* One trial as the executor writes it: a batch when it starts, one when it ends. */
static void one_trial(struct store *s, int64_t study, bool durable)
{
    static const char *const names[PARAMS] = {"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"};
    const struct store_claim_opts opts = {.target = -1};
    struct trial_param params[PARAMS];
    struct trial_step steps[STEPS];
    struct store_claim claim;
    double value = 0.5;
    if (store_begin(s, &err) < 0 || store_trial_claim(s, study, &opts, &claim, &err) < 0)
        die("claim");
    for (int i = 0; i < PARAMS; i++)
        params[i] = (struct trial_param){.name = names[i],
                                         .dist = &unit,
                                         .value = fmod((double)claim.number * 0.618 + i * 0.1, 1)};
    for (int i = 0; i < STEPS; i++)
        steps[i] = (struct trial_step){.step = i, .value = 1.0 / (1 + i)};
    if (store_trial_params(s, claim.id, params, PARAMS, &err) < 0 ||
        store_commit(s, false, &err) < 0)
        die("params");
    if (store_begin(s, &err) < 0)
        die("begin");
    for (int i = 0; i < STEPS; i++) {
        if (store_trial_steps(s, claim.id, &steps[i], 1, &err) < 0)
            die("steps");
    }
    if (store_trial_finish(s, claim.id, TRIAL_COMPLETE, &value, 1, &err) < 0 ||
        store_commit(s, durable, &err) < 0)
        die("finish");
}

static double wall_us(void)
{
    return (double)clock_mono_ns() / 1e3;
}

/* As bare_trials. */
static double store_trials(struct store *s, int64_t study, int n, bool durable,
                           double (*now_us)(void))
{
    double from = now_us();
    for (int i = 0; i < n; i++)
        one_trial(s, study, durable);
    return (now_us() - from) / n;
}

/* ---- the bare loop ---- */

enum { B_BEGIN, B_COMMIT, B_TRIAL, B_PARAM, B_STEP, B_VALUE, B_END, B_COUNT };

static void step_bare(sqlite3 *db, sqlite3_stmt *st)
{
    if (sqlite3_step(st) != SQLITE_DONE) {
        (void)snprintf(err.msg, sizeof(err.msg), "%s", sqlite3_errmsg(db));
        die("bare loop");
    }
    (void)sqlite3_reset(st);
}

static void bare_trial(sqlite3 *db, sqlite3_stmt **st, int64_t id, sqlite3_file *log)
{
    static const char dist[] = "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, "
                               "\"low\": 0.0, \"high\": 1.0, \"log\": false}}";
    static const char *const names[PARAMS] = {"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"};
    char now[CLOCK_TEXT_MAX];
    step_bare(db, st[B_BEGIN]);
    (void)sqlite3_bind_int64(st[B_TRIAL], 1, id);
    (void)sqlite3_bind_int64(st[B_TRIAL], 2, id - 1);
    (void)sqlite3_bind_text(st[B_TRIAL], 3, clock_sql(clock_utc_us(), now), -1, SQLITE_STATIC);
    step_bare(db, st[B_TRIAL]);
    for (int i = 0; i < PARAMS; i++) {
        (void)sqlite3_bind_int64(st[B_PARAM], 1, id);
        (void)sqlite3_bind_text(st[B_PARAM], 2, names[i], -1, SQLITE_STATIC);
        (void)sqlite3_bind_double(st[B_PARAM], 3, fmod((double)id * 0.618 + i * 0.1, 1));
        (void)sqlite3_bind_text(st[B_PARAM], 4, dist, -1, SQLITE_STATIC);
        step_bare(db, st[B_PARAM]);
    }
    step_bare(db, st[B_COMMIT]);
    step_bare(db, st[B_BEGIN]);
    for (int i = 0; i < STEPS; i++) {
        (void)sqlite3_bind_int64(st[B_STEP], 1, id);
        (void)sqlite3_bind_int(st[B_STEP], 2, i);
        (void)sqlite3_bind_double(st[B_STEP], 3, 1.0 / (1 + i));
        step_bare(db, st[B_STEP]);
    }
    (void)sqlite3_bind_int64(st[B_VALUE], 1, id);
    (void)sqlite3_bind_double(st[B_VALUE], 2, 0.5);
    step_bare(db, st[B_VALUE]);
    (void)sqlite3_bind_int64(st[B_END], 1, id);
    (void)sqlite3_bind_text(st[B_END], 2, clock_sql(clock_utc_us(), now), -1, SQLITE_STATIC);
    step_bare(db, st[B_END]);
    step_bare(db, st[B_COMMIT]);
    if (log != NULL && log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) != SQLITE_OK)
        die("sync");
}

/* durable: the second commit of a trial is synced, as the store does it. The time that a trial
 * takes, in microseconds of CPU or of the clock. */
static double bare_trials(const char *path, int n, bool durable, double (*now_us)(void))
{
    sqlite3_file *log = NULL;
    static const char *const sql[B_COUNT] = {
        "BEGIN IMMEDIATE",
        "COMMIT",
        "INSERT INTO trials(trial_id, number, study_id, state, datetime_start)"
        " VALUES(?1, ?2, 1, 'RUNNING', ?3)",
        "INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json)"
        " VALUES(?1, ?2, ?3, ?4)",
        "INSERT INTO trial_intermediate_values(trial_id, step, intermediate_value,"
        " intermediate_value_type) VALUES(?1, ?2, ?3, 'FINITE')",
        "INSERT INTO trial_values(trial_id, objective, value, value_type) VALUES(?1, 0, ?2, "
        "'FINITE')",
        "UPDATE trials SET state='COMPLETE', datetime_complete=?2 WHERE trial_id=?1",
    };
    sqlite3 *db = NULL;
    sqlite3_stmt *st[B_COUNT];
    int64_t study;
    store_destroy(open_new(path, &study)); /* the tables */
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
            SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL) != SQLITE_OK)
        die(path);
    for (int i = 0; i < B_COUNT; i++) {
        if (sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &st[i], NULL) !=
            SQLITE_OK)
            die(sqlite3_errmsg(db));
    }
    step_bare(db, st[B_BEGIN]); /* the log is there from the first transaction on */
    step_bare(db, st[B_COMMIT]);
    if (durable && (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&log) !=
                        SQLITE_OK ||
                    log == NULL || log->pMethods == NULL))
        die("log");
    double from = now_us();
    for (int i = 0; i < n; i++)
        bare_trial(db, st, i + 1, log);
    double spent = (now_us() - from) / n;
    for (int i = 0; i < B_COUNT; i++)
        (void)sqlite3_finalize(st[i]);
    (void)sqlite3_close(db);
    return spent;
}

/* ---- reading ---- */

static int count_steps(void *ctx, const struct trial *t)
{
    *(size_t *)ctx += t->n_steps;
    return 0;
}

/* Opens the study and reads all of it. */
static double open_us(const char *path, size_t *steps, double (*now_us)(void))
{
    struct store *s = NULL;
    int64_t study;
    double from = now_us();
    if (store_open(&s, path, NULL, &err) < 0 || store_study_find(s, "bench", &study, &err) < 0 ||
        store_trials_sync(s, study, WANT_ALL, count_steps, steps, &err) < 0)
        die("sync");
    double us = now_us() - from;
    store_destroy(s);
    return us;
}

/* The CPU microseconds that Optuna needs, as its program prints them; NaN without it. */
static double optuna(const char *what, const char *path)
{
    const char *python = getenv("FORKLESS_PYTHON");
    char text[64] = "";
    int fds[2];
    if (python == NULL || pipe2(fds, O_CLOEXEC) != 0)
        return NAN;
    char *const argv[] = {(char *)python, (char *)STORE_PEER, (char *)what, (char *)path, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    int failed = posix_spawn(&pid, python, &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(fds[1]);
    size_t n = 0;
    for (ssize_t got; failed == 0 && n < sizeof(text) - 1 &&
                      (got = read(fds[0], text + n, sizeof(text) - 1 - n)) > 0;)
        n += (size_t)got;
    (void)close(fds[0]);
    if (failed != 0)
        return NAN;
    (void)waitpid(pid, NULL, 0);
    return n > 0 ? strtod(text, NULL) : NAN;
}

static double least(const double *v, int n)
{
    double best = v[0];
    for (int i = 1; i < n; i++)
        best = fmin(best, v[i]);
    return best;
}

/* Over what a missing peer would have said. */
static double ratio(double a, double b)
{
    return isnan(a) || isnan(b) ? 0 : a / b;
}

struct paths {
    char ours[4096], bare[4096], peer[4096];
};

/* CPU of a trial. */
static void bench_cpu(const struct paths *p)
{
    double ours[ROUNDS], bare[ROUNDS];
    int64_t study;
    for (int i = 0; i < ROUNDS; i++) { /* interleaved, so that a noisy neighbour hits both */
        struct store *s = open_new(p->ours, &study);
        ours[i] = store_trials(s, study, LOOP, false, cpu_us);
        store_destroy(s);
        bare[i] = bare_trials(p->bare, LOOP, false, cpu_us);
    }
    (void)unlink(p->peer);
    double peer = optuna("trial", p->peer);
    double mine = least(ours, ROUNDS), loop = least(bare, ROUNDS);
    (void)printf("{\"trial_cpu_us\": %.1f, \"bare_cpu_us\": %.1f, \"optuna_cpu_us\": %.0f,\n"
                 " \"times_optuna\": %.1f, \"times_bare\": %.2f,\n",
                 mine, loop, isnan(peer) ? 0 : peer, ratio(peer, mine), loop / mine);
}

/* Trials a second that reach the disk one by one. */
static void bench_durable(const struct paths *p)
{
    double ours[ROUNDS], bare[ROUNDS];
    int64_t study;
    for (int i = 0; i < ROUNDS; i++) {
        struct store *s = open_new(p->ours, &study);
        ours[i] = store_trials(s, study, DURABLE_LOOP, true, wall_us);
        store_destroy(s);
        bare[i] = bare_trials(p->bare, DURABLE_LOOP, true, wall_us);
    }
    double mine = least(ours, ROUNDS), loop = least(bare, ROUNDS);
    (void)printf(" \"durable_per_s\": %.0f, \"bare_durable_per_s\": %.0f, \"durable_times_bare\": "
                 "%.2f,\n",
                 1e6 / mine, 1e6 / loop, loop / mine);
}

/* A trial in a large study beside one in a small study, and reading the large one. */
static void bench_growth(const struct paths *p)
{
    double at_1k[ROUNDS], at_100k[ROUNDS], cpu[ROUNDS];
    size_t steps = 0;
    int64_t study, young;
    struct store *big = open_new(p->ours, &study);
    (void)store_trials(big, study, 50000, false, cpu_us);
    double opened = open_us(p->ours, &steps, wall_us);
    for (int i = 0; i < ROUNDS; i++)
        cpu[i] = open_us(p->ours, &steps, cpu_us);
    double peer = optuna("open", p->ours);
    (void)store_trials(big, study, 49000, false, cpu_us);
    for (int i = 0; i < ROUNDS; i++) {
        struct store *small = open_new(p->bare, &young);
        (void)store_trials(small, young, 1000, false, cpu_us);
        at_1k[i] = store_trials(small, young, 1000, false, cpu_us);
        store_destroy(small);
        at_100k[i] = store_trials(big, study, 1000, false, cpu_us);
    }
    store_destroy(big);
    (void)printf(" \"at_1000_us\": %.1f, \"at_100000_us\": %.1f, \"growth\": %.2f,\n",
                 least(at_1k, ROUNDS), least(at_100k, ROUNDS),
                 least(at_100k, ROUNDS) / least(at_1k, ROUNDS));
    (void)printf(" \"open_50000_ms\": %.0f, \"open_50000_cpu_ms\": %.0f, \"optuna_open_cpu_ms\": "
                 "%.0f, \"open_times_optuna\": %.0f}\n",
                 opened / 1e3, least(cpu, ROUNDS) / 1e3, isnan(peer) ? 0 : peer / 1e3,
                 ratio(peer, least(cpu, ROUNDS)));
}

int main(int argc, char **argv)
{
    const char *tmp = getenv("TMPDIR");
    const char *dir = argc > 1 ? argv[1] : tmp != NULL ? tmp : "/tmp";
    struct paths p;
    (void)snprintf(p.ours, sizeof(p.ours), "%.4000s/bench_store.db", dir);
    (void)snprintf(p.bare, sizeof(p.bare), "%.4000s/bench_bare.db", dir);
    (void)snprintf(p.peer, sizeof(p.peer), "%.4000s/bench_peer.db", dir);
    bench_cpu(&p);
    bench_durable(&p);
    bench_growth(&p);
    (void)unlink(p.ours);
    (void)unlink(p.bare);
    (void)unlink(p.peer);
    return 0;
}
