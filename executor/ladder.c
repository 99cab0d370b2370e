/* The fallback ladder of a trial: where it stands, and what its next try has. What a restart must
 * know of that is an attribute (ATTR_FALLBACK) of the trial in the store:
 *
 *   {"rung": 2, "rolled_back": false, "requested": {"focal_gamma": 4.0}, "instead": {}}
 *
 * requested: what it was first asked for, of what was changed; instead: values beside its
 * parameters. Its parameters are those that it is run with. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "executor/internal.h"
#include "trials/fallback.h"

/* ---- where a trial stands ---- */

static struct value value_of(const json_t *j)
{
    if (json_is_string(j)) /* borrowed: the run keeps the JSON */
        return (struct value){.kind = VALUE_TEXT, .s = (char *)json_string_value(j)};
    if (json_is_boolean(j))
        return (struct value){.kind = VALUE_BOOL, .b = json_is_true(j)};
    if (json_is_integer(j))
        return (struct value){.kind = VALUE_INT, .i = json_integer_value(j)};
    if (json_is_real(j))
        return (struct value){.kind = VALUE_REAL, .d = json_real_value(j)};
    return (struct value){.kind = VALUE_NULL};
}

static bool take(struct run *r, const char *json)
{
    const struct spec *spec = r->study->spec;
    r->ladder = json_read(json, strlen(json), NULL);
    json_int_t rung = json_integer_value(json_object_get(r->ladder, "rung"));
    json_t *instead = json_object_get(r->ladder, "instead");
    size_t room = fallback_room(spec) + json_object_size(instead);
    r->instead = calloc(room + 1, sizeof(*r->instead));
    if (r->instead == NULL)
        return false;
    const char *name;
    json_t *value;
    json_object_foreach(instead, name, value) r->instead[r->n_instead++] =
        (struct spec_fixed){name, value_of(value)};
    /* a spec whose ladder was cut meanwhile has no further rung */
    r->rung = rung < 0 || rung > FALLBACK_RUNGS_MAX ? FALLBACK_RUNGS_MAX : (int)rung;
    r->rolled_back = json_is_true(json_object_get(r->ladder, "rolled_back"));
    return true;
}

bool ladder_restore(struct run *r, const struct trial *t)
{
    for (size_t i = 0; t != NULL && i < t->n_system_attrs; i++) {
        if (strcmp(t->system_attrs[i].key, ATTR_FALLBACK) == 0)
            return take(r, t->system_attrs[i].json);
    }
    return true;
}

uint64_t ladder_useful(const struct run *r)
{
    const struct spec *spec = r->study->spec;
    struct fallback_values now = {r->values, r->active, r->instead, r->n_instead};
    uint64_t useful = 0;
    for (int i = r->rung + 1; i <= fallback_rungs(spec); i++) {
        if (fallback_take(spec, i, &now, true))
            useful |= 1ull << i;
    }
    return useful;
}

const json_t *ladder_requested(const struct run *r)
{
    return json_object_get(r->ladder, "requested");
}

/* ---- the next try ---- */

static json_t *json_of(const struct dist *d, double internal)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    dist_put_value_json(&b, d, internal);
    return json_read_python(buf_str(&b), b.len, NULL);
}

static json_t *json_of_value(const struct value *v)
{
    const struct dist only = {.kind = DIST_CHOICE, .choices = (struct value *)v, .n_choices = 1};
    return json_of(&only, 0);
}

/* What the trial has now for what the step changes; null: nothing. */
static json_t *now_of(const struct run *r, const struct spec_change *c)
{
    const struct spec *spec = r->study->spec;
    for (size_t i = 0; i < r->n_instead; i++) {
        if (strcmp(r->instead[i].name, c->name) == 0)
            return json_of_value(&r->instead[i].value);
    }
    if (c->what == CHANGE_PARAM && r->active[c->index])
        return json_of(&spec->space.params[c->index].dist, r->values[c->index]);
    return c->what == CHANGE_FIXED ? json_of_value(&spec->fixed[c->index].value) : json_null();
}

/* What was first asked for stays, whatever the rung. */
static json_t *requested_of(const struct run *r, const struct spec_fallback *step)
{
    json_t *out = json_copy(json_object_get(r->ladder, "requested"));
    out = out != NULL ? out : json_object();
    for (size_t i = 0; i < step->n_changes; i++) {
        const struct spec_change *c = &step->changes[i];
        if (json_object_get(out, c->name) == NULL && c->what != CHANGE_NONE)
            (void)json_object_set_new(out, c->name, now_of(r, c));
    }
    return out;
}

static json_t *attr_of(const struct run *r, int rung, const struct fallback_values *v)
{
    const struct spec_fallback *step = fallback_step(r->study->spec, rung);
    json_t *instead = json_object();
    for (size_t i = 0; i < v->n_instead; i++)
        (void)json_object_set_new(instead, v->instead[i].name, json_of_value(&v->instead[i].value));
    return json_pack("{s:i, s:b, s:o, s:o}", "rung", rung, "rolled_back",
                     r->rolled_back || step->rolled_back, "requested", requested_of(r, step),
                     "instead", instead);
}

/* The values of the space in their internal form; null for one whose condition ceased to hold. */
static json_t *values_of(const struct run *r, const double *values)
{
    const struct space *space = &r->study->spec->space;
    AUTO_FREE bool *active = calloc(space->n + 1, sizeof(*active));
    json_t *out = active != NULL ? json_object() : NULL;
    for (size_t i = 0; out != NULL && i < space->n; i++) {
        active[i] = r->active[i] && space_active(space, i, values, active);
        if (r->active[i])
            (void)json_object_set_new(out, space->params[i].name,
                                      active[i] ? json_real(values[i]) : json_null());
    }
    return out;
}

json_t *ladder_next(const struct run *r, int rung)
{
    const struct spec *spec = r->study->spec;
    AUTO_FREE double *values = calloc(spec->space.n + 1, sizeof(*values));
    AUTO_FREE struct spec_fixed *instead =
        calloc(fallback_room(spec) + r->n_instead + 1, sizeof(*instead));
    if (values == NULL || instead == NULL)
        return NULL;
    for (size_t i = 0; i < spec->space.n; i++)
        values[i] = r->values[i];
    for (size_t i = 0; i < r->n_instead; i++)
        instead[i] = r->instead[i];
    struct fallback_values v = {values, r->active, instead, r->n_instead};
    (void)fallback_take(spec, rung, &v, false);
    return json_pack("{s:o, s:o}", "attr", attr_of(r, rung, &v), "values", values_of(r, values));
}
