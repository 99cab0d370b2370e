/* A directory and a family of processes for a test that runs the real program. What the test
 * starts, and whatever comes of it, carries a mark in its environment: at the end nothing with that
 * mark may live. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "trials/trial.h"

/* For Criterion's .init and .fini. The directory becomes the working directory. */
void sandbox_enter(void);
void sandbox_leave(void);

/* Starts a program with stdout in `out` and stderr in `err`; a NULL-terminated list of words. */
pid_t sandbox_start(const char *const *argv);
/* Waits at most so many seconds. Returns the exit status, 1000 + signal, or -1 when time was up:
 * then all was killed and the test has failed. */
int sandbox_wait(pid_t pid, int seconds);
/* Both, for `forkless run --storage sqlite:///s.db --dir runs --study s --metric loss …`. */
#define RUN(seconds, ...)                                                                          \
    sandbox_wait(sandbox_run((const char *const[]){__VA_ARGS__, NULL}), (seconds))
pid_t sandbox_run(const char *const *more);
/* Words that stand before it: a launcher and its arguments; NULL ends. For one start. */
void sandbox_launch_with(const char *const *words);

/* The most memory that the last awaited process was seen with. */
long sandbox_peak_kib(void);

/* A file below the directory as text; "" when it is missing. Valid until the next call. */
const char *sandbox_text(const char *file);
int64_t sandbox_size(const char *file); /* -1: no such file */
bool sandbox_has(const char *file, const char *text);
/* Waits until the file has the text. */
bool sandbox_await(const char *file, const char *text, int seconds);

/* Processes with the sandbox's mark and this in their command line; zombies don't count. */
int sandbox_processes(const char *part_of_command);
/* Waits until there are none. */
bool sandbox_await_none(const char *part_of_command, int seconds);

/* A Python: $variable, else name along PATH; without one the test is skipped. */
const char *sandbox_python(const char *variable, const char *name);

struct sandbox_trial {
    int64_t number;
    enum trial_state state;
    double value; /* NaN: none */
    char fail[32];
    char message[256];
};
/* The trials of study "s" by number; returns how many, at most n. */
int sandbox_trials(struct sandbox_trial *out, int n);
int sandbox_count(enum trial_state state);

/* Restarts often enough for any sanitizer or loaded machine, as a factor on waiting. */
#ifdef __SANITIZE_ADDRESS__
#define SANDBOX_SANITIZED 1
#else
#define SANDBOX_SANITIZED 0
#endif
