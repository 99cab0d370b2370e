#include "executor/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executor/start.h"

/* Its stdin is the pipe, its stdout the table. A session of its own and all signals blocked: what
 * ends us by group or by Ctrl-C must not end it too. */
static int start(pid_t *pid, const char *stub, const char *mark, int fd, int table)
{
    char *argv[] = {(char *)"forkless-guardian", (char *)(uintptr_t)mark, NULL};
    char *envp[] = {NULL}; /* it must not find itself */
    const struct start_fd fds[] = {{fd, STDIN_FILENO}, {table, STDOUT_FILENO}};
    struct start_conf conf = {.path = stub,
                              .argv = argv,
                              .envp = envp,
                              .session = true,
                              .fds = fds,
                              .n_fds = ARRAY_LEN(fds)};
    (void)sigfillset(&conf.blocked);
    (void)sigemptyset(&conf.defaults);
    return start_process(pid, &conf);
}

/* A number that the dup2 of another one does not overwrite. */
static int above_streams(int *fd)
{
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    (void)close(*fd);
    *fd = moved;
    return moved;
}

/* A memory file outlives a guardian that dies: its successor finds what it knew. */
static int make_table(struct guardian *g, struct err *err)
{
    size_t n = GUARDIAN_SESSIONS * sizeof(*g->sessions);
    AUTO_CLOSE int fd = memfd_create("forkless sessions", MFD_CLOEXEC);
    if (fd < 0 || above_streams(&fd) < 0 || ftruncate(fd, (off_t)n) < 0)
        return err_sys(err, errno, "table of the guardian");
    void *map = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return err_sys(err, errno, "table of the guardian");
    g->sessions = map;
    g->table_fd = TAKE_FD(fd);
    return 0;
}

int guardian_start(struct guardian *g, const char *stub, const char *mark, struct err *err)
{
    int ends[2];
    pid_t pid;
    int rc = g->sessions == NULL ? make_table(g, err) : 0;
    if (rc < 0)
        return rc;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(err, errno, "pipe of the guardian");
    int sys = above_streams(&ends[0]) < 0 ? errno : start(&pid, stub, mark, ends[0], g->table_fd);
    cleanup_close(&ends[0]);
    if (sys != 0) {
        (void)close(ends[1]);
        return err_sys(err, sys, "start %s", stub);
    }
    g->pid = pid;
    g->alive = ends[1];
    return 0;
}

void guardian_tell(struct guardian *g, int place, pid_t session)
{
    if (g->sessions != NULL && place < GUARDIAN_SESSIONS)
        __atomic_store_n(&g->sessions[place], session, __ATOMIC_RELEASE);
}

bool guardian_died(struct guardian *g)
{
    if (g->pid == 0 || waitpid(g->pid, NULL, WNOHANG) != g->pid)
        return false;
    (void)close(g->alive);
    g->pid = 0;
    g->deaths++;
    return true;
}

void guardian_stop(struct guardian *g)
{
    if (g->pid != 0) {
        (void)kill(g->pid, SIGKILL);
        (void)close(g->alive);
        while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (g->sessions != NULL) {
        (void)munmap(g->sessions, GUARDIAN_SESSIONS * sizeof(*g->sessions));
        (void)close(g->table_fd);
    }
    *g = (struct guardian){0};
}
