/* CSV as RFC 4180 has it, from memory: comma-separated, double quotes around cells that hold
 * commas, quotes (doubled) or line ends, LF or CRLF, an optional UTF-8 byte order mark. Cells point
 * into the text, nothing is copied. Completely empty lines are skipped. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct csv {
    const char *name; /* of the file, for errors; borrowed */
    const char *at, *end;
    size_t line; /* of `at`, from 1 */
};

struct csv_cell {
    const char *text; /* without the outer quotes, inner quotes still doubled */
    size_t len;
    bool quoted;
    bool doubled; /* text has doubled quotes: see csv_cell_text */
};

/* Starts reading text[n], which must outlive the reader. Errors: ERR_INVALID when it is UTF-16. */
int csv_init(struct csv *c, const char *name, const char *text, size_t n, struct err *err);

/* Reads the next row into cells[max]. *n is its number of cells, which may be larger than max (the
 * others are passed over), or 0 at the end. *line is where the row begins.
 * Errors: ERR_INVALID "file:line:column: …", column being the number of the cell. */
int csv_next(struct csv *c, struct csv_cell *cells, size_t max, size_t *n, size_t *line,
             struct err *err);

/* The cell's text with quotes undoubled; uses scratch only when needed. *len is its length. */
const char *csv_cell_text(const struct csv_cell *cell, struct buf *scratch, size_t *len);

/* The cell as a decimal number, spaces around it allowed: [+-]digits[.digits][e[+-]digits].
 * Correctly rounded. False when it is anything else. */
bool csv_number(const char *text, size_t len, double *out);
