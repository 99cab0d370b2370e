/* Starting a worker must not depend on what the executor holds: spawn_worker from a small process,
 * from one that has touched 1 GiB, and, as the peer, fork and exec from the latter.
 *
 *   bench_spawn [ROUNDS] */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bench/measure.h"
#include "executor/spawn.h"

#define GIB (1ul << 30)

enum { ROUNDS_MAX = 51, SPAWNS = 100, FORKS = 5 };

extern char **environ;

static int handlers; /* how often an atfork handler ran */

static void count_handler(void)
{
    handlers++;
}

/* Median time of a worker's life, from spawn_worker to its end. */
static double spawn_ms(void)
{
    double ms[SPAWNS];
    char *argv[] = {(char *)"noop", NULL};
    const struct spawn_req req = {.path = NOOP, .argv = argv, .envp = environ};
    for (int i = 0; i < SPAWNS; i++) {
        struct spawned p;
        struct err err;
        double from = bench_now_ms();
        if (spawn_worker(&p, STUB, 0, &req, &err) < 0) {
            errno = 0;
            bench_die(err.msg);
        }
        struct pollfd end = {.fd = p.pidfd, .events = POLLIN};
        while (poll(&end, 1, -1) < 0 && errno == EINTR)
            ;
        if (waitpid(p.pid, NULL, 0) < 0)
            bench_die("waitpid");
        ms[i] = bench_now_ms() - from;
        int *fds[] = {&p.pidfd, &p.out_fd, &p.err_fd, &p.channel};
        for (size_t k = 0; k < ARRAY_LEN(fds); k++)
            cleanup_close(fds[k]);
    }
    return bench_median(ms, SPAWNS);
}

static double fork_ms(void)
{
    double ms[FORKS];
    for (int i = 0; i < FORKS; i++) {
        double from = bench_now_ms();
        pid_t pid = fork();
        if (pid == 0) {
            (void)close(STDOUT_FILENO);
            (void)execl(NOOP, "noop", (char *)NULL);
            _exit(127);
        }
        if (pid < 0 || waitpid(pid, NULL, 0) < 0)
            bench_die("fork");
        ms[i] = bench_now_ms() - from;
    }
    return bench_median(ms, FORKS);
}

static void *touch_gib(void)
{
    char *p = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        bench_die("1 GiB");
    (void)madvise(p, GIB, MADV_NOHUGEPAGE); /* as a heap grown bit by bit */
    memset(p, 1, GIB);
    return p;
}

int main(int argc, char **argv)
{
    double small[ROUNDS_MAX], large[ROUNDS_MAX], forked[ROUNDS_MAX], ratio[ROUNDS_MAX];
    int rounds = argc > 1 ? atoi(argv[1]) : 7, by_spawn = 0;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    if (pthread_atfork(count_handler, NULL, NULL) != 0)
        bench_die("pthread_atfork");
    for (int i = 0; i < rounds; i++) {
        handlers = 0;
        small[i] = spawn_ms();
        void *memory = touch_gib();
        large[i] = spawn_ms();
        by_spawn += handlers;
        forked[i] = fork_ms();
        (void)munmap(memory, GIB);
        ratio[i] = large[i] / small[i];
    }
    (void)printf("from start to end of a worker that does nothing, medians of %d rounds\n", rounds);
    bench_figure("spawn_worker from a small process", bench_median(small, rounds), " ms");
    bench_figure("spawn_worker from a process of 1 GiB", bench_median(large, rounds), " ms");
    bench_figure("fork and exec from a process of 1 GiB", bench_median(forked, rounds), " ms");
    bench_claim(&(struct bench_claim){"spawn_worker, 1 GiB against small", AT_MOST, 1.2,
                                      bench_median(ratio, rounds), "x"});
    bench_claim(
        &(struct bench_claim){"atfork handlers run by spawn_worker", AT_MOST, 0, by_spawn, ""});
    return bench_end("spawn");
}
