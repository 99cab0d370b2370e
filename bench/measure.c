#include "bench/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

extern char **environ;

/* The lines of the JSON file. */
static struct buf report = BUF_INIT;
static int missed;

void bench_die(const char *what)
{
    if (errno != 0)
        perror(what);
    else
        (void)fprintf(stderr, "%s\n", what);
    exit(2);
}

double bench_now_ms(void)
{
    return (double)clock_mono_ns() / 1e6;
}

static void make_out(void)
{
    if ((mkdir("out", 0755) < 0 && errno != EEXIST) ||
        (mkdir("out/bench", 0755) < 0 && errno != EEXIST))
        bench_die("out/bench");
}

void bench_dir(const char *name, char *path, size_t n)
{
    char cwd[PATH_MAX];
    make_out();
    if (getcwd(cwd, sizeof(cwd)) == NULL)
        bench_die("out/bench");
    int len = snprintf(path, n, "%s/out/bench/%s.XXXXXX", cwd, name);
    if (len < 0 || (size_t)len >= n || mkdtemp(path) == NULL)
        bench_die(path);
}

void bench_remove_dir(char *path)
{
    struct cost cost;
    char *argv[] = {(char *)"rm", (char *)"-rf", path, NULL};
    bench_command(argv, NULL, &cost, NULL, 0);
}

static double timeval_ms(struct timeval t)
{
    return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

static double cpu_ms(const struct rusage *u)
{
    return timeval_ms(u->ru_utime) + timeval_ms(u->ru_stime);
}

/* to the nanosecond, which its /proc/PID/stat is not */
double bench_cpu_ms(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    errno = clock_getcpuclockid(pid, &clock);
    if (errno != 0 || clock_gettime(clock, &t) < 0)
        bench_die("CPU time of a process");
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static pid_t start(char *const argv[], const char *dir, int out)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    if (posix_spawn_file_actions_init(&actions) != 0 ||
        (out >= 0 ? posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO)
                  : posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY,
                                                     0)) != 0 ||
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) != 0 ||
        (dir != NULL && posix_spawn_file_actions_addchdir_np(&actions, dir) != 0))
        bench_die("posix_spawn_file_actions");
    errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    if (errno != 0)
        bench_die(argv[0]);
    (void)posix_spawn_file_actions_destroy(&actions);
    return pid;
}

/* Reads to the end; keeps what fits. */
static void read_all(int fd, char *out, size_t n)
{
    char rest[4096];
    size_t len = 0;
    for (;;) {
        bool full = len == n - 1;
        ssize_t k = full ? read(fd, rest, sizeof(rest)) : read(fd, out + len, n - 1 - len);
        if (k <= 0)
            break;
        len += full ? 0 : (size_t)k;
    }
    out[len] = '\0';
}

void bench_command(char *const argv[], const char *dir, struct cost *cost, char *out, size_t n)
{
    int pipe_fds[2] = {-1, -1}, status;
    siginfo_t info;
    struct rusage use;
    if (out != NULL && pipe2(pipe_fds, O_CLOEXEC) < 0)
        bench_die("pipe");
    double from = bench_now_ms();
    pid_t pid = start(argv, dir, pipe_fds[1]);
    if (out != NULL) {
        (void)close(pipe_fds[1]);
        read_all(pipe_fds[0], out, n);
        (void)close(pipe_fds[0]);
    }
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0)
        bench_die("waitid");
    cost->wall_ms = bench_now_ms() - from;
    cost->own_cpu_ms = bench_cpu_ms(pid);
    if (wait4(pid, &status, 0, &use) < 0)
        bench_die("wait4");
    cost->cpu_ms = cpu_ms(&use);
    cost->rss_mib = (double)use.ru_maxrss / 1024;
    if (status != 0) {
        (void)fprintf(stderr, "%s ended with status %d:", argv[0],
                      WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        for (int i = 1; argv[i] != NULL; i++)
            (void)fprintf(stderr, " %s", argv[i]);
        (void)fputc('\n', stderr);
        exit(2);
    }
}

void bench_spawn_loop(char *const argv[], int n, struct cost *cost)
{
    struct rusage before, after;
    (void)getrusage(RUSAGE_CHILDREN, &before);
    double from = bench_now_ms();
    for (int i = 0; i < n; i++) {
        int status;
        pid_t pid = start(argv, NULL, -1);
        if (waitpid(pid, &status, 0) < 0 || status != 0)
            bench_die(argv[0]);
    }
    *cost = (struct cost){.wall_ms = bench_now_ms() - from};
    (void)getrusage(RUSAGE_CHILDREN, &after);
    cost->cpu_ms = cpu_ms(&after) - cpu_ms(&before);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof(*v), by_value);
    return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void report_line(const char *text, double value, const char *unit)
{
    buf_puts(&report, report.len > 0 ? ",\n  {\"what\": " : "  {\"what\": ");
    json_put_string(&report, text);
    buf_printf(&report, ", \"value\": %.6g, \"unit\": ", value);
    json_put_string(&report, unit + strspn(unit, " "));
}

void bench_figure(const char *text, double value, const char *unit)
{
    (void)printf("  %-66s %14s %8.3g%s\n", text, "", value, unit);
    report_line(text, value, unit);
    buf_putc(&report, '}');
}

void bench_claim(const struct bench_claim *c)
{
    char goal[32];
    bool holds = c->sense == AT_MOST ? c->result <= c->goal : c->result >= c->goal;
    const char *sign = c->sense == AT_MOST ? "<=" : ">=";
    (void)snprintf(goal, sizeof(goal), "%s %g%s", sign, c->goal, c->unit);
    (void)printf("  %-66s %14s %8.3g%s%s\n", c->text, goal, c->result, c->unit,
                 holds ? "" : "  MISSED");
    report_line(c->text, c->result, c->unit);
    buf_printf(&report, ", \"goal\": \"%s %g\", \"holds\": %s}", sign, c->goal,
               holds ? "true" : "false");
    missed += !holds;
}

int bench_end(const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "out/bench/%s.json", name);
    make_out();
    FILE *f = fopen(path, "we");
    if (f == NULL || fprintf(f, "[\n%s\n]\n", buf_str(&report)) < 0 || fclose(f) != 0)
        bench_die(path);
    (void)printf("  %s\n", path);
    buf_free(&report);
    return missed > 0;
}
