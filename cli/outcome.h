/* How a sweep ended: the exit code, the words for people, the result line for programs. */
#pragma once

#include <stdbool.h>

#include "executor/executor.h"

struct outcome_conf {
    const struct spec *cells; /* [n_cells] */
    size_t n_cells;
    const char *run_id;
    int64_t started_us; /* UTC */
    int64_t prove_rows; /* rows that were promised */
    bool json;          /* only the result line on stdout */
    bool skip_if_done;  /* EXIT_NOTHING when there was nothing to do */
};

/* Prints the end of the sweep on stdout (on stderr, of one that did not begin), writes report.xcom
 * and report.termination_log, and returns the exit_code. The last line on stdout is the result as
 * one JSON object, unless stdout is a terminal. */
int outcome_tell(const struct outcome_conf *conf, const struct executor_result *r);
