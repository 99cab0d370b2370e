#include "trials/pruners/sorted.h"

#include <stdlib.h>
#include <string.h>

bool sorted_reserve(struct sorted *s)
{
    if (s->n < s->capacity)
        return true;
    size_t n = s->capacity < 16 ? 16 : s->capacity + s->capacity / 2;
    double *v = reallocarray(s->v, n, sizeof(*v));
    if (v == NULL)
        return false;
    s->v = v;
    s->capacity = n;
    return true;
}

void sorted_insert(struct sorted *s, double v)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (s->v[mid] <= v)
            low = mid + 1;
        else
            high = mid;
    }
    memmove(s->v + low + 1, s->v + low, (s->n - low) * sizeof(double));
    s->v[low] = v;
    s->n++;
}

void sorted_free(struct sorted *s)
{
    free(s->v);
    *s = (struct sorted){0};
}
