/* What store_trials_sync has to tell of a study: at first everything, then the trials that others
 * have finished since. What was told in a transaction is told again if it is rolled back. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct news {
    bool told;      /* everything, once */
    int64_t *ended; /* finished by others since the last sync; those from `first` on are new */
    size_t n_ended, cap_ended;
    /* in the transaction that is open */
    bool told_now;
    size_t first; /* those before it were told */
};

void news_free(struct news *n);
/* Nothing was told. */
void news_clear(struct news *n);
/* Somebody else has finished a trial. Errors: ERR_NOMEM. */
int news_ended(struct news *n, int64_t trial, struct err *err);
/* All was told just now. */
void news_told(struct news *n);
void news_commit(struct news *n);
void news_roll_back(struct news *n);
