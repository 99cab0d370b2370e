/* From a command line to a checked spec: what `run` and `check` share. */
#pragma once

#include "cli/options.h"
#include "trials/spec.h"

#define CLI_SWEEP_KEYS 16

/* What the options that both have say, as typed. Zeroed to begin with. */
struct cli_sweep {
    const char
        *text[CLI_SWEEP_KEYS]; /* options that stand for a key of the spec; NULL: not given */
    struct cli_words env;      /* NAME=VALUE for the workers; owned: cli_words_free */
};

#define CLI_SWEEP_OPTIONS (CLI_SWEEP_KEYS + 1)
/* Fills out[0 … CLI_SWEEP_OPTIONS) with the options that set *s; returns their number. */
size_t cli_sweep_options(struct cli_sweep *s, struct cli_option *out);

/* With `json`, all also print what is wrong on stdout, as one object with the list "problems". */

/* For the subcommand of this name. Reads SPEC [key=value …] [-- COMMAND …]: the first word is the
 * file unless it is a setting (name=value). What is wrong is printed on stderr, a line each.
 * Returns CLI_GO_ON, and then *out is the caller's, or EXIT_USAGE. */
int cli_load_spec(struct spec_doc **out, const char *command, const struct cli_args *args,
                  const struct cli_sweep *sweep, bool json);
/* Whether the data that the spec names is there, with the columns that it names; says what is not.
 * Returns CLI_GO_ON or EXIT_USAGE. Reads no more of a file than its first line. */
int cli_check_data(const struct spec_doc *doc, bool json);
/* The same, and whether the workers' program is there: what `run` would refuse. */
int cli_check_start(const struct spec_doc *doc, bool json);
