/* Drills: a fault is put into a real run, in a scratch study of its own, and what forkless promises
 * for it is checked from outside: events, evidence, kill, rows, exit code, each with its time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct drill_check {
    const char *what;
    bool ok;
    double seconds;  /* since the fault; negative: no time belongs to it */
    char found[240]; /* what there was instead, or of note; may be empty */
};

struct drill_opts {
    bool full;         /* deadlock: with watch.deadlock at its default */
    uint64_t slack_ms; /* what this machine may add to each promised time */
    void (*check)(void *ctx, const struct drill_check *c); /* told as they are done */
    void *ctx;
};

struct drill_result {
    bool passed;
    double seconds; /* all of it */
    char dir[256];  /* a failed drill leaves its scratch directory here; else "" */
};

struct drill_state;
struct drill {
    const char *name;
    const char *about;                                  /* one sentence */
    int (*run)(struct drill_state *d, struct err *err); /* drill_run's */
};
extern const struct drill drills[]; /* a NULL name at the end */

/* Runs one. SIGINT, SIGTERM and SIGHUP are taken over for good, and end it early. Errors:
 * ERR_NOTFOUND (forkless-drill is not installed), ERR_STOPPED, ERR_IO, ERR_NOMEM; nothing is left
 * then. */
int drill_run(const struct drill *drill, const struct drill_opts *opts, struct drill_result *out,
              struct err *err);
