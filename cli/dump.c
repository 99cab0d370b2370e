/* forkless dump: where a process tree, or a running trial, stands. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/denied.h"
#include "cli/finding.h"
#include "cli/options.h"
#include "cli/reading.h"
#include "executor/evidence/evidence.h"
#include "executor/proc.h"

#define LIMIT_MS 5000u

static const char *const synopsis[] = {"dump [OPTION …] PID", "dump [OPTION …] TRIAL [STUDY]",
                                       NULL};

/* Which of several is meant. */
struct choice {
    struct reading reading; /* with its option --storage */
    const char *study;      /* NULL: not said */
    bool is_pid;
};

static const char examples[] =
    "  forkless dump 17            the worker of trial 17, which runs on this machine\n"
    "  forkless dump 41234         process 41234 and its descendants\n"
    "  forkless dump --json 17     for a program: one object\n"
    "\n"
    "Nothing is changed: each process is stopped for some milliseconds while its stacks are read.\n"
    "A worker that runs several trials is known by its first one. When several sweeps run a trial "
    "of\n"
    "that number, the store tells which is meant.\n"
    "Exit code 1: a process may not be looked into; the reason and the cure stand on stderr.\n";

/* Several sweeps run a trial of this number: the store knows the directory of the one meant. */
static int find_in_store(struct finding *f, struct reading *r, const char *study)
{
    AUTO_FREE char *run_dir = NULL;
    AUTO_FREE char *dir = NULL;
    int code = reading_open_study(r, r->storage, study);
    if (code == CLI_GO_ON)
        code = reading_run_dir(r, &run_dir);
    if (code != CLI_GO_ON)
        return code;
    if (asprintf(&dir, "%s/%s", run_dir, f->number) < 0) {
        dir = NULL;
        return EXIT_UNMET;
    }
    f->dir = dir;
    finding_worker(f);
    f->dir = NULL;
    return CLI_GO_ON;
}

/* What its environment says of it, when it is a worker or one of its descendants. */
static json_t *about_it(pid_t root)
{
    char study[256], number[32];
    int64_t trial;
    json_t *about = json_object();
    if (proc_environ(root, "FORKLESS_STUDY", study, sizeof(study)) &&
        proc_environ(root, "FORKLESS_TRIAL", number, sizeof(number)) && text_int(number, &trial)) {
        (void)json_object_set_new(about, "study", json_string(text_clean(study)));
        (void)json_object_set_new(about, "trial", json_integer(trial));
    }
    return about;
}

/* What may not be looked into has no stacks, and for them one asks: that is a no. */
static int tell_denied(const json_t *doc)
{
    AUTO(buf_free) struct buf why = BUF_INIT;
    size_t i, denied = 0;
    json_t *p;
    pid_t first = 0;
    json_array_foreach(json_object_get(doc, "processes"), i, p)
    {
        if (!json_is_true(json_object_get(p, "denied")))
            continue;
        if (denied++ == 0)
            first = (pid_t)json_integer_value(json_object_get(p, "pid"));
    }
    if (denied == 0)
        return EXIT_OK;
    denied_put(&why, first);
    cli_error("dump: %zu of %zu processes may not be looked into: their stacks are missing. Of "
              "process %d: %s",
              denied, json_array_size(json_object_get(doc, "processes")), (int)first,
              buf_str(&why));
    return EXIT_UNMET;
}

static int print(pid_t root, bool json)
{
    char dir[PATH_MAX];
    AUTO_CLOSE int fd = -1;
    AUTO_JSON json_t *about = about_it(root);
    struct verdict verdict;
    if (proc_environ(root, "FORKLESS_TRIAL_DIR", dir, sizeof(dir)))
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct evidence_req req = {
        .root = root, .dir = fd, .deadline_ms = clock_mono_ms() + LIMIT_MS, .about = about};
    AUTO_JSON json_t *doc = evidence_collect(&req, &verdict);
    if (doc == NULL) {
        cli_error("out of memory");
        return EXIT_UNMET;
    }
    if (json_array_size(json_object_get(doc, "processes")) == 0) {
        cli_error("process %d is gone", (int)root);
        return EXIT_USAGE;
    }
    if (json) {
        (void)json_dumpf(doc, stdout, JSON_COMPACT);
        (void)putchar('\n');
    } else {
        AUTO(buf_free) struct buf text = BUF_INIT;
        evidence_put_text(&text, doc);
        (void)fputs(buf_str(&text), stdout);
    }
    return tell_denied(doc);
}

/* The process that is meant; 0: there is none. */
static int find(const char *word, struct choice *c, pid_t *out)
{
    int64_t number;
    struct finding f = {.number = word};
    struct proc_stat st;
    int code = CLI_GO_ON;
    if (!text_int(word, &number) || number < 0 || number > INT_MAX) {
        cli_error("dump takes the number of a process or of a running trial: forkless dump 17");
        return EXIT_USAGE;
    }
    if (!c->is_pid)
        finding_worker(&f);
    if (!c->is_pid && (f.several || c->reading.storage != NULL || c->study != NULL))
        code = find_in_store(&f, &c->reading, c->study);
    *out = f.pid;
    if (code != CLI_GO_ON || f.pid != 0)
        return code;
    if (c->reading.storage == NULL && c->study == NULL && number > 0 &&
        proc_read_stat((pid_t)number, &st)) {
        *out = (pid_t)number;
        return CLI_GO_ON;
    }
    cli_error(c->is_pid ? "there is no process %s here"
                        : "there is no worker here that runs trial %s%s",
              word, c->reading.storage == NULL && c->study == NULL ? ", and no such process" : "");
    return EXIT_USAGE;
}

int dump_main(int argc, char **argv)
{
    struct choice c = {0};
    bool json = false;
    const struct cli_option options[] = {
        READING_STORAGE(&c.reading),
        {.name = "pid", .help = "the number is that of a process", .flag = &c.is_pid},
        {.name = "json", .help = "one JSON object", .flag = &json},
    };
    const struct cli_usage usage = {
        .command = "dump",
        .summary = "Shows where a process, or the worker of a running trial, and its descendants "
                   "stand.",
        .synopsis = synopsis,
        .options = options,
        .n_options = ARRAY_LEN(options),
        .examples = examples};
    AUTO_CLI_ARGS struct cli_args args = {0};
    pid_t pid;
    int code = cli_parse(&usage, argc, argv, &args);
    if (code != CLI_GO_ON)
        return code;
    if (args.words.n < 1 || args.words.n > 2) {
        cli_error(
            "dump takes the number of a process, or of a running trial and perhaps its study");
        return EXIT_USAGE;
    }
    c.study = args.words.n > 1 ? args.words.v[1] : NULL;
    code = find(args.words.v[0], &c, &pid);
    reading_close(&c.reading);
    return code == CLI_GO_ON ? print(pid, json) : code;
}
