/* What the evidence of a hang says, in short. */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "cli/causes.h"

struct autopsy {
    json_t *found;               /* owned; for people and programs; NULL: there is no evidence */
    struct buf stands;           /* where the process stands that the verdict names, as signs */
    struct buf log;              /* the end of its logs */
    const struct forker *forker; /* static; NULL: none that is known */
};

/* Reads evidence.json in the directory, if there is one; out is zeroed but for what
 * autopsy_take_fork has put there. The file may be damaged or another
 * program's: what cannot be read is missing. */
void autopsy_read(struct autopsy *out, const char *dir);
/* The same from a document (executor/evidence/evidence.h). */
void autopsy_take(struct autopsy *out, const json_t *doc);
/* What the guard knows of where a fork came from ("from" of forkless:forks; NULL: nothing), to be
 * told before the others: a package in its stack is the one that forked. */
void autopsy_take_fork(struct autopsy *out, const json_t *from);
void autopsy_free(struct autopsy *a);
#define AUTO_AUTOPSY AUTO(autopsy_free)
