#include "trials/samplers/rank.h"

#include <stdlib.h>

uint32_t rank_tie(uint64_t i, size_t dim)
{
    uint32_t x = ((uint32_t)i + 1) * (2654435761u + 2 * (uint32_t)dim * 0x85ebca6bu);
    x = (x ^ x >> 15) * 0x2c1b3c6du;
    return x ^ x >> 12;
}

static int by_rank(const void *a, const void *b)
{
    return rank_before(a, b) ? -1 : rank_before(b, a);
}

void rank_sort(struct ranked *r, size_t n)
{
    qsort(r, n, sizeof(*r), by_rank);
}
