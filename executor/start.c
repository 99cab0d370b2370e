#include "executor/start.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

static int set_fds(posix_spawn_file_actions_t *fa, const struct start_conf *c)
{
    int rc = 0;
    for (size_t i = 0; i < c->n_fds && rc == 0; i++) {
        const struct start_fd *f = &c->fds[i];
        int mode = f->to == STDIN_FILENO ? O_RDONLY : O_WRONLY;
        rc = f->from == START_NULL
                 ? posix_spawn_file_actions_addopen(fa, f->to, "/dev/null", mode, 0)
                 : posix_spawn_file_actions_adddup2(fa, f->from, f->to);
    }
    return rc;
}

static int set_attributes(posix_spawnattr_t *attr, const struct start_conf *c)
{
    int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    int rc = posix_spawnattr_setsigmask(attr, &c->blocked);
    rc = rc != 0 ? rc : posix_spawnattr_setsigdefault(attr, &c->defaults);
    flags |= c->session ? POSIX_SPAWN_SETSID : 0;
    return rc != 0 ? rc : posix_spawnattr_setflags(attr, (short)flags);
}

int start_process(pid_t *pid, const struct start_conf *conf)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    int rc = posix_spawn_file_actions_init(&fa);
    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attr);
    if (rc == 0) {
        rc = set_fds(&fa, conf);
        rc = rc != 0 ? rc : set_attributes(&attr, conf);
        rc = rc != 0 ? rc : posix_spawn(pid, conf->path, &fa, &attr, conf->argv, conf->envp);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&fa);
    return rc;
}
