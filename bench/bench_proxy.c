/* The storage proxy beside Optuna's own: the same Python clients, trials of 20 writes (a creation,
 * 8 parameters, 10 intermediate values, the end), over a new SQLite file for each round.
 *
 *   FORKLESS_PYTHON=python bench_proxy      a Python with optuna and grpcio
 *
 * The server's CPU comes from /proc, in steps of 10 ms; the time that a SetTrialParameter takes in
 * our server, from its arrival to its reply, from its metrics. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bench/measure.h"
#include "storage/storage.h"

extern char **environ;

enum { PARAMS = 8, STEPS = 10, MOST_CLIENTS = 16, PORT = 13971, METRICS_PORT = 13972 };

struct child {
    pid_t pid;
    FILE *in, *out; /* its stdin and stdout */
};

static struct child start(char *const argv[])
{
    int to[2], from[2];
    struct child c = {0};
    posix_spawn_file_actions_t actions;
    if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
        bench_die("pipe");
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&c.pid, argv[0], &actions, NULL, argv, environ) != 0)
        bench_die(argv[0]);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(to[0]);
    (void)close(from[1]);
    c.in = fdopen(to[1], "w");
    c.out = fdopen(from[0], "r");
    return c;
}

static void stop(struct child *c, int sig)
{
    if (sig != 0)
        (void)kill(c->pid, sig);
    (void)fclose(c->in);
    (void)fclose(c->out);
    (void)waitpid(c->pid, NULL, 0);
}

static void expect(struct child *c, const char *word)
{
    char line[64] = "";
    if (fgets(line, sizeof(line), c->out) == NULL || strncmp(line, word, strlen(word)) != 0)
        bench_die("a Python client (is grpcio there?)");
}

static double server_cpu_ms(pid_t pid)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    AUTO_FCLOSE FILE *f = fopen(path, "re");
    if (f == NULL || fgets(text, sizeof(text), f) == NULL ||
        sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
               &user, &system) != 2)
        bench_die(path);
    return (double)(user + system) * 1000.0 / (double)sysconf(_SC_CLK_TCK);
}

struct round {
    double trials_per_s;
    double cpu_ms; /* of the server, for a trial */
};

static void run_clients(const char *python, pid_t server, int clients, int trials,
                        struct round *out)
{
    struct child c[MOST_CLIENTS];
    char port[16], count[16];
    (void)snprintf(port, sizeof(port), "%d", PORT);
    (void)snprintf(count, sizeof(count), "%d", trials);
    char *const argv[] = {(char *)python, (char *)PROXY_CLIENT, port, count, NULL};
    for (int i = 0; i < clients; i++)
        c[i] = start(argv);
    for (int i = 0; i < clients; i++)
        expect(&c[i], "ready");
    double cpu = server_cpu_ms(server), begun = bench_now_ms();
    for (int i = 0; i < clients; i++) {
        (void)fputs("go\n", c[i].in);
        (void)fflush(c[i].in);
    }
    for (int i = 0; i < clients; i++)
        expect(&c[i], "done");
    double n = clients * trials;
    out->trials_per_s = n / ((bench_now_ms() - begun) / 1000);
    out->cpu_ms = (server_cpu_ms(server) - cpu) / n;
    for (int i = 0; i < clients; i++)
        stop(&c[i], 0);
}

static struct child start_ours(const char *dir)
{
    char url[512], listen[32], metrics[32];
    (void)snprintf(url, sizeof(url), "sqlite:///%s/ours.db", dir);
    (void)snprintf(listen, sizeof(listen), "127.0.0.1:%d", PORT);
    (void)snprintf(metrics, sizeof(metrics), "127.0.0.1:%d", METRICS_PORT);
    char *const argv[] = {(char *)SERVE, (char *)"--storage", url,     (char *)"--listen",
                          listen,        (char *)"--metrics", metrics, NULL};
    return start(argv);
}

static struct child start_optunas(const char *python, const char *dir)
{
    char url[512], port[16];
    (void)snprintf(url, sizeof(url), "sqlite:///%s/optuna.db", dir);
    (void)snprintf(port, sizeof(port), "%d", PORT);
    char *const argv[] = {(char *)python, (char *)PROXY_SERVER, url, port, NULL};
    return start(argv);
}

/* The part of the calls of a method that took at most 1 ms in our server. */
static double within_a_ms(const char *method)
{
    char command[256], text[65536] = "", want[128];
    double within = 0, all = 1;
    (void)snprintf(command, sizeof(command), "http://127.0.0.1:%d/metrics", METRICS_PORT);
    char *const argv[] = {(char *)"curl", (char *)"-s", command, NULL};
    bench_command(argv, NULL, &(struct cost){0}, text, sizeof(text));
    (void)snprintf(want, sizeof(want), "_bucket{method=\"%s\",le=\"0.001\"} ", method);
    const char *at = strstr(text, want);
    within = at != NULL ? atof(at + strlen(want)) : 0;
    (void)snprintf(want, sizeof(want), "_count{method=\"%s\"} ", method);
    at = strstr(text, want);
    all = at != NULL ? atof(at + strlen(want)) : 1;
    return within / all;
}

static void c_trial(struct store *s, int64_t study)
{
    static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};
    static const char *const names[PARAMS] = {"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"};
    const struct store_claim_opts opts = {.target = -1};
    const double value = 0.5;
    struct trial_param params[PARAMS];
    struct trial_step steps[STEPS];
    struct store_claim claim;
    for (int i = 0; i < PARAMS; i++)
        params[i] = (struct trial_param){.name = names[i], .dist = &unit, .value = 0.5};
    for (int i = 0; i < STEPS; i++)
        steps[i] = (struct trial_step){.step = i, .value = 1.0 / (1 + i)};
    if (store_begin(s, NULL) < 0 || store_trial_claim(s, study, &opts, &claim, NULL) < 0 ||
        store_trial_params(s, claim.id, params, PARAMS, NULL) < 0 ||
        store_trial_steps_set(s, claim.id, steps, STEPS, NULL) < 0 ||
        store_trial_finish(s, claim.id, TRIAL_COMPLETE, &value, 1, NULL) < 0 ||
        store_commit(s, true, NULL) < 0)
        bench_die("a trial of our client");
}

/* Our client alone against our server. */
static double c_trials_per_s(int trials)
{
    const enum direction minimize = DIRECTION_MINIMIZE;
    struct store *s = NULL;
    struct err err = {0};
    int64_t study = 0;
    char url[64];
    (void)snprintf(url, sizeof(url), "grpc://127.0.0.1:%d", PORT);
    if (store_open(&s, url, NULL, &err) < 0 ||
        store_study_open(s, "c", &minimize, 1, &study, &err) < 0)
        bench_die(err.msg);
    c_trial(s, study);
    double begun = bench_now_ms();
    for (int i = 0; i < trials; i++)
        c_trial(s, study);
    double per_s = trials / ((bench_now_ms() - begun) / 1000);
    store_destroy(s);
    return per_s;
}

int main(void)
{
    static const int clients[] = {1, 4, 16};
    const char *python = getenv("FORKLESS_PYTHON");
    struct round ours[ARRAY_LEN(clients)], theirs[ARRAY_LEN(clients)];
    char dir[256], text[128];
    if (python == NULL)
        bench_die("FORKLESS_PYTHON names no Python with optuna and grpcio");
    bench_dir("proxy", dir, sizeof(dir));
    struct child server = start_optunas(python, dir);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        run_clients(python, server.pid, clients[i], 60 / clients[i] + 8, &theirs[i]);
    stop(&server, SIGKILL);
    server = start_ours(dir);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        run_clients(python, server.pid, clients[i], 400 / clients[i] + 40, &ours[i]);
    double quick = within_a_ms("SetTrialParameter");
    double c_speed = c_trials_per_s(2000);
    stop(&server, SIGTERM);
    bench_remove_dir(dir);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        (void)snprintf(text, sizeof(text), "%d Python clients, Optuna's server", clients[i]);
        bench_figure(text, theirs[i].trials_per_s, " trials/s");
        (void)snprintf(text, sizeof(text), "%d Python clients, ours", clients[i]);
        bench_figure(text, ours[i].trials_per_s, " trials/s");
        (void)snprintf(text, sizeof(text), "%d clients: CPU of Optuna's server", clients[i]);
        bench_figure(text, theirs[i].cpu_ms, " ms/trial");
        (void)snprintf(text, sizeof(text), "%d clients: CPU of ours", clients[i]);
        bench_figure(text, ours[i].cpu_ms, " ms/trial");
        (void)snprintf(text, sizeof(text), "%d clients: the server's CPU is lower", clients[i]);
        bench_claim(
            &(struct bench_claim){text, AT_LEAST, 40, theirs[i].cpu_ms / ours[i].cpu_ms, "x"});
    }
    bench_figure("our C client, ours", c_speed, " trials/s");
    bench_claim(&(struct bench_claim){"our client against Optuna's on its server", AT_LEAST, 50,
                                      c_speed / theirs[0].trials_per_s, "x"});
    bench_claim(&(struct bench_claim){"SetTrialParameter answered within 1 ms", AT_LEAST, 99,
                                      quick * 100, " %"});
    return bench_end("proxy");
}
