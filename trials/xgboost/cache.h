/* The matrix of a table, made once and then shared: by all workers of a sweep, and by later sweeps.
 */
#pragma once

#include "base/buf.h"
#include "trials/xgboost/table.h"

/* Opens the matrix of the table, and makes it first when there is none or the CSV file has changed
 * (size or time of change). One process makes it, others that come meanwhile wait for it.
 * dir NULL: $XDG_CACHE_HOME/forkless, else $HOME/.cache/forkless, else $TMPDIR/forkless.
 * path (NULL allowed) gets the matrix file's name; *made says whether it was made just now.
 * Errors: those of table_convert and matrix_open. */
int cache_matrix(struct matrix *out, const struct table_conf *conf, const char *dir,
                 struct buf *path, bool *made, struct err *err);
