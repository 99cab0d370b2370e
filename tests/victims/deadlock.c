/* Processes that a fork has broken, and others that only look like it: `deadlock MODE`. Each prints
 * "ready" when it stands where it will stand for ever. This is the one program here that forks with
 * threads alive, which is its point. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sem_t begun, never;

static void nap_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
        ;
}

static void say(const char *text)
{
    (void)!write(STDOUT_FILENO, text, strlen(text));
}

static void start(void *(*fn)(void *), void *arg)
{
    pthread_t t;
    if (pthread_create(&t, NULL, fn, arg) != 0)
        _exit(9);
}

/* The parent's part: its child never ends. */
static int await(pid_t pid)
{
    nap_ms(50);
    say("ready\n");
    return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : 9;
}

static void *hold_mutex(void *arg)
{
    (void)arg;
    (void)pthread_mutex_lock(&mutex);
    (void)sem_post(&begun);
    nap_ms(600000);
    return NULL;
}

static void *idle(void *arg)
{
    (void)sem_post(&begun);
    nap_ms(600000);
    return arg;
}

/* The child wants a mutex that a thread of its parent holds. */
static int run_mutex(void)
{
    start(hold_mutex, NULL);
    (void)sem_wait(&begun);
    pid_t pid = fork();
    if (pid == 0) {
        (void)pthread_mutex_lock(&mutex);
        _exit(1);
    }
    return await(pid);
}

/* The same, while another thread of the child uses the CPU. */
static void *burn(void *arg)
{
    for (atomic_int n = 0;; n++)
        ;
    return arg;
}

static int run_mutex_and_burn(void)
{
    start(hold_mutex, NULL);
    (void)sem_wait(&begun);
    pid_t pid = fork();
    if (pid == 0) {
        start(burn, NULL);
        (void)pthread_mutex_lock(&mutex);
        _exit(1);
    }
    return await(pid);
}

/* malloc_stats writes to stderr while it holds the arena's lock, and nobody reads that pipe. */
static void *hold_arena(void *arg)
{
    malloc_stats();
    return arg;
}

static int run_malloc(void)
{
    int ends[2];
    static char fill[4096];
    if (pipe(ends) < 0 || dup2(ends[1], STDERR_FILENO) < 0)
        return 9;
    (void)fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
    while (write(STDERR_FILENO, fill, sizeof(fill)) > 0)
        ;
    (void)fcntl(STDERR_FILENO, F_SETFL, 0);
    start(hold_arena, NULL);
    nap_ms(200);
    pid_t pid = _Fork(); /* unlike fork(), it leaves the allocator as it is */
    if (pid == 0) {
        void *p = malloc(100000);
        _exit(p != NULL);
    }
    return await(pid);
}

/* A library's handler that waits for a thread which was not forked. */
static void after_fork(void)
{
    (void)sem_wait(&never);
}

static int run_atfork(void)
{
    start(idle, NULL);
    (void)sem_wait(&begun);
    (void)pthread_atfork(NULL, NULL, after_fork);
    return await(fork());
}

/* Waits for a semaphore that nobody can post: a lock of Python's, perhaps, or its own idea of
 * sleeping. */
static int run_alone(void)
{
    start(idle, NULL);
    (void)sem_wait(&begun);
    pid_t pid = fork();
    if (pid == 0) {
        (void)sem_wait(&never);
        _exit(1);
    }
    return await(pid);
}

static void *wait_on_never(void *arg)
{
    (void)sem_wait(&never);
    return arg;
}

/* A pool that waits for work: one child at a pipe, one for a semaphore that all share, one at a
 * pipe with a thread that waits for it. */
static int run_pool(void)
{
    int ends[2];
    sem_t *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = -1;
    char byte;
    if (shared == MAP_FAILED || sem_init(shared, 1, 0) < 0 || pipe(ends) < 0)
        return 9;
    start(idle, NULL);
    (void)sem_wait(&begun);
    for (int i = 0; i < 3; i++) {
        pid = fork();
        if (pid != 0)
            continue;
        if (i == 1)
            (void)sem_wait(shared);
        if (i == 2)
            start(wait_on_never, NULL);
        _exit(read(ends[0], &byte, 1) == 1);
    }
    return await(pid);
}

static void *want_mutex(void *arg)
{
    (void)pthread_mutex_lock(&mutex);
    return arg;
}

/* The thread that forks holds the mutex, and so does the child's first one: it may unlock it. */
static int run_inherited(void)
{
    start(idle, NULL);
    (void)sem_wait(&begun);
    (void)pthread_mutex_lock(&mutex);
    pid_t pid = fork();
    if (pid == 0) {
        start(want_mutex, NULL);
        nap_ms(600000);
        _exit(1);
    }
    return await(pid);
}

/* A mutex that a thread of the child itself holds for long. */
static int run_held(void)
{
    start(idle, NULL);
    (void)sem_wait(&begun);
    pid_t pid = fork();
    if (pid == 0) {
        (void)sem_init(&begun, 0, 0);
        start(hold_mutex, NULL);
        (void)sem_wait(&begun);
        (void)pthread_mutex_lock(&mutex);
        _exit(1);
    }
    return await(pid);
}

/* Threads that pass a mutex round. */
static void *contend(void *arg)
{
    for (;;) {
        (void)pthread_mutex_lock(&mutex);
        nap_ms(1);
        (void)pthread_mutex_unlock(&mutex);
    }
    return arg;
}

static int run_contention(void)
{
    start(idle, NULL);
    (void)sem_wait(&begun);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 4; i++)
            start(contend, NULL);
        (void)contend(NULL);
    }
    return await(pid);
}

/* --- no deadlocks: what can be seen of a process -------------------------------------------------
 */

__attribute__((noinline)) static int victim_waits_here(int depth)
{
    if (depth > 0)
        return victim_waits_here(depth - 1) + 1;
    return sem_wait(&never) + 1;
}

static void *wait_deep(void *arg)
{
    (void)sem_post(&begun);
    (void)victim_waits_here(3);
    return arg;
}

static int run_threads(void)
{
    for (int i = 0; i < 7; i++) {
        start(wait_deep, NULL);
        (void)sem_wait(&begun);
    }
    nap_ms(50);
    say("ready\n");
    return victim_waits_here(3);
}

/* In an uninterruptible wait until its child calls exec. */
static int run_vfork(void)
{
    say("ready\n");
    if (vfork() == 0) {
        (void)pause();
        _exit(0);
    }
    return 0;
}

/* Somebody else traces it already. */
static int run_traced(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)victim_waits_here(1);
        _exit(1);
    }
    nap_ms(50);
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
        return 9;
    return await(pid);
}

static atomic_int arrived;

static void on_signal(int sig)
{
    (void)sig;
    arrived++;
}

/* Counts queued signals; at SIGTERM it says how many. */
static int run_signals(void)
{
    const struct sigaction count = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigset_t term;
    int sig;
    char text[32];
    (void)sigaction(SIGRTMIN, &count, NULL);
    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &term, NULL);
    say("ready\n");
    while (sigwait(&term, &sig) != 0)
        ;
    (void)snprintf(text, sizeof(text), "arrived %d\n", arrived);
    say(text);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } modes[] = {
        {"mutex", run_mutex},     {"mutex-and-burn", run_mutex_and_burn},
        {"malloc", run_malloc},   {"atfork", run_atfork},
        {"alone", run_alone},     {"pool", run_pool},
        {"threads", run_threads}, {"inherited", run_inherited},
        {"vfork", run_vfork},     {"contention", run_contention},
        {"traced", run_traced},   {"held", run_held},
        {"signals", run_signals},
    };
    (void)sem_init(&begun, 0, 0);
    (void)sem_init(&never, 0, 0);
    for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(modes[i].name, argv[1]) == 0)
            return modes[i].run();
    }
    (void)fprintf(stderr, "deadlock: no such mode\n");
    return 64;
}
