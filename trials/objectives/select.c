#include "trials/objectives/select.h"

#define DIGIT_BITS 11u
#define DIGITS (1u << DIGIT_BITS)

static unsigned digit(uint64_t key, unsigned shift)
{
    return (unsigned)(key >> shift) & (DIGITS - 1);
}

/* Most significant digit first: only the keys that share the digits of the m-th go on. */
struct selection select_smallest(uint64_t *key, size_t n, size_t m)
{
    uint64_t prefix = 0;
    for (unsigned shift = 55;; shift = shift > DIGIT_BITS ? shift - DIGIT_BITS : 0) {
        size_t count[DIGITS] = {0}, kept = 0;
        for (size_t i = 0; i < n; i++)
            count[digit(key[i], shift)]++;
        unsigned d = 0;
        for (; m > count[d]; d++)
            m -= count[d];
        for (size_t i = 0; i < n; i++) {
            if (digit(key[i], shift) == d)
                key[kept++] = key[i];
        }
        prefix = key[0];
        n = kept;
        if (shift == 0 || n == 1)
            return (struct selection){.below = prefix, .equal = m};
    }
}
