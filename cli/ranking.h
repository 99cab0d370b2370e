/* The best trials of a study with one objective. */
#pragma once

#include "cli/reading.h"

struct ranked {
    int64_t id, number;
    double value;
};

/* Fills out[n] with the best COMPLETE trials, best first; *found is how many there are, at most n.
 */
int ranking(const struct reading *r, struct ranked *out, size_t n, size_t *found, struct err *err);
/* Prints ranked trials as a table: number, value, parameters. */
int ranking_print(const struct reading *r, const struct ranked *ranked, size_t n, struct err *err);
