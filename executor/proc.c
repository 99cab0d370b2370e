#include "executor/proc.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Deeper trees than this are somebody's fork bomb: what lies deeper is met again after its parents
 * died. */
#define MAX_DEPTH 64

/* Of the list of a thread's children; those beyond are met when others have ended. */
#define MAX_CHILDREN_BYTES 65536

/* The kernel makes twice as much of a file at once: who asks for no more, and gets less, has all.
 */
#define AT_ONCE_BYTES 2048

ssize_t proc_read(const char *path, char *out, size_t n)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t len = 0;
    while (len < n - 1) {
        ssize_t k = read(fd, out + len, n - 1 - len);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            break;
        bool last = len == 0 && n <= AT_ONCE_BYTES && (size_t)k < n - 1;
        len += (size_t)k;
        if (last)
            break;
    }
    out[len] = '\0';
    return (ssize_t)len;
}

static void cleanup_dir(DIR **d)
{
    if (*d != NULL)
        (void)closedir(*d);
}

int proc_count_threads(pid_t tid)
{
    char path[64];
    struct stat st;
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)tid);
    return stat(path, &st) == 0 && st.st_nlink > 2 ? (int)st.st_nlink - 2 : 0;
}

int64_t proc_newest(void)
{
    char text[128];
    const char *last =
        proc_read("/proc/loadavg", text, sizeof(text)) > 0 ? strrchr(text, ' ') : NULL;
    return last != NULL ? strtoll(last, NULL, 10) : 0;
}

int proc_each_thread(pid_t pid, void (*visit)(void *ctx, pid_t pid, pid_t tid), void *ctx)
{
    int threads = proc_count_threads(pid);
    if (threads == 1) { /* as most have: the first thread is there to the end */
        visit(ctx, pid, pid);
        return threads;
    }
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    AUTO(cleanup_dir) DIR *dir = opendir(path);
    if (dir == NULL)
        return threads;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (isdigit((unsigned char)e->d_name[0]))
            visit(ctx, pid, (pid_t)atoi(e->d_name));
    }
    return threads;
}

struct walk {
    void (*visit)(void *ctx, pid_t pid);
    void *ctx;
    int depth;
    int least; /* threads of those who are visited */
};

static void walk_children(void *ctx, pid_t pid, pid_t tid);

static void walk_tree(struct walk *w, pid_t pid)
{
    if (w->depth >= MAX_DEPTH)
        return;
    w->depth++;
    int threads =
        proc_each_thread(pid, walk_children, w); /* children first: a killed parent hides them */
    w->depth--;
    if (threads >= w->least)
        w->visit(w->ctx, pid);
}

/* Each thread lists the children that it made. */
static void walk_children(void *ctx, pid_t pid, pid_t tid)
{
    struct walk *w = ctx;
    char path[64], few[512], *rest;
    AUTO_FREE char *many = NULL;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)tid);
    ssize_t n = proc_read(path, few, sizeof(few));
    if (n == (ssize_t)sizeof(few) -
                 1) { /* most have none: memory for a crowd costs more than all else */
        many = malloc(MAX_CHILDREN_BYTES);
        n = many != NULL ? proc_read(path, many, MAX_CHILDREN_BYTES) : 0;
    }
    if (n <= 0)
        return;
    for (char *word = strtok_r(many != NULL ? many : few, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        if (w->depth == 0)
            w->visit(w->ctx, (pid_t)atoi(word));
        else
            walk_tree(w, (pid_t)atoi(word));
    }
}

void proc_walk(pid_t pid, void (*visit)(void *ctx, pid_t pid), void *ctx)
{
    struct walk w = {.visit = visit, .ctx = ctx};
    walk_tree(&w, pid);
}

void proc_walk_threaded(pid_t pid, void (*visit)(void *ctx, pid_t pid), void *ctx)
{
    struct walk w = {.visit = visit, .ctx = ctx, .least = 2};
    walk_tree(&w, pid);
}

/* Fields stand after the command name, which may itself hold spaces and parentheses. */
static bool read_stat(const char *path, struct proc_stat *out)
{
    char text[1024];
    if (proc_read(path, text, sizeof(text)) <= 0)
        return false;
    char *end = strrchr(text, ')');
    struct proc_stat st;
    unsigned long long utime, stime, majflt, cmajflt;
    long long cutime, cstime;
    if (end == NULL ||
        sscanf(
            end + 1,
            " %c %d %*d %*d %*d %*d %u %*u %*u %llu %llu %llu %llu %lld %lld %*d %*d %d %*d %llu",
            &st.state, &st.ppid, &st.flags, &majflt, &cmajflt, &utime, &stime, &cutime, &cstime,
            &st.threads, &st.start_ticks) != 11)
        return false;
    st.ticks = utime + stime;
    st.ended_ticks = (unsigned long long)(cutime + cstime);
    st.page_ins = majflt + cmajflt;
    *out = st;
    return true;
}

bool proc_read_stat(pid_t pid, struct proc_stat *out)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    return read_stat(path, out);
}

bool proc_read_thread_stat(pid_t pid, pid_t tid, struct proc_stat *out)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)tid);
    return read_stat(path, out);
}

void proc_each_child(pid_t pid, void (*visit)(void *ctx, pid_t pid), void *ctx)
{
    struct walk w = {.visit = visit, .ctx = ctx}; /* depth 0: no further */
    (void)proc_each_thread(pid, walk_children, &w);
}

static void add_cpu(void *ctx, pid_t pid)
{
    struct proc_stat st;
    if (proc_read_stat(pid, &st))
        *(unsigned long long *)ctx += st.ticks + st.ended_ticks;
}

uint64_t proc_ticks_ms(unsigned long long ticks)
{
    return ticks * 1000u / (unsigned long)sysconf(_SC_CLK_TCK);
}

uint64_t proc_now_ticks(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_BOOTTIME, &ts);
    return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000) *
           (uint64_t)sysconf(_SC_CLK_TCK) / 1000;
}

uint64_t proc_tree_cpu_ms(pid_t pid)
{
    unsigned long long ticks = 0;
    proc_walk(pid, add_cpu, &ticks);
    return proc_ticks_ms(ticks);
}

static unsigned long long number_after(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void add_usage(void *ctx, pid_t pid)
{
    struct proc_usage *u = ctx;
    struct proc_stat st;
    char path[64], text[512];
    if (!proc_read_stat(pid, &st))
        return;
    u->cpu_ms += st.ticks + st.ended_ticks; /* ticks yet */
    u->page_ins += st.page_ins;
    (void)snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
    if (proc_read(path, text, sizeof(text)) <= 0)
        return;
    u->storage_bytes +=
        number_after(text, "\nread_bytes: ") + number_after(text, "\nwrite_bytes: ");
    u->call_bytes += number_after(text, "rchar: ") + number_after(text, "\nwchar: ");
}

void proc_tree_usage(pid_t pid, struct proc_usage *out)
{
    *out = (struct proc_usage){0};
    proc_walk(pid, add_usage, out);
    out->cpu_ms = proc_ticks_ms(out->cpu_ms);
}

static void send_signal(void *ctx, pid_t pid)
{
    (void)kill(pid, *(int *)ctx);
}

void proc_kill_tree(pid_t pid, int sig)
{
    assert(pid > 0); /* 0 would be our own group */
    proc_walk(pid, send_signal, &sig);
    (void)kill(-pid,
               sig); /* it leads a group of its own: those are met even when their parent is gone */
}

struct orphans {
    bool (*is_worker)(void *ctx, pid_t pid);
    bool (*is_stray)(void *ctx, pid_t pid);
    void *ctx;
    int left;
};

static void visit_child(void *ctx, pid_t pid)
{
    struct orphans *o = ctx;
    if (o->is_worker(o->ctx, pid))
        return;
    if (o->is_stray(o->ctx, pid))
        proc_kill_tree(pid, SIGKILL);
    if (waitpid(pid, NULL, WNOHANG) == 0)
        o->left++;
}

int proc_reap_orphans(bool (*is_worker)(void *ctx, pid_t pid),
                      bool (*is_stray)(void *ctx, pid_t pid), void *ctx)
{
    siginfo_t any;
    if (waitid(P_ALL, 0, &any, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD)
        return 0; /* no child at all, as between the trials of a single slot */
    struct orphans o = {.is_worker = is_worker, .is_stray = is_stray, .ctx = ctx};
    struct walk w = {.visit = visit_child, .ctx = &o};
    (void)proc_each_thread(getpid(), walk_children, &w);
    return o.left;
}

bool proc_environ(pid_t pid, const char *name, char *out, size_t n)
{
    char path[64];
    size_t cap = 1u << 20;
    AUTO_FREE char *all = malloc(cap);
    (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    ssize_t len = all != NULL ? proc_read(path, all, cap) : -1;
    size_t name_len = strlen(name);
    for (ssize_t i = 0; i < len; i += (ssize_t)strlen(all + i) + 1) {
        if (strncmp(all + i, name, name_len) == 0 && all[i + (ssize_t)name_len] == '=') {
            (void)snprintf(out, n, "%s", all + i + name_len + 1);
            return true;
        }
    }
    return false;
}
