/* The process that ends our workers' descendants when we are killed: see stub_guardian.c. */
#pragma once

#include <sys/types.h>

#include "base/err.h"

struct guardian {
    pid_t pid; /* 0: none */
    int alive; /* the pipe's end that only we have */
};

/* mark: how the environment entry of all that shall end starts, "NAME=…". On success the guardian
 * is the caller's to stop. Errors: ERR_IO, ERR_NOMEM. */
int guardian_start(struct guardian *g, const char *stub, const char *mark, struct err *err);
/* Sends it away: what it was for has been done. One that was not started is fine. */
void guardian_stop(struct guardian *g);
