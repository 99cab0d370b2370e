#include "executor/guarded.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/spawn.h"

extern char **environ;

struct guarded {
    const struct guarded_conf *conf;
    struct guarded_report *report;
    struct spawned p;
    int listener, signals;
    bool hello_due;
    struct guard_pending pending;
};

static void judge(struct guarded *g, const struct fork_call *f)
{
    if (!guard_goes_on(f))
        return;
    g->report->going_on++;
    g->conf->found(g->conf->ctx, f, "goes on");
}

static void judge_due(struct guarded *g, uint64_t now)
{
    struct guard_pended due;
    while (guard_take_due(&g->pending, now, &due))
        judge(g, &due.call);
}

static void on_fork(struct guarded *g)
{
    struct fork_call f;
    int n = guard_next(g->listener, &f);
    if (n < 0)
        cleanup_close(&g->listener), g->listener = -1;
    if (n <= 0)
        return;
    bool deny = g->conf->deny && guard_deadly(&f);
    guard_answer(g->listener, f.id, deny ? EAGAIN : 0);
    g->report->forks++;
    g->report->threaded += guard_threaded(&f);
    if (deny) {
        g->report->denied++;
        g->conf->found(g->conf->ctx, &f, "denied");
    } else if (guard_threaded(&f)) {
        guard_pend(&g->pending, &f, 0, clock_mono_ms());
    }
}

static void on_hello(struct guarded *g)
{
    int why = 0, n = guard_hello(g->p.channel, &g->listener, &why);
    if (n == 0)
        return;
    g->hello_due = false;
    g->report->unseen = n > 0 ? why : 0;
}

static void on_signal(struct guarded *g)
{
    struct signalfd_siginfo info;
    if (read(g->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        (void)kill(g->p.pid, (int)info.ssi_signo);
}

static int patience(const struct guarded *g)
{
    uint64_t now = clock_mono_ms();
    if (g->pending.n == 0)
        return -1;
    return g->pending.v[0].due_ms > now ? (int)(g->pending.v[0].due_ms - now) : 0;
}

/* Until the command is over. */
static void watch(struct guarded *g)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = g->p.pidfd, .events = POLLIN},
                               {.fd = g->signals, .events = POLLIN},
                               {.fd = g->hello_due ? g->p.channel : -1, .events = POLLIN},
                               {.fd = g->listener, .events = POLLIN}};
        if (poll(fds, ARRAY_LEN(fds), patience(g)) < 0 && errno != EINTR)
            return;
        judge_due(g, clock_mono_ms());
        if (fds[2].revents != 0)
            on_hello(g);
        if (fds[3].revents != 0)
            on_fork(g);
        if (fds[1].revents != 0)
            on_signal(g);
        if (fds[0].revents != 0)
            return;
    }
}

static void collect(struct guarded *g)
{
    int status = 0;
    while (waitpid(g->p.pid, &status, 0) < 0 && errno == EINTR)
        ;
    g->report->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    g->report->sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    struct pollfd p = {.fd = g->listener};
    g->report->left = g->listener >= 0 && poll(&p, 1, 0) >= 0 && (p.revents & POLLHUP) == 0;
    int *fds[] = {&g->p.pidfd, &g->p.channel, &g->listener};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        cleanup_close(fds[i]);
}

static int start(struct guarded *g, struct err *err)
{
    AUTO_FREE char *stub = NULL;
    AUTO_FREE char *program = NULL;
    int rc = spawn_resolve(&program, g->conf->argv[0], NULL, err);
    if (rc == 0)
        rc = spawn_find_own(&stub, "forkless-exec", err);
    const struct spawn_req req = {.path = program, .argv = g->conf->argv, .envp = environ};
    return rc == 0 ? spawn_worker(&g->p, stub, SPAWN_WATCH_FORKS | SPAWN_FOREGROUND, &req, err)
                   : rc;
}

int guarded_run(const struct guarded_conf *conf, struct guarded_report *out, struct err *err)
{
    struct guarded g = {.conf = conf, .report = out, .listener = -1, .hello_due = true};
    sigset_t passed, before;
    *out = (struct guarded_report){0};
    (void)sigemptyset(&passed);
    (void)sigaddset(&passed, SIGTERM);
    (void)sigaddset(&passed, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &passed, &before);
    g.signals = signalfd(-1, &passed, SFD_CLOEXEC | SFD_NONBLOCK);
    int rc = g.signals >= 0 ? start(&g, err) : err_sys(err, errno, "signalfd");
    (void)signal(SIGINT, SIG_IGN); /* not before: the command would ignore them, too */
    (void)signal(SIGQUIT, SIG_IGN);
    if (rc == 0) {
        watch(&g);
        collect(&g);
    }
    cleanup_close(&g.signals);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}
