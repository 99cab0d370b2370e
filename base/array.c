#include "base/array.h"

#include <stdlib.h>
#include <string.h>

bool array_resize(void *array, size_t n, size_t size)
{
    void *p;
    size_t bytes; /* checked here: a sanitizer's reallocarray does not return */
    if (__builtin_mul_overflow(n, size, &bytes))
        return false;
    memcpy(&p, array, sizeof(p));
    p = realloc(p, bytes);
    if (p != NULL)
        memcpy(array, &p, sizeof(p));
    return p != NULL;
}

bool array_reserve(void *array, size_t *capacity, size_t n, size_t size)
{
    if (n <= *capacity)
        return true;
    size_t grown = *capacity + *capacity / 2;
    if (grown < n)
        grown = n;
    if (grown < 16)
        grown = 16;
    if (!array_resize(array, grown, size))
        return false;
    *capacity = grown;
    return true;
}
