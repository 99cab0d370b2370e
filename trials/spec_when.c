/* When a parameter is active: its condition, bound to what is settled in this cell. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "trials/spec_read.h"

struct cond_check {
    struct spec_reader *r;
    const struct yaml_node *at, *space;
    const char *path;
    size_t index; /* of the parameter in the space mapping */
};

static const char *matrix_name(const char *name)
{
    return strncmp(name, "matrix.", 7) == 0 ? name + 7 : name;
}

const struct yaml_node *spec_matrix_value(const struct spec_reader *r, const char *name)
{
    for (size_t i = 0; i < r->doc->n_matrix; i++) {
        if (strcmp(r->doc->matrix[i].name, matrix_name(name)) == 0)
            return r->cell[i];
    }
    return NULL;
}

static void check_name(void *ctx, const char *name)
{
    struct cond_check *c = ctx;
    if (spec_matrix_value(c->r, name) != NULL)
        return;
    const char *known[128];
    size_t n = 0;
    for (size_t i = 0; i < c->space->n; i++) {
        const char *key = c->space->pairs[i].key;
        if (i < c->index && n < 96)
            known[n++] = key;
        if (strcmp(key, name) != 0)
            continue;
        if (i >= c->index)
            problem_at(c->r->problems, c->at, c->path,
                       "'%.60s' must stand above the parameter that depends on it", name);
        return;
    }
    for (size_t i = 0; i < c->r->doc->n_matrix && n < 128; i++)
        known[n++] = c->r->doc->matrix[i].name;
    const char *near = text_nearest(name, known, n);
    if (near != NULL)
        problem_at(c->r->problems, c->at, c->path, "unknown name '%.60s', did you mean '%s'?", name,
                   near);
    else
        problem_at(c->r->problems, c->at, c->path,
                   "unknown name '%.60s': expected a parameter above or a key of matrix (a text "
                   "needs quotes)",
                   name);
}

/* A literal that its name can never equal is no mistake when an override has narrowed the choices.
 */
static void doubt_comparison(void *ctx, const struct cond_comparison *what)
{
    struct cond_check *c = ctx;
    char text[200];
    const char *literal = what->literal->kind == VALUE_TEXT ? what->literal->s : NULL;
    if (what->ordered)
        return;
    bool possible = true;
    for (size_t i = 0; i < c->r->doc->n_matrix; i++) {
        const struct matrix_key *m = &c->r->doc->matrix[i];
        if (strcmp(m->name, matrix_name(what->name)) != 0)
            continue;
        possible = false;
        for (size_t k = 0; k < m->n && !possible; k++) {
            struct value v = spec_value(m->values[k]);
            possible = value_equal(&v, what->literal);
        }
    }
    int i = space_find(&c->r->spec->space, what->name);
    if (i >= 0 && c->r->spec->space.params[i].dist.kind == DIST_CHOICE) {
        const struct dist *d = &c->r->spec->space.params[i].dist;
        possible = false;
        for (size_t k = 0; k < d->n_choices && !possible; k++)
            possible = value_equal(&d->choices[k], what->literal);
    }
    if (possible)
        return;
    (void)snprintf(text, sizeof(text), "'%.60s' never has the value %s%.60s%s", what->name,
                   literal != NULL ? "'" : "of this comparison", literal != NULL ? literal : "",
                   literal != NULL ? "'" : "");
    spec_note(c->r, c->at, c->path, text);
}

/* Matrix keys and fixed values do not change within a cell. */
static bool cell_lookup(void *ctx, const char *name, struct value *out)
{
    struct spec_reader *r = ctx;
    const struct yaml_node *m = spec_matrix_value(r, name);
    if (m != NULL) {
        *out = spec_value(m);
        return true;
    }
    for (size_t i = 0; i < r->spec->n_fixed; i++) {
        if (strcmp(r->spec->fixed[i].name, name) == 0) {
            *out = r->spec->fixed[i].value;
            return true;
        }
    }
    return false;
}

static bool never_active(void *ctx, const char *name)
{
    const struct spec_reader *r = ctx;
    for (size_t i = 0; i < r->n_never; i++) {
        if (strcmp(r->never[i], name) == 0)
            return true;
    }
    return false;
}

bool spec_read_when(struct spec_reader *r, const struct yaml_node *space, size_t index,
                    const char *path, const struct yaml_node *n, struct cond **out, bool *never)
{
    struct err err = {0};
    char found[YAML_FOUND_MAX];
    if (n->kind == YAML_BOOL) {
        *never = !n->b;
        return true;
    }
    if (n->kind != YAML_TEXT) {
        problem_at(r->problems, n, path, "expected a condition like booster == \"dart\", found %s",
                   yaml_found(n, found));
        return false;
    }
    struct cond *c;
    int rc = cond_parse(&c, n->text, &err);
    r->no_memory |= rc == -ERR_NOMEM;
    if (rc < 0) {
        problem_at(r->problems, n, path, "%s in '%.80s'", err.msg, n->text);
        return false;
    }
    struct cond_check check = {.r = r, .at = n, .space = space, .path = path, .index = index};
    unsigned before = r->problems->n;
    cond_names(c, check_name, &check);
    cond_comparisons(c, doubt_comparison, &check);
    enum cond_truth truth = COND_FALSE;
    rc = r->problems->n > before ? -ERR_INVALID
                                 : cond_bind(c, cell_lookup, never_active, r, &truth, &err);
    if (rc < 0) {
        r->no_memory |= rc == -ERR_NOMEM;
        cond_destroy(c);
        return false;
    }
    *never = truth == COND_FALSE;
    *out = truth == COND_OPEN ? c : NULL;
    if (truth != COND_OPEN)
        cond_destroy(c);
    return true;
}
