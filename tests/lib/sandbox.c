#include "tests/lib/sandbox.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "storage/storage.h"

#define MARK "SANDBOX_MARK"

extern char **environ;

static char dir[256];
static const char *const *launcher;
static long peak_kib;
static pid_t started[16]; /* and not awaited yet */
static size_t n_started;

static void nap(void)
{
    const struct timespec ts = {.tv_nsec = 10000000};
    (void)nanosleep(&ts, NULL);
}

static ssize_t slurp(const char *path, char *out, size_t n)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    for (ssize_t k; fd >= 0 && len < n - 1 && (k = read(fd, out + len, n - 1 - len)) > 0;)
        len += (size_t)k;
    out[len] = '\0';
    return fd >= 0 ? (ssize_t)len : -1;
}

void sandbox_enter(void)
{
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(dir, sizeof(dir), "%.200s/forkless-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
    cr_assert(mkdtemp(dir) != NULL, "%s: %s", dir, strerror(errno));
    cr_assert(chdir(dir) == 0);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* PID 1 of a container may collect nobody */
    (void)setenv(MARK, dir, 1);
    (void)unsetenv("JOB_COMPLETION_INDEX");
    (void)unsetenv("FORKLESS_STORAGE");
    (void)unsetenv("OPTUNA_STORAGE");
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    (void)f;
    return remove(path);
}

/* --- processes ----------------------------------------------------------------------------------
 */

static bool is_ours(pid_t pid)
{
    static char env[1u << 17];
    char path[64], want[300];
    (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    (void)snprintf(want, sizeof(want), MARK "=%s", dir);
    ssize_t n = slurp(path, env, sizeof(env)); /* a zombie's is empty */
    for (ssize_t i = 0; i < n; i += (ssize_t)strlen(env + i) + 1) {
        if (strcmp(env + i, want) == 0)
            return true;
    }
    return false;
}

static bool has_word(pid_t pid, const char *part)
{
    char path[64], line[4096];
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    ssize_t n = slurp(path, line, sizeof(line));
    return n > 0 && memmem(line, (size_t)n, part, strlen(part)) != NULL;
}

static int each_process(const char *part, int sig)
{
    int found = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        pid_t pid = (pid_t)atoi(e->d_name);
        if (!isdigit((unsigned char)e->d_name[0]) || pid == getpid() || !is_ours(pid) ||
            !has_word(pid, part))
            continue;
        found++;
        if (sig != 0)
            (void)kill(pid, sig);
    }
    if (d != NULL)
        (void)closedir(d);
    return found;
}

static bool is_started(pid_t pid)
{
    for (size_t i = 0; i < n_started; i++) {
        if (started[i] == pid)
            return true;
    }
    return false;
}

static void forget(pid_t pid)
{
    for (size_t i = 0; i < n_started; i++) {
        if (started[i] == pid)
            started[i] = started[--n_started];
    }
}

/* Collects dead ones that were left to us. */
static void collect_orphans(void)
{
    static char list[65536];
    char path[64], *rest;
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    (void)slurp(path, list, sizeof(list));
    for (char *w = strtok_r(list, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest)) {
        if (!is_started((pid_t)atoi(w)))
            (void)waitpid((pid_t)atoi(w), NULL, WNOHANG);
    }
}

int sandbox_processes(const char *part_of_command)
{
    return each_process(part_of_command, 0);
}

bool sandbox_await_none(const char *part, int seconds)
{
    for (uint64_t end = clock_mono_ms() + (uint64_t)seconds * 1000; clock_mono_ms() < end; nap()) {
        bool none = each_process(part, 0) == 0;
        collect_orphans();
        if (none)
            return true;
    }
    return false;
}

static void kill_all(void)
{
    for (int i = 0; i < 100 && each_process("", SIGKILL) > 0; i++)
        nap();
}

void sandbox_leave(void)
{
    bool clean = sandbox_await_none("", 10);
    kill_all();
    if (chdir("/") == 0)
        (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    /* Criterion counts no failure here: ctest looks for these words */
    if (!clean)
        (void)fprintf(stderr, "processes were left behind\n");
}

void sandbox_launch_with(const char *const *words)
{
    launcher = words;
}

pid_t sandbox_start(const char *const *argv)
{
    const char *all[96];
    size_t n = 0;
    posix_spawn_file_actions_t fa;
    pid_t pid = -1;
    for (; launcher != NULL && *launcher != NULL; launcher++)
        all[n++] = *launcher;
    launcher = NULL;
    for (; *argv != NULL && n + 1 < ARRAY_LEN(all); argv++)
        all[n++] = *argv;
    all[n] = NULL;
    (void)posix_spawn_file_actions_init(&fa);
    (void)posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&fa, 1, "out", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    (void)posix_spawn_file_actions_addopen(&fa, 2, "err", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    int rc = posix_spawn(&pid, all[0], &fa, NULL, (char *const *)(uintptr_t)all, environ);
    (void)posix_spawn_file_actions_destroy(&fa);
    cr_assert(rc == 0, "%s: %s", all[0], strerror(rc));
    cr_assert(n_started < ARRAY_LEN(started));
    started[n_started++] = pid;
    return pid;
}

pid_t sandbox_run(const char *const *more)
{
    static const char *const head[] = {FORKLESS,   "run",  "--storage", "sqlite:///s.db",
                                       "--dir",    "runs", "--study",   "s",
                                       "--metric", "loss", "--seed=0"};
    const char *argv[96];
    size_t n = 0;
    for (; n < ARRAY_LEN(head); n++)
        argv[n] = head[n];
    for (; *more != NULL && n + 1 < ARRAY_LEN(argv); more++)
        argv[n++] = *more;
    argv[n] = NULL;
    return sandbox_start(argv);
}

static void note_peak(pid_t pid)
{
    char path[64], text[4096];
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    const char *at = slurp(path, text, sizeof(text)) > 0 ? strstr(text, "VmHWM:") : NULL;
    long kib = at != NULL ? atol(at + 6) : 0;
    peak_kib = kib > peak_kib ? kib : peak_kib;
}

long sandbox_peak_kib(void)
{
    return peak_kib;
}

int sandbox_wait(pid_t pid, int seconds)
{
    int status;
    peak_kib = 0;
    for (uint64_t end = clock_mono_ms() + (uint64_t)seconds * 1000; clock_mono_ms() < end; nap()) {
        note_peak(pid);
        if (waitpid(pid, &status, WNOHANG) == pid) {
            forget(pid);
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        }
    }
    char last[4096];
    (void)slurp("err", last, sizeof(last));
    (void)kill(pid, SIGKILL);
    kill_all();
    (void)waitpid(pid, &status, 0);
    cr_assert(false, "still running after %d s; its stderr begins with:\n%s", seconds, last);
    return -1;
}

/* --- files --------------------------------------------------------------------------------------
 */

const char *sandbox_text(const char *file)
{
    static char text[4u << 20];
    (void)slurp(file, text, sizeof(text));
    return text;
}

int64_t sandbox_size(const char *file)
{
    struct stat st;
    return stat(file, &st) == 0 ? st.st_size : -1;
}

bool sandbox_has(const char *file, const char *text)
{
    return strstr(sandbox_text(file), text) != NULL;
}

bool sandbox_await(const char *file, const char *text, int seconds)
{
    for (uint64_t end = clock_mono_ms() + (uint64_t)seconds * 1000; clock_mono_ms() < end; nap()) {
        if (sandbox_has(file, text))
            return true;
    }
    return false;
}

/* --- trials -------------------------------------------------------------------------------------
 */

struct rows {
    struct sandbox_trial *v;
    int n, cap;
};

static void copy_text(char *out, size_t n, const char *json)
{
    size_t len = strlen(json);
    (void)snprintf(out, n, "%.*s", (int)(len >= 2 ? len - 2 : 0), json + 1); /* without quotes */
}

static int take_row(void *ctx, const struct trial *t)
{
    struct rows *rows = ctx;
    if (rows->n == rows->cap)
        return 1;
    struct sandbox_trial *r = &rows->v[rows->n++];
    *r = (struct sandbox_trial){t->number, t->state, t->n_values == 1 ? t->values[0] : NAN, "", ""};
    for (size_t i = 0; i < t->n_user_attrs; i++) {
        const struct trial_attr *a = &t->user_attrs[i];
        if (strcmp(a->key, "forkless:class") == 0)
            copy_text(r->fail, sizeof(r->fail), a->json);
        if (strcmp(a->key, "forkless:message") == 0)
            copy_text(r->message, sizeof(r->message), a->json);
    }
    return 0;
}

int sandbox_trials(struct sandbox_trial *out, int n)
{
    AUTO_STORE struct store *s = NULL;
    const struct store_opts opts = {.read_only = true};
    const struct store_each_opts each = {.want = WANT_USER_ATTRS};
    struct rows rows = {out, 0, n};
    struct err err = {0};
    int64_t study;
    int rc = store_open(&s, "sqlite:///s.db", &opts, &err);
    if (rc == 0)
        rc = store_study_find(s, "s", &study, &err);
    if (rc == 0)
        rc = store_trials_each(s, study, &each, take_row, &rows, &err);
    cr_assert(rc >= 0, "%s", err.msg);
    return rows.n;
}

int sandbox_count(enum trial_state state)
{
    static struct sandbox_trial rows[10000];
    int n = sandbox_trials(rows, (int)ARRAY_LEN(rows)), found = 0;
    for (int i = 0; i < n; i++)
        found += rows[i].state == state;
    return found;
}

const char *sandbox_python(const char *variable, const char *name)
{
    static char path[512];
    const char *chosen = getenv(variable);
    /* what stands along PATH may be a word for something that is not there */
    pid_t pid =
        sandbox_start((const char *const[]){"/bin/sh", "-c", "command -v \"$0\" && \"$0\" -c ''",
                                            chosen != NULL ? chosen : name, NULL});
    if (sandbox_wait(pid, 60) != 0)
        cr_skip_test("no %s", name);
    (void)snprintf(path, sizeof(path), "%s", sandbox_text("out"));
    path[strcspn(path, "\n")] = '\0';
    return path;
}
