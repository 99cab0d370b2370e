/* Writes that several operations share; all inside a write transaction. */
#pragma once

#include "storage/sqlite/index.h"
#include "storage/sqlite/sqlite.h"

/* The trial's study, if it may change. Errors: ERR_NOTFOUND, ERR_FINISHED. */
int trial_look_unfinished(struct store_sqlite *q, int64_t trial, int64_t *study, struct err *err);
/* Inserts a trial as tmpl says, or a RUNNING one. Errors: ERR_CONFLICT, ERR_INVALID, before any
 * write. */
int trial_insert(struct store_sqlite *q, struct trial_index *ix, const struct trial *tmpl,
                 int64_t *id, int64_t *number, struct err *err);
/* Inserts a trial as it stands, with its number. *id: the one that it is to have, 0 = any; out: the
 * one that it got. */
int trial_write(struct store_sqlite *q, struct trial_index *ix, const struct trial *t, int64_t *id,
                struct err *err);
/* Ends a trial; *ix is its study's. Errors: ERR_NOTFOUND, ERR_FINISHED, ERR_INVALID, before any
 * write. */
int trial_end(struct store_sqlite *q, int64_t trial, enum trial_state state, const double *values,
              size_t n_values, struct trial_index **ix, struct err *err);
int trial_put_attrs(struct store_sqlite *q, int64_t trial, enum attr_kind kind,
                    const struct trial_attr *attrs, size_t n, struct err *err);
