/* JSON text: appending to a buffer (the hot path), and reading through jansson. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

/* Appends a JSON string; bytes that are not UTF-8 become U+FFFD, so the line is always valid. */
void json_put_string(struct buf *b, const char *text);
void json_put_string_n(struct buf *b, const char *text, size_t n);
/* The same, or null where there is no text. */
void json_put_text(struct buf *b, const char *text);
/* Appends a number in the shortest form that reads back equal; NaN and infinities become null. */
void json_put_double(struct buf *b, double v);

/* Parses one JSON value of n bytes. On success the caller owns it (json_decref). Duplicate keys are
 * refused. A text may hold NUL, as \u0000: as a C string it ends there, written again it does not.
 * Errors: ERR_INVALID with the position. */
json_t *json_read(const char *text, size_t n, struct err *err);
/* The same of what Python's json.dumps writes: NaN, Infinity and -Infinity become those texts,
 * integers of more than 18 digits reals. */
json_t *json_read_python(const char *text, size_t n, struct err *err);
/* json_read from a file. Errors: ERR_IO, ERR_INVALID with the file's name and the position. */
json_t *json_read_file(const char *path, struct err *err);

/* Whether Python's json.loads takes these n bytes: JSON in UTF-8, and the literals NaN, Infinity
 * and -Infinity, nested at most 512 deep. */
bool json_check(const char *text, size_t n);

static inline void json_decref_p(json_t **j)
{
    json_decref(*j);
}
#define AUTO_JSON AUTO(json_decref_p)
