/* Tables for people: columns as wide as their widest cell, numbers to the right; on a terminal the
 * header is bold, states have colours, and the last column is cut at the end of the line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { TABLE_COLUMNS_MAX = 64 };

struct table {
    size_t n_columns;
    bool right[TABLE_COLUMNS_MAX]; /* numbers */
    char **cells;                  /* owned; row by row, the header first */
    size_t n_cells, cap;
    bool failed; /* out of memory */
};

void table_free(struct table *t);
/* Starts with the titles; one that begins with '>' is a column of numbers. At most
 * TABLE_COLUMNS_MAX; NULL ends. */
void table_init(struct table *t, const char *const *titles);
/* The next cell, from left to right, row after row. It is cleaned: text_clean. */
void table_cell(struct table *t, const char *text);
void table_cellf(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_print(const struct table *t);
