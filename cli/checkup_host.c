/* The kernel, the container and the environment: what of forkless works here. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/checkup.h"
#include "executor/guarded.h"
#include "executor/limits.h"
#include "executor/proc.h"
#include "executor/spawn.h"

static void check_kernel(struct checkup *c)
{
    struct utsname u;
    AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int sys = errno;
    if (uname(&u) < 0)
        return;
    if (fd >= 0)
        checkup_say(c, HEALTH_OK, "kernel", "%s %s, with process descriptors (pidfd)", u.sysname,
                    u.release);
    else
        checkup_say(c, HEALTH_RISK, "kernel",
                    "%s %s has no process descriptors (%s): forkless needs Linux 5.3", u.sysname,
                    u.release, strerror(sys));
}

static void ignore_found(void *ctx, const struct fork_call *f, const struct origin *from,
                         const char *how)
{
    (void)ctx;
    (void)f;
    (void)from;
    (void)how;
}

/* For real: a shell that makes one fork runs as the guard's command. */
static void check_forks(struct checkup *c)
{
    char *const argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)"(exit 0); exit 0", NULL};
    const struct guarded_conf conf = {.argv = argv, .found = ignore_found};
    struct guarded_report r;
    struct err err;
    int rc = guarded_run(&conf, &r, &err);
    if (rc < 0) /* an image may have no shell */
        checkup_say(c, rc == -ERR_NOTFOUND ? HEALTH_NOTE : HEALTH_RISK, "forks",
                    "the fork guard cannot be tried: %s", err.msg);
    else if (r.unseen != 0)
        checkup_say(c, HEALTH_RISK, "forks",
                    "are not seen as they happen: %s; deadlocks are still searched for and ended",
                    guard_why(r.unseen));
    else if (r.forks == 0)
        checkup_say(c, HEALTH_RISK, "forks",
                    "the kernel took the guard's filter, but showed none of a shell's forks");
    else
        checkup_say(c, HEALTH_OK, "forks",
                    "can be seen as they happen (seccomp user notification, tried); %s",
                    guard_is_harmless()
                        ? "runs do so by default"
                        : "by default runs do not, for a signal could make a fork of a shell fail "
                          "with this C library: watch.fork=warn asks for it");
}

static void check_ptrace(struct checkup *c)
{
    char scope[8];
    if (proc_read("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope)) <= 0)
        checkup_say(c, HEALTH_OK, "stacks", "no Yama: processes of the same user can be looked at");
    else if (scope[0] == '0' || scope[0] == '1')
        checkup_say(c, HEALTH_OK, "stacks",
                    "Yama's ptrace_scope is %c: forkless can look at its workers%s", scope[0],
                    scope[0] == '1' ? "; forkless dump of others needs CAP_SYS_PTRACE" : "");
    else
        checkup_say(c, HEALTH_NOTE, "stacks",
                    "Yama's ptrace_scope is %c: evidence has no native stacks", scope[0]);
}

static void check_limits(struct checkup *c)
{
    uint64_t left = limits_memory_free("");
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    double cpus = limits_cpus("");
    checkup_say(c, HEALTH_OK, "cpus", "%g of the machine's %ld", cpus, online);
    /* who counts the machine's CPUs starts that many processes */
    if (cpus < (double)online)
        checkup_say(c, HEALTH_NOTE, "cpus",
                    "n_jobs=-1 and cpu_count() may see %ld: forkless sets OMP_NUM_THREADS for its "
                    "workers",
                    online);
    if (left != UINT64_MAX)
        checkup_say(c, HEALTH_OK, "memory", "%.1f GiB can be taken now", (double)left / (1u << 30));
    checkup_say(c, HEALTH_OK, "oom kills", "%" PRIu64 " in this cgroup so far",
                limits_oom_kills(""));
}

static void check_init(struct checkup *c)
{
    char name[32];
    int reaper = 0;
    (void)prctl(PR_GET_CHILD_SUBREAPER, &reaper);
    if (proc_read("/proc/1/comm", name, sizeof(name)) <= 0)
        return;
    name[strcspn(name, "\n")] = '\0';
    checkup_say(c, HEALTH_OK, "orphans", "PID 1 is %s%s; forkless run adopts and ends its own",
                name, reaper ? ", and this process is a subreaper" : "");
}

static void check_privileges(struct checkup *c)
{
    bool none = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    checkup_say(c, HEALTH_OK, "privileges",
                none ? "no_new_privs is set already, user %d"
                     : "user %d; workers get no_new_privs: sudo does not work in them",
                (int)getuid());
}

static void check_py_spy(struct checkup *c)
{
    AUTO_FREE char *path = NULL;
    if (spawn_resolve(&path, "py-spy", NULL, NULL) < 0)
        checkup_say(c, HEALTH_NOTE, "py-spy",
                    "not found: forkless reads the frames of recent CPython versions itself, those "
                    "of others need it");
    else
        checkup_say(c, HEALTH_OK, "py-spy", "%s", path);
}

void checkup_host(struct checkup *c)
{
    check_kernel(c);
    check_forks(c);
    check_ptrace(c);
    check_privileges(c);
    check_init(c);
    check_limits(c);
    check_py_spy(c);
    checkup_variables(c, getpid());
}

/* --- variables -------------------------------------------------------------------------------- */

/* What measurements say of a value (docs/reproducers.md). */
/* clang-format off */
static const struct {
    const char *name, *value; /* value NULL: any other */
    enum health health;
    const char *says;
} variables[] = {
    {"GRPC_ENABLE_FORK_SUPPORT", "1",    HEALTH_RISK, "with threads busy in gRPC it hangs pools that never use gRPC (cleanlab: 30 of 30); heals idle ones only: unset it"},
    {"GRPC_ENABLE_FORK_SUPPORT", "true", HEALTH_RISK, "with threads busy in gRPC it hangs pools that never use gRPC (cleanlab: 30 of 30); heals idle ones only: unset it"},
    {"GRPC_ENABLE_FORK_SUPPORT", NULL,   HEALTH_RISK, "forked children that call gRPC hang (36 of 36): let none fork, use n_jobs=1 or spawn"},
    {"GRPC_POLL_STRATEGY",       NULL,   HEALTH_NOTE, "no cure: hangs with it, too, when threads are inside gRPC at the fork"},
    {"OMP_NUM_THREADS",          "1",    HEALTH_OK,   "OpenMP starts no threads that a fork could lose"},
    {"OMP_NUM_THREADS",          NULL,   HEALTH_OK,   "OpenMP's threads"},
    {"OMP_WAIT_POLICY",          NULL,   HEALTH_OK,   "passive is best where CPUs are shared"},
    {"LOKY_START_METHOD",        "fork", HEALTH_RISK, "joblib's loky forks: set spawn, or n_jobs=1"},
    {"LOKY_START_METHOD",        NULL,   HEALTH_OK,   "joblib's loky does not fork"},
    {"JOBLIB_START_METHOD",      "fork", HEALTH_RISK, "joblib's multiprocessing forks: set spawn, or n_jobs=1"},
};
/* clang-format on */

void checkup_variables(struct checkup *c, pid_t pid)
{
    const char *done = "";
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        char value[64];
        const char *name = variables[i].name;
        if (strcmp(done, name) == 0 || !proc_environ(pid, name, value, sizeof(value)) ||
            (variables[i].value != NULL && strcmp(variables[i].value, value) != 0))
            continue;
        done = name;
        checkup_say(c, variables[i].health, "variable", "%s=%s: %s", name, value,
                    variables[i].says);
    }
}
