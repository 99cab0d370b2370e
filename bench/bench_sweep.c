/* Whole sweeps: what forkless adds to the commands it runs, and what the same sweep costs with
 * Optuna, SQLite and subprocess.
 *
 *   bench_sweep [ROUNDS]       FORKLESS_PYTHON names a Python that has Optuna and XGBoost
 *
 * Each round runs all sides, one after the other; the figures are medians over the rounds. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/measure.h"

enum {
    ROUNDS_MAX = 51,
    NOOPS = 200,      /* trials of the command that does nothing */
    PASSES = 40,      /* of python -c */
    PEER_TRIALS = 20, /* of Optuna, command that does nothing */
    XGB_TRIALS = 40,  /* of XGBoost, ours */
    XGB_PEER_TRIALS = 8,
};

#define EIGHT_FLOATS                                                                               \
    "x0=float:0..1", "x1=float:0..1", "x2=float:0..1", "x3=float:0..1", "x4=float:0..1",           \
        "x5=float:0..1", "x6=float:0..1", "x7=float:0..1"

static char dir[PATH_MAX];
static char *python;
static int serial; /* of studies and databases: each sweep starts from nothing */

/* A sweep of a command, one job; TPE over 8 floats. */
static void sweep(int trials, char *const command[], struct cost *cost)
{
    char n[16], storage[64], study[32];
    char *argv[40] = {FORKLESS, "run",       "-q",    "-n",         n,     "-j",
                      "1",      "--storage", storage, "--study",    study, "--metric",
                      "loss",   "--sampler", "tpe",   EIGHT_FLOATS, "--"};
    size_t at = 0;
    (void)snprintf(n, sizeof(n), "%d", trials);
    (void)snprintf(study, sizeof(study), "s%d", ++serial);
    (void)snprintf(storage, sizeof(storage), "sqlite:///s%d.db", serial);
    while (argv[at] != NULL)
        at++;
    for (size_t i = 0; command[i] != NULL; i++)
        argv[at++] = command[i];
    bench_command(argv, dir, cost, NULL, 0);
}

struct per_trial {
    double wall_ms, cpu_ms;
};

/* The same with Optuna; NaN without a Python. */
static struct per_trial optuna(const char *kind, int trials, int jobs, char *const command[])
{
    struct per_trial r = {NAN, NAN};
    struct cost cost;
    char n[16], j[16], database[64], text[128];
    char *argv[16] = {python, PEER_SWEEP, (char *)(size_t)kind, database, n, j};
    if (python == NULL)
        return r;
    (void)snprintf(n, sizeof(n), "%d", trials);
    (void)snprintf(j, sizeof(j), "%d", jobs);
    (void)snprintf(database, sizeof(database), "optuna%d.db", ++serial);
    for (size_t i = 0; command[i] != NULL; i++)
        argv[6 + i] = command[i];
    bench_command(argv, dir, &cost, text, sizeof(text));
    if (sscanf(text, "%lf %lf", &r.wall_ms, &r.cpu_ms) != 2)
        bench_die(PEER_SWEEP);
    return r;
}

static void noop_command(int rounds)
{
    char *command[] = {NOOP, NULL};
    double bare[ROUNDS_MAX], ours[ROUNDS_MAX], ratio[ROUNDS_MAX], own[ROUNDS_MAX];
    double peer_wall[ROUNDS_MAX], peer_cpu[ROUNDS_MAX], times[ROUNDS_MAX];
    for (int i = 0; i < rounds; i++) {
        struct cost loop, one, all;
        bench_spawn_loop(command, NOOPS, &loop);
        sweep(1, command, &one);
        sweep(NOOPS + 1, command, &all);
        bare[i] = loop.wall_ms / NOOPS;
        ours[i] = (all.wall_ms - one.wall_ms) / NOOPS; /* without start-up and proof */
        ratio[i] = ours[i] / bare[i];
        own[i] = (all.own_cpu_ms - one.own_cpu_ms) / NOOPS;
        struct per_trial peer = optuna("none", PEER_TRIALS, 1, command);
        peer_wall[i] = peer.wall_ms;
        peer_cpu[i] = peer.cpu_ms;
        times[i] = peer.cpu_ms / own[i];
    }
    (void)printf("a command that does nothing, 8 floats by TPE, one job, each row durable\n");
    bench_figure("posix_spawn and wait in a loop, a trial", bench_median(bare, rounds), " ms");
    bench_figure("forkless, a trial", bench_median(ours, rounds), " ms");
    bench_claim(&(struct bench_claim){"a trial against the bare loop, wall", AT_MOST, 1.5,
                                      bench_median(ratio, rounds), "x"});
    bench_figure("CPU of the executor, a trial", bench_median(own, rounds), " ms");
    if (python == NULL)
        return;
    bench_figure("Optuna, a trial", bench_median(peer_wall, rounds), " ms");
    bench_figure("CPU of Optuna's process, a trial", bench_median(peer_cpu, rounds), " ms");
    bench_claim(&(struct bench_claim){"CPU of Optuna's process against the executor's", AT_LEAST,
                                      50, bench_median(times, rounds), "x"});
}

static void python_command(int rounds)
{
    char *command[] = {python != NULL ? python : "python3", "-c", "print('loss=1')", NULL};
    double bare[ROUNDS_MAX], ours[ROUNDS_MAX], ratio[ROUNDS_MAX];
    for (int i = 0; i < rounds; i++) {
        struct cost loop, all;
        bench_spawn_loop(command, PASSES, &loop);
        sweep(PASSES, command, &all);
        bare[i] = loop.wall_ms / PASSES;
        ours[i] = all.wall_ms / PASSES;
        ratio[i] = ours[i] / bare[i];
    }
    (void)printf("python -c \"print('loss=1')\", the same sweep, start-up and proof included\n");
    bench_figure("posix_spawn and wait in a loop, a trial", bench_median(bare, rounds), " ms");
    bench_figure("forkless, a trial", bench_median(ours, rounds), " ms");
    bench_claim(&(struct bench_claim){"a sweep against the bare loop, wall", AT_MOST, 1.15,
                                      bench_median(ratio, rounds), "x"});
}

static void write_spec(const char *path)
{
    static const char text[] =
        "study: {name: cancer, direction: maximize, metric: auc}\n"
        "budget: {trials: 1}\n"
        "run:\n"
        "  builtin: xgboost\n"
        "  data: cancer.csv\n"
        "  label: y\n"
        "  folds: {holdout: 0.2}\n"
        "  rounds: 50\n"
        "  fixed: {tree_method: hist, max_depth: 6, objective: 'binary:logistic'}\n"
        "space:\n"
        "  eta: {float: [0.05, 0.3], log: true}\n"
        "  lambda: {float: [0.1, 10], log: true}\n"
        "  subsample: {float: [0.5, 1.0]}\n"
        "sampler: tpe\n"
        "slots: {jobs: 2, cpus: 1}\n";
    FILE *f = fopen(path, "we");
    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
        bench_die(path);
}

static void xgboost(int rounds)
{
    char csv[PATH_MAX + 16], spec[PATH_MAX + 16], trials[32], storage[64], study[32];
    struct cost cost;
    double ours[ROUNDS_MAX], peer[ROUNDS_MAX], times[ROUNDS_MAX];
    char *trial[] = {python, PEER_TRIAL, csv, "50", NULL};
    char *run[] = {FORKLESS,  "run", "-q", "--storage", storage,
                   "--study", study, spec, trials,      NULL};
    char *export[] = {python, PEER_DATA, csv, NULL};
    (void)snprintf(csv, sizeof(csv), "%s/cancer.csv", dir);
    (void)snprintf(spec, sizeof(spec), "%s/cancer.yaml", dir);
    (void)snprintf(trials, sizeof(trials), "budget.trials=%d", XGB_TRIALS);
    bench_command(export, dir, &cost, NULL, 0);
    write_spec(spec);
    for (int i = 0; i < rounds; i++) {
        (void)snprintf(study, sizeof(study), "cancer%d", ++serial);
        (void)snprintf(storage, sizeof(storage), "sqlite:///%s.db", study);
        bench_command(run, dir, &cost, NULL, 0);
        ours[i] = cost.wall_ms / XGB_TRIALS;
        peer[i] = optuna("xgboost", XGB_PEER_TRIALS, 2, trial).wall_ms;
        times[i] = peer[i] / ours[i];
    }
    (void)printf(
        "XGBoost, 569 rows x 30 features, 50 rounds, a fresh process a trial, 2 jobs, TPE\n");
    bench_figure("forkless, a trial, start-up and proof included", bench_median(ours, rounds),
                 " ms");
    bench_figure("Optuna and subprocess, a trial", bench_median(peer, rounds), " ms");
    bench_claim(&(struct bench_claim){"Optuna and subprocess against forkless, wall", AT_LEAST, 15,
                                      bench_median(times, rounds), "x"});
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 5;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    python = getenv("FORKLESS_PYTHON");
    bench_dir("sweep", dir, sizeof(dir));
    (void)printf("medians of %d interleaved rounds\n", rounds);
    noop_command(rounds);
    python_command(rounds);
    if (python != NULL)
        xgboost(rounds);
    bench_remove_dir(dir);
    return bench_end("sweep");
}
