/* The m smallest of many numbers, without sorting them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* An integer with the order of the number (negative zero below zero); v is not NaN. */
static inline uint64_t select_key(double v)
{
    union {
        double d;
        uint64_t bits;
    } u = {.d = v};
    return u.bits >> 63 ? ~u.bits : u.bits | (uint64_t)1 << 63;
}

struct selection {
    uint64_t below; /* every key below this one is taken … */
    size_t equal;   /* … and so many of those that equal it */
};

/* Selects the m smallest of key[n], 0 < m <= n; key is reordered. In time O(n), whatever the keys:
 * one pass for each digit that still leaves a choice. */
struct selection select_smallest(uint64_t *key, size_t n, size_t m);
