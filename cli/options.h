/* Command lines: one table of options that parses, explains and completes, so that --help cannot
 * differ from what is accepted. The shells' completions and the manual's test read that --help. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli_words {
    const char **v; /* words of argv, borrowed; the array is owned: cli_words_free */
    size_t n;
};

/* Exactly one target is set. It keeps its value when the option is not given; the last one wins. */
struct cli_option {
    char letter;           /* short form; 0: none */
    const char *name;      /* long form, without dashes */
    const char *arg;       /* what it takes, for --help; "a|b": one of these; NULL: takes nothing */
    const char *help;      /* one line */
    bool *flag;            /* takes nothing: set to true */
    int *count;            /* takes nothing: one more each time */
    const char **text;     /* borrowed from argv */
    int64_t *number;       /* a whole number, not negative */
    uint64_t *duration_ms; /* 90s, 5m, 2h */
    struct cli_words *list; /* may be given several times */
};

struct cli_usage {
    const char *command;         /* "run" */
    const char *summary;         /* one sentence, the first line of --help */
    const char *const *synopsis; /* what may follow "forkless ", a line each; NULL ends */
    const struct cli_option *options;
    size_t n_options;
    const char *examples; /* printed last, as it stands; NULL: none */
    bool takes_command;   /* `--` and what follows is a command to run */
    /* With takes_command: which of the words begins a command whose `--` was forgotten; words->n:
     * none. NULL: not known. */
    size_t (*stray_command)(const struct cli_words *words);
};

/* What is wrong then, and its cure: a printf format with the word, the subcommand, the word. */
#define CLI_FORGOTTEN_DASHES                                                                       \
    "'%.60s' begins a command, which stands after --: forkless %s [OPTION …] … -- %.60s …"

struct cli_args {
    struct cli_words words;   /* what is no option, in order */
    struct cli_words command; /* after `--`, with takes_command; empty: none */
};

enum { CLI_GO_ON = -1 };

/* Reads argv (argv[0] is the command). Options may stand before and after words; -n5, -n 5,
 * --trials=5, --trials 5 and -vv are understood, and `--` ends the options. Returns CLI_GO_ON, or
 * an exit_code when --help was printed or a mistake reported; then *out has nothing to free. */
int cli_parse(const struct cli_usage *usage, int argc, char **argv, struct cli_args *out);
void cli_args_free(struct cli_args *args);
void cli_words_free(struct cli_words *words);
#define AUTO_CLI_ARGS AUTO(cli_args_free)
#define AUTO_CLI_WORDS AUTO(cli_words_free)
