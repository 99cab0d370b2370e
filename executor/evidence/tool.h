/* Running another program for its output, for a limited time. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Starts argv[0] (a path) with an empty environment, stdin from fd (-1: nothing to read), and no
 * stderr; collects at most `limit` bytes of its stdout. When deadline_ms (clock_mono_ms) has come
 * it is killed, and what it said so far is kept. Errors: ERR_IO, ERR_NOMEM. */
int tool_run(char *const *argv, int fd, uint64_t deadline_ms, size_t limit, struct buf *out,
             struct err *err);
