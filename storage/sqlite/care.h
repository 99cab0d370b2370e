/* What `forkless db` asks of the SQLite backend: see storage/care.h. */
#pragma once

#include "storage/sqlite/sqlite.h"

extern const struct store_care_ops sqlite_care_ops;

int sqlite_check(struct store *s, bool quick, store_problem_fn *fn, void *ctx, struct err *err);
int sqlite_vacuum(struct store *s, struct store_vacuumed *out, struct err *err);
int sqlite_study_import(struct store *s, const struct study_info *info, struct err *err);
int sqlite_trial_import(struct store *s, int64_t study, const struct trial *t, struct err *err);
int sqlite_rows_each(struct store *s, enum store_table table, const char *study, store_row_fn *fn,
                     void *ctx, struct err *err);
int sqlite_row_put(struct store *s, enum store_table table, const char *const *cells,
                   struct err *err);
int sqlite_rows_clear(struct store *s, enum store_table table, struct err *err);
void sqlite_discard(struct store *s);
