/* The part of a copy that concerns the tables beside Optuna's. */
#pragma once

#include "storage/care.h"

/* In the batch of dst. Fills rows and left of *out. Errors: ERR_EXISTS (another run of the same id
 * is there), and those of reading and writing. */
int copy_tables(struct store *dst, struct store *src, const struct store_copy_opts *opts,
                struct store_copied *out, struct err *err);
