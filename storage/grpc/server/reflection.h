/* What grpcurl and its like ask: which services there are, and what their messages look like. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* Answers one ServerReflectionRequest. Errors: ERR_INVALID, ERR_NOMEM. */
int reflection_answer(const void *request, size_t n, struct buf *reply, struct err *err);
