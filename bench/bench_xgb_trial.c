/* What a fresh XGBoost trial costs beyond training: forkless-xgboost, with validation, metrics and
 * the model saved, against a bare C API program that trains on the same rows and does nothing else,
 * and against a fresh Python process that does the same. CPU time and resident memory, as medians
 * of interleaved runs, and their ratios.
 *
 *     bench_xgb_trial [REPEATS]           FORKLESS_PYTHON=… names the Python of the last peer */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"

#define ROUNDS "50"
#define REPEATS_MAX 101

extern char **environ;

struct shape {
    const char *name;
    size_t rows, cols;
};

enum { BARE, OURS, PYTHON, PEERS };

struct cost {
    double cpu_ms[REPEATS_MAX];
    double rss_mib[REPEATS_MAX];
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Noisy labels of a rule with an interaction, so that trees have something to find. */
static int label_of(const float *x, struct rng *rng)
{
    double score =
        1.5 * (double)x[0] - (double)x[1] + 2.0 * (double)x[2] * (double)x[3] + 0.5 * (double)x[4];
    return rng_unit(rng) < 1 / (1 + exp(-score));
}

/* DIR/data.csv for ours and Python's; DIR/train.f32 with its first four fifths for the bare
 * program. */
static void make_data(const struct shape *s, const char *dir)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/data.csv", dir);
    FILE *csv = fopen(path, "we");
    (void)snprintf(path, sizeof(path), "%s/train.f32", dir);
    FILE *raw = fopen(path, "we");
    float *labels = malloc(s->rows * sizeof(*labels)), *x = malloc(s->cols * sizeof(*x));
    if (csv == NULL || raw == NULL || labels == NULL || x == NULL)
        die(path);
    struct rng rng;
    rng_seed(&rng, 7);
    for (size_t c = 0; c < s->cols; c++)
        (void)fprintf(csv, "x%zu,", c);
    (void)fputs("y\n", csv);
    size_t train = s->rows * 4 / 5;
    for (size_t i = 0; i < s->rows; i++) {
        for (size_t c = 0; c < s->cols; c++) {
            x[c] = (float)(round(rng_normal(&rng) * 1e5) / 1e5);
            (void)fprintf(csv, "%.5f,", (double)x[c]);
        }
        labels[i] = (float)label_of(x, &rng);
        (void)fprintf(csv, "%d\n", (int)labels[i]);
        if (i < train)
            (void)fwrite(x, sizeof(*x), s->cols, raw);
    }
    (void)fwrite(labels, sizeof(*labels), train, raw);
    free(labels);
    free(x);
    if (fclose(csv) != 0 || fclose(raw) != 0)
        die("write the data");
}

static void make_config(const char *dir)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/run.json", dir);
    FILE *f = fopen(path, "we");
    if (f == NULL)
        die(path);
    (void)fprintf(f,
                  "{\"data\": \"%s/data.csv\", \"label\": \"y\", \"folds\": {\"holdout\": 0.2}, "
                  "\"rounds\": " ROUNDS
                  ", \"cache\": \"%s\", \"fixed\": {\"tree_method\": \"hist\", "
                  "\"max_depth\": 6, \"eta\": 0.1}}\n",
                  dir, dir);
    if (fclose(f) != 0)
        die(path);
}

/* Runs a command to its end; what it cost goes into c at place i. Exits when it fails. */
static void measure(char *const argv[], struct cost *c, int i)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    struct rusage use;
    if (posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) != 0)
        die("posix_spawn_file_actions");
    errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    if (errno != 0 || wait4(pid, &status, 0, &use) < 0)
        die(argv[0]);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (status != 0) {
        (void)fprintf(stderr, "bench_xgb_trial: %s ended with status %d\n", argv[0], status);
        exit(1);
    }
    c->cpu_ms[i] = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e3 +
                   (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e3;
    c->rss_mib[i] = (double)use.ru_maxrss / 1024;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof(*v), by_value);
    return v[n / 2];
}

static void compare(const struct shape *s, int repeats, char *python)
{
    static struct cost costs[PEERS];
    static const char *const names[PEERS] = {"bare C API, training alone",
                                             "forkless-xgboost, fresh", "Python, fresh"};
    char dir[] = "/tmp/bench_xgb.XXXXXX", raw[64], rows[24], cols[24], config[64], csv[64];
    if (mkdtemp(dir) == NULL)
        die(dir);
    make_data(s, dir);
    make_config(dir);
    (void)snprintf(raw, sizeof(raw), "%s/train.f32", dir);
    (void)snprintf(csv, sizeof(csv), "%s/data.csv", dir);
    (void)snprintf(config, sizeof(config), "%s/run.json", dir);
    (void)snprintf(rows, sizeof(rows), "%zu", s->rows * 4 / 5);
    (void)snprintf(cols, sizeof(cols), "%zu", s->cols);
    char *prepare[] = {XGB_WORKER, "--config", config, "--prepare", NULL};
    char *commands[PEERS][8] = {
        {XGB_BARE, raw, rows, cols, ROUNDS, NULL},
        {XGB_WORKER, "--config", config, "--dir", dir, NULL},
        {python, XGB_PYTHON_TRIAL, csv, ROUNDS, NULL},
    };
    measure(prepare, &costs[OURS], 0);
    for (int i = 0; i < repeats; i++) {
        for (int p = 0; p < PEERS; p++) {
            if (commands[p][0] != NULL)
                measure(commands[p], &costs[p], i);
        }
    }
    double bare_cpu = median(costs[BARE].cpu_ms, repeats),
           bare_rss = median(costs[BARE].rss_mib, repeats);
    (void)printf("%s\n", s->name);
    for (int p = 0; p < PEERS; p++) {
        if (commands[p][0] == NULL)
            continue;
        double cpu = median(costs[p].cpu_ms, repeats), rss = median(costs[p].rss_mib, repeats);
        (void)printf("  %-28s %9.1f ms cpu  %6.2fx    %7.1f MiB  %6.2fx\n", names[p], cpu,
                     cpu / bare_cpu, rss, rss / bare_rss);
    }
    char *clean[] = {"rm", "-rf", dir, NULL};
    measure(clean, &costs[BARE], 0);
}

int main(int argc, char **argv)
{
    static const struct shape shapes[] = {
        {"569 rows x 30 features, 50 rounds, depth 6", 569, 30},
        {"50,000 rows x 20 features, 50 rounds, depth 6", 50000, 20},
    };
    int repeats = argc > 1 ? atoi(argv[1]) : 11;
    if (repeats < 1 || repeats > REPEATS_MAX)
        return 2;
    (void)printf("one trial, medians of %d interleaved runs; ratios to the bare program\n",
                 repeats);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        compare(&shapes[i], repeats, getenv("FORKLESS_PYTHON"));
    return 0;
}
