#include "executor/guarded.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executor/lookout.h"
#include "executor/spawn.h"

extern char **environ;

/* For the lookout to notice that all are gone, and to name the last stacks. */
enum { SETTLE_MS = LOOKOUT_NAMES_MS + 1000 };

struct guarded {
    const struct guarded_conf *conf;
    struct guarded_report *report;
    struct spawned p;
    int signals, reports; /* to be read when there are some */
    struct lookout *lookout;
    bool hello_due;
};

static void wake(void *ctx)
{
    (void)eventfd_write(((struct guarded *)ctx)->reports, 1);
}

static void on_hello(struct guarded *g)
{
    const struct lookout_conf conf = {.deny = g->conf->deny, .wake = wake, .ctx = g};
    int listener, why = 0, n = guard_hello(g->p.channel, &listener, &why);
    if (n == 0)
        return;
    g->hello_due = false;
    if (n > 0 && listener >= 0 && (g->lookout = lookout_start(listener, &conf)) == NULL)
        why = EAGAIN;
    g->report->unseen = n > 0 ? why : 0;
}

static void take_reports(struct guarded *g)
{
    struct guarded_report *r = g->report;
    struct lookout_report l;
    while (g->lookout != NULL && lookout_take(g->lookout, &l)) {
        switch (l.how) {
        case LOOKOUT_CALLED:
            r->threaded += l.n;
            break;
        case LOOKOUT_DENIED:
            r->threaded++;
            r->denied++;
            g->conf->found(g->conf->ctx, &l.call, l.origin, "denied");
            break;
        case LOOKOUT_GOES_ON:
            r->going_on++;
            g->conf->found(g->conf->ctx, &l.call, l.origin, "goes on");
            break;
        case LOOKOUT_MISSED:
            r->missed += l.n;
            break;
        }
        origin_free(l.origin);
    }
    if (g->lookout != NULL)
        r->broke = lookout_failed(g->lookout);
}

static void on_reports(struct guarded *g)
{
    eventfd_t n;
    (void)eventfd_read(g->reports, &n);
    take_reports(g);
}

static void on_signal(struct guarded *g)
{
    struct signalfd_siginfo info;
    if (read(g->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        (void)kill(g->p.pid, (int)info.ssi_signo);
}

/* Until the command is over. */
static void watch(struct guarded *g)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = g->p.pidfd, .events = POLLIN},
                               {.fd = g->signals, .events = POLLIN},
                               {.fd = g->hello_due ? g->p.channel : -1, .events = POLLIN},
                               {.fd = g->reports, .events = POLLIN}};
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            return;
        if (fds[2].revents != 0)
            on_hello(g);
        if (fds[3].revents != 0)
            on_reports(g);
        if (fds[1].revents != 0)
            on_signal(g);
        if (fds[0].revents != 0)
            return;
    }
}

/* The last forks are judged when all who made them are gone; what is found has its stack named. */
static void settle(struct guarded *g)
{
    struct pollfd p = {.fd = g->reports, .events = POLLIN};
    while ((lookout_names(g->lookout) || !(g->report->left || lookout_is_over(g->lookout))) &&
           poll(&p, 1, SETTLE_MS) > 0)
        on_reports(g);
    lookout_hurry(g->lookout);
    take_reports(g);
}

static void collect(struct guarded *g)
{
    int status = 0;
    while (waitpid(g->p.pid, &status, 0) < 0 && errno == EINTR)
        ;
    g->report->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    g->report->sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (g->lookout != NULL) {
        g->report->left = lookout_watches(g->lookout);
        settle(g);
        g->report->forks = lookout_forks(g->lookout);
        lookout_end(g->lookout);
    }
    int *fds[] = {&g->p.pidfd, &g->p.channel};
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
    struct guarded g = {.conf = conf, .report = out, .hello_due = true};
    sigset_t passed, before;
    *out = (struct guarded_report){0};
    (void)sigemptyset(&passed);
    (void)sigaddset(&passed, SIGTERM);
    (void)sigaddset(&passed, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &passed, &before);
    g.signals = signalfd(-1, &passed, SFD_CLOEXEC | SFD_NONBLOCK);
    g.reports = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = g.signals >= 0 && g.reports >= 0 ? start(&g, err)
                                              : err_sys(err, errno, "descriptors of the guard");
    (void)signal(SIGINT, SIG_IGN); /* not before: the command would ignore them, too */
    (void)signal(SIGQUIT, SIG_IGN);
    if (rc == 0) {
        watch(&g);
        collect(&g);
    }
    cleanup_close(&g.signals);
    cleanup_close(&g.reports);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}
