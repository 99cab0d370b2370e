/* The process that ends our workers' descendants when we are killed: see stub_guardian.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Workers whose sessions it can be told of. */
#define GUARDIAN_SESSIONS 4096

/* Zeroed to begin with. */
struct guardian {
    pid_t pid;         /* 0: none */
    int alive;         /* the pipe's end that only we have */
    int table_fd;      /* memory that we and the guardian share */
    int32_t *sessions; /* [GUARDIAN_SESSIONS] in it; NULL before the first start */
    unsigned deaths;
};

/* mark: how the environment entry of all that shall end starts, "NAME=…". On success the guardian
 * is the caller's to stop. May be called again after a death. Errors: ERR_IO, ERR_NOMEM. */
int guardian_start(struct guardian *g, const char *stub, const char *mark, struct err *err);
/* All of this session shall end too, whatever its environment says; 0: nothing more at this place.
 * A number that may be given to others must not stay. */
void guardian_tell(struct guardian *g, int place, pid_t session);
/* Whether it has died, by somebody else's hand; says so once, and it may be started again. */
bool guardian_died(struct guardian *g);
/* Sends it away: what it was for has been done. One that was not started is fine. */
void guardian_stop(struct guardian *g);
