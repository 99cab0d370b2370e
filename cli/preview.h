/* The trials that a sweep would begin with, if nothing were learned between them. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "trials/spec.h"

/* Appends the first n: parameters, and the command where there is one. As lines, or (json) as
 * objects with a comma between them. A study without a seed is shown with seed 0. Errors:
 * ERR_NOMEM, ERR_INVALID (a command that cannot be made). */
int preview_put(struct buf *b, const struct spec *s, int64_t n, bool json, struct err *err);
