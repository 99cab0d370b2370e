/* forkless repro: runs a reproducer of a fork deadlock, and says whether it did what it should. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/named.h"
#include "cli/options.h"
#include "cli/repro_report.h"
#include "integration/reproducers/profile.h"
#include "integration/reproducers/reproducers.h"

static const char *const synopsis[] = {"repro [OPTION …] NAME", "repro", NULL};

static const char examples[] =
    "  forkless repro                                    what there is\n"
    "  forkless repro grpc-fork                          the deadlock: a child made by fork hangs\n"
    "  forkless repro grpc-fork --start-method spawn     the way out: the same child passes\n"
    "  forkless repro grpc-fork --backstop               what gRPC's own variables really buy\n"
    "  forkless repro cleanlab-fork -j 1                 the incident's fix\n"
    "  forkless repro grpc-fork --profile fork.svg       and a flame graph of it\n"
    "\nExits 0 when every case did what it should: hung where a hang is due, passed elsewhere.\n";

struct options {
    const char *start_method;
    struct repro_arm arm;
    int64_t tries;
    bool json;
    const char *profile; /* an SVG file; NULL: none */
};

static int failed(const struct err *err)
{
    cli_error("repro: %s", err->msg);
    switch (err->code) {
    case ERR_STOPPED:
        return EXIT_PREEMPTED;
    case ERR_NOTFOUND:    /* not installed */
    case ERR_UNAVAILABLE: /* what it needs is not to be had here */
        return EXIT_USAGE;
    default:
        return EXIT_UNMET;
    }
}

static int run_cases(struct repro_session *s, const struct reproducer *r, const struct options *o,
                     const struct repro_plan *plan, struct profile *profile)
{
    AUTO(report_finish) struct report report;
    report_begin(&report, r, &o->arm, plan, o->json);
    for (size_t i = 0; i < plan->n_cases; i++) {
        report_case(&report, &plan->cases[i]);
        for (int64_t t = 0; t < o->tries; t++) {
            struct repro_result result;
            struct err err;
            if (repro_try(s, r, &o->arm, plan->cases[i].name, profile, &result, &err) < 0)
                return failed(&err);
            report_try(&report, &result);
            repro_result_free(&result);
        }
        report_case_end(&report);
    }
    return report_end(&report);
}

/* The profile is written however the cases ended. */
static int run_profiled(struct repro_session *s, const struct reproducer *r,
                        const struct options *o, const struct repro_plan *plan)
{
    AUTO(profile_free) struct profile profile;
    char title[160];
    struct err err;
    profile_begin(&profile, r);
    int code = run_cases(s, r, o, plan, &profile);
    (void)snprintf(title, sizeof(title), "forkless repro %s --start-method %s%s", r->name,
                   o->start_method, o->arm.backstop ? " --backstop" : "");
    return profile_write(&profile, o->profile, title, &err) < 0 ? failed(&err) : code;
}

static int run(struct repro_session *s, const struct reproducer *r, const struct options *o)
{
    AUTO(repro_plan_free) struct repro_plan plan = {0};
    struct err err;
    int rc = repro_describe(s, r, &o->arm, &plan, &err);
    if (rc == -ERR_NOTFOUND)
        (void)err_wrap(&err, rc, "%s is not installed", r->name);
    if (rc == 0 && plan.prepare != NULL) {
        (void)fprintf(stderr, "%s\n", plan.prepare);
        rc = repro_prepare(s, r, &o->arm, &err);
    }
    if (rc < 0)
        return failed(&err);
    return o->profile != NULL ? run_profiled(s, r, o, &plan) : run_cases(s, r, o, &plan, NULL);
}

/* Each reproducer in a line; one that cannot run here says so. */
static int list(struct repro_session *s, const struct options *o)
{
    for (const struct reproducer *r = reproducers; r->name != NULL; r++) {
        AUTO(repro_plan_free) struct repro_plan plan = {0};
        struct err err;
        int rc = repro_describe(s, r, &o->arm, &plan, &err);
        if (rc < 0 && err.code != ERR_NOTFOUND && err.code != ERR_UNAVAILABLE)
            return failed(&err);
        (void)printf("%-14s %s\n", r->name,
                     rc == 0                    ? plan.summary
                     : err.code == ERR_NOTFOUND ? "not installed"
                                                : text_clean(err.msg));
    }
    return EXIT_OK;
}

static int repro(const struct options *o, const struct cli_args *args)
{
    const struct reproducer *r = NULL;
    if (args->words.n > 1) {
        cli_error("repro takes one name, found also '%s'", args->words.v[1]);
        return EXIT_USAGE;
    }
    if (args->words.n == 1) {
        r = named_find(reproducers, sizeof(*reproducers), args->words.v[0], "repro: no reproducer",
                       "`forkless repro` lists them");
        if (r == NULL)
            return EXIT_USAGE;
    }
    AUTO(repro_close) struct repro_session s;
    struct err err;
    if (repro_open(&s, &err) < 0)
        return failed(&err);
    return r != NULL ? run(&s, r, o) : list(&s, o);
}

int repro_main(int argc, char **argv)
{
    struct options o = {.start_method = "fork",
                        .arm = {.jobs = 8, .samples = 2000, .timeout_ms = 30000},
                        .tries = 1};
    const struct cli_option options[] = {
        {.name = "start-method",
         .arg = "fork|spawn",
         .help = "how the child is started (default fork)",
         .text = &o.start_method},
        {.name = "backstop",
         .help = "set GRPC_ENABLE_FORK_SUPPORT=1 GRPC_POLL_STRATEGY=poll",
         .flag = &o.arm.backstop},
        {'j', "jobs", "N", "processes of a pool, where there is one (default 8)",
         .number = &o.arm.jobs},
        {'n', "samples", "N", "rows of data, where there are some (default 2000)",
         .number = &o.arm.samples},
        {.name = "timeout",
         .arg = "TIME",
         .help = "a child that has not ended by then is judged (default 30s)",
         .duration_ms = &o.arm.timeout_ms},
        {.name = "tries", .arg = "N", .help = "runs of each case (default 1)", .number = &o.tries},
        {.name = "profile",
         .arg = "FILE",
         .help = "write a flame graph of the run, an SVG, waiting included",
         .text = &o.profile},
        {.name = "json", .help = "print one JSON object", .flag = &o.json},
    };
    const struct cli_usage usage = {.command = "repro",
                                    .summary = "Runs a reproducer of a fork deadlock, watched from "
                                               "outside.",
                                    .synopsis = synopsis,
                                    .options = options,
                                    .n_options = ARRAY_LEN(options),
                                    .examples = examples};
    AUTO_CLI_ARGS struct cli_args args = {0};
    int code = cli_parse(&usage, argc, argv, &args);
    if (code != CLI_GO_ON)
        return code;
    if (o.tries < 1 || o.arm.jobs < 1 || o.arm.samples < 1) {
        cli_error("repro: --tries, --jobs and --samples start at 1");
        return EXIT_USAGE;
    }
    o.arm.fork = strcmp(o.start_method, "fork") == 0;
    return repro(&o, &args);
}
