/* What the fork guard costs a worker that does nothing but fork: the same loop in a trial under
 * watch.fork=off and watch.fork=warn, in turn.
 *
 *   bench_guard [ROUNDS]
 *   bench_guard loop THREADS     the worker: prints the microseconds of one fork, exit and wait */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "bench/measure.h"

enum { ROUNDS_MAX = 51, FORKS = 2000 };

static char dir[PATH_MAX], self[PATH_MAX];
static int serial; /* of databases: each trial has its own */

/* ---- the worker ---- */

static void *idle(void *arg)
{
    (void)pause();
    return arg;
}

static int loop(int threads)
{
    pthread_t t;
    for (int i = 0; i < threads; i++) {
        if (pthread_create(&t, NULL, idle, NULL) != 0)
            return 1;
    }
    double from = bench_now_ms();
    for (int i = 0; i < FORKS; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        if (pid < 0 || waitpid(pid, NULL, 0) != pid)
            return 1;
    }
    (void)printf("us=%.3f\n", (bench_now_ms() - from) * 1e3 / FORKS);
    return 0;
}

/* ---- the sides ---- */

/* Microseconds for each fork in a trial under this setting. */
struct side {
    double wall, cpu; /* cpu: the worker's, its children's and the executor's, starts included */
};

static struct side trial(const char *setting, const char *threads)
{
    char storage[64], study[32], out[4096];
    const char *argv[] = {FORKLESS,      "run",      "-q",      "--json",       "-n1",      "-j1",
                          "--storage",   storage,    "--study", study,          "--metric", "us",
                          "--direction", "minimize", setting,   "x=float:0..1", "--",       self,
                          "loop",        threads,    NULL};
    struct cost cost;
    (void)snprintf(study, sizeof(study), "g%d", ++serial);
    (void)snprintf(storage, sizeof(storage), "sqlite:///g%d.db", serial);
    bench_command((char *const *)(uintptr_t)argv, dir, &cost, out, sizeof(out));
    AUTO_JSON json_t *result = json_read(out, strlen(out), NULL);
    const json_t *study_result = json_array_get(json_object_get(result, "studies"), 0);
    double us = json_number_value(json_object_get(json_object_get(study_result, "best"), "value"));
    errno = 0;
    if (us <= 0)
        bench_die("no result of the forks");
    return (struct side){us, cost.cpu_ms * 1e3 / FORKS};
}

static void tell(const char *what, const char *threads, const char *unit, double value)
{
    char text[96];
    (void)snprintf(text, sizeof(text), "a fork, %s other threads: %s", threads, what);
    bench_figure(text, value, unit);
}

/* The claim is of forks without threads: others are looked at more closely, for a warning. */
static void compare(const char *threads, int rounds, bool promised)
{
    double off[ROUNDS_MAX], warn[ROUNDS_MAX], ratio[ROUNDS_MAX], cpu[ROUNDS_MAX];
    for (int i = 0; i < rounds; i++) {
        struct side a = trial("watch.fork=off", threads), b = trial("watch.fork=warn", threads);
        off[i] = a.wall;
        warn[i] = b.wall;
        ratio[i] = b.wall / a.wall;
        cpu[i] = b.cpu / a.cpu;
    }
    tell("watch.fork=off", threads, " us", bench_median(off, rounds));
    tell("watch.fork=warn", threads, " us", bench_median(warn, rounds));
    tell("CPU of all, warn / off", threads, " x", bench_median(cpu, rounds));
    if (promised)
        bench_claim(&(struct bench_claim){"a fork without threads: warn / off", AT_MOST, 1.2,
                                          bench_median(ratio, rounds), " x"});
    else
        tell("warn / off", threads, " x", bench_median(ratio, rounds));
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "loop") == 0)
        return loop(atoi(argv[2]));
    int rounds = argc > 1 ? atoi(argv[1]) : 7;
    errno = 0;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        bench_die("bench_guard [ROUNDS]: 1 to 51");
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        bench_die("/proc/self/exe");
    bench_dir("guard", dir, sizeof(dir));
    compare("0", rounds, true);
    compare("4", rounds, false);
    bench_remove_dir(dir);
    return bench_end("guard");
}
