#include "integration/reproducers/run.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/proc.h"
#include "executor/spawn.h"

extern char **environ;

/* Until the child starts, a victim imports, trains, listens: that takes what it takes. */
enum { SETUP_MS = 60000 };

static const char mark_name[] = "FORKLESS_REPRO=";

int repro_open(struct repro_session *s, struct err *err)
{
    *s = (struct repro_session){.signals = -1};
    sigset_t stops;
    (void)sigemptyset(&stops);
    (void)sigaddset(&stops, SIGINT);
    (void)sigaddset(&stops, SIGTERM);
    (void)sigaddset(&stops, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &stops, NULL);
    s->signals = signalfd(-1, &stops, SFD_CLOEXEC);
    if (s->signals < 0)
        return err_sys(err, errno, "signalfd");
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* what a victim leaves behind comes to us */
    (void)snprintf(s->mark, sizeof(s->mark), "%s%d-%" PRIx64, mark_name, (int)getpid(),
                   (uint64_t)clock_utc_us());
    int rc = spawn_find_own(&s->stub, "forkless-exec", err);
    return rc < 0 ? rc : guardian_start(&s->guardian, s->stub, s->mark, err);
}

void repro_close(struct repro_session *s)
{
    guardian_stop(&s->guardian);
    cleanup_close(&s->signals);
    free(s->stub);
}

/* ---- start ---- */

static bool is_ours(const char *entry)
{
    static const char *const names[] = {"GRPC_ENABLE_FORK_SUPPORT=", "GRPC_POLL_STRATEGY=",
                                        "GRPC_VERBOSITY=", "FORKLESS_FD=", mark_name};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    }
    return false;
}

/* Our environment, with what the arm says in place of what we were given. The array is the
 * caller's. */
static char **environment(struct repro_session *s, bool backstop)
{
    size_t n = 0, k = 0;
    while (environ[n] != NULL)
        n++;
    char **env = calloc(n + 6, sizeof(*env));
    if (env == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (!is_ours(environ[i]))
            env[k++] = environ[i];
    }
    env[k++] = s->mark;
    env[k++] = (char *)"FORKLESS_FD=3";
    env[k++] = (char *)"GRPC_VERBOSITY=INFO"; /* where it says that it skips its fork handlers */
    if (backstop) {
        env[k++] = (char *)"GRPC_ENABLE_FORK_SUPPORT=1";
        env[k++] = (char *)"GRPC_POLL_STRATEGY=poll";
    }
    return env;
}

int run_start(struct running *w, struct repro_session *s, const struct reproducer *r,
              const struct repro_arm *arm, const char *what, const char *name, struct err *err)
{
    AUTO_FREE char *path = NULL;
    AUTO_FREE char **env = environment(s, arm->backstop);
    char jobs[24], samples[24];
    *w = (struct running){.session = s,
                          .proc = {.pidfd = -1, .out_fd = -1, .err_fd = -1, .channel = -1},
                          .since_ms = clock_mono_ms()};
    int rc = spawn_find_own(&path, r->program, err);
    if (rc < 0)
        return rc;
    if (env == NULL)
        return err_set(err, ERR_NOMEM, "%s", r->name);
    (void)snprintf(jobs, sizeof(jobs), "%" PRId64, arm->jobs);
    (void)snprintf(samples, sizeof(samples), "%" PRId64, arm->samples);
    const char *argv[] = {r->program,
                          "repro",
                          r->name,
                          what,
                          name != NULL ? name : "-",
                          "--start-method",
                          arm->fork ? "fork" : "spawn",
                          "--jobs",
                          jobs,
                          "--samples",
                          samples,
                          arm->backstop ? "--backstop" : NULL,
                          NULL};
    const struct spawn_req req = {
        .path = path, .argv = (char *const *)(uintptr_t)argv, .envp = env};
    return spawn_worker(&w->proc, s->stub, false, &req, err);
}

/* ---- watch ---- */

/* Takes what can be read; closes at the end of the file. */
static void take(int *fd, struct buf *to, bool echo)
{
    char block[4096];
    while (*fd >= 0) {
        ssize_t n = read(*fd, block, sizeof(block));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            (void)close(*fd);
            *fd = -1;
            return;
        }
        if (to->len < RUN_OUTPUT_MAX)
            buf_add(to, block, (size_t)n);
        if (echo)
            (void)!write(STDERR_FILENO, block, (size_t)n);
    }
}

static void take_all(struct running *w)
{
    take(&w->proc.out_fd, &w->out, w->echo);
    take(&w->proc.err_fd, &w->log, w->echo);
    take(&w->proc.channel, &w->events, false);
    if (!w->child_started && strstr(buf_str(&w->events), "\"child_start\"") != NULL) {
        w->child_started = true;
        w->since_ms = clock_mono_ms();
    }
}

int run_watch(struct running *w, uint64_t limit_ms, struct err *err)
{
    for (;;) {
        uint64_t limit = w->child_started || limit_ms > SETUP_MS ? limit_ms : SETUP_MS;
        uint64_t now = clock_mono_ms(), due = w->since_ms + limit;
        if (now >= due)
            return 0;
        struct pollfd fds[] = {{.fd = w->proc.pidfd, .events = POLLIN},
                               {.fd = w->session->signals, .events = POLLIN},
                               {.fd = w->proc.out_fd, .events = POLLIN},
                               {.fd = w->proc.err_fd, .events = POLLIN},
                               {.fd = w->proc.channel, .events = POLLIN}};
        uint64_t left = due - now, most = w->profile != NULL ? PROFILE_MS : INT_MAX;
        int n = poll(fds, ARRAY_LEN(fds), (int)(left < most ? left : most));
        if (n < 0 && errno != EINTR)
            return err_sys(err, errno, "poll");
        if (n == 0 && w->profile != NULL)
            profile_sample(w->profile, w);
        if (n <= 0)
            continue;
        if (fds[1].revents != 0)
            return err_set(err, ERR_STOPPED, "stopped by a signal");
        take_all(w);
        if (fds[0].revents != 0)
            return 1;
    }
}

/* ---- end ---- */

static bool has_mark(void *ctx, pid_t pid)
{
    const struct repro_session *s = ctx;
    char value[sizeof(s->mark)];
    return proc_environ(pid, "FORKLESS_REPRO", value, sizeof(value)) &&
           strcmp(value, s->mark + strlen(mark_name)) == 0;
}

/* What is no victim's: the guardian, and children of whoever became us by exec. The dead are
 * collected, whosever they were. */
static bool is_foreign(void *ctx, pid_t pid)
{
    struct proc_stat st;
    bool dead = proc_read_stat(pid, &st) && st.state == 'Z';
    return !dead && !has_mark(ctx, pid);
}

void run_end(struct running *w)
{
    siginfo_t any;
    proc_kill_tree(w->proc.pid, SIGKILL);
    while (waitpid(w->proc.pid, &w->status, 0) < 0 && errno == EINTR)
        ;
    /* What lost its parent has come to us. */
    while (proc_reap_orphans(is_foreign, has_mark, w->session) > 0)
        (void)waitid(P_ALL, 0, &any, WEXITED | WNOWAIT);
    take_all(w);
}

void run_free(struct running *w)
{
    int *fds[] = {&w->proc.pidfd, &w->proc.out_fd, &w->proc.err_fd, &w->proc.channel};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        cleanup_close(fds[i]);
    buf_free(&w->out);
    buf_free(&w->log);
    buf_free(&w->events);
}
