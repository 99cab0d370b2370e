/* The order of observations on an axis, which decides their neighbours and so their bandwidths. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ranked {
    double place;
    uint32_t tie;
    uint32_t i; /* the observation */
};

/* Orders equal observations on an axis, the gaps beside which go to the first and the last of them:
 * by chance, and on every axis anew, as numpy's unstable sort does for Optuna. Were it by age, the
 * newest trials would be wide on all axes of a discrete space at once, and keep others away. */
uint32_t rank_tie(uint64_t i, size_t dim);

static inline bool rank_before(const struct ranked *a, const struct ranked *b)
{
    if (a->place != b->place)
        return a->place < b->place;
    return a->tie != b->tie ? a->tie < b->tie : a->i < b->i;
}

void rank_sort(struct ranked *r, size_t n);
