#include "integration/reproducers/judge.h"

#include <stdio.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "executor/proc.h"

/* Calls in which a thread can wait for ever, which argument limits the time (from 0), and what it
 * is when nothing does. */
static const struct {
    long number;
    int argument; /* -1: there is none */
    int endless;  /* 0: a pointer that is none */
} waits[] = {
    {SYS_futex, 3, 0}, {SYS_ppoll, 2, 0},       {SYS_epoll_pwait, 3, -1},
    {SYS_read, -1, 0}, {SYS_wait4, -1, 0},
#ifdef SYS_poll
    {SYS_poll, 2, -1}, {SYS_epoll_wait, 3, -1},
#endif
};

static bool is_endless(long number, const unsigned long long *arguments)
{
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        if (waits[i].number != number)
            continue;
        unsigned long long limit = waits[i].argument < 0 ? 0 : arguments[waits[i].argument];
        return waits[i].endless == 0 ? limit == 0 : (int)limit == waits[i].endless;
    }
    return false;
}

static void see_thread(void *ctx, pid_t pid, pid_t tid)
{
    bool *all = ctx;
    char path[64], text[256];
    long number;
    unsigned long long a[4];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", (int)pid, (int)tid);
    /* "running" where there is a number when it does not wait */
    *all = *all && proc_read(path, text, sizeof(text)) > 0 &&
           sscanf(text, "%ld %llx %llx %llx %llx", &number, &a[0], &a[1], &a[2], &a[3]) == 5 &&
           is_endless(number, a);
}

static bool waits_for_ever(pid_t pid)
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
                                              .waits = waits_for_ever(pid)};
}

void judge_look(pid_t root, struct look *out)
{
    out->n = 0;
    proc_walk(root, see_process, out);
}

const struct judged *judge(const struct look *before, const struct look *now)
{
    const struct judged *stuck = NULL;
    if (before->n != now->n)
        return NULL;
    for (size_t i = 0; i < now->n; i++) {
        const struct judged *a = &before->forked[i], *b = &now->forked[i];
        if (a->pid != b->pid || a->ticks != b->ticks || !a->waits || !b->waits)
            return NULL;
        stuck = stuck != NULL ? stuck : b;
    }
    return stuck;
}
