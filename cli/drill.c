/* forkless drill: a fault in a real run, in a scratch study, and whether forkless keeps its word.
 */
#include "integration/drill/drill.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/named.h"
#include "cli/options.h"

static const char *const synopsis[] = {"drill [OPTION …] NAME", "drill", NULL};

static const char examples[] =
    "  forkless drill                   what there is\n"
    "  forkless drill stall             a worker falls silent: seen, written down, ended\n"
    "  forkless drill deadlock --full   with the ten seconds that watch.deadlock has by default\n"
    "\n"
    "Each runs `forkless run` in a temporary directory. Exits 0 when every check held, else 1;\n"
    "then the directory stays. Times are seconds since the fault.\n";

struct report {
    bool json;
    struct buf checks; /* JSON objects */
};

static void put_json(struct buf *b, const struct drill_check *c)
{
    buf_puts(b, b->len > 0 ? ",{\"check\":" : "{\"check\":");
    json_put_string(b, c->what);
    buf_printf(b, ",\"ok\":%s,\"seconds\":", c->ok ? "true" : "false");
    if (c->seconds >= 0)
        buf_printf(b, "%.3f", c->seconds);
    else
        buf_puts(b, "null");
    buf_puts(b, ",\"found\":");
    json_put_string(b, c->found);
    buf_putc(b, '}');
}

static void on_check(void *ctx, const struct drill_check *c)
{
    struct report *r = ctx;
    char took[32] = "";
    put_json(&r->checks, c);
    if (r->json)
        return;
    if (c->seconds >= 0)
        (void)snprintf(took, sizeof(took), "%.1f s", c->seconds);
    (void)printf("  %-6s  %-60s %8s\n", c->ok ? "ok" : "FAILED", c->what, took);
    if (!c->ok && c->found[0] != '\0')
        (void)printf("          found: %s\n", c->found);
    (void)fflush(stdout); /* one by one: a drill takes its time */
}

static void print_json(const struct drill *d, const struct report *r,
                       const struct drill_result *res)
{
    AUTO(buf_free) struct buf dir = BUF_INIT;
    json_put_string(&dir, res->dir);
    (void)printf("{\"drill\":\"%s\",\"passed\":%s,\"seconds\":%.3f,\"dir\":%s,\"checks\":[%s]}\n",
                 d->name, res->passed ? "true" : "false", res->seconds,
                 res->dir[0] != '\0' ? buf_str(&dir) : "null", buf_str(&r->checks));
}

static void print_end(const struct drill_result *res)
{
    if (res->passed)
        (void)printf("passed in %.1f s\n", res->seconds);
    else
        (void)printf("FAILED after %.1f s; what it left is in %s\n", res->seconds, res->dir);
}

static int run(const struct drill *d, struct drill_opts *opts, bool json)
{
    struct report report = {.json = json, .checks = BUF_INIT};
    struct drill_result result;
    struct err err;
    opts->check = on_check;
    opts->ctx = &report;
    if (!json)
        (void)printf("%s: %s\n", d->name, d->about);
    int rc = drill_run(d, opts, &result, &err);
    if (rc == 0 && json)
        print_json(d, &report, &result);
    if (rc == 0 && !json)
        print_end(&result);
    buf_free(&report.checks);
    if (rc == 0)
        return result.passed ? EXIT_OK : EXIT_UNMET;
    cli_error("drill %s: %s", d->name, err.msg);
    return rc == -ERR_STOPPED ? EXIT_PREEMPTED : rc == -ERR_NOTFOUND ? EXIT_USAGE : EXIT_UNMET;
}

static int list(void)
{
    for (const struct drill *d = drills; d->name != NULL; d++)
        (void)printf("%-10s %s\n", d->name, d->about);
    return EXIT_OK;
}

static int drill(const struct cli_args *args, struct drill_opts *opts, bool json)
{
    if (args->words.n > 1) {
        cli_error("drill takes one name, found also '%s'", args->words.v[1]);
        return EXIT_USAGE;
    }
    if (args->words.n == 0)
        return list();
    const struct drill *d = named_find(drills, sizeof(*drills), args->words.v[0], "drill: no drill",
                                       "`forkless drill` lists them");
    if (d == NULL)
        return EXIT_USAGE;
    if (opts->full && strcmp(d->name, "deadlock") != 0) {
        cli_error("drill: --full is for deadlock alone");
        return EXIT_USAGE;
    }
    return run(d, opts, json);
}

int drill_main(int argc, char **argv)
{
    struct drill_opts opts = {.slack_ms = 5000};
    bool json = false;
    const struct cli_option options[] = {
        {.name = "full",
         .help = "deadlock: with the default watch.deadlock of 10s, not 1s",
         .flag = &opts.full},
        {.name = "slack",
         .arg = "TIME",
         .help = "what a busy machine may add to each promised time (default 5s)",
         .duration_ms = &opts.slack_ms},
        {.name = "json", .help = "print one JSON object", .flag = &json},
    };
    const struct cli_usage usage = {
        .command = "drill",
        .summary = "Puts a fault into a real run, in a scratch study, and checks what comes of it.",
        .synopsis = synopsis,
        .options = options,
        .n_options = ARRAY_LEN(options),
        .examples = examples};
    AUTO_CLI_ARGS struct cli_args args = {0};
    int code = cli_parse(&usage, argc, argv, &args);
    return code == CLI_GO_ON ? drill(&args, &opts, json) : code;
}
