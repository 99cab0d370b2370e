/* Starting worker processes: posix_spawn of the stub (forkless-exec), never fork. The stub prepares
 * the process, waits for orders, and execs what they say. So one can be started before it is known
 * what it shall run: a spare, from which a worker is only an exec away. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* What the stub shall run. */
struct spawn_req {
    const char *path;      /* program, resolved: see spawn_resolve */
    char *const *argv;     /* NULL-terminated, argv[0] included */
    char *const *envp;     /* NULL-terminated, complete */
    const char *cwd;       /* NULL: ours */
    uint64_t memory_bytes; /* RLIMIT_DATA; 0: none */
    uint64_t files;        /* soft RLIMIT_NOFILE; 0: ours */
    uint64_t cpus;         /* affinity mask of CPUs 0-63; 0: any */
};

/* A started process. The descriptors are ours: close-on-exec, those of the streams non-blocking. */
struct spawned {
    pid_t pid;   /* leader of its own session and process group; 0: none */
    int pidfd;   /* readable when the process is over */
    int out_fd;  /* its stdout */
    int err_fd;  /* its stderr */
    int channel; /* our end of the socketpair that it has as SPAWN_CHANNEL_FD */
    int orders;  /* the memory file for its orders; -1 when they are given */
    int held[3]; /* SPAWN_HOLD: its ends of the three, else -1 */
};

/* The descriptor number of the channel in the worker. */
#define SPAWN_CHANNEL_FD 3

enum {
    SPAWN_WATCH_FORKS = 1 << 0, /* the first thing on the channel is guard_hello's */
    /* it keeps our stdin, stdout, stderr, other descriptors that are not close-on-exec, session,
     * oom_score_adj and ignored signals of terminals; out_fd and err_fd are -1, and the program
     * does not get the channel */
    SPAWN_FOREGROUND = 1 << 1,
    /* its ends of stdout, stderr and channel stay open here, too: none of the three ever ends, and
     * the pidfd alone tells, once, that the process is over */
    SPAWN_HOLD = 1 << 2,
};

/* Starts the stub, whose path is given, up to where it waits for orders. flags: SPAWN_. On success
 * the process and its descriptors are the caller's: spawn_order, then wait and close; or
 * spawn_abandon. stdin is /dev/null. Runs no pthread_atfork handler and copies no page table.
 * Errors: ERR_IO, ERR_NOMEM, ERR_UNSUPPORTED (no pidfd_open: Linux before 5.3). */
int spawn_begin(struct spawned *out, const char *stub, unsigned flags, struct err *err);

/* Has the waiting stub become the program. What the exec itself says against it (no permission, no
 * such directory) is on the process's stderr, its exit code 126 or 127. Errors: ERR_IO (the process
 * is gone: EPIPE, ECONNRESET), ERR_NOMEM. */
int spawn_order(struct spawned *p, const struct spawn_req *req, struct err *err);

/* Whether the waiting stub is still there. */
bool spawn_waits(const struct spawned *p);

/* Closes all descriptors of a process. */
void spawn_close(struct spawned *p);

/* Ends a waiting stub and closes its descriptors. p->pid may be 0: nothing to do. */
void spawn_abandon(struct spawned *p);

/* spawn_begin and spawn_order. */
int spawn_worker(struct spawned *out, const char *stub, unsigned flags, const struct spawn_req *req,
                 struct err *err);

/* Whether workers can start in this directory. Errors: ERR_NOTFOUND. */
int spawn_check_cwd(const char *cwd, struct err *err);
/* Finds a program as execvp would: with a slash as it is (relative to cwd, which may be NULL), else
 * along PATH. *path is the caller's to free. Errors: ERR_NOTFOUND naming where it was looked for.
 */
int spawn_resolve(char **path, const char *program, const char *cwd, struct err *err);

/* Finds one of our own programs, as own_find does. *path is the caller's to free. */
int spawn_find_own(char **path, const char *name, struct err *err);
