#include "integration/reproducers/judge.h"

#include <stdio.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "executor/proc.h"

/* A thread that waits with a time limit wakes now and then, finds nothing, and waits on: Python's
 * gRPC does so in its after-fork handler, five times a second. */
enum { WAKING_TICKS = 2 };

/* Calls in which a thread waits for somebody else; sleeping is none. */
static const long waits[] = {
    SYS_futex, SYS_ppoll,      SYS_epoll_pwait, SYS_read, SYS_wait4,
#ifdef SYS_poll
    SYS_poll,  SYS_epoll_wait,
#endif
};

static bool is_wait(long number)
{
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        if (waits[i] == number)
            return true;
    }
    return false;
}

static void see_thread(void *ctx, pid_t pid, pid_t tid)
{
    bool *all = ctx;
    char path[64], text[256];
    long number;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", (int)pid, (int)tid);
    /* "running" where there is a number when it does not wait */
    *all = *all && proc_read(path, text, sizeof(text)) > 0 && sscanf(text, "%ld", &number) == 1 &&
           is_wait(number);
}

static bool all_wait(pid_t pid)
{
    bool all = true;
    proc_each_thread(pid, see_thread, &all);
    return all;
}

static void see_process(void *ctx, pid_t pid)
{
    struct look *look = ctx;
    struct proc_stat st, parent;
    if (look->n == JUDGE_MAX || !proc_read_stat(pid, &st) || st.state == 'Z' ||
        (st.flags & PROC_FORKED_NO_EXEC) == 0 || !proc_read_stat(st.ppid, &parent) ||
        parent.threads < 2)
        return;
    look->forked[look->n++] = (struct judged){.pid = pid,
                                              .parent = st.ppid,
                                              .parent_threads = parent.threads,
                                              .ticks = st.ticks,
                                              .waits = all_wait(pid)};
}

void judge_look(pid_t root, struct look *out)
{
    out->n = 0;
    proc_walk(root, see_process, out);
    out->cpu_ms = proc_tree_cpu_ms(root);
}

const struct judged *judge(const struct look *before, const struct look *now)
{
    const struct judged *stuck = NULL;
    if (before->n != now->n)
        return NULL;
    for (size_t i = 0; i < now->n; i++) {
        const struct judged *a = &before->forked[i], *b = &now->forked[i];
        if (a->pid != b->pid || b->ticks - a->ticks > WAKING_TICKS || !a->waits || !b->waits)
            return NULL;
        stuck = stuck != NULL ? stuck : b;
    }
    return stuck;
}

bool judge_moved(const struct look *before, const struct look *now)
{
    return before->n != now->n || now->cpu_ms != before->cpu_ms;
}
