#include "trials/space.h"

#include <stdlib.h>
#include <string.h>

#include "trials/dist_json.h"

void space_free(struct space *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->params[i].name);
        dist_free(&s->params[i].dist);
        cond_destroy(s->params[i].when);
    }
    free(s->params);
    *s = (struct space){0};
}

int space_find(const struct space *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->params[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* The parameters that a condition can see: those before its own. */
struct scope {
    const struct space *space;
    size_t n;
    const double *values;
    const bool *active;
};

static bool scope_lookup(void *ctx, const char *name, struct value *out)
{
    const struct scope *s = ctx;
    int i = space_find(s->space, name);
    if (i < 0 || (size_t)i >= s->n || !s->active[i])
        return false;
    *out = dist_value(&s->space->params[i].dist, s->values[i]);
    return true;
}

bool space_active(const struct space *s, size_t i, const double *values, const bool *active)
{
    struct scope scope = {.space = s, .n = i, .values = values, .active = active};
    return s->params[i].when == NULL || cond_eval(s->params[i].when, scope_lookup, &scope);
}
