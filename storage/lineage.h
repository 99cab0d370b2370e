/* The trial that tries a failed one again, as Optuna's retry callback makes it. */
#pragma once

#include "base/buf.h"
#include "storage/storage.h"

struct lineage {
    struct trial clone; /* WAITING; borrows from the trial that failed, and from here */
    struct trial_attr *user, *system;
    struct buf history; /* retry_history with one more number */
    char first[24];     /* failed_trial: the number of the first one */
    char due[40];
};

#define LINEAGE_INIT ((struct lineage){.history = BUF_INIT})

/* Fills l->clone: t's params and attributes but `forkless:*`, with failed_trial and retry_history.
 * t needs its params and attributes. Returns 1, or 0 when max_retries is spent. Errors:
 * ERR_CORRUPT, ERR_NOMEM. */
int lineage_clone(struct lineage *l, const struct trial *t, const struct store_retry *retry,
                  struct err *err);
void lineage_free(struct lineage *l);
/* The JSON of a system attribute, or NULL. */
const char *lineage_attr(const struct trial *t, const char *key);
