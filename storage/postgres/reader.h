/* Reads trials, some hundred with each round trip, in memory that is reused. */
#pragma once

#include "storage/postgres/pg.h"

/* Which trials: of `study`, with after_id < id <= last_id, in a state of the mask (0 = all). */
struct read_range {
    int64_t study;
    int64_t after_id, last_id;
    unsigned states;
};

/* Calls fn for each by id, inside a transaction. Errors: ERR_CORRUPT; what fn returns if not 0. */
int reader_each(struct store_pg *q, const struct read_range *range, unsigned want,
                store_trial_fn *fn, void *ctx, struct err *err);
/* Calls fn for those of the trials that are of the study, in this order. */
int reader_these(struct store_pg *q, int64_t study, const int64_t *trials, size_t n, unsigned want,
                 store_trial_fn *fn, void *ctx, struct err *err);
/* Reads one trial; *out lives until the next read. Errors: ERR_NOTFOUND, ERR_CORRUPT. */
int reader_get(struct store_pg *q, int64_t trial, unsigned want, const struct trial **out,
               struct err *err);
void reader_destroy(struct reader *r);
