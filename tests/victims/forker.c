/* A worker that makes one child: `forker THREADS HOW`, and says loss=0, or the errno with which
 * that failed. THREADS are alive beside the main one. HOW:
 *
 *   fork, raw       the child goes on for a while in the parent's memory (raw: by system call)
 *   brief           fork, and the child ends after 20 ms, without exec
 *   instant         fork, and the child ends at once, without exec
 *   exec            fork, and the child execs at once
 *   execs           two hundred such forks of a command that ends at once
 *   vfork, spawn    the ways that copy nothing
 *   clone3          the system call that filters cannot see into
 *   loop            a thousand forks whose children exit at once
 *   starve          two such forks, while whoever started it may neither open descriptors nor poll
 *                   more than one
 *   blocked         the thousand, with signals blocked in the call, and a signal every 50 us whose
 *                   handler does not restart calls */
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static char *const echo[] = {(char *)"true", NULL};

static void *idle(void *arg)
{
    (void)pause();
    return arg;
}

static _Noreturn void go_on(void)
{
    const struct timespec ts = {.tv_nsec = 700000000};
    (void)nanosleep(&ts, NULL);
    _exit(0);
}

static pid_t by_clone3(void)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static pid_t by_spawn(void)
{
    pid_t pid;
    errno = posix_spawn(&pid, "/bin/true", NULL, NULL, echo, environ);
    return errno == 0 ? pid : -1;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static pid_t by_vfork(void)
{
    pid_t pid = vfork(); /* NOLINT: it is the point */
    if (pid == 0) {
        (void)execve("/bin/true", echo, environ);
        _exit(127);
    }
    return pid;
}
#pragma GCC diagnostic pop

static void ignore(int sig)
{
    (void)sig;
}

static void rain_signals(void)
{
    const struct sigaction act = {.sa_handler = ignore};
    const struct itimerval often = {{.tv_usec = 50}, {.tv_usec = 50}};
    (void)sigaction(SIGALRM, &act, NULL);
    (void)setitimer(ITIMER_REAL, &often, NULL);
}

static pid_t fork_blocked(void)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &before);
    pid_t pid = fork();
    int sys = errno;
    if (pid != 0)
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
    errno = sys;
    return pid;
}

/* Returns the limit before. */
static struct rlimit limit_parent(rlim_t files)
{
    struct rlimit before = {0}, now;
    (void)prlimit(getppid(), RLIMIT_NOFILE, NULL, &before);
    now = (struct rlimit){files, before.rlim_max};
    (void)prlimit(getppid(), RLIMIT_NOFILE, &now, NULL);
    return before;
}

/* Signals come all the time. */
static bool await(pid_t pid)
{
    pid_t got;
    do
        got = waitpid(pid, NULL, 0);
    while (got < 0 && errno == EINTR);
    return got == pid;
}

static bool makes_many(const char *how)
{
    return strcmp(how, "loop") == 0 || strcmp(how, "blocked") == 0 || strcmp(how, "starve") == 0;
}

static int how_many(const char *how)
{
    return strcmp(how, "starve") == 0  ? 2
           : makes_many(how)           ? 1000
           : strcmp(how, "execs") == 0 ? 200
                                       : 1;
}

static __attribute__((noinline)) pid_t make_child(const char *how)
{
    if (strcmp(how, "vfork") == 0)
        return by_vfork();
    if (strcmp(how, "spawn") == 0)
        return by_spawn();
    pid_t pid;
    if (strcmp(how, "clone3") == 0)
        pid = by_clone3();
    else if (strcmp(how, "raw") == 0)
        pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    else
        pid = strcmp(how, "blocked") == 0 ? fork_blocked() : fork();
    if (pid == 0 && strcmp(how, "exec") == 0) {
        (void)execve("/bin/sleep", (char *const[]){(char *)"sleep", (char *)"0.7", NULL}, environ);
        _exit(127);
    }
    if (pid == 0 && strcmp(how, "execs") == 0) {
        (void)execve("/bin/true", echo, environ);
        _exit(127);
    }
    if (pid == 0 && strcmp(how, "brief") == 0) {
        const struct timespec ts = {.tv_nsec = 20000000};
        (void)nanosleep(&ts, NULL);
        _exit(0);
    }
    if (pid == 0 && (makes_many(how) || strcmp(how, "instant") == 0))
        _exit(0);
    if (pid == 0)
        go_on();
    return pid;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    for (int i = atoi(argv[1]); i > 0; i--) {
        pthread_t t;
        if (pthread_create(&t, NULL, idle, NULL) != 0)
            return 9;
    }
    (void)fprintf(stderr, "%s\n", argv[2]);
    const struct timespec settle = {.tv_nsec = 200000000}; /* a library's new threads get names */
    (void)nanosleep(&settle, NULL);
    int failed = 0;
    if (strcmp(argv[2], "blocked") == 0)
        rain_signals();
    bool starve = strcmp(argv[2], "starve") == 0;
    struct rlimit files = starve ? limit_parent(1) : (struct rlimit){0};
    for (int i = how_many(argv[2]); i > 0 && failed == 0; i--) {
        pid_t pid = make_child(argv[2]);
        if (pid < 0)
            failed = errno;
        else if (!await(pid))
            return 9;
    }
    if (starve)
        (void)limit_parent(files.rlim_cur);
    (void)printf("loss=%d\n", failed);
    return 0;
}
