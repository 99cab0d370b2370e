/* forkless logs: what a trial's worker printed. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/reading.h"
#include "executor/owner.h"

enum { POLL_MS = 200 };

static const char *const synopsis[] = {"logs [OPTION …] TRIAL [STUDY]", NULL};

static const char examples[] =
    "  forkless logs 7             stdout of trial 7, or its stderr where that is empty\n"
    "  forkless logs 7 --stderr    its stderr\n"
    "  forkless logs 7 -f          and what it prints from now on, until it ends\n";

/* On a terminal a log may have lines, tabs and returns, but nothing else that steers it: C0 and DEL
 * become '?', a C1 in UTF-8 a no-break space. *last is the byte before, over all blocks. */
static void tame(unsigned char *block, size_t n, unsigned char *last)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = block[i];
        if ((c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f)
            block[i] = '?';
        else if (*last == 0xc2 && c >= 0x80 && c < 0xa0)
            block[i] = 0xa0;
        *last = c;
    }
}

/* Returns 1 when the output takes no more: main says so. */
static int copy_out(int fd, struct err *err)
{
    unsigned char block[65536], last = 0;
    bool terminal = isatty(STDOUT_FILENO);
    for (;;) {
        ssize_t n = read(fd, block, sizeof(block));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "log");
        if (n == 0)
            return fflush(stdout) == 0 ? 0 : 1;
        if (terminal)
            tame(block, (size_t)n, &last);
        if (fwrite(block, 1, (size_t)n, stdout) != (size_t)n)
            return 1;
    }
}

/* A log that was rotated twice begins somewhere in the output. */
static void say_gone(const char *path)
{
    char *name = NULL;
    uint64_t bytes;
    if (asprintf(&name, "%s.gone", path) < 0)
        return;
    AUTO_FCLOSE FILE *f = fopen(name, "re");
    free(name);
    if (f != NULL && fscanf(f, "%" SCNu64, &bytes) == 1)
        cli_error("the beginning of this output is gone, %" PRIu64
                  " bytes: of a long one only the end is kept",
                  bytes);
}

/* Prints the older part of a rotated log, if there is one. */
static int print_older(const char *path, struct err *err)
{
    AUTO_FREE char *older = NULL;
    say_gone(path);
    if (asprintf(&older, "%s.1", path) < 0)
        return err_set(err, ERR_NOMEM, "log");
    AUTO_CLOSE int fd = open(older, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? 0 : copy_out(fd, err);
}

/* Whether the name leads to another file than the open one: the log was rotated. */
static bool rotated(const char *path, int fd)
{
    struct stat named, opened;
    return stat(path, &named) == 0 && fstat(fd, &opened) == 0 &&
           (named.st_ino != opened.st_ino || named.st_dev != opened.st_dev);
}

static int take_state(void *ctx, const struct trial *t)
{
    *(enum trial_state *)ctx = t->state;
    return 0;
}

/* Who runs a trial. */
struct owner_search {
    int64_t trial;
    int dead_pid; /* 0: it lives, or nobody knows */
};

static int look_at_owner(void *ctx, const struct store_running *r)
{
    struct owner_search *s = ctx;
    if (r->id == s->trial && r->owner != NULL && owner_state(r->owner) == OWNER_DEAD)
        s->dead_pid = owner_pid(r->owner);
    return 0;
}

/* Whether nobody runs the trial any more, though the store does not know: then it says so. */
static bool is_orphan(const struct reading *r, int64_t trial)
{
    struct owner_search s = {.trial = trial};
    (void)store_running_each(r->store, r->study, look_at_owner, &s, NULL);
    if (s.dead_pid != 0)
        cli_error("the forkless that ran this trial, pid %d, is dead: run its command again to "
                  "continue",
                  s.dead_pid);
    return s.dead_pid != 0;
}

/* Prints what comes until the trial has ended and its log is read to the end. */
static int follow(const struct reading *r, int64_t trial, const char *path, struct err *err)
{
    AUTO_CLOSE int fd = -1;
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    for (;;) {
        enum trial_state state;
        int rc = store_trial_get(r->store, trial, 0, take_state, &state, err);
        if (rc == 0 && fd < 0)
            fd = open(path, O_RDONLY | O_CLOEXEC);
        if (rc == 0 && fd >= 0)
            rc = copy_out(fd, err);
        if (rc != 0)
            return rc;
        if (fd >= 0 && rotated(path, fd)) {
            (void)close(fd);
            fd = -1;
            continue;
        }
        if (trial_state_finished(state) || is_orphan(r, trial))
            return 0;
        (void)nanosleep(&pause, NULL);
    }
}

static char *path_of(const char *dir, int64_t number, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%lld/%s", dir, (long long)number, name) < 0 ? NULL : path;
}

static bool has_content(const char *path)
{
    struct stat st;
    return path != NULL && stat(path, &st) == 0 && st.st_size > 0;
}

/* Which log to print now: a worker that says all on stderr shall not seem to have been silent. */
static char *choose(const char *dir, int64_t number, bool errors)
{
    AUTO_FREE char *out = path_of(dir, number, "stdout.log");
    AUTO_FREE char *err = path_of(dir, number, "stderr.log");
    if (errors || has_content(out) || !has_content(err))
        return errors ? TAKE(err) : TAKE(out);
    cli_error("trial %lld printed nothing on stdout; this is its stderr:", (long long)number);
    return TAKE(err);
}

static int print(const char *path, int64_t number)
{
    struct err err;
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT) {
        cli_error("%s: %s", path, strerror(errno));
        return EXIT_STORE;
    }
    if (!has_content(path))
        cli_error("trial %lld has printed nothing there: %s", (long long)number, path);
    int rc = print_older(path, &err);
    if (rc == 0 && fd >= 0)
        rc = copy_out(fd, &err);
    return rc < 0 ? reading_failed(&err) : EXIT_OK;
}

static int show(const struct reading *r, int64_t number, bool errors, bool go_on)
{
    AUTO_FREE char *dir = NULL;
    struct err err;
    int64_t trial;
    int rc = store_trial_find(r->store, r->study, number, &trial, &err);
    if (rc < 0)
        return reading_failed(&err);
    int code = reading_run_dir(r, &dir);
    if (code != CLI_GO_ON)
        return code;
    AUTO_FREE char *path = go_on ? path_of(dir, number, errors ? "stderr.log" : "stdout.log")
                                 : choose(dir, number, errors);
    if (path == NULL)
        return EXIT_STORE;
    if (!go_on)
        return print(path, number);
    rc = print_older(path, &err);
    if (rc == 0)
        rc = follow(r, trial, path, &err);
    return rc < 0 ? reading_failed(&err) : EXIT_OK;
}

int logs_main(int argc, char **argv)
{
    AUTO_READING struct reading r = {0};
    bool go_on = false;
    bool errors = false;
    const struct cli_option options[] = {
        READING_STORAGE(&r),
        {'f', "follow", NULL, "go on until the trial ends", .flag = &go_on},
        {.name = "stderr", .help = "what it wrote to stderr instead of stdout", .flag = &errors},
    };
    const struct cli_usage usage = {.command = "logs",
                                    .summary = "Prints what a trial's worker printed.",
                                    .synopsis = synopsis,
                                    .options = options,
                                    .n_options = ARRAY_LEN(options),
                                    .examples = examples};
    AUTO_CLI_ARGS struct cli_args args = {0};
    int64_t number;
    int code = reading_begin(&r, &usage, argc, argv, READING_TRIAL_STUDY, &args);
    if (code != CLI_GO_ON)
        return code;
    if (!text_int(args.words.v[0], &number)) {
        cli_error("logs: expected the number of a trial, found '%s'", args.words.v[0]);
        return EXIT_USAGE;
    }
    return show(&r, number, errors, go_on);
}
