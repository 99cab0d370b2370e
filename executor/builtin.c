/* The built-in XGBoost worker: its settings, and its data read and checked once before any trial.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/internal.h"
#include "executor/proc.h"

/* How often a silent preparation is looked at. */
#define LOOK_MS 1000

/* The spec's settings as they are, and where the parsed data is kept: with the run unless said
 * otherwise, because there it is writable when nothing else is. */
static int write_settings(struct study *st, struct err *err)
{
    const char *text = st->spec->run.config;
    AUTO_JSON json_t *conf = json_read(text, strlen(text), err);
    AUTO_FREE char *cache = NULL;
    if (conf == NULL)
        return -ERR_INVALID;
    if (asprintf(&st->xgboost_conf, "%s/xgboost.json", st->dir) < 0)
        st->xgboost_conf = NULL;
    if (asprintf(&cache, "%s/../.data", st->dir) < 0)
        cache = NULL;
    if (st->xgboost_conf == NULL || cache == NULL)
        return err_set(err, ERR_NOMEM, "settings of forkless-xgboost");
    if (json_object_get(conf, "cache") == NULL)
        (void)json_object_set_new(conf, "cache", json_string(cache));
    if (json_dump_file(conf, st->xgboost_conf, JSON_INDENT(1)) < 0)
        return err_sys(err, errno, "write %s", st->xgboost_conf);
    return 0;
}

/* What ends the preparation. */
enum outcome { PREPARED, STOPPED, STUCK };

struct preparation {
    struct spawned p;
    int signals;       /* a signalfd: the loop does not run yet */
    uint64_t stall_ms; /* 0: never */
    uint64_t cpu_ms, active_ms;
    struct buf errors; /* what it says on stderr, cut */
};

/* Reading a large file is silent work: CPU time counts as progress, as for a trial. */
static bool is_stuck(struct preparation *w)
{
    uint64_t cpu = proc_tree_cpu_ms(w->p.pid), now = clock_mono_ms();
    if (cpu > w->cpu_ms)
        w->active_ms = now;
    w->cpu_ms = cpu;
    return w->stall_ms > 0 && now - w->active_ms >= w->stall_ms;
}

/* Reads a pipe that has something; false at its end. stdout is of no interest here. */
static bool drain(struct preparation *w, int fd)
{
    char data[4096];
    ssize_t n = read(fd, data, sizeof(data));
    if (n > 0 && fd == w->p.err_fd && w->errors.len < sizeof(data))
        buf_add(&w->errors, data, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static enum outcome wait_for(struct preparation *w)
{
    struct pollfd fds[] = {{.fd = w->p.out_fd, .events = POLLIN},
                           {.fd = w->p.err_fd, .events = POLLIN},
                           {.fd = w->signals, .events = POLLIN}};
    for (int open = 2; open > 0;) {
        int n = poll(fds, ARRAY_LEN(fds), LOOK_MS);
        if (n == 0 && is_stuck(w))
            return STUCK;
        if (n <= 0)
            continue;
        if (fds[2].revents != 0)
            return STOPPED;
        for (int i = 0; i < 2; i++) {
            if (fds[i].fd >= 0 && fds[i].revents != 0 && !drain(w, fds[i].fd)) {
                fds[i].fd = -1; /* poll passes over it */
                open--;
            }
        }
    }
    return PREPARED;
}

static int tell(struct preparation *w, enum outcome how, int status, struct err *err)
{
    if (how == STOPPED)
        return err_set(err, ERR_STOPPED, "stopped while the data was being read");
    if (how == STUCK)
        return err_set(err, ERR_IO,
                       "forkless-xgboost made no progress for %" PRIu64 " s while it read the data",
                       w->stall_ms / 1000);
    if (status == 0)
        return 0;
    if (w->errors.len > 0)
        w->errors.data[strcspn(w->errors.data, "\n")] = '\0';
    return err_set(err, ERR_INVALID, "%s",
                   w->errors.len > 0 ? buf_str(&w->errors) : "forkless-xgboost failed");
}

/* Runs the preparation with stop signals as events. */
static int supervise(struct preparation *w, struct err *err)
{
    int status = -1;
    enum outcome how = wait_for(w);
    if (how != PREPARED)
        proc_kill_tree(w->p.pid, SIGKILL);
    while (waitpid(w->p.pid, &status, 0) < 0 && errno == EINTR)
        ;
    int *fds[] = {&w->p.pidfd, &w->p.out_fd, &w->p.err_fd, &w->p.channel};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        cleanup_close(fds[i]);
    return tell(w, how, status, err);
}

static int prepare(struct study *st, struct err *err)
{
    char *argv[] = {(char *)"forkless-xgboost", (char *)"--config", st->xgboost_conf,
                    (char *)"--prepare", NULL};
    const struct spawn_req req = {.path = st->program,
                                  .argv = argv,
                                  .envp = st->ex->base_env,
                                  .cwd = st->spec->run.cwd,
                                  .memory_bytes = st->spec->slots.memory_bytes};
    struct preparation w = {.stall_ms = st->spec->watch.stall_ms, .active_ms = clock_mono_ms()};
    sigset_t stop, before;
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGINT);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &stop, &before);
    w.signals = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    int rc = w.signals >= 0 ? spawn_worker(&w.p, st->ex->stub, 0, &req, err)
                            : err_sys(err, errno, "signalfd");
    if (rc == 0)
        rc = supervise(&w, err);
    cleanup_close(&w.signals);
    buf_free(&w.errors);
    /* a signal that was seen is still pending: it must not end us now, on the way out */
    if (rc != -ERR_STOPPED)
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int builtin_prepare(struct study *st, struct err *err)
{
    int rc = write_settings(st, err);
    if (rc == 0)
        rc = spawn_find_own(&st->program, "forkless-xgboost", err);
    return rc == 0 ? prepare(st, err) : rc;
}
