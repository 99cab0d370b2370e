/* Starts a program in a world that is worse than usual: `launch HOW ARG PROGRAM …`.
 *
 *   tripwire -     a fork, or a clone without CLONE_VM, kills the process that makes it
 *   pid1 -         as PID 1 of a PID namespace, with a /proc of its own; signals are passed on
 *   user UID       as this user, if we are root
 *   crowd N        as a user of its own who may have so many processes and threads
 *   fsize BYTES    no file may grow beyond it
 *   close FDS      without these descriptors, e.g. 1 or 12
 *   widow -        stdout and stderr are pipes whose reader is gone
 *   blocked -      with SIGTERM and SIGINT blocked
 *   deaf -         stderr is a pipe whose reader does not read
 *   small DIR      DIR is a disk of 8 MiB, of which the file `filler` takes all but 600 KiB
 *
 * Exits 77 where that is not permitted. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED 77

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

extern char **environ;

static int skip(const char *what)
{
    (void)fprintf(stderr, "launch: %s: %s\n", what, strerror(errno));
    return SKIPPED;
}

/* clone3 keeps its flags in memory, which a filter cannot read: without it glibc uses clone. */
static int tripwire(const char *arg)
{
    (void)arg;
#define AT(field) (unsigned)offsetof(struct seccomp_data, field)
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
#ifdef SYS_fork
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fork, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
#endif
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(args[0])), /* the low half: little-endian */
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_VM, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
        return skip("seccomp");
    return 0;
}

/* The first process of the new namespace: it becomes the program. */
static int pid1_inner(const char *arg)
{
    (void)arg;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("proc", "/proc", "proc", 0, NULL) < 0)
        return skip("mount /proc");
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    return 0;
}

static int pid1(char **argv)
{
    sigset_t ours;
    pid_t pid;
    int sig, status;
    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, SIGTERM);
    (void)sigaddset(&ours, SIGINT);
    (void)sigaddset(&ours, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &ours, NULL);
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0)
        return skip("unshare");
    argv[1] = (char *)"pid1-inner";
    int rc = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ);
    if (rc != 0) {
        errno = rc;
        return skip("spawn");
    }
    while (sigwait(&ours, &sig) == 0) {
        if (sig != SIGCHLD)
            (void)kill(pid, sig);
        else if (waitpid(pid, &status, WNOHANG) == pid)
            break;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int user(const char *arg)
{
    if (getuid() == 0 && (setgid((gid_t)atoi(arg)) < 0 || setuid((uid_t)atoi(arg)) < 0))
        return skip("setuid");
    return 0;
}

static int crowd(const char *arg)
{
    const rlim_t n = strtoul(arg, NULL, 10);
    const struct rlimit limit = {n, n};
    if (getuid() != 0) /* how many does this user have already? */
        return skip("not root");
    char uid[16]; /* a user for each N: tests run side by side */
    (void)snprintf(uid, sizeof(uid), "%d", 54400 + (int)n);
    return setrlimit(RLIMIT_NPROC, &limit) < 0 ? skip("setrlimit") : user(uid);
}

static int fsize(const char *arg)
{
    const struct rlimit limit = {strtoul(arg, NULL, 10), RLIM_INFINITY};
    return setrlimit(RLIMIT_FSIZE, &limit) < 0 ? skip("setrlimit") : 0;
}

static int close_fds(const char *arg)
{
    for (; *arg != '\0'; arg++)
        (void)close(*arg - '0');
    return 0;
}

static int widow(const char *arg)
{
    int ends[2];
    (void)arg;
    if (pipe(ends) < 0 || dup2(ends[1], 1) < 0 || dup2(ends[1], 2) < 0)
        return skip("pipe");
    (void)close(ends[0]);
    (void)close(ends[1]);
    return 0;
}

static int blocked(const char *arg)
{
    sigset_t stop;
    (void)arg;
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    return sigprocmask(SIG_BLOCK, &stop, NULL);
}

static int deaf(const char *arg)
{
    int ends[2]; /* the other end stays with the program, which does not know of it */
    (void)arg;
    if (pipe(ends) < 0 || dup2(ends[1], 2) < 0)
        return skip("pipe");
    (void)close(ends[1]);
    return 0;
}

static int small(const char *dir)
{
    static char filler[(8192 - 600) << 10] = {1};
    char path[256];
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("small", dir, "tmpfs", 0, "size=8m") < 0)
        return skip("mount a small disk");
    (void)snprintf(path, sizeof(path), "%s/filler", dir);
    FILE *f = fopen(path, "we");
    if (f == NULL || fwrite(filler, sizeof(filler), 1, f) != 1 || fclose(f) != 0)
        return skip(path);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*prepare)(const char *arg);
    } ways[] = {{"tripwire", tripwire}, {"pid1-inner", pid1_inner}, {"user", user},
                {"fsize", fsize},       {"close", close_fds},       {"widow", widow},
                {"deaf", deaf},         {"blocked", blocked},       {"crowd", crowd},
                {"small", small}};
    if (argc < 4)
        return 64;
    if (strcmp(argv[1], "pid1") == 0)
        return pid1(argv);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (strcmp(ways[i].name, argv[1]) != 0)
            continue;
        int rc = ways[i].prepare(argv[2]);
        if (rc != 0)
            return rc;
        (void)execv(argv[3], argv + 3);
        return skip(argv[3]);
    }
    return 64;
}
