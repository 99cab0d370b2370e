/* The bearer token of a proxy and its clients. */
#pragma once

#include "base/err.h"

/* Reads the first line of the file, or of $FORKLESS_PROXY_TOKEN when path is NULL. *out is the
 * caller's to free, and to erase; NULL when there is none. Errors: ERR_IO, ERR_NOMEM, ERR_INVALID
 * (empty, too long, or with what no header can carry: only visible ASCII can). */
int token_read(char **out, const char *path, struct err *err);
