/* Cuts a byte stream into lines with bounded memory: a line longer than the limit is dropped, once,
 * and counted; binary bytes pass as they are. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct lines {
    struct buf part;  /* the beginning of a line whose end has not come */
    size_t limit;     /* longest line, bytes */
    bool skipping;    /* inside a line that is too long */
    uint64_t dropped; /* lines that were too long */
};

/* A line without its newline; not NUL-terminated, may hold NUL bytes. A non-zero return stops. */
typedef int line_fn(void *ctx, const char *line, size_t n);

void lines_init(struct lines *l, size_t limit);
void lines_free(struct lines *l);
/* Takes n bytes and calls fn for each line that they end. Returns fn's first non-zero value; what
 * follows that line is then lost. */
int lines_feed(struct lines *l, const char *data, size_t n, line_fn *fn, void *ctx);
/* The stream is over: a last line without newline is a line too. */
int lines_end(struct lines *l, line_fn *fn, void *ctx);
