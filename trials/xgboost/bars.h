/* From a CSV file of prices (open, high, low, close, perhaps volume) to a matrix file. */
#pragma once

#include "base/json.h"
#include "trials/objectives/prices.h"
#include "trials/xgboost/table.h"

struct bars_conf {
    struct prices_conf prices;
    bool newest_first; /* the file's rows go back in time */
    double cost;       /* of a trade, a fraction of its price */
};

/* The `prices` mapping of a worker's settings. Errors: ERR_INVALID "prices.key: expected …". */
int bars_read_conf(struct bars_conf *out, const json_t *v, struct err *err);

/* As table_convert_text: the rows are the bars that have all features and a label; the label is
 * called buy. Columns are found by name, whatever their case: open, high, low, close, volume; an
 * "adj close" is not read. Errors: ERR_INVALID "file: …" for a missing column, "file:line:column:
 * …" for a cell, "file:line: …" for prices that cannot be and rows out of order where the file has
 * a date; for too few bars. */
int bars_convert_text(const struct bars_conf *conf, const char *path, const char *text, size_t n,
                      const struct matrix_origin *origin, int fd, struct err *err);
/* Looks at the header alone, as table_check does. */
int bars_check_header(const char *path, const char *text, size_t n, struct err *err);
