/* What becomes of failures: classify, the patterns that tell why; fallback, other values to try. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "trials/fallback.h"
#include "trials/spec_read.h"

#define BIT(c) (1u << (c))
/* Classes that a worker's output can tell. */
#define TOLD                                                                                       \
    (BIT(FAIL_OOM) | BIT(FAIL_NAN) | BIT(FAIL_HESSIAN) | BIT(FAIL_OVERFLOW) |                      \
     BIT(FAIL_CALIBRATION) | BIT(FAIL_MISSING_DEPENDENCY) | BIT(FAIL_BAD_DATA))
/* Classes that other values may help against. Soft labels stay soft; what is lost or preempted
 * says nothing about values. */
#define HELPED                                                                                     \
    (BIT(FAIL_OOM) | BIT(FAIL_NAN) | BIT(FAIL_HESSIAN) | BIT(FAIL_OVERFLOW) | BIT(FAIL_EXIT) |     \
     BIT(FAIL_SIGNAL) | BIT(FAIL_TIMEOUT) | BIT(FAIL_STALLED) | BIT(FAIL_BAD_DATA))
#define PATTERN_MAX 200

static size_t names_of(unsigned classes, const char *names[static FAIL_CLASSES])
{
    size_t n = 0;
    for (int c = 0; c < FAIL_CLASSES; c++) {
        if (classes & BIT(c))
            names[n++] = fail_class_name((enum fail_class)c);
    }
    return n;
}

/* ---- classify ---- */

static void add_pattern(struct spec_reader *r, const struct yaml_node *n, const char *path,
                        enum fail_class fail, size_t room)
{
    char found[YAML_FOUND_MAX];
    if (n->kind != YAML_TEXT) {
        problem_at(r->problems, n, path, "expected a text to look for, found %s",
                   yaml_found(n, found));
    } else if (strspn(n->text, "* ") == strlen(n->text)) {
        problem_at(r->problems, n, path, "'%.20s' would be found in every line", n->text);
    } else if (strlen(n->text) > PATTERN_MAX) {
        problem_at(r->problems, n, path, "a pattern has at most %d bytes, this one %zu",
                   PATTERN_MAX, strlen(n->text));
    } else if (strchr(n->text, '\n') != NULL) {
        problem_at(r->problems, n, path,
                   "a pattern is looked for in single lines: it has no "
                   "line end");
    } else if (r->spec->n_patterns < room) {
        r->spec->patterns[r->spec->n_patterns++] =
            (struct spec_pattern){fail, pool_strdup(r->pool, n->text)};
    }
}

void spec_read_classify(struct spec_reader *r, const struct yaml_node *node, const char *path)
{
    const char *names[FAIL_CLASSES];
    char found[YAML_FOUND_MAX];
    size_t n = names_of(TOLD, names), room = 0;
    if (node->kind == YAML_NULL)
        return;
    if (node->kind != YAML_MAP) {
        problem_at(r->problems, node, path,
                   "expected a mapping like {hessian: \"is singular\"}, found %s",
                   yaml_found(node, found));
        return;
    }
    for (size_t i = 0; i < node->n; i++)
        room += node->pairs[i].value->kind == YAML_LIST ? node->pairs[i].value->n : 1;
    r->spec->patterns = pool_alloc(r->pool, (room + 1) * sizeof(*r->spec->patterns));
    for (size_t i = 0; r->spec->patterns != NULL && i < node->n; i++) {
        const struct yaml_pair *p = &node->pairs[i];
        const char *below = pool_printf(r->pool, "%s.%s", path, p->key);
        enum fail_class fail;
        if (!fail_class_from_name(p->key, &fail) || !(TOLD & BIT(fail)))
            problem_unknown(r->problems, p, path, names, n);
        else if (p->value->kind != YAML_LIST)
            add_pattern(r, p->value, below != NULL ? below : path, fail, room);
        else
            for (size_t k = 0; k < p->value->n; k++)
                add_pattern(r, p->value->items[k], below != NULL ? below : path, fail, room);
    }
}

/* ---- fallback ---- */

static void read_class(struct spec_reader *r, const struct yaml_node *n, unsigned *on)
{
    const char *names[FAIL_CLASSES];
    char found[YAML_FOUND_MAX], list[200] = "";
    enum fail_class c;
    size_t n_names = names_of(HELPED, names);
    if (n->kind == YAML_TEXT && fail_class_from_name(n->text, &c) && (HELPED & BIT(c))) {
        *on |= BIT(c);
        return;
    }
    if (n->kind == YAML_TEXT && strcmp(n->text, "calibration") == 0) {
        problem_at(r->problems, n, "fallback.on",
                   "calibration: a soft label stays one, such a trial is never tried again");
        return;
    }
    for (size_t i = 0; i < n_names; i++) {
        size_t at = strlen(list);
        (void)snprintf(list + at, sizeof(list) - at, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    const char *near = n->kind == YAML_TEXT ? text_nearest(n->text, names, n_names) : NULL;
    if (near != NULL)
        problem_at(r->problems, n, "fallback.on", "'%.60s': did you mean '%s'?", n->text, near);
    else
        problem_at(r->problems, n, "fallback.on", "expected classes out of %s, found %s", list,
                   yaml_found(n, found));
}

static void read_on(struct spec_reader *r, const struct yaml_node *n, unsigned *on)
{
    if (n->kind != YAML_LIST || n->n == 0) {
        read_class(r, n, on);
        return;
    }
    for (size_t i = 0; i < n->n; i++)
        read_class(r, n->items[i], on);
}

static bool is_never(const struct spec_reader *r, const char *name)
{
    for (size_t i = 0; i < r->n_never; i++) {
        if (strcmp(r->never[i], name) == 0)
            return true;
    }
    return false;
}

/* Finds what the name stands for. False when it is nothing, which is told. */
static bool find_target(struct spec_reader *r, const struct yaml_pair *p, struct spec_change *c)
{
    const struct spec *s = r->spec;
    int at = space_find(&s->space, p->key);
    const char *names[200];
    size_t n = 0;
    c->name = pool_strdup(r->pool, p->key);
    if (at >= 0) {
        c->what = CHANGE_PARAM;
        c->index = (size_t)at;
        return true;
    }
    for (size_t i = 0; i < s->n_fixed; i++) {
        if (strcmp(s->fixed[i].name, p->key) == 0) {
            c->what = CHANGE_FIXED;
            c->index = i;
            return true;
        }
    }
    c->what = is_never(r, p->key) ? CHANGE_NONE : CHANGE_EXTRA;
    const struct yaml_node *builtin = yaml_get(yaml_get(r->root, "run"), "builtin");
    if (c->what == CHANGE_NONE || (builtin != NULL && builtin->kind != YAML_NULL))
        return true; /* the built-in worker checks the names of its parameters itself */
    for (size_t i = 0; i < s->space.n && n < ARRAY_LEN(names); i++)
        names[n++] = s->space.params[i].name;
    for (size_t i = 0; i < s->n_fixed && n < ARRAY_LEN(names); i++)
        names[n++] = s->fixed[i].name;
    const char *near = text_nearest(p->key, names, n);
    if (near != NULL)
        problem_key(r->problems, p, "fallback.set", "unknown name '%.60s': did you mean '%s'?",
                    p->key, near);
    else
        problem_key(r->problems, p, "fallback.set",
                    "'%.60s' is no parameter and no fixed value of space: a command gets no other "
                    "values",
                    p->key);
    return false;
}

static bool is_number(const struct value *v)
{
    return v->kind == VALUE_INT || v->kind == VALUE_REAL;
}

static void read_relative(struct spec_reader *r, const struct yaml_pair *p, struct spec_change *c)
{
    const struct spec *s = r->spec;
    c->relative = true;
    bool numeric = c->what == CHANGE_FIXED   ? is_number(&s->fixed[c->index].value)
                   : c->what == CHANGE_PARAM ? s->space.params[c->index].dist.kind != DIST_CHOICE
                                             : c->what == CHANGE_NONE;
    if (!numeric)
        problem_at(r->problems, p->value, "fallback.set",
                   "%.60s: %s is added to a number, but there is none", p->key, p->value->text);
    else if (c->what == CHANGE_PARAM && s->space.params[c->index].dist.kind == DIST_INT &&
             floor(c->by) != c->by)
        problem_at(r->problems, p->value, "fallback.set",
                   "%.60s: expected a whole number, found %s", p->key, p->value->text);
}

/* A value that the parameter may have, in its internal form. */
static void read_param_value(struct spec_reader *r, const struct yaml_pair *p,
                             struct spec_change *c)
{
    const struct dist *d = &r->spec->space.params[c->index].dist;
    char found[YAML_FOUND_MAX];
    bool ok = false;
    if (d->kind == DIST_CHOICE) {
        for (size_t i = 0; i < d->n_choices && !ok; i++) {
            ok = value_equal(&d->choices[i], &c->value);
            c->by = ok ? (double)i : c->by;
        }
    } else if (is_number(&c->value)) {
        c->by = c->value.kind == VALUE_INT ? (double)c->value.i : c->value.d;
        ok = dist_contains(d, c->by);
    }
    if (!ok)
        problem_at(r->problems, p->value, "fallback.set",
                   "%.60s: expected one of its values in space, found %s", p->key,
                   yaml_found(p->value, found));
}

static void read_change(struct spec_reader *r, const struct yaml_pair *p, struct spec_change *c)
{
    const struct yaml_node *n = p->value;
    char found[YAML_FOUND_MAX];
    if (!find_target(r, p, c))
        return;
    if (!spec_is_scalar(n) || n->kind == YAML_NULL || (n->kind == YAML_REAL && !isfinite(n->d))) {
        problem_at(r->problems, n, "fallback.set", "%.60s: expected a value, found %s", p->key,
                   yaml_found(n, found));
        return;
    }
    c->value = spec_value(n);
    bool number = is_number(&c->value);
    if (number && (n->text[0] == '-' || n->text[0] == '+')) {
        c->by = n->kind == YAML_INT ? (double)n->i : n->d;
        read_relative(r, p, c);
    } else if (c->what == CHANGE_PARAM) {
        read_param_value(r, p, c);
    }
}

static void read_set(struct spec_reader *r, const struct yaml_node *n, struct spec_fallback *f)
{
    char found[YAML_FOUND_MAX];
    if (n->kind != YAML_MAP || n->n == 0) {
        problem_at(r->problems, n, "fallback.set",
                   "expected a mapping like {focal_gamma: -1.0}, found %s", yaml_found(n, found));
        return;
    }
    f->changes = pool_alloc(r->pool, n->n * sizeof(*f->changes));
    if (f->changes == NULL)
        return;
    f->n_changes = n->n;
    for (size_t i = 0; i < n->n; i++)
        read_change(r, &n->pairs[i], &f->changes[i]);
}

static void read_step_key(struct spec_reader *r, const struct yaml_pair *p, struct spec_fallback *f)
{
    static const char *const keys[] = {"on", "set", "times", "mark"};
    const struct yaml_node *n = p->value;
    char found[YAML_FOUND_MAX];
    if (strcmp(p->key, "on") == 0)
        read_on(r, n, &f->on);
    else if (strcmp(p->key, "set") == 0)
        read_set(r, n, f);
    else if (strcmp(p->key, "times") == 0 && n->kind == YAML_INT && n->i >= 1 &&
             n->i <= FALLBACK_RUNGS_MAX)
        f->times = (unsigned)n->i;
    else if (strcmp(p->key, "times") == 0)
        problem_at(r->problems, n, "fallback.times", "expected a whole number in 1 … %d, found %s",
                   FALLBACK_RUNGS_MAX, yaml_found(n, found));
    else if (strcmp(p->key, "mark") == 0 && n->kind == YAML_TEXT &&
             strcmp(n->text, "rolled_back") == 0)
        f->rolled_back = true;
    else if (strcmp(p->key, "mark") == 0)
        problem_at(r->problems, n, "fallback.mark", "expected rolled_back, found %s",
                   yaml_found(n, found));
    else
        problem_unknown(r->problems, p, "fallback", keys, ARRAY_LEN(keys));
}

static void read_step(struct spec_reader *r, const struct yaml_node *n, struct spec_fallback *f)
{
    char found[YAML_FOUND_MAX];
    f->times = 1;
    if (n->kind != YAML_MAP) {
        problem_at(r->problems, n, "fallback",
                   "expected {on: [class], set: {name: value}}, found %s", yaml_found(n, found));
        return;
    }
    for (size_t i = 0; i < n->n; i++)
        read_step_key(r, &n->pairs[i], f);
    if (yaml_get(n, "on") == NULL || yaml_get(n, "set") == NULL)
        problem_at(r->problems, n, "fallback",
                   "'%s' is missing: expected {on: [class], set: "
                   "{name: value}}",
                   yaml_get(n, "on") == NULL ? "on" : "set");
}

void spec_finish_fallback(struct spec_reader *r)
{
    const struct yaml_node *node = yaml_get(r->root, "fallback");
    char found[YAML_FOUND_MAX];
    if (node == NULL || node->kind == YAML_NULL)
        return;
    if (node->kind != YAML_LIST || node->n > FALLBACK_RUNGS_MAX) {
        problem_at(r->problems, node, "fallback",
                   "expected a list of at most %d steps like {on: hessian, set: {focal_gamma: "
                   "-1.0}, times: 3}, found %s",
                   FALLBACK_RUNGS_MAX, yaml_found(node, found));
        return;
    }
    r->spec->fallback = pool_alloc(r->pool, (node->n + 1) * sizeof(*r->spec->fallback));
    if (r->spec->fallback == NULL)
        return;
    for (size_t i = 0; i < node->n; i++)
        read_step(r, node->items[i], &r->spec->fallback[r->spec->n_fallback++]);
    if (fallback_rungs(r->spec) > FALLBACK_RUNGS_MAX)
        problem_at(r->problems, node, "fallback", "at most %d further tries in all, found %d",
                   FALLBACK_RUNGS_MAX, fallback_rungs(r->spec));
}
