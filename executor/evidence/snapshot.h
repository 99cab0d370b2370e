/* Registers and stacks of the threads of a process, copied while it stands still for some
 * milliseconds; names are found afterwards, by forkless-dump, which reads what is written here.
 *
 * The process that stops others is forkless itself: under Yama's scope 1 only an ancestor may, and
 * a helper would be a sibling. So nothing that could crash or hang is done here. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* What is written: records, each followed by `len` bytes. Same machine, same build: no padding, no
 * byte order. Memory belongs to the process named last. */
struct snap_record {
    uint32_t kind; /* SNAP_ */
    int32_t id;    /* pid or tid */
    uint64_t addr; /* of memory */
    uint64_t len;
};
enum {
    SNAP_PROCESS = 1, /* its /proc/PID/maps */
    SNAP_THREAD,      /* struct snap_regs */
    SNAP_MEMORY,
};

/* Registers in DWARF's order. */
#if defined(__x86_64__)
enum { SNAP_REGS = 17, SNAP_SP = 7, SNAP_PC = 16 };
#elif defined(__aarch64__)
enum { SNAP_REGS = 33, SNAP_SP = 31, SNAP_PC = 32 };
#endif
struct snap_regs {
    uint64_t known; /* bit i: v[i] */
    uint64_t v[SNAP_REGS];
};

struct snap_result {
    uint64_t stopped_us; /* how long it stood still */
    unsigned threads;    /* seen */
    unsigned stopped;    /* copied while they stood still */
    unsigned asleep;     /* not stopped, but asleep in a call: only two registers are known */
    int sys;             /* errno of the first that could not be stopped; 0: none, or too slow */
};

/* Stops pid's threads, calls look (may be NULL) while they stand still, copies to fd, and lets them
 * go as they were. A thread that does not stop within patience_ms (in an uninterruptible wait) or
 * may not be stopped is copied as it sleeps. Only calls that never wait for the process are made.
 * Blocking signals and system calls of the process are not disturbed, except that epoll_wait and
 * few others return EINTR to a traced thread (signal(7)). Returns 0 or a negative err_code: when
 * nothing could be written. */
int snapshot_take(int fd, pid_t pid, unsigned patience_ms, void (*look)(void *ctx, pid_t pid),
                  void *ctx, struct snap_result *out);

/* The same of one thread that somebody else holds in a system call, and without stopping it: two
 * registers are known. Returns 0 or a negative err_code, and the errno in out->sys if it may not be
 * read. */
int snapshot_take_held(int fd, pid_t pid, pid_t tid, struct snap_result *out);

/* What may be the reason that a process may not be looked at, to be put behind the error; static.
 */
const char *snapshot_hint(void);
