/* Arrays that grow, and places in sorted ones. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Gives *array, a pointer to elements of this size, room for n of them. Returns false, with nothing
 * changed, when out of memory. */
bool array_resize(void *array, size_t n, size_t size);
/* Makes room for n elements in *array, which has room for *capacity: for some more than asked for,
 * so that n additions cost O(n). Returns false, with nothing changed, when out of memory. */
bool array_reserve(void *array, size_t *capacity, size_t n, size_t size);
/* Opens a place at index `at` of n elements by moving up those behind; there is room for n + 1. */
#define ARRAY_OPEN(array, at, n)                                                                   \
    memmove((array) + (at) + 1, (array) + (at), ((n) - (at)) * sizeof(*(array)))
/* Closes the place of the element that is taken out. */
#define ARRAY_CLOSE(array, at, n)                                                                  \
    memmove((array) + (at), (array) + (at) + 1, ((n) - (at)-1) * sizeof(*(array)))

/* The first index i of 0 … n-1 for which `before`, an expression of i that holds up to some index
 * and then no more, does not hold; n when it holds for all. */
#define LOWER_BOUND(i, n, before)                                                                  \
    ({                                                                                             \
        size_t low_ = 0, high_ = (n);                                                              \
        while (low_ < high_) {                                                                     \
            size_t i = low_ + (high_ - low_) / 2;                                                  \
            if (before)                                                                            \
                low_ = i + 1;                                                                      \
            else                                                                                   \
                high_ = i;                                                                         \
        }                                                                                          \
        low_;                                                                                      \
    })
