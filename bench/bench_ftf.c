/* The factor pipeline (features, cleaning, focal loss, soft labels, walk-forward folds) against the
 * same in Python with xgboost, cleanlab and scikit-learn: a warm process, n_jobs=1, one thread on
 * both sides.
 *
 *     bench_ftf [TRIALS [PRICES.csv]]     FORKLESS_PYTHON names a Python with the pinned peers
 *
 * forkless pays for its processes, its store and its proof; Python for nothing but the trials, and
 * keeps its matrices between them. Qualities are compared with one XGBoost library on both sides:
 * Python's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/rng.h"
#include "bench/measure.h"
#include "trials/objectives/confident.h"
#include "trials/objectives/focal.h"

enum {
    BARS = 20000,
    SAMPLES = 30000,
    TIMES = 15,
    MARGINS = 1 << 22,
    TRIALS_MAX = 50,
    FACTORS = 4,
};
#define ROUNDS "100"

static const char *const factors[FACTORS] = {"baseline", "cleanlab", "focal_loss",
                                             "label_smoothing"};
static char said[1 << 16];
static char *python;

struct peer {
    double auc[FACTORS], ms[FACTORS], cpu_ms[FACTORS]; /* medians of the trials */
    double sweep_ms, sweep_cpu_ms, rss_mib;
    char library[512], needs[512], version[32];
};

static FILE *create(const char *dir, const char *name)
{
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    if (f == NULL)
        bench_die(path);
    return f;
}

/* ---- the pipeline ---- */

/* A series that returns to its mean, with a volatility that comes and goes. */
static void write_prices(const char *dir)
{
    FILE *f = create(dir, "prices.csv");
    struct rng rng;
    rng_seed(&rng, 5);
    double x = 0;
    (void)fputs("open,high,low,close,volume\n", f);
    for (int i = 0; i < BARS; i++) {
        double open = 100 * exp(x);
        x = 0.985 * x + 0.006 * rng_normal(&rng) * (1 + 0.5 * sin(i / 700.0));
        double close = 100 * exp(x);
        (void)fprintf(f, "%.6f,%.6f,%.6f,%.6f,%d\n", open,
                      fmax(open, close) * (1 + 0.002 * rng_unit(&rng)),
                      fmin(open, close) * (1 - 0.002 * rng_unit(&rng)), close,
                      1 + (int)rng_below(&rng, 10000));
    }
    if (fclose(f) != 0)
        bench_die("write prices.csv");
}

/* What ftf.py has in its constants, as YAML's flow form, which is JSON. */
#define SETTINGS                                                                                   \
    "\"folds\": {\"walk_forward\": 5}, \"rounds\": " ROUNDS ", \"save_model\": false, "            \
    "\"prices\": {\"windows\": [4, 24, 96], \"horizon\": 12, \"threshold\": 0.004}, "              \
    "\"fixed\": {\"tree_method\": \"hist\", \"eta\": 0.1, \"max_depth\": 4, \"base_score\": 0.5}"

static void write_spec(const char *dir, const char *prices, int trials, int threads)
{
    FILE *f = create(dir, "sweep.yaml");
    (void)fprintf(
        f,
        "study: {name: \"${matrix.factor}\", metric: auc, storage: \"sqlite:///%s/%d.db\"}\n"
        "budget: {trials: %d}\n"
        "matrix: {factor: [baseline, cleanlab, focal_loss, label_smoothing]}\n"
        "slots: {jobs: %d, cpus: 1}\n"
        "space: {subsample: {float: [0.999999, 1]}}\n"
        "run: {builtin: xgboost, factor: \"${matrix.factor}\", data: \"%s\", dir: "
        "\"%s/runs\", " SETTINGS "}\n",
        dir, threads, trials, threads, prices, dir);
    if (fclose(f) != 0)
        bench_die("write sweep.yaml");
    f = create(dir, "run.json");
    (void)fprintf(f, "{\"data\": \"%s\", \"cache\": \"%s/cache\", " SETTINGS "}\n", prices, dir);
    if (fclose(f) != 0)
        bench_die("write run.json");
}

static double number(const json_t *line, const char *key)
{
    return json_number_value(json_object_get(line, key));
}

static void take_trial(struct peer *p, double ms[FACTORS][TRIALS_MAX],
                       double cpu[FACTORS][TRIALS_MAX], int *n, const json_t *line)
{
    for (int k = 0; k < FACTORS; k++) {
        if (strcmp(json_string_value(json_object_get(line, "factor")), factors[k]) != 0)
            continue;
        p->auc[k] = number(line, "auc");
        ms[k][n[k]] = number(line, "ms");
        cpu[k][n[k]++] = number(line, "cpu_ms");
    }
}

static void run_peer(struct peer *p, const char *prices, int trials, int threads)
{
    static double ms[FACTORS][TRIALS_MAX], cpu[FACTORS][TRIALS_MAX];
    int n[FACTORS] = {0};
    char count[16], several[16];
    struct cost cost;
    (void)snprintf(count, sizeof(count), "%d", trials);
    (void)snprintf(several, sizeof(several), "%d", threads);
    const char *argv[] = {python, PEER, prices, ROUNDS, count, several, NULL};
    bench_command((char *const *)(uintptr_t)argv, NULL, &cost, said, sizeof(said));
    char *rest = said;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && line[0] != '\0';) {
        struct err err;
        AUTO_JSON json_t *j = json_read(line, strlen(line), &err);
        if (j == NULL)
            bench_die(err.msg);
        if (json_object_get(j, "factor") != NULL) {
            take_trial(p, ms, cpu, n, j);
            continue;
        }
        p->sweep_ms = number(j, "sweep_ms");
        p->sweep_cpu_ms = number(j, "sweep_cpu_ms");
        p->rss_mib = number(j, "rss_mib");
        (void)snprintf(p->library, sizeof(p->library), "%s",
                       json_string_value(json_object_get(j, "library")));
        (void)snprintf(p->needs, sizeof(p->needs), "%s",
                       json_string_value(json_object_get(j, "needs")));
        (void)snprintf(p->version, sizeof(p->version), "%s",
                       json_string_value(json_object_get(j, "version")));
    }
    for (int k = 0; k < FACTORS; k++) {
        p->ms[k] = bench_median(ms[k], n[k]);
        p->cpu_ms[k] = bench_median(cpu[k], n[k]);
    }
}

/* One trial of the worker, with the XGBoost library of these directories (NULL: its own). */
static double run_worker(const char *dir, const char *libraries, const char *factor,
                         struct cost *cost)
{
    char config[600], param[64], path[1200];
    (void)snprintf(config, sizeof(config), "%s/run.json", dir);
    (void)snprintf(param, sizeof(param), "factor=%s", factor);
    (void)snprintf(path, sizeof(path), "LD_LIBRARY_PATH=%s", libraries);
    const char *with[] = {"/usr/bin/env", path, WORKER, "--config", config, "--param", param, NULL};
    bench_command((char *const *)(uintptr_t)(libraries != NULL ? with : with + 2), NULL, cost, said,
                  sizeof(said));
    const char *auc = strstr(said, "auc=");
    if (auc == NULL)
        bench_die("the worker told no auc");
    return strtod(auc + 4, NULL);
}

/* Python's library under the name that the worker looks for. */
static void link_library(const char *dir, const char *library)
{
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/" XGB_SONAME, dir);
    if (symlink(library, path) != 0)
        bench_die(path);
}

static void compare_sweeps(const char *dir, const char *prices, int trials, int threads,
                           struct peer *peer, struct cost *sweep)
{
    char spec[600], text[128];
    write_spec(dir, prices, trials, threads);
    (void)snprintf(spec, sizeof(spec), "%s/sweep.yaml", dir);
    const char *run[] = {FORKLESS, "run", spec, NULL};
    run_peer(peer, prices, trials, threads);
    bench_command((char *const *)(uintptr_t)run, dir, sweep, NULL, 0);
    (void)snprintf(text, sizeof(text), "sweep of four factors, %d thread%s: forkless", threads,
                   threads > 1 ? "s" : "");
    bench_figure(text, sweep->wall_ms / 1e3, " s");
    bench_figure("  the same, Python", peer->sweep_ms / 1e3, " s");
    bench_figure("  CPU: Python / forkless", peer->sweep_cpu_ms / sweep->cpu_ms, "x");
    (void)snprintf(text, sizeof(text), "  wall, %d thread%s: Python / forkless", threads,
                   threads > 1 ? "s" : "");
    bench_claim(&(struct bench_claim){text, AT_LEAST, 3, peer->sweep_ms / sweep->wall_ms, "x"});
}

static void compare_trials(const char *dir, const struct peer *peer, double sweep_rss_mib)
{
    char text[128], libraries[1100];
    struct cost one;
    double worst = 0, rss = sweep_rss_mib;
    link_library(dir, peer->library);
    (void)snprintf(libraries, sizeof(libraries), "%s:%s", dir, peer->needs);
    for (int k = 0; k < FACTORS; k++) {
        double auc = run_worker(dir, libraries, factors[k], &one);
        worst = fmax(worst, fabs(auc - peer->auc[k]));
        (void)run_worker(dir, NULL, factors[k], &one);
        rss = fmax(rss, one.rss_mib);
        (void)snprintf(text, sizeof(text), "a trial of %s: Python / a fresh worker, CPU",
                       factors[k]);
        bench_figure(text, peer->cpu_ms[k] / one.cpu_ms, "x");
    }
    bench_figure("peak memory of a worker", rss, " MiB");
    bench_claim(&(struct bench_claim){"peak memory: a worker / Python", AT_MOST, 0.2,
                                      rss / peer->rss_mib, "x"});
    (void)snprintf(text, sizeof(text), "largest difference of a factor's AUC, both XGBoost %s",
                   peer->version);
    bench_claim(&(struct bench_claim){text, AT_MOST, 1e-3, worst, ""});
}

static void compare_pipeline(const char *dir, const char *prices, int trials)
{
    static struct peer peer;
    struct cost sweep;
    compare_sweeps(dir, prices, trials, 2, &peer, &sweep);
    compare_sweeps(dir, prices, trials, 1, &peer, &sweep);
    compare_trials(dir, &peer, sweep.rss_mib);
}

/* ---- confident learning ---- */

static void draw_samples(double *prob, uint32_t *label)
{
    struct rng rng;
    rng_seed(&rng, 6);
    for (size_t i = 0; i < SAMPLES; i++) {
        double p = 1 / (1 + exp(-2 * rng_normal(&rng)));
        label[i] = rng_unit(&rng) < 0.15 + 0.7 * p;
        prob[2 * i] = 1 - p;
        prob[2 * i + 1] = p;
    }
}

static double find_peer(const char *dir, const double *prob, const uint32_t *label, size_t *issues,
                        size_t *at)
{
    static const uint64_t size[2] = {SAMPLES, 2};
    char path[600], times[16];
    struct cost cost;
    struct err err;
    FILE *f = create(dir, "samples");
    if (fwrite(size, sizeof(size), 1, f) != 1 ||
        fwrite(label, sizeof(*label), SAMPLES, f) != SAMPLES ||
        fwrite(prob, 2 * sizeof(*prob), SAMPLES, f) != SAMPLES || fclose(f) != 0)
        bench_die("write the samples");
    (void)snprintf(path, sizeof(path), "%s/samples", dir);
    (void)snprintf(times, sizeof(times), "%d", TIMES);
    const char *argv[] = {python, PEER, "--find", path, times, NULL};
    bench_command((char *const *)(uintptr_t)argv, NULL, &cost, said, sizeof(said));
    AUTO_JSON json_t *j = json_read(said, strlen(said), &err);
    if (j == NULL)
        bench_die(err.msg);
    *issues = (size_t)number(j, "issues");
    *at = (size_t)number(j, "at");
    return number(j, "ms");
}

static void compare_confident(const char *dir)
{
    static double prob[2 * SAMPLES], ms[TIMES];
    static uint32_t label[SAMPLES];
    static bool issue[SAMPLES];
    size_t want, want_at, issues = 0, at = 0;
    draw_samples(prob, label);
    struct confident c = {.prob = prob, .label = label, .n = SAMPLES, .k = 2};
    for (int i = 0; i < TIMES; i++) {
        double start = bench_now_ms();
        if (confident_find(&c, CONFIDENT_PRUNE_BY_NOISE_RATE, issue, NULL) < 0)
            bench_die("confident_find");
        ms[i] = bench_now_ms() - start;
    }
    double theirs = find_peer(dir, prob, label, &want, &want_at);
    for (size_t i = 0; i < SAMPLES; i++) {
        issues += issue[i];
        at += issue[i] ? i : 0;
    }
    if (issues != want || at != want_at)
        bench_die("cleanlab names other rows");
    double ours = bench_median(ms, TIMES);
    bench_figure("confident learning, 30,000 samples", ours, " ms");
    bench_figure("the same, cleanlab with n_jobs=1", theirs, " ms");
    bench_claim(&(struct bench_claim){"confident learning: cleanlab / forkless", AT_LEAST, 10,
                                      theirs / ours, "x"});
}

/* ---- focal loss ---- */

static void compare_focal(void)
{
    enum { N = MARGINS };
    float *v = malloc(4 * (size_t)N * sizeof(*v));
    double round_ms[TIMES], copy_ms[TIMES];
    struct rng rng;
    rng_seed(&rng, 8);
    if (v == NULL)
        bench_die("memory for the margins");
    float *margin = v, *label = v + N, *grad = v + 2 * (size_t)N, *hess = v + 3 * (size_t)N;
    for (size_t i = 0; i < N; i++) {
        margin[i] = (float)(2 * rng_normal(&rng));
        label[i] = (float)rng_below(&rng, 2);
    }
    memset(grad, 1, 2 * (size_t)N * sizeof(*grad));
    struct focal_table *table;
    struct err err;
    double begun = bench_now_ms();
    if (focal_table_create(&table, &(struct focal){.alpha = 0.25, .gamma = 2.3}, &err) < 0)
        bench_die(err.msg);
    double made_ms = bench_now_ms() - begun;
    for (int i = 0; i < TIMES; i++) {
        double start = bench_now_ms();
        focal_round(table, margin, label, N, grad, hess);
        round_ms[i] = bench_now_ms() - start;
        start = bench_now_ms();
        memcpy(grad, margin, 2 * (size_t)N * sizeof(*grad));
        copy_ms[i] = bench_now_ms() - start;
    }
    double bytes = 4.0 * N * sizeof(*v), ours = bench_median(round_ms, TIMES),
           copy = bench_median(copy_ms, TIMES);
    bench_figure("a table of the focal loss", made_ms, " ms");
    bench_figure("focal gradients, read and written", bytes / ours / 1e6, " GB/s");
    bench_figure("memcpy of the same size", bytes / copy / 1e6, " GB/s");
    bench_claim(&(struct bench_claim){"focal gradients / memcpy, bandwidth", AT_LEAST, 0.9,
                                      copy / ours, "x"});
    focal_table_destroy(table);
    free(v);
}

int main(int argc, char **argv)
{
    char dir[400], prices[512];
    int trials = argc > 1 ? atoi(argv[1]) : 3;
    python = getenv("FORKLESS_PYTHON");
    if (trials < 1 || trials > TRIALS_MAX || argc > 3)
        bench_die("usage: bench_ftf [TRIALS [PRICES.csv]]: 1 to 50");
    if (python == NULL)
        bench_die("FORKLESS_PYTHON names no Python with xgboost, cleanlab and scikit-learn");
    bench_dir("ftf", dir, sizeof(dir));
    if (argc > 2) {
        if (realpath(argv[2], prices) == NULL)
            bench_die(argv[2]);
    } else {
        write_prices(dir);
        (void)snprintf(prices, sizeof(prices), "%s/prices.csv", dir);
    }
    compare_pipeline(dir, prices, trials);
    compare_confident(dir);
    compare_focal();
    bench_remove_dir(dir);
    return bench_end("ftf");
}
