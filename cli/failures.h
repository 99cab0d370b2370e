/* Why trials failed: the class and message that most of them share. */
#pragma once

#include "executor/executor.h"

struct failures {
    int64_t n;    /* failed trials that were looked at, interrupted ones aside */
    int64_t same; /* of them: with this class, and this message but for numbers in it; 0: nothing is
                     known, the rest is unset */
    /* the latest one */
    char fail[32];
    char message[256]; /* "" for none */
    const char *study; /* borrowed from the cells */
    int64_t number;
};

/* Reads the trials of these studies that failed in this run, which started then (UTC), or in all
 * runs when none did in this.
 * A store that cannot be read gives none: the summary is a help, not a result. */
void failures_read(struct failures *out, const struct spec *cells, size_t n_cells,
                   int64_t started_us);
