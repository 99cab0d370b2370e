/* Starting worker processes: posix_spawn of the stub (forkless-exec), never fork. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct spawn_req {
    const char *stub;      /* path of forkless-exec */
    const char *path;      /* program, resolved: see spawn_resolve */
    char *const *argv;     /* NULL-terminated, argv[0] included */
    char *const *envp;     /* NULL-terminated, complete */
    const char *cwd;       /* NULL: ours */
    uint64_t memory_bytes; /* RLIMIT_DATA; 0: none */
    uint64_t files;        /* soft RLIMIT_NOFILE; 0: ours */
    uint64_t cpus;         /* affinity mask of CPUs 0-63; 0: any */
};

/* A started process. The descriptors are ours: non-blocking, close-on-exec. */
struct spawned {
    pid_t pid;   /* leader of its own session and process group */
    int pidfd;   /* readable when the process is over */
    int out_fd;  /* its stdout */
    int err_fd;  /* its stderr */
    int channel; /* our end of the socketpair that it has as SPAWN_CHANNEL_FD */
};

/* The descriptor number of the channel in the worker. */
#define SPAWN_CHANNEL_FD 3

/* On success the descriptors and the process are the caller's. stdin is /dev/null. Runs no
 * pthread_atfork handler and copies no page table. Errors: ERR_IO, ERR_NOMEM, ERR_UNSUPPORTED (no
 * pidfd_open: Linux before 5.3). */
int spawn_worker(struct spawned *out, const struct spawn_req *req, struct err *err);

/* Finds a program as execvp would: with a slash as it is (relative to cwd, which may be NULL), else
 * along PATH. *path is the caller's to free. Errors: ERR_NOTFOUND naming where it was looked for.
 */
int spawn_resolve(char **path, const char *program, const char *cwd, struct err *err);

/* Finds one of our own programs: beside this executable or in ../libexec/forkless. *path is the
 * caller's to free. Errors: ERR_NOTFOUND. */
int spawn_find_own(char **path, const char *name, struct err *err);
