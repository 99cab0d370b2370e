/* Trials that wait: whose they are, and who starts them. */
#pragma once

#include "storage/storage.h"

enum waiting {
    WAITING_RETRY,      /* the next try of one that failed */
    WAITING_ENQUEUED,   /* with values that a person chose (Optuna's enqueue_trial) */
    WAITING_ADDED,      /* a program put it there, with its parameters */
    WAITING_GIVEN_BACK, /* a run had taken it and stopped before it could start */
    WAITING_KINDS
};

/* Why the trial waits; it needs its parameters and system attributes. */
enum waiting waiting_kind(const struct trial *t);
/* The kind with its article-less noun, as in "2 retries"; static. */
const char *waiting_noun(enum waiting kind, bool one);
/* The process of a living forkless on this machine that runs the study; 0: there is none. Errors:
 * of the store. */
int waiting_runner(struct store *s, const char *study, int *pid, struct err *err);
