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

/* Reads evidence.json in the directory, if there is one. known: the package that forked as the
 * guard saw it (NULL: it saw none), which only a more special one takes the place of. The file may
 * be damaged or another program's: what cannot be read is missing. */
void autopsy_read(struct autopsy *out, const char *dir, const struct forker *known);
/* The same from a document (executor/evidence/evidence.h). */
void autopsy_take(struct autopsy *out, const json_t *doc, const struct forker *known);
/* The package in the stack of a fork that the guard saw ("from" of forkless:forks): the one that
 * forked. Static; NULL: none that is known. */
const struct forker *autopsy_forker(const json_t *from);
void autopsy_free(struct autopsy *a);
#define AUTO_AUTOPSY AUTO(autopsy_free)
