/* From a command line to a checked spec: what `run` and `check` share. */
#pragma once

#include "cli/options.h"
#include "trials/spec.h"

/* What the options of both set in the spec, as typed; NULL: not given. */
struct cli_sweep {
    const char *trials, *jobs, *study, *storage, *metric, *direction, *sampler, *pruner, *seed,
        *timeout, *retries, *stall, *grace;
    struct cli_words env; /* NAME=VALUE for the workers */
};

/* Rows for the table of options; o: a struct cli_sweep. */
/* clang-format off */
#define CLI_SWEEP_OPTIONS(o) \
    {.letter = 'n', .name = "trials", .arg = "N", .help = "finished trials to reach", .text = &(o).trials}, \
    {.letter = 'j', .name = "jobs", .arg = "N", .help = "trials at a time (default: as many as the CPUs allow)", .text = &(o).jobs}, \
    {.name = "study", .arg = "NAME", .help = "the study, new or to be continued", .text = &(o).study}, \
    {.name = "storage", .arg = "URL", .help = "where it is kept (default: sqlite:///forkless.db)", .text = &(o).storage}, \
    {.name = "metric", .arg = "NAME", .help = "the objective in the worker's NAME=VALUE lines (default: value)", .text = &(o).metric}, \
    {.name = "direction", .arg = "minimize|maximize", .help = "which way is better (default: by the metric's name)", .text = &(o).direction}, \
    {.name = "sampler", .arg = "auto|tpe|random", .help = "how parameters are chosen", .text = &(o).sampler}, \
    {.name = "pruner", .arg = "none|median|asha", .help = "which trials are stopped early", .text = &(o).pruner}, \
    {.name = "seed", .arg = "N", .help = "for the same choices again", .text = &(o).seed}, \
    {.name = "timeout", .arg = "TIME", .help = "time limit of the sweep: 90s, 30m, 2h", .text = &(o).timeout}, \
    {.name = "retries", .arg = "N", .help = "further attempts of a failed trial", .text = &(o).retries}, \
    {.name = "stall", .arg = "TIME", .help = "a worker idle for so long is killed (default: 5m; off)", .text = &(o).stall}, \
    {.name = "grace", .arg = "TIME", .help = "from SIGTERM to SIGKILL (default: 10s)", .text = &(o).grace}, \
    {.name = "env", .arg = "NAME=VALUE", .help = "environment of the workers; may be repeated", .list = &(o).env}
/* clang-format on */

/* Reads SPEC [key=value …] [-- COMMAND …]: the first word is the file unless it is a setting
 * (name=value). What is wrong is printed on stderr, a line each. Returns CLI_GO_ON, and then *out
 * is the caller's, or EXIT_USAGE. */
int cli_load_spec(struct spec_doc **out, const struct cli_args *args,
                  const struct cli_sweep *sweep);
