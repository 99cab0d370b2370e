/* What a thread of another process waits for, as /proc and its memory tell: nobody is stopped. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct waiting {
    bool in_call;    /* in a system call, asleep; else it runs, or nobody may know */
    long call;       /* its number */
    bool futex;      /* waits for a futex */
    bool is_private; /* that only threads of its own process can wake */
    bool timed;      /* not for ever */
    bool endless;    /* for a futex, or in epoll_wait, poll or select, without a time limit */
    uint64_t addr;   /* of the futex */
    uint32_t value;  /* that it found there */
    uint64_t sp, pc; /* 0: unknown */
};

/* Out is zeroed when nothing is known: it runs, it is gone, no permission. */
void waiting_read(pid_t pid, pid_t tid, struct waiting *out);

/* Reads another process's memory; false unless all n bytes came. */
bool memory_read(pid_t pid, uint64_t addr, void *out, size_t n);

/* Whether the thread waits for a glibc mutex that belongs to a thread which its process does not
 * have: nobody can ever unlock it. *owner is that thread's id. */
bool waiting_orphaned(pid_t pid, const struct waiting *w, pid_t *owner);

/* Whether what it waits for looks like a lock of glibc that is taken (a mutex, the allocator's, a
 * stream's). */
bool waiting_for_lock(pid_t pid, const struct waiting *w);
