#include "trials/fallback.h"

#include <assert.h>
#include <math.h>
#include <string.h>

int fallback_rungs(const struct spec *s)
{
    int n = 0;
    for (size_t i = 0; i < s->n_fallback; i++)
        n += (int)s->fallback[i].times;
    return n;
}

const struct spec_fallback *fallback_step(const struct spec *s, int rung)
{
    size_t i = 0;
    for (int left = rung; left > (int)s->fallback[i].times; i++)
        left -= (int)s->fallback[i].times;
    assert(i < s->n_fallback);
    return &s->fallback[i];
}

size_t fallback_room(const struct spec *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_fallback; i++)
        n += s->fallback[i].n_changes;
    return n;
}

/* On the grid and within the bounds. */
static double in_range(const struct dist *d, double v)
{
    if (d->step > 0)
        v = d->low + d->step * round((v - d->low) / d->step);
    return v < d->low ? d->low : v > d->high ? d->high : v;
}

static bool change_param(const struct spec *s, const struct spec_change *c,
                         struct fallback_values *v, bool only_ask)
{
    const struct dist *d = &s->space.params[c->index].dist;
    double now = v->values[c->index];
    if (!v->active[c->index])
        return false;
    double next = c->relative ? in_range(d, now + c->by) : c->by;
    if (next == now)
        return false;
    if (!only_ask)
        v->values[c->index] = next;
    return true;
}

static struct spec_fixed *find(struct fallback_values *v, const char *name)
{
    for (size_t i = 0; i < v->n_instead; i++) {
        if (strcmp(v->instead[i].name, name) == 0)
            return &v->instead[i];
    }
    return NULL;
}

/* A number that is lowered does not become negative. */
static struct value add(const struct value *now, double by)
{
    double v = now->kind == VALUE_INT ? (double)now->i : now->d;
    double next = v >= 0 && v + by < 0 ? 0 : v + by;
    if (now->kind == VALUE_INT && floor(by) == by)
        return (struct value){.kind = VALUE_INT, .i = (int64_t)next};
    return (struct value){.kind = VALUE_REAL, .d = next};
}

static bool change_other(const struct spec *s, const struct spec_change *c,
                         struct fallback_values *v, bool only_ask)
{
    struct spec_fixed *mine = find(v, c->name);
    const struct value *now = mine != NULL              ? &mine->value
                              : c->what == CHANGE_FIXED ? &s->fixed[c->index].value
                                                        : NULL;
    if (c->relative && now == NULL) /* a spec asks for it only where there is a number */
        return false;
    struct value next = c->relative ? add(now, c->by) : c->value;
    if (now != NULL && value_equal(now, &next))
        return false;
    if (only_ask)
        return true;
    if (mine == NULL) {
        mine = &v->instead[v->n_instead++];
        mine->name = c->name;
    }
    mine->value = next;
    return true;
}

bool fallback_take(const struct spec *s, int rung, struct fallback_values *v, bool only_ask)
{
    const struct spec_fallback *f = fallback_step(s, rung);
    bool changed = false;
    for (size_t i = 0; i < f->n_changes; i++) {
        const struct spec_change *c = &f->changes[i];
        bool now = c->what == CHANGE_PARAM  ? change_param(s, c, v, only_ask)
                   : c->what == CHANGE_NONE ? false
                                            : change_other(s, c, v, only_ask);
        changed = changed || now;
    }
    return changed;
}
