#include "executor/evidence/waiting.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "executor/proc.h"

/* glibc's locks are 0 free, 1 taken, 2 taken and waited for. */
#define LOCK_WAITED_FOR 2u
/* Kinds of a mutex whose word is no such lock (robust, inheriting or limiting priority), and bits
 * that no kind has. */
#define KIND_SPECIAL (0x10u | 0x20u | 0x40u) /* robust, inheriting priority: other words */
#define KIND_UNKNOWN (~0x3ffu)
#define TID_LIMIT (1 << 22)

/* The beginning of glibc's mutex (64 bits). */
struct mutex_head {
    uint32_t lock, count;
    int32_t owner;
    uint32_t users;
    uint32_t kind;
};
_Static_assert(sizeof(struct mutex_head) <= sizeof(pthread_mutex_t), "glibc's mutex");

static void take_futex(struct waiting *w, const unsigned long long arg[static 6])
{
    unsigned op = (unsigned)arg[1];
    switch (op & (unsigned)FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        w->futex = true;
        w->is_private = (op & FUTEX_PRIVATE_FLAG) != 0;
        w->timed = arg[3] != 0;
        w->endless = !w->timed;
        w->addr = arg[0];
        w->value = (uint32_t)arg[2];
        break;
    default:
        break; /* it wakes others, or waits in a way that nobody here judges */
    }
}

/* Whether a call that waits for descriptors has no time limit. */
static bool waits_for_ever(long nr, const unsigned long long arg[static 6])
{
    switch (nr) {
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
    case SYS_epoll_pwait:
        return (int)arg[3] < 0;
#ifdef SYS_poll
    case SYS_poll:
        return (int)arg[2] < 0;
    case SYS_select:
        return arg[4] == 0;
#endif
    case SYS_ppoll:
        return arg[2] == 0;
    case SYS_pselect6:
        return arg[4] == 0;
    default:
        return false;
    }
}

/* What a call was before somebody (a tracer, perhaps we) interrupted it: its arguments are still
 * the same, its number is not. */
static long restarted(pid_t pid, pid_t tid)
{
    char path[64], where[64] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/wchan", (int)pid, (int)tid);
    (void)proc_read(path, where, sizeof(where));
    if (strstr(where, "futex") != NULL)
        return SYS_futex;
#ifdef SYS_poll
    if (strstr(where, "poll") != NULL)
        return SYS_poll;
#endif
    return SYS_restart_syscall;
}

void waiting_read(pid_t pid, pid_t tid, struct waiting *out)
{
    char path[64], text[256];
    unsigned long long arg[6], sp = 0, pc = 0;
    long nr;
    *out = (struct waiting){0};
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", (int)pid, (int)tid);
    if (proc_read(path, text, sizeof(text)) <= 0)
        return;
    int n = sscanf(text, "%ld %llx %llx %llx %llx %llx %llx %llx %llx", &nr, &arg[0], &arg[1],
                   &arg[2], &arg[3], &arg[4], &arg[5], &sp, &pc);
    if (n == 9) {
        *out = (struct waiting){.in_call = true, .call = nr, .sp = sp, .pc = pc};
        if (nr == SYS_restart_syscall)
            nr = restarted(pid, tid);
        if (nr == SYS_futex)
            take_futex(out, arg);
        else
            out->endless = waits_for_ever(nr, arg);
    } else if (n == 3 && nr == -1) { /* asleep outside a call: a page that comes from a disk */
        *out = (struct waiting){.sp = arg[0], .pc = arg[1]};
    }
}

bool memory_read(pid_t pid, uint64_t addr, void *out, size_t n)
{
    const struct iovec ours = {out, n}, theirs = {(void *)(uintptr_t)addr, n};
    return process_vm_readv(pid, &ours, 1, &theirs, 1, 0) == (ssize_t)n;
}

bool waiting_for_lock(pid_t pid, const struct waiting *w)
{
    uint32_t now;
    return w->futex && w->value == LOCK_WAITED_FOR &&
           memory_read(pid, w->addr, &now, sizeof(now)) && now == LOCK_WAITED_FOR;
}

struct roll_call {
    pid_t wanted;
    bool found;
};

/* A thread by the number that it has in the innermost of its PID namespaces: what its own locks
 * say.
 */
static void compare(void *ctx, pid_t pid, pid_t tid)
{
    struct roll_call *c = ctx;
    char path[64], text[4096];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tid);
    char *line = proc_read(path, text, sizeof(text)) > 0 ? strstr(text, "\nNSpid:") : NULL;
    if (line == NULL)
        return;
    line[1 + strcspn(line + 1, "\n")] = '\0';
    const char *last = strrchr(line, '\t');
    c->found = c->found || (last != NULL && atoi(last) == c->wanted);
}

static bool has_thread(pid_t pid, pid_t number)
{
    struct roll_call c = {.wanted = number};
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d", (int)pid, (int)number);
    if (access(path, F_OK) == 0)
        return true;
    proc_each_thread(pid, compare, &c);
    return c.found;
}

static bool is_mutex(const struct mutex_head *m)
{
    return m->lock == LOCK_WAITED_FOR && m->owner > 0 && m->owner < TID_LIMIT && m->users > 0 &&
           m->users < TID_LIMIT && (m->kind & (KIND_SPECIAL | KIND_UNKNOWN)) == 0;
}

bool waiting_orphaned(pid_t pid, const struct waiting *w, pid_t *owner)
{
    struct mutex_head first, again;
    if (!w->futex || !w->is_private || w->value != LOCK_WAITED_FOR ||
        !memory_read(pid, w->addr, &first, sizeof(first)) || !is_mutex(&first) ||
        has_thread(pid, first.owner))
        return false;
    /* it may have unlocked and ended between the two looks: then the lock has changed */
    if (!memory_read(pid, w->addr, &again, sizeof(again)) ||
        memcmp(&first, &again, sizeof(first)) != 0 || has_thread(pid, again.owner))
        return false;
    *owner = first.owner;
    return true;
}
