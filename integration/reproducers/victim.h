/* A reproducer's victim in C: a process that brings itself into a state, then starts a child by
 * fork or by posix_spawn, which hangs or does not. One file holds one victim: docs/reproducers.md.
 *
 * A victim is started and watched by `forkless repro`. It forks on purpose. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum victim_end { VICTIM_LEFT_OUT, VICTIM_PASSES, VICTIM_HANGS };

struct victim_case {
    const char *name;  /* "newconn-idle" */
    const char *about; /* one sentence: the parent's state, and what the child does */
    /* What a child made by fork does, without and with the environment's backstop
     * (GRPC_ENABLE_FORK_SUPPORT=1 GRPC_POLL_STRATEGY=poll); left out: nothing to learn there. One
     * made by posix_spawn always passes. */
    enum victim_end fork, backstop;
    int kind; /* the victim's own */
};

struct victim_run {
    const struct victim *victim;
    const struct victim_case *c;
    bool fork, backstop;
};

struct victim {
    const char *summary; /* one sentence */
    const struct victim_case *cases;
    unsigned n_cases;
    /* In the first process: brings it into the case's state and returns victim_child(). */
    int (*parent)(const struct victim_run *run);
    /* In the child, right after the fork or in a fresh process. given: as handed to victim_child.
     * Returns 0 if all that it wanted worked. */
    int (*child)(const struct victim_run *run, const char *given);
};

/* The victims of this program, a NULL name at the end: made by CMake from the files. */
struct victim_entry {
    const char *name;
    const struct victim *victim;
};
extern const struct victim_entry victims[];

/* Starts the child in the way of this run's arm and waits for it; 0 if it exited with 0. given: a
 * short text for it, such as an address. */
int victim_child(const struct victim_run *run, const char *given);

/* Starts victim->child in a fresh process, with its stdout on out_fd. Returns 0 or an errno. */
int victim_spawn(const struct victim_run *run, const char *given, int out_fd, pid_t *pid);

/* `PROGRAM repro NAME describe|run …`; argv[0] is "repro". Returns the process's exit code. */
int victim_main(int argc, char **argv);
