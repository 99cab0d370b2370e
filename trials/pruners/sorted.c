#include "trials/pruners/sorted.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

bool sorted_reserve(struct sorted *s)
{
    return array_reserve(&s->v, &s->capacity, s->n + 1, sizeof(*s->v));
}

void sorted_insert(struct sorted *s, double v)
{
    size_t at = LOWER_BOUND(i, s->n, s->v[i] <= v);
    ARRAY_OPEN(s->v, at, s->n);
    s->v[at] = v;
    s->n++;
}

void sorted_free(struct sorted *s)
{
    free(s->v);
    *s = (struct sorted){0};
}
