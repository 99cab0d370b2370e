/* Values as JSON text in Python's forms: shared by the distribution's reader and writer. */
#pragma once

#include "trials/space.h"

/* As json.dumps writes it: ASCII, \uXXXX with surrogate pairs. */
void put_python_string(struct buf *b, const char *text);
void put_python_value(struct buf *b, const struct value *v);
/* A scalar; its text is borrowed from j. Returns -ERR_INVALID for a list or an object. */
int value_from_json(struct value *out, const json_t *j);
/* What the internal representation stands for; its text is borrowed from d. */
struct value dist_value(const struct dist *d, double internal);
