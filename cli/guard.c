/* forkless guard: any command under the fork guard, a lint for CI. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "executor/guarded.h"

static const char *const synopsis[] = {"guard [OPTION …] -- COMMAND [ARG …]", NULL};

static const char examples[] =
    "  forkless guard -- python train.py                     tell of forks with threads alive\n"
    "  forkless guard --fail-on fork-after-threads -- pytest  and fail when there was one\n"
    "  forkless guard --deny -- python train.py              refuse them while gRPC or OpenMP\n"
    "                                                        threads live: OSError at the line\n"
    "\n"
    "A fork whose child execs at once is harmless and only counted; so are forks of processes\n"
    "without threads. A child is looked at from 2 ms after its fork on. One that ends sooner, "
    "that\n"
    "computes for less than about 20 ms and ends, or whose parent ends right after the fork may "
    "have\n"
    "been missed, whether it called exec or not: such forks are counted and told at the end "
    "(`missed`\n"
    "in --json), and --fail-on passes over them. A fork that a signal meets while it is looked at "
    "can fail with EINTR where the handler\n"
    "has no SA_RESTART: shells with pipelines do.\n"
    "The exit code is the command's (128 + the signal that ended it), or 1 when\n"
    "--fail-on says so.\n";

/* The first so many go into the JSON report. */
enum { MAX_FINDINGS = 100 };

struct findings {
    struct buf json;
    unsigned n;
};

static void on_found(void *ctx, const struct fork_call *f, const struct origin *from,
                     const char *how)
{
    struct findings *all = ctx;
    char text[800];
    guard_say(text, sizeof(text), f, from, how[0] == 'd' ? "called fork" : "forked");
    cli_error("%s: %s", text,
              how[0] == 'd' ? "refused (EAGAIN); use n_jobs=1 or the \"spawn\" start method"
                            : "and the child goes on without exec");
    if (all->n++ >= MAX_FINDINGS)
        return;
    buf_puts(&all->json, all->n > 1 ? "," : "");
    guard_put_json(&all->json, f, from, how);
}

/* To the end. */
static bool was_seen(const struct guarded_report *r)
{
    return r->unseen == 0 && r->broke == 0;
}

static void print_json(const struct guarded_report *r, const struct findings *all, int code)
{
    (void)printf("{\"exit\":%d,\"seen\":%s,\"forks\":%llu,\"threaded\":%llu,\"going_on\":%llu,"
                 "\"missed\":%llu,\"denied\":%llu,\"findings\":[%s]}\n",
                 code, was_seen(r) ? "true" : "false", (unsigned long long)r->forks,
                 (unsigned long long)r->threaded, (unsigned long long)r->going_on,
                 (unsigned long long)r->missed, (unsigned long long)r->denied, buf_str(&all->json));
}

static int exit_code_of(const struct guarded_report *r, bool strict)
{
    int code = r->sig != 0 ? 128 + r->sig : r->status;
    if (!strict || code != 0)
        return code;
    return r->going_on + r->denied > 0 || !was_seen(r) ? EXIT_UNMET : EXIT_OK;
}

/* It takes no words of its own. */
static size_t first_word(const struct cli_words *words)
{
    (void)words;
    return 0;
}

int guard_main(int argc, char **argv)
{
    bool deny = false, json = false;
    const char *fail_on = NULL;
    AUTO_CLI_ARGS struct cli_args args = {0};
    const struct cli_option options[] = {
        {0, "deny", NULL, "refuse forks while gRPC or OpenMP threads live", .flag = &deny},
        {0, "fail-on", "fork-after-threads", "exit 1 when a child of such a fork went on",
         .text = &fail_on},
        {0, "json", NULL, "a report as the last line on stdout", .flag = &json},
    };
    const struct cli_usage usage = {
        .command = "guard",
        .summary = "Runs a command and tells of the forks that can hang its children.",
        .synopsis = synopsis,
        .options = options,
        .n_options = ARRAY_LEN(options),
        .examples = examples,
        .takes_command = true,
        .stray_command = first_word};
    int code = cli_parse(&usage, argc, argv, &args);
    if (code != CLI_GO_ON)
        return code;
    if (args.command.n == 0 || args.words.n > 0) {
        cli_error("guard: the command stands behind --: forkless guard -- python train.py");
        return EXIT_USAGE;
    }
    if (fail_on != NULL && strcmp(fail_on, "fork-after-threads") != 0) {
        cli_error("guard: --fail-on takes fork-after-threads, found '%s'", fail_on);
        return EXIT_USAGE;
    }
    struct findings all = {.json = BUF_INIT};
    const struct guarded_conf conf = {
        .argv = (char *const *)args.command.v, .deny = deny, .found = on_found, .ctx = &all};
    struct guarded_report r;
    struct err err;
    int rc = guarded_run(&conf, &r, &err);
    if (rc < 0) {
        cli_error("%s", err.msg);
        buf_free(&all.json);
        return rc == -ERR_NOTFOUND ? 127 : EXIT_USAGE;
    }
    if (r.unseen != 0)
        cli_error("forks are not seen: %s", guard_why(r.unseen));
    if (r.broke != 0)
        cli_error("forks are not seen any more, and fail since (ENOSYS): %s", strerror(r.broke));
    if (r.missed > 0)
        cli_error("%llu fork%s of a process with threads could not be judged: the child was over "
                  "before it was looked at",
                  (unsigned long long)r.missed, r.missed > 1 ? "s" : "");
    if (r.left)
        cli_error("the command left processes behind: they cannot fork any more");
    code = exit_code_of(&r, fail_on != NULL);
    if (json)
        print_json(&r, &all, code);
    buf_free(&all.json);
    return code;
}
