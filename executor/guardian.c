#include "executor/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* A session of its own and all signals blocked: what ends us by group or by Ctrl-C must not end it
 * too. */
static int attributes(posix_spawnattr_t *attr)
{
    sigset_t all;
    (void)sigfillset(&all);
    int rc = posix_spawnattr_setsigmask(attr, &all);
    return rc != 0 ? rc
                   : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
}

static int start(pid_t *pid, const char *stub, const char *mark, int fd)
{
    char *argv[] = {(char *)"forkless-guardian", (char *)(uintptr_t)mark, NULL};
    char *envp[] = {NULL}; /* it must not find itself */
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    int rc = posix_spawn_file_actions_init(&fa);
    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attr);
    if (rc == 0) {
        rc = attributes(&attr);
        rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(&fa, fd, STDIN_FILENO);
        rc = rc != 0 ? rc : posix_spawn(pid, stub, &fa, &attr, argv, envp);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&fa);
    return rc;
}

int guardian_start(struct guardian *g, const char *stub, const char *mark, struct err *err)
{
    int ends[2];
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(err, errno, "pipe of the guardian");
    int sys = start(&pid, stub, mark, ends[0]);
    (void)close(ends[0]);
    if (sys != 0) {
        (void)close(ends[1]);
        return err_sys(err, sys, "start %s", stub);
    }
    *g = (struct guardian){pid, ends[1]};
    return 0;
}

void guardian_stop(struct guardian *g)
{
    if (g->pid == 0)
        return;
    (void)kill(g->pid, SIGKILL);
    (void)close(g->alive);
    while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    g->pid = 0;
}
