#include "executor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/own.h"
#include "executor/orders.h"
#include "executor/start.h"

/* oom_score_adj of workers: when memory runs out the kernel should take them, not the executor. */
#define WORKER_OOM_ADJ "1000"

/* Descriptors that the child needs below this number are moved out of the way of its 0-4. */
#define CHILD_FDS (SPAWN_ORDERS_FD + 1)

extern char **environ;

struct ends {
    int out[2], err[2], channel[2]; /* [0] ours, [1] the worker's */
    int orders;                     /* both have it */
};

static void ends_close(struct ends *e)
{
    int *fds[] = {e->out, e->err, e->channel};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        cleanup_close(&fds[i][0]);
        cleanup_close(&fds[i][1]);
    }
    cleanup_close(&e->orders);
}

/* A descriptor of the child must not be overwritten by the dup2 of another one's number. */
static int above_child_fds(int *fd)
{
    if (*fd >= CHILD_FDS)
        return 0;
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, CHILD_FDS);
    if (moved < 0)
        return -errno;
    (void)close(*fd);
    *fd = moved;
    return 0;
}

static int ends_open(struct ends *e, bool foreground, struct err *err)
{
    *e = (struct ends){{-1, -1}, {-1, -1}, {-1, -1}, -1};
    if ((!foreground && (pipe2(e->out, O_CLOEXEC) < 0 || pipe2(e->err, O_CLOEXEC) < 0)) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, e->channel) < 0 ||
        (e->orders = memfd_create("forkless orders", MFD_CLOEXEC)) < 0)
        return err_sys(err, errno, "pipes for a worker");
    int ours[] = {e->out[0], e->err[0], e->channel[0]};
    int *theirs[] = {&e->out[1], &e->err[1], &e->channel[1], &e->orders};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        if (ours[i] >= 0 && fcntl(ours[i], F_SETFL, O_NONBLOCK) < 0)
            return err_sys(err, errno, "pipes for a worker");
    }
    for (size_t i = 0; i < ARRAY_LEN(theirs); i++) {
        int rc = *theirs[i] >= 0 ? above_child_fds(theirs[i]) : 0;
        if (rc < 0)
            return err_sys(err, -rc, "pipes for a worker");
    }
    return 0;
}

/* The numbers of the descriptors in the stub. What stays in the foreground may have been given 3
 * and 4: there ours keep the numbers that they have, which are nobody else's. */
struct stub_fds {
    int channel, orders;
};

static struct stub_fds stub_fds(bool foreground, const struct ends *e)
{
    return foreground ? (struct stub_fds){e->channel[1], e->orders}
                      : (struct stub_fds){SPAWN_CHANNEL_FD, SPAWN_ORDERS_FD};
}

/* What whoever started us had ignored (nohup, a background job) stays so for the foreground. */
static void keep_ignored(sigset_t *reset)
{
    static const int kept[] = {SIGHUP, SIGINT, SIGQUIT};
    struct sigaction now;
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        if (sigaction(kept[i], NULL, &now) == 0 && now.sa_handler == SIG_IGN)
            (void)sigdelset(reset, kept[i]);
    }
}

static int start(pid_t *pid, const char *stub, unsigned flags, const struct ends *e)
{
    char ppid[16], channel[16], orders[16];
    bool foreground = (flags & SPAWN_FOREGROUND) != 0;
    struct stub_fds to = stub_fds(foreground, e);
    (void)snprintf(ppid, sizeof(ppid), "%d", (int)getpid());
    (void)snprintf(channel, sizeof(channel), "%d", to.channel);
    (void)snprintf(orders, sizeof(orders), "%d", to.orders);
    char *argv[] = {(char *)"forkless-exec",
                    ppid,
                    (char *)(foreground ? "-" : WORKER_OOM_ADJ),
                    (char *)((flags & SPAWN_WATCH_FORKS) != 0 ? "1" : "0"),
                    channel,
                    orders,
                    NULL};
    const struct start_fd fds[] = {{e->channel[1], to.channel},
                                   {e->orders, to.orders},
                                   {START_NULL, STDIN_FILENO},
                                   {e->out[1], STDOUT_FILENO},
                                   {e->err[1], STDERR_FILENO}};
    struct start_conf conf = {.path = stub,
                              .argv = argv,
                              .envp = environ,
                              .session = !foreground,
                              .fds = fds,
                              .n_fds = foreground ? 2 : ARRAY_LEN(fds)};
    (void)sigemptyset(&conf.blocked);
    (void)sigfillset(&conf.defaults);
    if (foreground)
        keep_ignored(&conf.defaults);
    return start_process(pid, &conf);
}

int spawn_begin(struct spawned *out, const char *stub, unsigned flags, struct err *err)
{
    AUTO(ends_close) struct ends e;
    int rc = ends_open(&e, (flags & SPAWN_FOREGROUND) != 0, err);
    if (rc < 0)
        return rc;
    pid_t pid;
    int sys = start(&pid, stub, flags, &e);
    if (sys != 0)
        return err_sys(err, sys, "start %s", stub);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        sys = errno;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return sys == ENOSYS ? err_set(err, ERR_UNSUPPORTED, "pidfd_open: needs Linux 5.3 or newer")
                             : err_sys(err, sys, "pidfd_open");
    }
    (void)fcntl(pidfd, F_SETFD, FD_CLOEXEC); /* pidfd_open sets it; said here for the reader */
    *out = (struct spawned){.pid = pid,
                            .pidfd = pidfd,
                            .out_fd = TAKE_FD(e.out[0]),
                            .err_fd = TAKE_FD(e.err[0]),
                            .channel = TAKE_FD(e.channel[0]),
                            .orders = TAKE_FD(e.orders),
                            .held = {-1, -1, -1}};
    if ((flags & SPAWN_HOLD) != 0) {
        out->held[0] = TAKE_FD(e.out[1]);
        out->held[1] = TAKE_FD(e.err[1]);
        out->held[2] = TAKE_FD(e.channel[1]);
    }
    return 0;
}

/* With their NULs; returns how many. */
static uint32_t put_strings(struct buf *b, char *const *strings)
{
    uint32_t n = 0;
    for (; strings[n] != NULL; n++)
        buf_add(b, strings[n], strlen(strings[n]) + 1);
    return n;
}

static void put_orders(struct buf *b, const struct spawn_req *req)
{
    struct spawn_orders o = {
        .memory_bytes = req->memory_bytes, .cpus = req->cpus, .files = req->files};
    const char *cwd = req->cwd != NULL ? req->cwd : "";
    buf_add(b, &o, sizeof(o));
    buf_add(b, cwd, strlen(cwd) + 1);
    buf_add(b, req->path, strlen(req->path) + 1);
    o.argc = put_strings(b, req->argv);
    o.envc = put_strings(b, req->envp);
    if (!b->failed)
        memcpy(b->data, &o, sizeof(o));
}

int spawn_order(struct spawned *p, const struct spawn_req *req, struct err *err)
{
    struct buf b = BUF_INIT;
    put_orders(&b, req);
    uint64_t size = b.len;
    int rc = 0;
    if (b.failed)
        rc = err_set(err, ERR_NOMEM, "start %s", req->path);
    else if (write(p->orders, b.data, b.len) != (ssize_t)b.len ||
             send(p->channel, &size, sizeof(size), MSG_NOSIGNAL) != (ssize_t)sizeof(size))
        rc = err_sys(err, errno, "start %s", req->path);
    buf_free(&b);
    cleanup_close(&p->orders);
    p->orders = -1;
    return rc;
}

bool spawn_waits(const struct spawned *p)
{
    struct pollfd over = {.fd = p->pidfd, .events = POLLIN};
    return poll(&over, 1, 0) == 0;
}

void spawn_close(struct spawned *p)
{
    int *fds[] = {&p->pidfd,  &p->out_fd,  &p->err_fd,  &p->channel,
                  &p->orders, &p->held[0], &p->held[1], &p->held[2]};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        cleanup_close(fds[i]);
        *fds[i] = -1;
    }
}

void spawn_abandon(struct spawned *p)
{
    if (p->pid == 0)
        return;
    (void)kill(p->pid, SIGKILL);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    spawn_close(p);
    *p = (struct spawned){0};
}

int spawn_worker(struct spawned *out, const char *stub, unsigned flags, const struct spawn_req *req,
                 struct err *err)
{
    int rc = spawn_begin(out, stub, flags, err);
    if (rc == 0 && (rc = spawn_order(out, req, err)) < 0)
        spawn_abandon(out);
    return rc;
}

static bool runnable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Joins two paths; a relative result would be read anew after the worker's chdir, so it gets ours
 * in front. */
static int absolute(char out[static PATH_MAX], const char *dir, int dir_len, const char *name)
{
    char cwd[PATH_MAX] = "";
    bool rooted = dir_len > 0 ? dir[0] == '/' : name[0] == '/';
    if (!rooted && getcwd(cwd, sizeof(cwd)) == NULL)
        return -errno;
    int n = snprintf(out, PATH_MAX, "%s%s%.*s%s%s", cwd, rooted ? "" : "/", dir_len, dir,
                     dir_len > 0 ? "/" : "", name);
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int resolved(char **path, const char *full, struct err *err)
{
    *path = strdup(full);
    return *path != NULL ? 0 : err_set(err, ERR_NOMEM, "%s", full);
}

int spawn_check_cwd(const char *cwd, struct err *err)
{
    struct stat st;
    int sys = stat(cwd, &st) < 0      ? errno
              : !S_ISDIR(st.st_mode)  ? ENOTDIR
              : access(cwd, X_OK) < 0 ? errno
                                      : 0;
    if (sys == 0)
        return 0;
    return err_set(err, ERR_NOTFOUND, "run.cwd: %s: %s: no worker could start there", cwd,
                   strerror(sys));
}

int spawn_resolve(char **path, const char *program, const char *cwd, struct err *err)
{
    char full[PATH_MAX];
    if (strchr(program, '/') != NULL) {
        const char *dir = program[0] != '/' && cwd != NULL ? cwd : "";
        int sys = absolute(full, dir, (int)strlen(dir), program);
        if (sys < 0)
            return err_sys(err, -sys, "%s", program);
        if (!runnable(full))
            return err_set(err, ERR_NOTFOUND, "%s: no such program, or not executable", full);
        return resolved(path, full, err);
    }
    const char *dirs = getenv("PATH");
    if (dirs == NULL)
        dirs = "/usr/local/bin:/usr/bin:/bin";
    for (const char *d = dirs; *d != '\0';) {
        size_t n = strcspn(d, ":");
        if (n > 0 && absolute(full, d, (int)n, program) == 0 && runnable(full))
            return resolved(path, full, err);
        d += n + (d[n] == ':');
    }
    return err_set(err, ERR_NOTFOUND, "%s: not found along PATH (%s)", program, dirs);
}

int spawn_find_own(char **path, const char *name, struct err *err)
{
    return own_find(path, name, X_OK, err);
}
