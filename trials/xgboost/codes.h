/* The distinct texts of a categorical column, numbered in the order of their bytes once all are
 * seen. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A float holds integers up to this exactly, and codes are stored as floats. */
#define CODES_MAX ((uint32_t)1 << 24)

struct codes {
    char **text; /* [n] owned, in the order of their first sight */
    size_t *len;
    uint32_t n, cap;
    uint32_t *slots; /* [n_slots] open addressing: index + 1, 0 = free */
    uint32_t n_slots;
};

void codes_free(struct codes *c);

/* The number of the text by first sight, 0 … n-1. Errors: ERR_NOMEM, ERR_INVALID (too many). */
int codes_add(struct codes *c, const char *text, size_t len, uint32_t *out, struct err *err);

/* rank[first sight] = place among the sorted texts; order[place] = first sight; both [n]. */
void codes_sort(const struct codes *c, uint32_t *rank, uint32_t *order);
