/* posix_spawn with all that our programs are started with, said in one place. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A descriptor of the child. */
struct start_fd {
    int from; /* ours; START_NULL: /dev/null. Its own number loses close-on-exec */
    int to;
};
#define START_NULL (-1)

struct start_conf {
    const char *path;
    char *const *argv, *const *envp; /* NULL-terminated */
    sigset_t blocked;
    sigset_t defaults; /* signals that it does not ignore, whatever we do */
    bool session;      /* it leads a session of its own */
    const struct start_fd *fds;
    size_t n_fds; /* set in this order: no `to` may be the `from` of a later one */
};

/* On success *pid is the caller's to wait for. Returns 0 or an errno. */
int start_process(pid_t *pid, const struct start_conf *conf);
