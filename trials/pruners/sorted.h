/* Numbers in ascending order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct sorted {
    double *v; /* [n] owned */
    size_t n, capacity;
};

/* Makes room for one more. Returns false when out of memory. */
bool sorted_reserve(struct sorted *s);
/* O(log n) to find the place; room has been made; v is not NaN. */
void sorted_insert(struct sorted *s, double v);
void sorted_free(struct sorted *s);
