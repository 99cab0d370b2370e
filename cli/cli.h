/* What the subcommands share: the dispatch table and exit codes. One file per subcommand. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* design: these codes are the program's contract with shells, Airflow and Kubernetes */
enum exit_code {
    EXIT_OK = 0,         /* proof met */
    EXIT_UNMET = 1,      /* target or proof not met */
    EXIT_USAGE = 2,      /* bad spec or usage */
    EXIT_TIME = 3,       /* out of time: partial, resumable */
    EXIT_HALT = 4,       /* a halt rule fired */
    EXIT_STALLED = 5,    /* stalled, retries spent */
    EXIT_STORE = 6,      /* store down or incompatible */
    EXIT_PREEMPTED = 75, /* stopped from outside, state saved, run again to continue */
    EXIT_NOTHING = 99,   /* nothing to do (--skip-if-done) */
};

struct command {
    const char *name;
    const char *summary; /* one line for `forkless --help` */
    /* argv[0] is the subcommand's name. Returns an exit_code. */
    int (*main)(int argc, char **argv);
};

/* The end of a noun: "1 trial", "2 trials". */
static inline const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

/* Whether the descriptor is a terminal that wants colours (https://no-color.org). */
bool cli_colour(int fd);
/* Prints "forkless: MESSAGE" on stderr, with a colour only on a terminal. The message is
 * cleaned (text_clean): it may hold text of others. */
void cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The URL of the store where nothing names one: $FORKLESS_STORAGE, $OPTUNA_STORAGE, else a file in
 * the working directory. The environment's. */
const char *cli_default_storage(void);

int check_main(int argc, char **argv);
int run_main(int argc, char **argv);
int status_main(int argc, char **argv);
int trials_main(int argc, char **argv);
int best_main(int argc, char **argv);
int logs_main(int argc, char **argv);
int dump_main(int argc, char **argv);
int why_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int export_main(int argc, char **argv);
int repro_main(int argc, char **argv);
int guard_main(int argc, char **argv);
int drill_main(int argc, char **argv);
int serve_main(int argc, char **argv);
int compare_main(int argc, char **argv);
int triage_main(int argc, char **argv);
int config_main(int argc, char **argv);
int spool_main(int argc, char **argv);
int db_main(int argc, char **argv);
