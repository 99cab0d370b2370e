/* Any command under the fork guard, outside a sweep. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "executor/guard.h"

struct guarded_conf {
    char *const *argv; /* NULL-terminated; argv[0] is looked for along PATH */
    bool deny;         /* refuse the forks that guard_deadly knows */
    /* Told as it happens; how is "goes on" or "denied". */
    void (*found)(void *ctx, const struct fork_call *f, const struct origin *from, const char *how);
    void *ctx;
};

struct guarded_report {
    int status, sig;   /* how the command ended: exit status, or the signal (0: none) */
    int unseen;        /* errno with which the kernel refused to show forks; 0: they were seen */
    int broke;         /* errno of what ended that early: forks failed since (ENOSYS); 0: nothing */
    uint64_t forks;    /* all of them */
    uint64_t threaded; /* made by a process with threads */
    uint64_t going_on; /* of those: the child did not exec */
    uint64_t missed;   /* of those: nobody saw whether it did */
    uint64_t denied;
    bool left; /* processes of the command live on; their forks fail from now on */
};

/* Runs the command with our streams, in our session, to its end; SIGTERM and SIGHUP are passed on,
 * SIGINT and SIGQUIT left to it. Errors: ERR_NOTFOUND for the program, ERR_IO, ERR_NOMEM. */
int guarded_run(const struct guarded_conf *conf, struct guarded_report *out, struct err *err);
