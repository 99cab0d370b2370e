/* forkless doctor: is a process, or where it runs, at risk of a fork deadlock? */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/checkup.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "executor/evidence/doc.h"

static const char *const synopsis[] = {"doctor [OPTION …]", NULL};

static const char examples[] =
    "  forkless doctor              what works here, and which variables do harm\n"
    "  forkless doctor --pid 1      of a container: is its main process deadlocked, or at risk?\n"
    "  kubectl exec POD -- forkless doctor --pid 1 --json\n"
    "\n"
    "Without --pid one short command runs under the fork guard, to see that it works. With --pid\n"
    "nothing is changed, but a process that looks deadlocked is stopped for some milliseconds "
    "while\n"
    "its stacks are read.\n"
    "\n"
    "Exit code 0: ok; 1: at risk, or unknown: it may not look, run it as the owner of the process "
    "or root;\n"
    "5: deadlocked: nothing but a signal ends that wait.\n";

static const char *const words[] = {"ok", "note", "unknown", "at risk", "deadlocked"};

void checkup_say(struct checkup *c, enum health h, const char *name, const char *fmt, ...)
{
    char text[800];
    json_t *check = json_object();
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    doc_text(check, "level", words[h]);
    doc_text(check, "name", name);
    doc_text(check, "text", text);
    (void)json_array_append_new(c->checks, check);
    if (h > c->worst)
        c->worst = h;
}

static const char *verdict_of(const struct checkup *c)
{
    return words[c->worst == HEALTH_NOTE ? HEALTH_OK : c->worst];
}

static int code_of(const struct checkup *c)
{
    return c->worst == HEALTH_DEADLOCKED ? EXIT_STALLED
           : c->worst >= HEALTH_UNKNOWN  ? EXIT_UNMET
                                         : EXIT_OK;
}

static void print_json(struct checkup *c, int64_t pid)
{
    AUTO_JSON json_t *doc = json_object();
    doc_text(doc, "verdict", verdict_of(c));
    doc_int(doc, "exit", code_of(c));
    if (pid > 0)
        doc_int(doc, "pid", pid);
    (void)json_object_set(doc, "checks", c->checks);
    (void)json_dumpf(doc, stdout, JSON_COMPACT);
    (void)putchar('\n');
}

static void print_text(const struct checkup *c)
{
    size_t i;
    const json_t *check;
    json_array_foreach(c->checks, i, check)(void)
        printf("%-10s  %-12s  %s\n", doc_get(check, "level"), doc_get(check, "name"),
               doc_get(check, "text"));
    (void)printf("verdict: %s\n", verdict_of(c));
}

int doctor_main(int argc, char **argv)
{
    int64_t pid = -1;
    bool json = false;
    struct checkup c = {0};
    AUTO_CLI_ARGS struct cli_args args = {0};
    const struct cli_option options[] = {
        {.name = "pid",
         .arg = "PID",
         .help = "a process and its descendants, instead of where forkless runs",
         .number = &pid},
        {.name = "json", .help = "one JSON object", .flag = &json},
    };
    const struct cli_usage usage = {
        .command = "doctor",
        .summary = "Tells whether a process, or the place where forkless runs, is at risk of a "
                   "fork deadlock.",
        .synopsis = synopsis,
        .options = options,
        .n_options = ARRAY_LEN(options),
        .examples = examples};
    int code = cli_parse(&usage, argc, argv, &args);
    if (code != CLI_GO_ON)
        return code;
    if (args.words.n > 0 || pid == 0 || pid > INT_MAX) {
        cli_error("doctor takes no words but --pid PID: forkless doctor --pid 1");
        return EXIT_USAGE;
    }
    AUTO_JSON json_t *checks = c.checks = json_array();
    if (pid < 0) {
        checkup_host(&c);
    } else if (!checkup_process(&c, (pid_t)pid)) {
        cli_error("there is no process %d here", (int)pid);
        return EXIT_USAGE;
    }
    if (json)
        print_json(&c, pid);
    else
        print_text(&c);
    return code_of(&c);
}
