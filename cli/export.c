/* forkless export: all trials of a study, as CSV or JSON lines. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/csv.h"
#include "cli/reading.h"

static const char *const synopsis[] = {"export [OPTION …] [STUDY]", NULL};

static const char examples[] =
    "  forkless export > trials.csv                  every trial, a column for each parameter\n"
    "  forkless export --json lr-sweep | jq .params  one JSON object a line, with steps and "
    "attributes\n"
    "\n"
    "Columns are named as in Optuna's trials_dataframe. Infinite and NaN values are inf, -inf, "
    "nan.\n";

static int put_json(void *ctx, const struct trial *t)
{
    struct buf *b = ctx;
    buf_clear(b);
    json_put_trial(b, t, true);
    return b->failed ? -ERR_NOMEM : puts(buf_str(b)) < 0 ? 1 : 0;
}

static int export_json(const struct reading *r, struct err *err)
{
    AUTO(buf_free) struct buf line = BUF_INIT;
    const struct store_each_opts opts = {.want = WANT_ALL};
    return store_trials_each(r->store, r->study, &opts, put_json, &line, err);
}

int export_main(int argc, char **argv)
{
    AUTO_READING struct reading r = {0};
    bool json = false;
    bool csv = false;
    const struct cli_option options[] = {
        READING_STORAGE(&r),
        {.name = "csv", .help = "comma-separated values with a header (default)", .flag = &csv},
        {.name = "json", .help = "one JSON object a line", .flag = &json},
    };
    const struct cli_usage usage = {.command = "export",
                                    .summary = "Writes all trials of a study to stdout.",
                                    .synopsis = synopsis,
                                    .options = options,
                                    .n_options = ARRAY_LEN(options),
                                    .examples = examples};
    AUTO_CLI_ARGS struct cli_args args = {0};
    struct err err = {.code = ERR_NOMEM, .msg = "out of memory"};
    int code = reading_begin(&r, &usage, argc, argv, READING_STUDY, &args);
    if (code != CLI_GO_ON)
        return code;
    if (csv && json) {
        cli_error("--csv or --json, not both");
        return EXIT_USAGE;
    }
    int rc = json ? export_json(&r, &err) : csv_trials(&r, &err);
    return rc < 0 ? reading_failed(&err) : EXIT_OK;
}
