/* forkless-drill: a worker that misbehaves on purpose, `forkless-drill MODE` as `forkless drill`
 * has it run. Trials that the fault is not for work for a moment and report a result. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20, EAT_MIB = 4096, A_MOMENT_MS = 200, LOCKED_WORK_MS = 3000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sem_t held;

static void nap_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
        ;
}

/* A line on the channel of the worker contract, or on stderr when run by hand. */
static int channel(void)
{
    const char *fd = getenv("FORKLESS_FD");
    return fd != NULL ? atoi(fd) : STDERR_FILENO;
}

/* From here on the clock of the drill runs; child: 0 or one more process that has to go. */
static void tell_fault(pid_t child)
{
    (void)dprintf(channel(), "{\"op\":\"event\",\"event\":\"drill_fault\",\"pids\":[%d,%d]}\n",
                  (int)getpid(), (int)child);
}

/* With a sign of life now and then: it is no stall. */
static int work(long ms)
{
    for (; ms > 0; ms -= A_MOMENT_MS) {
        (void)dprintf(channel(), "{\"op\":\"event\",\"event\":\"drill_work\"}\n");
        nap_ms(A_MOMENT_MS);
    }
    (void)dprintf(channel(), "{\"op\":\"result\",\"values\":[0.5]}\n");
    return 0;
}

static int silence(void)
{
    tell_fault(0);
    while (pause() < 0)
        ;
    return 0;
}

/* SIGTERM alone does not end it. */
static int stubborn_silence(void)
{
    (void)signal(SIGTERM, SIG_IGN);
    return silence();
}

static void *hold_mutex(void *unused)
{
    (void)pthread_mutex_lock(&mutex);
    (void)sem_post(&held);
    while (pause() < 0)
        ;
    return unused;
}

/* The child wants a mutex that a thread of its parent held at the fork. */
static int deadlock(void)
{
    pthread_t thread;
    (void)sem_init(&held, 0, 0);
    if (pthread_create(&thread, NULL, hold_mutex, NULL) != 0)
        return 1;
    while (sem_wait(&held) != 0)
        ;
    pid_t pid = fork();
    if (pid == 0) {
        (void)pthread_mutex_lock(&mutex);
        _exit(0);
    }
    tell_fault(pid);
    return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : 1;
}

/* What a training program does when its allocator refuses. */
static int out_of_memory(void)
{
    tell_fault(0);
    for (int i = 0; i < EAT_MIB; i++) {
        char *p = malloc(MIB);
        if (p == NULL) {
            (void)fputs("MemoryError\n", stderr);
            return 1;
        }
        memset(p, 1, MIB);
        __asm__ volatile("" : : "r"(p) : "memory");
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *mode;
        int last; /* the fault is for trial `first` to this one */
        int first;
        int (*fault)(void);
        long work_ms; /* of the others */
    } modes[] = {
        {"stall", 1, 0, stubborn_silence, A_MOMENT_MS},
        {"deadlock", 0, 0, deadlock, A_MOMENT_MS},
        {"oom", 0, 0, out_of_memory, A_MOMENT_MS},
        {"sigterm", 2, 2, silence, A_MOMENT_MS},
        {"db-locked", 0, 0, stubborn_silence, LOCKED_WORK_MS},
    };
    const char *number = getenv("FORKLESS_TRIAL");
    int trial = number != NULL ? atoi(number) : 0;
    for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(modes[i].mode, argv[1]) == 0)
            return trial >= modes[i].first && trial <= modes[i].last ? modes[i].fault()
                                                                     : work(modes[i].work_ms);
    }
    (void)fprintf(stderr, "%s: started by `forkless drill`\n", argv[0]);
    return 2;
}
