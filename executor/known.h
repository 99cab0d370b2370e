/* The distributions that a study has: one kind for each name, as Optuna demands. */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "trials/space.h"

struct known_dist {
    char *name;
    struct dist dist;
};

struct known {
    struct known_dist *v;
    size_t n, cap, next; /* next: where the search begins; trials name them in the same order */
};

void known_free(struct known *k);
/* The first distribution seen under a name stands. Errors: ERR_CONFLICT when this one may not stand
 * beside it, ERR_NOMEM. */
int known_note(struct known *k, const char *name, const struct dist *dist, struct err *err);
