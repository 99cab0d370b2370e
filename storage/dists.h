/* Distributions by parameter name, so that the same JSON text is parsed once, not once a trial. */
#pragma once

#include <stddef.h>

#include "trials/space.h"

struct dist_entry {
    char *name;
    char *text; /* Optuna's JSON of dist; NULL = none yet */
    size_t text_len;
    struct dist dist;  /* as seen last */
    struct dist first; /* the study's first one of this name, if has_first */
    bool has_first;
};

struct dists {
    struct dist_entry **entries; /* owned; an entry keeps its address */
    size_t n;
    size_t next; /* where to look first: trials name their parameters in the same order */
};

void dists_free(struct dists *d);
/* The entry of that name, made when there is none. NULL when out of memory. */
struct dist_entry *dists_entry(struct dists *d, const char *name);
/* Makes text the entry's text and dist what it says; nothing to do when it says so already. */
int dist_entry_read(struct dist_entry *e, const char *text, size_t n, struct err *err);
/* Makes dist the entry's and text what Optuna writes for it. */
int dist_entry_write(struct dist_entry *e, const struct dist *dist, struct err *err);
/* Whether the study's parameter may have this distribution, too. Errors: ERR_CONFLICT. */
int dist_entry_check(const struct dist_entry *e, const struct dist *d, struct err *err);
