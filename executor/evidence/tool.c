#include "executor/evidence/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/start.h"

static int start(pid_t *pid, char *const *argv, int in, int out)
{
    char *envp[] = {NULL};
    const struct start_fd fds[] = {{in >= 0 ? in : START_NULL, STDIN_FILENO},
                                   {out, STDOUT_FILENO},
                                   {START_NULL, STDERR_FILENO}};
    struct start_conf conf = {
        .path = argv[0], .argv = argv, .envp = envp, .fds = fds, .n_fds = ARRAY_LEN(fds)};
    (void)sigemptyset(&conf.blocked);
    (void)sigfillset(&conf.defaults);
    return start_process(pid, &conf);
}

/* Until it closes its stdout, or time is up. */
static void collect(int fd, uint64_t deadline_ms, size_t limit, struct buf *out)
{
    for (;;) {
        uint64_t now = clock_mono_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (now >= deadline_ms || out->len >= limit || !buf_reserve(out, 16384))
            return;
        int n = poll(&p, 1, (int)(deadline_ms - now));
        if (n < 0 && errno == EINTR)
            continue;
        ssize_t k = n > 0 ? read(fd, out->data + out->len, 16384) : 0;
        if (k <= 0)
            return;
        out->len += (size_t)k;
        out->data[out->len] = '\0';
    }
}

int tool_run(char *const *argv, int fd, uint64_t deadline_ms, size_t limit, struct buf *out,
             struct err *err)
{
    int ends[2];
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(err, errno, "pipe of %s", argv[0]);
    int sys = start(&pid, argv, fd, ends[1]);
    (void)close(ends[1]);
    AUTO_CLOSE int read_end = ends[0];
    if (sys != 0)
        return err_sys(err, sys, "start %s", argv[0]);
    /* the executor collects its orphans, and this child with them: a pid may be somebody else's
     * then */
    AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    collect(read_end, deadline_ms, limit, out);
    if (pidfd >= 0) {
        siginfo_t info;
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0); /* as a rule it is over */
        (void)waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
    }
    return out->failed ? err_set(err, ERR_NOMEM, "output of %s", argv[0]) : 0;
}
