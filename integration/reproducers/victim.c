#include "integration/reproducers/victim.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* As `forkless repro` calls it: the rest stays as it was said, for a child of ours. */
struct words {
    const char *given;
    struct victim_run run;
};

/* A line for the one who watches: the worker contract's channel, or stderr when run by hand. */
static void tell(const char *event)
{
    const char *fd = getenv("FORKLESS_FD");
    (void)dprintf(fd != NULL ? atoi(fd) : STDERR_FILENO, "{\"op\":\"event\",\"event\":\"%s\"}\n",
                  event);
}

/* ---- children ---- */

static const char *name_of(const struct victim *v)
{
    const struct victim_entry *e = victims;
    while (e->victim != v)
        e++;
    return e->name;
}

int victim_spawn(const struct victim_run *run, const char *given, int out_fd, pid_t *pid)
{
    char *argv[] = {(char *)"victim",
                    (char *)"repro",
                    (char *)(uintptr_t)name_of(run->victim),
                    (char *)"child",
                    (char *)(uintptr_t)run->c->name,
                    (char *)"--given",
                    (char *)(uintptr_t)given,
                    (char *)(run->backstop ? "--backstop" : NULL),
                    NULL};
    posix_spawn_file_actions_t fa;
    int rc = posix_spawn_file_actions_init(&fa);
    if (rc != 0)
        return rc;
    rc = posix_spawn_file_actions_adddup2(&fa, out_fd, STDOUT_FILENO);
    rc = rc != 0 ? rc : posix_spawn(pid, "/proc/self/exe", &fa, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&fa);
    return rc;
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return 1;
    }
    if (WIFSIGNALED(status))
        (void)fprintf(stderr, "the child died of signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int victim_child(const struct victim_run *run, const char *given)
{
    pid_t pid;
    tell("child_start");
    if (run->fork) {
        pid = fork();
        if (pid == 0)
            _exit(run->victim->child(run, given));
        if (pid < 0) {
            perror("fork");
            return 1;
        }
    } else {
        int sys = victim_spawn(run, given, STDOUT_FILENO, &pid);
        if (sys != 0) {
            (void)fprintf(stderr, "posix_spawn: %s\n", strerror(sys));
            return 1;
        }
    }
    return wait_for(pid);
}

/* ---- describe ---- */

static enum victim_end expected(const struct victim_run *run, const struct victim_case *c)
{
    enum victim_end by_fork = run->backstop ? c->backstop : c->fork;
    return run->fork || by_fork == VICTIM_LEFT_OUT ? by_fork : VICTIM_PASSES;
}

/* Our own texts: nothing in them that JSON would want escaped. */
static int describe(const struct victim_run *run)
{
    const char *comma = "";
    (void)printf("{\"summary\":\"%s\",\"cases\":[", run->victim->summary);
    for (unsigned i = 0; i < run->victim->n_cases; i++) {
        const struct victim_case *c = &run->victim->cases[i];
        enum victim_end end = expected(run, c);
        if (end == VICTIM_LEFT_OUT)
            continue;
        (void)printf("%s{\"name\":\"%s\",\"expect\":\"%s\",\"about\":\"%s\"}", comma, c->name,
                     end == VICTIM_HANGS ? "hang" : "pass", c->about);
        comma = ",";
    }
    (void)puts("]}");
    return fflush(stdout) == 0 ? 0 : 1;
}

/* ---- the command line ---- */

static const struct victim *find_victim(const char *name)
{
    for (const struct victim_entry *e = victims; e->name != NULL; e++) {
        if (strcmp(e->name, name) == 0)
            return e->victim;
    }
    return NULL;
}

static const struct victim_case *find_case(const struct victim *v, const char *name)
{
    for (unsigned i = 0; i < v->n_cases; i++) {
        if (strcmp(v->cases[i].name, name) == 0)
            return &v->cases[i];
    }
    return NULL;
}

static int usage(void)
{
    (void)fputs("repro NAME describe|run [CASE] --start-method fork|spawn [--backstop]: "
                "called by `forkless repro`\n",
                stderr);
    return 2;
}

static int read_options(int argc, char **argv, struct words *w)
{
    static const struct option options[] = {
        {"start-method", required_argument, NULL, 's'}, {"backstop", no_argument, NULL, 'b'},
        {"given", required_argument, NULL, 'g'},        {"jobs", required_argument, NULL, 'j'},
        {"samples", required_argument, NULL, 'n'},      {0}};
    for (int c; (c = getopt_long(argc, argv, "j:n:", options, NULL)) >= 0;) {
        if (c == '?')
            return usage();
        if (c == 's')
            w->run.fork = strcmp(optarg, "fork") == 0;
        if (c == 'b')
            w->run.backstop = true;
        if (c == 'g')
            w->given = optarg;
    }
    return 0;
}

int victim_main(int argc, char **argv)
{
    struct words w = {.given = ""};
    if (read_options(argc, argv, &w) != 0 || argc - optind < 2)
        return usage();
    const char *what = argv[optind + 1];
    const char *c = optind + 2 < argc ? argv[optind + 2] : "";
    w.run.victim = find_victim(argv[optind]);
    if (w.run.victim == NULL)
        return usage();
    if (strcmp(what, "describe") == 0)
        return describe(&w.run);
    w.run.c = find_case(w.run.victim, c);
    if (w.run.c == NULL)
        return usage();
    if (strcmp(what, "child") == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        return w.run.victim->child(&w.run, w.given);
    }
    return strcmp(what, "run") == 0 ? w.run.victim->parent(&w.run) : usage();
}
