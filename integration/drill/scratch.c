#include "integration/drill/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/spawn.h"

extern char **environ;

enum { WORDS_MAX = 64, END_MS = 15000 };

/* ---- open and close ---- */

static int take_signals(struct scratch *s, struct err *err)
{
    sigset_t stops;
    (void)sigemptyset(&stops);
    (void)sigaddset(&stops, SIGINT);
    (void)sigaddset(&stops, SIGTERM);
    (void)sigaddset(&stops, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &stops, NULL);
    s->signals = signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals < 0 ? err_sys(err, errno, "signalfd") : 0;
}

int scratch_open(struct scratch *s, struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    char path[300];
    *s = (struct scratch){.signals = -1, .pidfd = -1, .err_fd = -1};
    int rc = spawn_find_own(&s->worker, "forkless-drill", err);
    if (rc == 0)
        rc = take_signals(s, err);
    if (rc < 0)
        return rc;
    (void)snprintf(s->dir, sizeof(s->dir), "%.200s/forkless-drill-XXXXXX",
                   tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    if (mkdtemp(s->dir) == NULL) {
        (void)err_sys(err, errno, "make %s", s->dir);
        s->dir[0] = '\0';
        return -ERR_IO;
    }
    (void)snprintf(s->url, sizeof(s->url), "sqlite:///%s/drill.db", s->dir);
    (void)snprintf(path, sizeof(path), "%s/events.jsonl", s->dir);
    s->log = fopen(path, "we");
    return s->log == NULL ? err_sys(err, errno, "%s", path) : 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

static void forget_events(struct scratch *s)
{
    for (size_t i = 0; i < s->n_events; i++)
        json_decref(s->events[i].json);
    s->n_events = 0;
    buf_clear(&s->line);
}

static void forget_run(struct scratch *s)
{
    cleanup_close(&s->pidfd);
    cleanup_close(&s->err_fd);
    for (size_t i = 0; i < s->n_pidfds; i++)
        (void)close(s->pidfds[i]);
    s->pidfd = s->err_fd = -1;
    s->n_pidfds = 0;
    s->run = 0;
}

/* The second signal has it end its workers now. */
static void end_run(struct scratch *s)
{
    s->stopped = false; /* it is waited for all the same */
    (void)kill(s->run, SIGTERM);
    (void)kill(s->run, SIGTERM);
    if (scratch_await_exit(s, clock_mono_ms() + END_MS) >= 0)
        return;
    (void)kill(s->run, SIGKILL); /* its guardian ends the rest */
    while (waitpid(s->run, NULL, 0) < 0 && errno == EINTR)
        ;
    forget_run(s);
}

void scratch_close(struct scratch *s, bool keep)
{
    if (s->run != 0)
        end_run(s);
    forget_run(s);
    forget_events(s);
    free(s->events);
    buf_free(&s->line);
    cleanup_fclose(&s->log);
    cleanup_close(&s->signals);
    free(s->worker);
    if (s->dir[0] != '\0' && !keep)
        (void)nftw(s->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- start ---- */

/* With the signals as they are for any program: ours are blocked. */
static int spawn_run(struct scratch *s, char *const *argv, int err_end)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    sigset_t none;
    (void)sigemptyset(&none);
    (void)posix_spawn_file_actions_init(&fa);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&fa, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&fa, err_end, STDERR_FILENO);
    int sys = posix_spawn(&s->run, "/proc/self/exe", &fa, &attr, argv, environ);
    (void)posix_spawn_file_actions_destroy(&fa);
    (void)posix_spawnattr_destroy(&attr);
    return sys;
}

int scratch_start(struct scratch *s, const char *const *words, const char *mode, struct err *err)
{
    char runs[300];
    const char *argv[WORDS_MAX] = {"forkless", "run",       "--json",  "--storage", s->url,
                                   "--dir",    runs,        "--study", "drill",     "--metric",
                                   "loss",     "--sampler", "random",  "--wall",    "10m"};
    const char *const tail[] = {"x=float:0..1", "--", s->worker, mode, NULL};
    size_t n = 0;
    int ends[2];
    (void)snprintf(runs, sizeof(runs), "%s/runs", s->dir);
    (void)unsetenv("JOB_COMPLETION_INDEX"); /* that is for the sweep of this pod, not for ours */
    while (argv[n] != NULL)
        n++;
    while (*words != NULL && n + ARRAY_LEN(tail) < WORDS_MAX)
        argv[n++] = *words++;
    for (size_t i = 0; tail[i] != NULL; i++)
        argv[n++] = tail[i];
    forget_events(s);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(err, errno, "pipe");
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    int sys = spawn_run(s, (char *const *)(uintptr_t)argv, ends[1]);
    (void)close(ends[1]);
    s->err_fd = ends[0];
    if (sys != 0) {
        s->run = 0;
        return err_sys(err, sys, "start forkless run");
    }
    s->pidfd = (int)syscall(SYS_pidfd_open, s->run, 0);
    return s->pidfd < 0 ? err_sys(err, errno, "pidfd_open") : 0;
}

/* ---- events ---- */

/* Lines that are no events are notices for people. */
static void take_line(struct scratch *s, const char *line, size_t n, uint64_t now)
{
    json_t *json = json_read(line, n, NULL);
    if (json == NULL)
        return;
    if (s->n_events == s->cap_events) {
        size_t cap = s->cap_events == 0 ? 64 : 2 * s->cap_events;
        struct scratch_event *grown = realloc(s->events, cap * sizeof(*grown));
        if (grown == NULL) {
            json_decref(json);
            return;
        }
        s->events = grown;
        s->cap_events = cap;
    }
    s->events[s->n_events++] = (struct scratch_event){now, json};
}

static void take_lines(struct scratch *s)
{
    uint64_t now = clock_mono_ms();
    const char *end;
    while (s->line.len > 0 && (end = memchr(s->line.data, '\n', s->line.len)) != NULL) {
        size_t n = (size_t)(end - s->line.data);
        take_line(s, s->line.data, n, now);
        buf_consume(&s->line, n + 1);
    }
}

static void read_events(struct scratch *s)
{
    char block[4096];
    while (s->err_fd >= 0) {
        ssize_t n = read(s->err_fd, block, sizeof(block));
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
            if (errno == EINTR)
                continue;
            break;
        }
        if (n <= 0) {
            (void)close(TAKE_FD(s->err_fd));
            break;
        }
        (void)fwrite(block, 1, (size_t)n, s->log);
        buf_add(&s->line, block, (size_t)n);
    }
    (void)fflush(s->log);
    take_lines(s);
}

/* Until something comes on this descriptor (-1: an event), or time is up: false. */
static bool wait_some(struct scratch *s, int fd, uint64_t due_ms)
{
    uint64_t now = clock_mono_ms();
    if (s->stopped || now >= due_ms)
        return false;
    struct pollfd fds[] = {{.fd = s->err_fd, .events = POLLIN},
                           {.fd = s->signals, .events = POLLIN},
                           {.fd = fd, .events = POLLIN}};
    uint64_t left = due_ms - now;
    if (poll(fds, ARRAY_LEN(fds), left < INT_MAX ? (int)left : INT_MAX) < 0)
        return errno == EINTR;
    struct signalfd_siginfo info;
    if (fds[1].revents != 0 && read(s->signals, &info, sizeof(info)) > 0)
        s->stopped = true;
    read_events(s);
    return !s->stopped;
}

static bool is_event(const json_t *j, const char *event, int64_t trial, const char *key,
                     const char *text)
{
    const char *name = json_string_value(json_object_get(j, "event"));
    const json_t *number = json_object_get(j, "trial");
    const char *value = key != NULL ? json_string_value(json_object_get(j, key)) : NULL;
    return name != NULL && strcmp(name, event) == 0 &&
           (trial < 0 || (json_is_integer(number) && json_integer_value(number) == trial)) &&
           (key == NULL || (value != NULL && strcmp(value, text) == 0));
}

const struct scratch_event *scratch_await(struct scratch *s, const char *event, int64_t trial,
                                          const char *key, const char *text, uint64_t due_ms)
{
    size_t i = 0;
    do {
        for (; i < s->n_events; i++) {
            if (is_event(s->events[i].json, event, trial, key, text))
                return &s->events[i];
        }
    } while (s->err_fd >= 0 && wait_some(s, -1, due_ms));
    return NULL;
}

size_t scratch_count(const struct scratch *s, const char *event)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_events; i++)
        n += is_event(s->events[i].json, event, -1, NULL, NULL);
    return n;
}

void scratch_pass(struct scratch *s, uint64_t due_ms)
{
    while (wait_some(s, -1, due_ms))
        ;
}

/* ---- processes ---- */

void scratch_note_pids(struct scratch *s, const struct scratch_event *fault)
{
    const json_t *list = json_object_get(json_object_get(fault->json, "data"), "pids");
    for (size_t i = 0; i < json_array_size(list) && s->n_pidfds < SCRATCH_PIDS; i++) {
        json_int_t pid = json_integer_value(json_array_get(list, i));
        int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
        if (fd >= 0)
            s->pidfds[s->n_pidfds++] = fd;
    }
}

bool scratch_await_gone(struct scratch *s, uint64_t due_ms)
{
    for (size_t i = 0; i < s->n_pidfds; i++) {
        struct pollfd p = {.fd = s->pidfds[i], .events = POLLIN};
        while (poll(&p, 1, 0) == 0) {
            if (!wait_some(s, p.fd, due_ms))
                return false;
        }
    }
    return s->n_pidfds > 0;
}

int scratch_await_exit(struct scratch *s, uint64_t due_ms)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(s->run, &status, WNOHANG)) == 0) {
        if (!wait_some(s, s->pidfd, due_ms))
            return -1;
    }
    if (pid < 0)
        return -1;
    read_events(s);
    forget_run(s);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- rows ---- */

struct reading {
    struct scratch_row *rows;
    size_t n, cap;
};

/* A JSON text of ours, without its quotes. */
static void copy_text(char *out, size_t n, const char *json)
{
    AUTO_JSON json_t *j = json_read(json, strlen(json), NULL);
    const char *text = json_string_value(j);
    (void)snprintf(out, n, "%s", text != NULL ? text : "");
}

static int take_row(void *ctx, const struct trial *t)
{
    struct reading *r = ctx;
    if (r->n == r->cap)
        return 1;
    struct scratch_row *row = &r->rows[r->n++];
    *row = (struct scratch_row){.number = t->number, .state = t->state};
    for (size_t i = 0; i < t->n_user_attrs; i++) {
        const struct trial_attr *a = &t->user_attrs[i];
        if (strcmp(a->key, "forkless:class") == 0)
            copy_text(row->fail, sizeof(row->fail), a->json);
        if (strcmp(a->key, "forkless:evidence") == 0)
            copy_text(row->evidence, sizeof(row->evidence), a->json);
    }
    for (size_t i = 0; i < t->n_system_attrs; i++)
        row->retry = row->retry || strcmp(t->system_attrs[i].key, "failed_trial") == 0;
    return 0;
}

int scratch_rows(struct scratch *s, struct scratch_row *rows, size_t n, struct err *err)
{
    AUTO_STORE struct store *store = NULL;
    const struct store_opts opts = {.read_only = true};
    const struct store_each_opts each = {.want = WANT_USER_ATTRS | WANT_SYSTEM_ATTRS};
    struct reading reading = {rows, 0, n};
    int64_t study;
    int rc = store_open(&store, s->url, &opts, err);
    if (rc == 0)
        rc = store_study_find(store, "drill", &study, err);
    if (rc == 0)
        rc = store_trials_each(store, study, &each, take_row, &reading, err);
    return rc < 0 ? rc : (int)reading.n;
}
