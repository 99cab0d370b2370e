/* A process and its descendants, in the words of the incident. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/checkup.h"
#include "cli/memory.h"
#include "executor/evidence/evidence.h"
#include "executor/guard.h"
#include "executor/proc.h"

#define SHOWN 8u /* processes whose threads are told */
#define MAX_LOGS 64u
#define STACKS_MS 10000u /* of looking, at most: libraries are large, machines busy */
#define SAMPLE_MS 1000u
#define SILENCE_MS 300000     /* the default of watch.stall */
#define LOG_BYTES (64u << 20) /* of a log, at most */

/* --- permission ------------------------------------------------------------------------------- */

struct blind {
    pid_t pid; /* 0: all may be read */
    int sys;
};

static int may_read(pid_t pid, const char *name)
{
    char path[64], byte;
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 || read(fd, &byte, 1) < 0 ? errno : 0;
}

/* Libraries stand in maps; what a thread waits for needs as much permission as its memory. */
static void look_for_blind(void *ctx, pid_t pid)
{
    static const char *const needed[] = {"maps", "syscall"};
    struct blind *b = ctx;
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        int sys = may_read(pid, needed[i]);
        if (sys == EPERM || sys == EACCES)
            *b = (struct blind){pid, sys};
    }
}

static void say_blind(struct checkup *c, const char *name, const struct blind *b)
{
    checkup_say(c, HEALTH_UNKNOWN, name,
                "could not look at process %d (%s): run as its owner or root (with "
                "kernel.yama.ptrace_scope above 0, as root)",
                (int)b->pid, b->sys == EPERM ? "EPERM" : "EACCES");
}

/* --- threads and forks ------------------------------------------------------------------------ */

struct forked {
    unsigned n;          /* children without exec of parents with threads */
    pid_t child, parent; /* the last one */
    int threads;         /* of its parent */
};

static void look_for_forked(void *ctx, pid_t pid)
{
    struct forked *f = ctx;
    struct proc_stat st, parent;
    if (!proc_read_stat(pid, &st) || (st.flags & PROC_FORKED_NO_EXEC) == 0 || st.state == 'Z' ||
        !proc_read_stat(st.ppid, &parent) || parent.threads < 2)
        return;
    *f = (struct forked){f->n + 1, pid, st.ppid, parent.threads};
}

struct threaded {
    struct checkup *c;
    unsigned n;
};

static void say_harmless_threads(struct checkup *c, pid_t pid, const struct fork_call *f)
{
    struct blind b = {0};
    look_for_blind(&b, pid);
    if (b.pid != 0)
        say_blind(c, "threads", &b);
    else
        checkup_say(c, HEALTH_OK, "threads", "%s (pid %d) has %d (%s), none of gRPC or OpenMP%s",
                    f->command, (int)pid, f->threads, f->names,
                    f->mapped != 0 ? ", though such a library is loaded" : "");
}

/* Children by fork are no cause but its victims: check_forked tells of them. */
static void look_at_threads(void *ctx, pid_t pid)
{
    struct threaded *t = ctx;
    struct checkup *c = t->c;
    struct fork_call f;
    struct proc_stat st;
    if (!proc_read_stat(pid, &st) || (st.flags & PROC_FORKED_NO_EXEC) != 0 || st.threads < 2)
        return;
    guard_look(pid, &f);
    if (!guard_threaded(&f) || t->n++ >= SHOWN)
        return;
    if (guard_deadly(&f))
        checkup_say(c, HEALTH_RISK, "threads",
                    "%s (pid %d) has %d, %s among them (%s): a fork from here can hang its child; "
                    "n_jobs=1 or spawn",
                    f.command, (int)pid, f.threads,
                    (f.live & GUARD_GRPC) == 0     ? "OpenMP's"
                    : (f.live & GUARD_OPENMP) == 0 ? "gRPC's"
                                                   : "gRPC's and OpenMP's",
                    f.names);
    else
        say_harmless_threads(c, pid, &f);
}

static void check_threads(struct checkup *c, pid_t pid)
{
    struct threaded t = {.c = c};
    proc_walk(pid, look_at_threads, &t);
    if (t.n > SHOWN)
        checkup_say(c, HEALTH_NOTE, "threads", "%u more processes have some", t.n - SHOWN);
}

static void check_forked(struct checkup *c, pid_t pid)
{
    struct forked f = {0};
    proc_walk(pid, look_for_forked, &f);
    if (f.n > 0)
        checkup_say(c, HEALTH_RISK, "forks",
                    "%u process%s forked without exec by one with threads: the last is %d, of "
                    "process %d, which has %d",
                    f.n, f.n > 1 ? "es" : "", (int)f.child, (int)f.parent, f.threads);
    else
        checkup_say(c, HEALTH_OK, "forks", "no process here was forked by one with threads");
}

static void check_deadlock(struct checkup *c, pid_t pid)
{
    struct verdict v;
    struct blind b = {0};
    proc_walk(pid, look_for_blind, &b);
    evidence_verdict(pid, 0, clock_mono_ms() + STACKS_MS, &v);
    if (v.kind == VERDICT_PROVEN)
        checkup_say(c, HEALTH_DEADLOCKED, "deadlock", "proven: %s", v.why);
    else if (v.kind == VERDICT_SUSPICIOUS)
        checkup_say(c, HEALTH_RISK, "deadlock", "suspicious: %s; forkless dump %d shows more",
                    v.why, (int)pid);
    else if (b.pid != 0)
        say_blind(c, "deadlock", &b);
    else
        checkup_say(c, HEALTH_OK, "deadlock", "none is seen");
}

/* Before 3.14, Python's pools fork. */
static void check_python(struct checkup *c, pid_t pid)
{
    char path[64], exe[PATH_MAX];
    (void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
    ssize_t n = readlink(path, exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    const char *name = strstr(exe, "/python3.");
    int minor;
    if (name == NULL || sscanf(name, "/python3.%d", &minor) != 1)
        return;
    checkup_say(c, minor < 14 ? HEALTH_NOTE : HEALTH_OK, "python",
                minor < 14
                    ? "3.%d: multiprocessing forks unless told otherwise: get_context(\"spawn\")"
                    : "3.%d: multiprocessing does not fork unless told to",
                minor);
}

/* --- its logs --------------------------------------------------------------------------------- */

struct log {
    unsigned hits;
    int64_t newest_ms;   /* UTC of the last write; 0: no log is known */
    dev_t dev[MAX_LOGS]; /* that were read */
    ino_t ino[MAX_LOGS];
    size_t n;
};

/* Processes share their streams. */
static bool seen_before(struct log *l, const struct stat *st)
{
    if (l->n == MAX_LOGS)
        return true;
    for (size_t i = 0; i < l->n; i++) {
        if (l->dev[i] == st->st_dev && l->ino[i] == st->st_ino)
            return true;
    }
    l->dev[l->n] = st->st_dev;
    l->ino[l->n++] = st->st_ino;
    return false;
}

/* "fork_posix.cc:75] Other threads are currently calling into gRPC, skipping fork() handlers", as
 * gRPC prints it when it lets a fork happen with its threads alive. Whoever only speaks of that
 * line, as earlier output of this program may, is no evidence. */
static bool skipped_handlers(const char *line)
{
    static const char file[] = "fork_posix.cc:";
    const char *at = strstr(line, file);
    if (at == NULL)
        return false;
    at += strlen(file);
    size_t digits = strspn(at, "0123456789");
    return digits > 0 && at[digits] == ']' && strstr(at, "skipping fork() handlers") != NULL;
}

static void read_log(struct log *l, const char *path)
{
    struct stat st;
    char line[4096];
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || seen_before(l, &st))
        return;
    AUTO_FCLOSE FILE *f = fopen(path, "re");
    int64_t ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    l->newest_ms = ms > l->newest_ms && st.st_size > 0 ? ms : l->newest_ms;
    if (f == NULL)
        return;
    if (st.st_size > (off_t)LOG_BYTES)
        (void)fseeko(f, st.st_size - (off_t)LOG_BYTES, SEEK_SET);
    while (fgets(line, sizeof(line), f) != NULL)
        l->hits += skipped_handlers(line);
}

/* A worker's streams are pipes to forkless, which writes them down. */
static void find_logs(void *ctx, pid_t pid)
{
    struct log *l = ctx;
    static const char *const names[] = {"stdout.log", "stderr.log"};
    char dir[PATH_MAX], path[PATH_MAX + 16];
    bool worker = proc_environ(pid, "FORKLESS_TRIAL_DIR", dir, sizeof(dir));
    for (int i = 0; i < 2; i++) {
        if (worker)
            (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        else
            (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, i + 1);
        read_log(l, path);
    }
}

static void check_logs(struct checkup *c, pid_t pid)
{
    struct log l = {0};
    proc_walk(pid, find_logs, &l);
    if (l.newest_ms == 0)
        return;
    if (l.hits > 0)
        checkup_say(
            c, HEALTH_RISK, "log",
            "%u line%s of gRPC's about handlers that it skipped: it let forks happen with its "
            "threads alive",
            l.hits, l.hits > 1 ? "s" : "");
    else
        checkup_say(c, HEALTH_OK, "log", "no line of gRPC's about handlers that it skipped");
}

/* --- progress and memory ---------------------------------------------------------------------- */

static void say_progress(struct checkup *c, pid_t pid, bool uses_cpu)
{
    struct log l = {0};
    char ago[32];
    proc_walk(pid, find_logs, &l);
    int64_t silent = clock_utc_us() / 1000 - l.newest_ms;
    if (l.newest_ms == 0)
        checkup_say(c, HEALTH_OK, "progress", "it %s CPU; where its output goes is not known",
                    uses_cpu ? "uses" : "uses no");
    else
        checkup_say(c, !uses_cpu && silent > SILENCE_MS ? HEALTH_RISK : HEALTH_OK, "progress",
                    "last output %s ago, it %s CPU",
                    text_human_ms(silent > 0 ? (uint64_t)silent : 0, ago),
                    uses_cpu ? "uses" : "uses no");
}

static void check_samples(struct checkup *c, pid_t pid)
{
    const struct timespec pause = {SAMPLE_MS / 1000, SAMPLE_MS % 1000 * 1000000L};
    char text[200];
    struct memory before, after;
    memory_of(pid, &before);
    uint64_t cpu = proc_tree_cpu_ms(pid);
    (void)nanosleep(&pause, NULL);
    memory_of(pid, &after);
    bool risk = memory_judge(&before, &after, text, sizeof(text));
    checkup_say(c, risk ? HEALTH_RISK : HEALTH_OK, "memory", "%s", text);
    say_progress(c, pid, proc_tree_cpu_ms(pid) > cpu);
}

static void check_trial(struct checkup *c, pid_t pid)
{
    char study[256], trial[32];
    if (proc_environ(pid, "FORKLESS_STUDY", study, sizeof(study)) &&
        proc_environ(pid, "FORKLESS_TRIAL", trial, sizeof(trial)))
        checkup_say(c, HEALTH_OK, "trial", "%s of study %s: forkless why %s tells more", trial,
                    study, trial);
}

bool checkup_process(struct checkup *c, pid_t pid)
{
    struct proc_stat st;
    if (!proc_read_stat(pid, &st))
        return false;
    check_deadlock(c, pid);
    check_forked(c, pid);
    check_threads(c, pid);
    check_python(c, pid);
    checkup_variables(c, pid);
    check_trial(c, pid);
    check_logs(c, pid);
    check_samples(c, pid);
    return true;
}
