/* forkless: the program's entry and the list of its subcommands. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/named.h"

static const struct command commands[] = {
    {"run", "run a sweep, or continue it, to its target", run_main},
    {"check", "read a spec, say what it means, show trials it would make", check_main},
    {"status", "the studies of a store, and what is running", status_main},
    {"trials", "the trials of a study", trials_main},
    {"best", "the best trials of a study", best_main},
    {"logs", "what a trial's worker printed", logs_main},
    {"why", "why a trial failed or hung, what to change, what happens next", why_main},
    {"doctor", "is a process, or this place, at risk of a fork deadlock?", doctor_main},
    {"dump", "where a process and its descendants stand, from outside", dump_main},
    {"compare", "the factors of a sweep against its baseline", compare_main},
    {"triage", "which trainings fail, why, and what to do about it", triage_main},
    {"config", "the settings that new runs start from, and who changed them", config_main},
    {"export", "all trials of a study as CSV or JSON", export_main},
    {"repro", "reproduce a fork deadlock, and the way out of it", repro_main},
    {"guard", "any command, with its dangerous forks told or refused", guard_main},
    {"drill", "a fault in a real run, and whether it is met as promised", drill_main},
    {"db", "check, shrink, upgrade or copy a store", db_main},
    {"spool", "what runs kept on disk while their store was away", spool_main},
    {"serve", "a store for Optuna's GrpcStorageProxy clients", serve_main},
    {NULL, NULL, NULL},
};

static void help(void)
{
    (void)printf("forkless runs hyperparameter sweeps that cannot hang silently.\n\n"
                 "  forkless COMMAND [OPTION …]      forkless COMMAND --help, or help COMMAND, "
                 "teaches by example\n\n");
    for (const struct command *c = commands; c->name != NULL; c++)
        (void)printf("  %-10s %s\n", c->name, c->summary);
}

/* A descriptor opened later must not become a standard stream: what is printed would end in it. One
 * that cannot be written takes the place of a closed stdout, so that printing fails as it should.
 */
static void hold_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)open("/dev/null",
                       fd == STDERR_FILENO ? O_WRONLY : O_RDONLY); /* takes number fd */
    }
}

static bool reader_gone(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

/* What was printed must have arrived, or a program that succeeded has not. A reader that went away
 * wanted no more. */
static int finish(int code)
{
    int sys = fflush(stdout) != 0 ? errno : 0;
    if ((sys == 0 && !ferror(stdout)) || sys == EPIPE || reader_gone())
        return code;
    cli_error("standard output could not be written%s%s", sys != 0 ? ": " : "",
              sys != 0 ? strerror(sys) : "");
    return code == EXIT_OK ? EXIT_UNMET : code;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* argv[0] names the command. */
static int call(int argc, char **argv)
{
    const struct command *c =
        named_find(commands, sizeof(*commands), argv[0], "unknown command", "see forkless --help");
    return c != NULL ? c->main(argc, argv) : EXIT_USAGE;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        help();
        return EXIT_USAGE;
    }
    if (is_help(argv[1]) && (argc == 2 || is_help(argv[2]))) {
        help();
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)puts("forkless " FORKLESS_VERSION);
        return EXIT_OK;
    }
    if (is_help(argv[1])) /* `help run` is `run --help` */
        return call(2, (char *[]){argv[2], (char *)"--help", NULL});
    return call(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    hold_streams();
    return finish(dispatch(argc, argv));
}
