/* From a CSV file to a matrix file, in one pass and constant memory (labels and categories apart).
 */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "trials/xgboost/matrix.h"

struct bars_conf;

struct names {
    const char **v;
    size_t n;
};

/* Which columns mean what; everything is borrowed. */
struct table_conf {
    const char *path;
    const char *label;
    struct names features; /* none: all columns but the label and `drop` */
    struct names drop;
    struct names categorical;     /* texts become codes, sorted by bytes; may hold the label */
    struct names missing;         /* cells that mean "no value", beside the empty one */
    const struct bars_conf *bars; /* the file holds prices, and none of the above counts; or NULL */
};

/* Reads the file and writes a matrix into fd, which is empty and open for reading and writing.
 * Errors: ERR_INVALID "file:line:column: …" for what the data says, ERR_IO, ERR_NOMEM. */
int table_convert(const struct table_conf *conf, const struct matrix_origin *origin, int fd,
                  struct err *err);
/* Looks at the header line alone: whether the file is there and has the columns that are named.
 * path: where the file is, seen from here. Errors: as table_convert's. */
int table_check(const struct table_conf *conf, const char *path, struct err *err);
/* As table_convert from text[n] in memory. */
int table_convert_text(const struct table_conf *conf, const char *text, size_t n,
                       const struct matrix_origin *origin, int fd, struct err *err);
