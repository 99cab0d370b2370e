/* The storage proxy beside Optuna's own: the same Python clients, trials of 20 writes (a creation,
 * 8 parameters, 10 intermediate values, the end), over a new SQLite file for each round.
 *
 *   FORKLESS_PYTHON=python bench_proxy      a Python with optuna and grpcio
 *
 * Beside them, what cannot be less: a gRPC server of one thread that answers nothing, with and
 * without an fdatasync for what came at once (grpc_floor.c), and what an fdatasync takes here.
 *
 * The server's CPU comes from /proc, to the nanosecond. The time that a SetTrialParameter takes is
 * measured twice: in our server, from its arrival to its reply, from its metrics, while 16 Python
 * clients want more CPU than there is; and in 16 clients of ours that make a call every 20 ms, from
 * the call to its return. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bench/measure.h"
#include "storage/storage.h"

extern char **environ;

enum { PARAMS = 8, STEPS = 10, MOST_CLIENTS = 16 };
enum { PACED_CALLS = 250, PACE_MS = 20, SYNCS = 1000 };

static int serve_port, metrics_port; /* of the server that is measured */

/* A port where nobody listens: what is left of another run shall not be measured. */
static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) < 0)
        bench_die("a free port");
    return ntohs(at.sin_port);
}

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
    c->pid = 0;
}

static void expect(struct child *c, const char *word)
{
    char line[64] = "";
    if (fgets(line, sizeof(line), c->out) == NULL || strncmp(line, word, strlen(word)) != 0)
        bench_die("a Python client (is grpcio there?)");
}

static double server_cpu_ms(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    errno = clock_getcpuclockid(pid, &clock);
    if (errno != 0 || clock_gettime(clock, &t) < 0)
        bench_die("CPU time of a server");
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
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
    (void)snprintf(port, sizeof(port), "%d", serve_port);
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
    if (server_cpu_ms(server) <= cpu)
        bench_die("a server that did nothing");
    out->trials_per_s = n / ((bench_now_ms() - begun) / 1000);
    out->cpu_ms = (server_cpu_ms(server) - cpu) / n;
    for (int i = 0; i < clients; i++)
        stop(&c[i], 0);
}

static struct child start_ours(const char *dir)
{
    char url[512], listen[32], metrics[32];
    (void)snprintf(url, sizeof(url), "sqlite:///%s/ours.db", dir);
    (void)snprintf(listen, sizeof(listen), "127.0.0.1:%d", serve_port);
    (void)snprintf(metrics, sizeof(metrics), "127.0.0.1:%d", metrics_port);
    char *const argv[] = {(char *)SERVE, (char *)"--storage", url,     (char *)"--listen",
                          listen,        (char *)"--metrics", metrics, NULL};
    return start(argv);
}

static struct child start_optunas(const char *python, const char *dir)
{
    char url[512], port[16];
    (void)snprintf(url, sizeof(url), "sqlite:///%s/optuna.db", dir);
    (void)snprintf(port, sizeof(port), "%d", serve_port);
    char *const argv[] = {(char *)python, (char *)PROXY_SERVER, url, port, NULL};
    return start(argv);
}

static struct child start_floor(const char *file)
{
    char port[16];
    (void)snprintf(port, sizeof(port), "%d", serve_port);
    char *const argv[] = {(char *)GRPC_FLOOR, port, (char *)file, NULL};
    return start(argv);
}

/* Calls of a method in our server so far. */
struct calls {
    double within, all; /* those that took at most 1 ms, and all */
};

static double metric(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at != NULL ? atof(at + strlen(name)) : 0;
}

static struct calls count_params(void)
{
    char url[64], text[65536] = "";
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/metrics", metrics_port);
    char *const argv[] = {(char *)"curl", (char *)"-s", url, NULL};
    bench_command(argv, NULL, &(struct cost){0}, text, sizeof(text));
    return (struct calls){metric(text, "_bucket{method=\"SetTrialParameter\",le=\"0.001\"} "),
                          metric(text, "_count{method=\"SetTrialParameter\"} ")};
}

/* How long an fdatasync takes that follows a write of two pages, ms. */
static void time_syncs(const char *dir, double *p50, double *p99)
{
    static const char pages[2 * 4096];
    static double took[SYNCS];
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/sync", dir);
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (int i = -SYNCS; i < SYNCS; i++) { /* the first round makes the file */
        if (pwrite(fd, pages, sizeof(pages), (off_t)((i + SYNCS) % SYNCS) * 8192) < 0)
            bench_die(path);
        double begun = bench_now_ms();
        if (fdatasync(fd) < 0)
            bench_die(path);
        if (i >= 0)
            took[i] = bench_now_ms() - begun;
    }
    *p50 = bench_median(took, SYNCS);
    *p99 = took[SYNCS * 99 / 100];
}

static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};

static struct store *open_client(int64_t *study)
{
    const enum direction minimize = DIRECTION_MINIMIZE;
    struct store *s = NULL;
    struct err err = {0};
    char url[64];
    (void)snprintf(url, sizeof(url), "grpc://127.0.0.1:%d", serve_port);
    if (store_open(&s, url, NULL, &err) < 0 ||
        store_study_open(s, "c", &minimize, 1, study, &err) < 0)
        bench_die(err.msg);
    return s;
}

/* ---- 16 clients of ours that set a parameter now and then: a process each ---- */

static void nap_ms(double ms)
{
    const struct timespec t = {.tv_nsec = (long)(ms * 1e6)};
    if (ms > 0)
        (void)nanosleep(&t, NULL);
}

static int paced_client(const char *index)
{
    static double took[PACED_CALLS];
    int64_t study, trial;
    char line[8], name[16];
    struct store *s = open_client(&study);
    if (store_trial_create(s, study, NULL, &trial, NULL, NULL) < 0)
        bench_die("a trial of our client");
    (void)printf("ready\n");
    (void)fflush(stdout);
    if (fgets(line, sizeof(line), stdin) == NULL)
        return 1;
    double begun = bench_now_ms() + PACE_MS * atof(index) / MOST_CLIENTS;
    for (int i = 0; i < PACED_CALLS; i++) {
        const struct trial_param p = {.name = name, .dist = &unit, .value = 0.5};
        (void)snprintf(name, sizeof(name), "p%d", i);
        nap_ms(begun + i * PACE_MS - bench_now_ms());
        double from = bench_now_ms();
        if (store_trial_params(s, trial, &p, 1, NULL) < 0)
            bench_die("a parameter of our client");
        took[i] = bench_now_ms() - from;
    }
    for (int i = 0; i < PACED_CALLS; i++)
        (void)printf("%.6f\n", took[i]);
    (void)fflush(stdout);
    store_destroy(s);
    return 0;
}

static void time_paced(const char *self, double *p50, double *p99)
{
    static double took[MOST_CLIENTS * PACED_CALLS];
    struct child c[MOST_CLIENTS];
    char port[16], index[16], line[64];
    int n = 0;
    (void)snprintf(port, sizeof(port), "%d", serve_port);
    for (int i = 0; i < MOST_CLIENTS; i++) {
        (void)snprintf(index, sizeof(index), "%d", i);
        char *const argv[] = {(char *)self, (char *)"--client", port, index, NULL};
        c[i] = start(argv);
    }
    for (int i = 0; i < MOST_CLIENTS; i++)
        expect(&c[i], "ready");
    for (int i = 0; i < MOST_CLIENTS; i++) {
        (void)fputs("go\n", c[i].in);
        (void)fflush(c[i].in);
    }
    for (int i = 0; i < MOST_CLIENTS; i++) {
        for (int k = 0; k < PACED_CALLS && fgets(line, sizeof(line), c[i].out) != NULL; k++)
            took[n++] = atof(line);
        stop(&c[i], 0);
    }
    *p50 = bench_median(took, n);
    *p99 = took[n * 99 / 100];
}

/* ---- one client of ours, as fast as it can ---- */

static void c_trial(struct store *s, int64_t study)
{
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
    const struct store_end end = {.state = TRIAL_COMPLETE, .values = &value, .n_values = 1};
    const struct store_write w = {
        .params = params, .n_params = PARAMS, .steps = steps, .n_steps = STEPS, .end = &end};
    if (store_trial_claim(s, study, &opts, &claim, NULL) < 0 ||
        store_trial_write(s, claim.id, &w, NULL) < 0)
        bench_die("a trial of our client");
}

/* Our client alone against our server. */
static double c_trials_per_s(int trials)
{
    int64_t study = 0;
    struct store *s = open_client(&study);
    c_trial(s, study);
    double begun = bench_now_ms();
    for (int i = 0; i < trials; i++)
        c_trial(s, study);
    double per_s = trials / ((bench_now_ms() - begun) / 1000);
    store_destroy(s);
    return per_s;
}

/* ---- the table ---- */

static const int clients[] = {1, 4, 16};
enum { ROUNDS = ARRAY_LEN(clients) };

struct result {
    struct round ours[ROUNDS], theirs[ROUNDS], empty[ROUNDS], synced[ROUNDS];
    struct calls params; /* of 16 Python clients */
    double sync_p50, sync_p99, call_p50, call_p99, c_per_s;
};

static void run_rounds(const char *python, pid_t pid, int trials, int more, struct round *out)
{
    for (size_t i = 0; i < ROUNDS; i++)
        run_clients(python, pid, clients[i], trials / clients[i] + more, &out[i]);
}

static struct child server;

/* A measurement that failed leaves no server behind. */
static void kill_server(void)
{
    if (server.pid > 0)
        (void)kill(server.pid, SIGKILL);
}

static void measure(const char *python, const char *self, const char *dir, struct result *r)
{
    char file[512];
    (void)snprintf(file, sizeof(file), "%s/floor", dir);
    serve_port = free_port();
    server = start_optunas(python, dir);
    run_rounds(python, server.pid, 60, 8, r->theirs);
    stop(&server, SIGKILL);
    serve_port = free_port();
    server = start_floor(NULL);
    run_rounds(python, server.pid, 300, 20, r->empty);
    stop(&server, SIGKILL);
    serve_port = free_port();
    server = start_floor(file);
    run_rounds(python, server.pid, 300, 20, r->synced);
    stop(&server, SIGKILL);
    time_syncs(dir, &r->sync_p50, &r->sync_p99);
    serve_port = free_port();
    metrics_port = free_port();
    server = start_ours(dir);
    struct calls before = {0};
    for (size_t i = 0; i < ROUNDS; i++) {
        if (i == ROUNDS - 1)
            before = count_params();
        run_clients(python, server.pid, clients[i], 300 / clients[i] + 20, &r->ours[i]);
    }
    r->params = count_params();
    r->params.within -= before.within;
    r->params.all -= before.all;
    r->c_per_s = c_trials_per_s(2000);
    time_paced(self, &r->call_p50, &r->call_p99);
    stop(&server, SIGTERM);
}

static void figure(const char *what, int n, double value, const char *of)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "%d Python clients: %s", n, what);
    bench_figure(text, value, of);
}

static void print_round(const struct result *r, size_t i)
{
    char text[128];
    int n = clients[i];
    double theirs = r->theirs[i].cpu_ms;
    figure("Optuna's server", n, r->theirs[i].trials_per_s, " trials/s");
    figure("ours", n, r->ours[i].trials_per_s, " trials/s");
    figure("a server that answers nothing", n, r->empty[i].trials_per_s, " trials/s");
    figure("CPU of Optuna's server", n, theirs, " ms/trial");
    figure("CPU of ours", n, r->ours[i].cpu_ms, " ms/trial");
    figure("CPU of one that answers nothing", n, r->empty[i].cpu_ms, " ms/trial");
    figure("CPU of one that only writes and syncs", n, r->synced[i].cpu_ms, " ms/trial");
    (void)snprintf(text, sizeof(text), "%d Python clients: the server's CPU is lower", n);
    bench_claim(&(struct bench_claim){text, AT_LEAST, 40, theirs / r->ours[i].cpu_ms, "x"});
    figure("  at most it could be, with nothing to do", n, theirs / r->empty[i].cpu_ms, "x");
    figure("  at most it could be, with one that syncs", n, theirs / r->synced[i].cpu_ms, "x");
}

static void print(const struct result *r)
{
    for (size_t i = 0; i < ROUNDS; i++)
        print_round(r, i);
    bench_figure("our C client, ours", r->c_per_s, " trials/s");
    bench_claim(&(struct bench_claim){"our client against Optuna's on its server", AT_LEAST, 50,
                                      r->c_per_s / r->theirs[0].trials_per_s, "x"});
    bench_figure("an fdatasync of two pages, median", r->sync_p50, " ms");
    bench_figure("an fdatasync of two pages, p99", r->sync_p99, " ms");
    bench_figure("SetTrialParameter, 16 clients of ours, median", r->call_p50, " ms");
    bench_claim(&(struct bench_claim){"SetTrialParameter, 16 clients of ours, p99", AT_MOST, 1,
                                      r->call_p99, " ms"});
    bench_claim(&(struct bench_claim){"16 Python clients: SetTrialParameter within 1 ms", AT_LEAST,
                                      99, 100 * r->params.within / r->params.all, " %"});
}

int main(int argc, char **argv)
{
    static struct result r;
    const char *python = getenv("FORKLESS_PYTHON");
    char dir[256];
    if (argc == 4 && strcmp(argv[1], "--client") == 0) {
        serve_port = atoi(argv[2]);
        return paced_client(argv[3]);
    }
    if (python == NULL)
        bench_die("FORKLESS_PYTHON names no Python with optuna and grpcio");
    bench_dir("proxy", dir, sizeof(dir));
    (void)atexit(kill_server);
    measure(python, argv[0], dir, &r);
    bench_remove_dir(dir);
    print(&r);
    return bench_end("proxy");
}
