/* What watching costs: the CPU time of an executor whose 64 workers, each with a child, say and do
 * nothing, after everything has started. Half of them wait without an end, half sleep again and
 * again. Meanwhile processes are born that have nothing to do with it: a few of them are asked who
 * they are, many make the search for forked children go through every tree.
 *
 *   bench_watch [SECONDS]            of each measurement: 60 unless given
 *   bench_watch worker | wait | nap  a worker, and what its child does */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/measure.h"

enum { JOBS = 64, SETTLE_S = 10, START_S = 60, STOPPED = 75, MANY = 200 };

#define READY "WATCH_READY" /* names the file in which each child leaves a byte */

extern char **environ;

static char dir[PATH_MAX], self[PATH_MAX], ready[PATH_MAX + 16];

/* ---- a worker, and its child ---- */

static _Noreturn void wait_idly(void)
{
    for (;;)
        (void)pause();
}

static _Noreturn void nap(void)
{
    for (;;)
        (void)sleep(1);
}

static _Noreturn void idle(const char *how)
{
    if (strcmp(how, "nap") == 0)
        nap();
    wait_idly();
}

static int child(const char *how)
{
    const char *path = getenv(READY);
    int fd = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (fd < 0 || write(fd, "x", 1) != 1)
        return 1;
    (void)close(fd);
    idle(how);
}

static int worker(void)
{
    const char *trial = getenv("FORKLESS_TRIAL");
    const char *how = trial != NULL && atoi(trial) % 2 == 1 ? "nap" : "wait";
    char *argv[] = {self, (char *)(uintptr_t)how, NULL};
    pid_t pid;
    if (posix_spawn(&pid, self, NULL, NULL, argv, environ) != 0)
        return 1;
    idle(how);
}

/* ---- the sweep ---- */

static pid_t start(void)
{
    const char *argv[] = {
        FORKLESS,         "run",          "-n64", "-j64",     "--memory=off", "--storage",
        "sqlite:///w.db", "--study",      "w",    "--metric", "loss",         "--direction",
        "minimize",       "x=float:0..1", "--",   self,       "worker",       NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    if (posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) != 0 ||
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) != 0 ||
        posix_spawn_file_actions_addchdir_np(&actions, dir) != 0)
        bench_die("posix_spawn_file_actions");
    errno = posix_spawn(&pid, FORKLESS, &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    if (errno != 0)
        bench_die(FORKLESS);
    (void)posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void await_children(pid_t pid)
{
    struct stat st = {0};
    for (int i = 0; i < START_S * 10; i++) {
        const struct timespec pause = {.tv_nsec = 100000000};
        if (stat(ready, &st) == 0 && st.st_size >= JOBS)
            return;
        if (waitpid(pid, NULL, WNOHANG) != 0)
            break;
        (void)nanosleep(&pause, NULL);
    }
    errno = 0;
    bench_die("not all of the workers have started");
}

/* Interrupted, the workers must go, too: their executor sees to that. */
static void stop(pid_t pid)
{
    int status;
    if (kill(pid, SIGTERM) < 0 || waitpid(pid, &status, 0) != pid)
        bench_die("the sweep");
    errno = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != STOPPED)
        bench_die("the sweep did not last as long as the measurement");
}

/* Percent of one CPU, while so many processes are born each second. */
static double watch(pid_t pid, int seconds, int births)
{
    char *noop[] = {(char *)(uintptr_t)NOOP, NULL};
    struct cost cost;
    double from = bench_now_ms(), cpu = bench_cpu_ms(pid);
    for (int i = 0; i < seconds; i++) {
        bench_spawn_loop(noop, births, &cost);
        (void)sleep(1);
    }
    return (bench_cpu_ms(pid) - cpu) / (bench_now_ms() - from) * 100;
}

static void tell(pid_t pid, int seconds, int births)
{
    char text[96];
    (void)snprintf(text, sizeof(text), "64 silent workers (128 processes), %d births a second",
                   births);
    double percent = watch(pid, seconds, births);
    if (births < MANY) /* what more there are to ask is no work for the watched ones */
        bench_claim(&(struct bench_claim){text, AT_MOST, 0.1, percent, " %"});
    else
        bench_figure(text, percent, " %");
}

int main(int argc, char **argv)
{
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        bench_die("/proc/self/exe");
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return worker();
    int seconds = argc > 1 ? atoi(argv[1]) : 60;
    if (argc > 1 && seconds == 0)
        return child(argv[1]);
    bench_dir("watch", dir, sizeof(dir));
    (void)snprintf(ready, sizeof(ready), "%s/ready", dir);
    int fd = open(ready, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || close(fd) < 0 || setenv(READY, ready, 1) < 0)
        bench_die(ready);
    pid_t pid = start();
    await_children(pid);
    (void)sleep(SETTLE_S);
    tell(pid, seconds, 0);
    tell(pid, seconds, 1);
    tell(pid, seconds, MANY);
    stop(pid);
    bench_remove_dir(dir);
    return bench_end("watch");
}
