/* How small forkless is: its start, its memory, a large study opened.
 *
 *   bench_size [ROUNDS] */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"
#include "storage/storage.h"

enum { ROUNDS_MAX = 51, PARAMS = 8, STEPS = 10, BATCH = 500 };

#define EIGHT_FLOATS                                                                               \
    "x0=float:0..1", "x1=float:0..1", "x2=float:0..1", "x3=float:0..1", "x4=float:0..1",           \
        "x5=float:0..1", "x6=float:0..1", "x7=float:0..1"

static char dir[PATH_MAX];

static void need(int rc, const struct err *err)
{
    if (rc >= 0)
        return;
    errno = 0;
    bench_die(err->msg);
}

/* Trials as a sweep leaves them: 8 parameters, 10 reports, a value. */
static void fill(const char *name, int trials)
{
    static const char *const names[PARAMS] = {"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"};
    static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};
    static const enum direction minimize = DIRECTION_MINIMIZE;
    const struct store_claim_opts opts = {.target = -1};
    char path[PATH_MAX + 32];
    struct err err;
    struct store *s = NULL;
    int64_t study;
    (void)snprintf(path, sizeof(path), "%s/%s.db", dir, name);
    need(store_open(&s, path, NULL, &err), &err);
    need(store_study_open(s, name, &minimize, 1, &study, &err), &err);
    for (int n = 0; n < trials; n++) {
        struct trial_param params[PARAMS];
        struct trial_step steps[STEPS];
        struct store_claim claim;
        double value = 0;
        if (n % BATCH == 0)
            need(store_begin(s, &err), &err);
        need(store_trial_claim(s, study, &opts, &claim, &err), &err);
        for (int i = 0; i < PARAMS; i++) {
            double x = fmod((n + 1) * (0.618034 + 0.1 * i), 1);
            params[i] = (struct trial_param){.name = names[i], .dist = &unit, .value = x};
            value += (x - 0.3) * (x - 0.3);
        }
        for (int i = 0; i < STEPS; i++)
            steps[i] = (struct trial_step){.step = i, .value = value + 1.0 / (1 + i)};
        need(store_trial_params(s, claim.id, params, PARAMS, &err), &err);
        need(store_trial_steps(s, claim.id, steps, STEPS, &err), &err);
        need(store_trial_finish(s, claim.id, TRIAL_COMPLETE, &value, 1, &err), &err);
        if (n % BATCH == BATCH - 1 || n == trials - 1)
            need(store_commit(s, false, &err), &err);
    }
    store_destroy(s);
}

/* Continues, or opens, the study `name` until it has so many trials. */
static void run_to(const char *name, int target, struct cost *cost)
{
    char n[16], storage[64];
    char *argv[] = {FORKLESS,
                    "run",
                    "-q",
                    "-n",
                    n,
                    "-j",
                    "1",
                    "--storage",
                    storage,
                    "--study",
                    (char *)(size_t)name,
                    "--metric",
                    "loss",
                    EIGHT_FLOATS,
                    "--",
                    NOOP,
                    NULL};
    (void)snprintf(n, sizeof(n), "%d", target);
    (void)snprintf(storage, sizeof(storage), "sqlite:///%s.db", name);
    bench_command(argv, dir, cost, NULL, 0);
}

static void start_up(int rounds)
{
    char *version[] = {FORKLESS, "--version", NULL};
    char *noop[] = {NOOP, NULL};
    double wall[ROUNDS_MAX], cpu[ROUNDS_MAX], run_wall[ROUNDS_MAX], run_cpu[ROUNDS_MAX];
    for (int i = 0; i < rounds; i++) {
        struct cost bare, c;
        char study[32];
        bench_command(version, dir, &c, NULL, 0);
        wall[i] = c.wall_ms;
        cpu[i] = c.cpu_ms;
        (void)snprintf(study, sizeof(study), "one%d", i);
        bench_spawn_loop(noop, 1, &bare);
        run_to(study, 1, &c);
        run_wall[i] = c.wall_ms - bare.wall_ms;
        run_cpu[i] = c.cpu_ms - bare.cpu_ms;
    }
    bench_claim(&(struct bench_claim){"forkless --version, wall", AT_MOST, 10,
                                      bench_median(wall, rounds), " ms"});
    bench_figure("forkless --version, CPU", bench_median(cpu, rounds), " ms");
    bench_figure("a sweep of one trial in a new file, without its spawn, wall",
                 bench_median(run_wall, rounds), " ms");
    bench_claim(&(struct bench_claim){"a sweep of one trial in a new file, without its spawn, CPU",
                                      AT_MOST, 10, bench_median(run_cpu, rounds), " ms"});
}

static void memory(void)
{
    struct cost c;
    fill("ten", 10000);
    run_to("ten", 10020, &c);
    bench_claim(&(struct bench_claim){"peak memory, 20 more trials in a study of 10,000", AT_MOST,
                                      16, c.rss_mib, " MiB"});
}

static void large_study(int rounds)
{
    char *status[] = {FORKLESS, "status", "--storage", "sqlite:///fifty.db", "fifty", NULL};
    double run[ROUNDS_MAX], run_cpu[ROUNDS_MAX], look[ROUNDS_MAX];
    struct cost c;
    fill("fifty", 50000);
    for (int i = 0; i < rounds; i++) {
        run_to("fifty", 50000, &c);
        run[i] = c.wall_ms;
        run_cpu[i] = c.cpu_ms;
        bench_command(status, dir, &c, NULL, 0);
        look[i] = c.wall_ms;
    }
    bench_claim(&(struct bench_claim){"a study of 50,000 trials: opened, read and proven", AT_MOST,
                                      1000, bench_median(run, rounds), " ms"});
    bench_figure("the same, CPU", bench_median(run_cpu, rounds), " ms");
    bench_claim(&(struct bench_claim){"a study of 50,000 trials: forkless status", AT_MOST, 1000,
                                      bench_median(look, rounds), " ms"});
    bench_figure("peak memory of the latter", c.rss_mib, " MiB");
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 11;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    bench_dir("size", dir, sizeof(dir));
    (void)printf("medians of %d runs; trials have 8 parameters and 10 reports\n", rounds);
    start_up(rounds);
    memory();
    large_study(rounds);
    bench_remove_dir(dir);
    return bench_end("size");
}
