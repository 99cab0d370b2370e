/* The search space: mappings ({float: [1e-3, 0.3], log: true}), compact texts (float:1e-3..0.3:log)
 * and fixed values. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "trials/spec_read.h"

#define PARAMS_MAX 4096
#define CHOICES_MAX 10000

static const char *const param_keys[] = {"float", "int", "choice", "log", "step", "when"};

static bool number(const struct yaml_node *n, double *out)
{
    if (n->kind != YAML_INT && n->kind != YAML_REAL)
        return false;
    *out = n->kind == YAML_INT ? (double)n->i : n->d;
    return isfinite(*out);
}

/* ---- distributions ---- */

static bool read_range(struct spec_reader *r, const struct yaml_node *n, const char *path,
                       struct dist *d)
{
    char found[YAML_FOUND_MAX];
    if (n->kind == YAML_LIST && n->n == 2 && number(n->items[0], &d->low) &&
        number(n->items[1], &d->high)) {
        if (d->kind == DIST_FLOAT || (floor(d->low) == d->low && floor(d->high) == d->high))
            return true;
        problem_at(r->problems, n, path, "the bounds of an int must be whole numbers");
        return false;
    }
    problem_at(r->problems, n, path, "expected [low, high], found %s",
               n->kind == YAML_LIST ? "a list of something else" : yaml_found(n, found));
    return false;
}

/* Takes the text over. */
static bool add_choice(struct dist *d, const struct yaml_node *n)
{
    struct value v = spec_value(n);
    struct value *grown = realloc(d->choices, (d->n_choices + 1) * sizeof(*grown));
    if (grown == NULL)
        return false;
    d->choices = grown;
    if (v.kind == VALUE_TEXT && (v.s = strdup(v.s)) == NULL)
        return false;
    grown[d->n_choices++] = v;
    return true;
}

static bool read_choices(struct spec_reader *r, const struct yaml_node *n, const char *path,
                         struct dist *d)
{
    char found[YAML_FOUND_MAX];
    if (n->kind != YAML_LIST || n->n == 0 || n->n > CHOICES_MAX) {
        problem_at(r->problems, n, path, "expected a list of values, found %s",
                   n->kind == YAML_LIST ? "an empty or endless one" : yaml_found(n, found));
        return false;
    }
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_node *item = n->items[i];
        if (!spec_is_scalar(item)) {
            problem_at(r->problems, item, path,
                       "a choice is a text, a number, true, false or null, not %s",
                       yaml_found(item, found));
            return false;
        }
        struct value v = spec_value(item);
        for (size_t k = 0; k < d->n_choices; k++) {
            if (value_equal(&d->choices[k], &v)) {
                problem_at(r->problems, item, path, "the choice %s stands there twice",
                           yaml_found(item, found));
                return false;
            }
        }
        if (!add_choice(d, item)) {
            r->no_memory = true;
            return false;
        }
    }
    return true;
}

static bool read_modifiers(struct spec_reader *r, const struct yaml_node *map, const char *path,
                           struct dist *d)
{
    const struct yaml_pair *log = yaml_find(map, "log"), *step = yaml_find(map, "step");
    if (d->kind == DIST_CHOICE && (log != NULL || step != NULL)) {
        problem_key(r->problems, log != NULL ? log : step, path, "a choice has no '%s'",
                    log != NULL ? "log" : "step");
        return false;
    }
    if (log != NULL && log->value->kind != YAML_BOOL) {
        problem_at(r->problems, log->value, path, "log: expected true or false");
        return false;
    }
    d->log = log != NULL && log->value->b;
    if (step == NULL)
        return true;
    if (!number(step->value, &d->step) || d->step <= 0 ||
        (d->kind == DIST_INT && floor(d->step) != d->step)) {
        problem_at(r->problems, step->value, path, "step: expected a %s above 0",
                   d->kind == DIST_INT ? "whole number" : "number");
        return false;
    }
    return true;
}

static bool check_dist(struct spec_reader *r, const struct yaml_node *at, const char *path,
                       struct dist *d)
{
    struct err err;
    if (dist_check(d, &err) == 0)
        return true;
    problem_at(r->problems, at, path, "%s", err.msg);
    return false;
}

static bool read_mapping(struct spec_reader *r, const struct yaml_node *map, const char *path,
                         struct dist *d)
{
    size_t n_kinds = 0, unknown = 0;
    const struct yaml_pair *kind = NULL;
    for (size_t i = 0; i < map->n; i++) {
        const struct yaml_pair *p = &map->pairs[i];
        size_t k = 0;
        while (k < ARRAY_LEN(param_keys) && strcmp(p->key, param_keys[k]) != 0)
            k++;
        if (k == ARRAY_LEN(param_keys)) {
            const char *full = pool_printf(r->pool, "%s.%s", path, p->key);
            problem_unknown(r->problems, p, full != NULL ? full : path, param_keys,
                            ARRAY_LEN(param_keys));
            unknown++;
        } else if (k <= DIST_CHOICE) {
            d->kind = (enum dist_kind)k; /* param_keys starts in the order of enum dist_kind */
            kind = p;
            n_kinds++;
        }
    }
    if (unknown > 0)
        return false;
    if (n_kinds != 1) {
        problem_at(r->problems, map, path,
                   "expected one of float: [low, high], int: [low, high], choice: […]");
        return false;
    }
    d->step = d->kind == DIST_INT ? 1 : 0;
    bool ok = d->kind == DIST_CHOICE ? read_choices(r, kind->value, path, d)
                                     : read_range(r, kind->value, path, d);
    return ok && read_modifiers(r, map, path, d) && check_dist(r, kind->value, path, d);
}

/* ---- float:LOW..HIGH[:log|:STEP]  int:LOW..HIGH[:log|:STEP]  choice:A,B,… ---- */

static bool read_compact_choices(struct spec_reader *r, const char *text,
                                 const struct yaml_node *at, const char *path, struct dist *d)
{
    struct yaml_node *list = yaml_container(r->pool, at->origin, YAML_LIST);
    while (list != NULL && text != NULL) {
        size_t n = strcspn(text, ",");
        const char *word = pool_strndup(r->pool, text, n);
        struct yaml_node *item = word == NULL ? NULL : yaml_scalar(r->pool, at->origin, word);
        if (item == NULL || !yaml_append(r->pool, list, item))
            return false;
        if (n == 0) {
            problem_at(r->problems, at, path, "an empty choice in '%.60s'", at->text);
            return false;
        }
        item->line = at->line;
        item->column = at->column;
        text = text[n] == ',' ? text + n + 1 : NULL;
    }
    return list != NULL && read_choices(r, list, path, d);
}

static bool read_compact_range(const char *text, struct dist *d)
{
    char low[64], high[64];
    const char *dots = strstr(text, "..");
    if (dots == NULL || (size_t)(dots - text) >= sizeof(low))
        return false;
    size_t n = strcspn(dots + 2, ":");
    if (n >= sizeof(high))
        return false;
    (void)snprintf(low, sizeof(low), "%.*s", (int)(dots - text), text);
    (void)snprintf(high, sizeof(high), "%.*s", (int)n, dots + 2);
    if (!text_double(low, &d->low) || !text_double(high, &d->high) || !isfinite(d->low) ||
        !isfinite(d->high))
        return false;
    bool is_int = d->kind == DIST_INT;
    if (is_int && (floor(d->low) != d->low || floor(d->high) != d->high))
        return false;
    d->step = is_int ? 1 : 0;
    const char *rest = dots + 2 + n;
    if (*rest == '\0')
        return true;
    if (strcmp(rest, ":log") == 0) {
        d->log = true;
        return true;
    }
    return text_double(rest + 1, &d->step) && d->step > 0 && isfinite(d->step) &&
           (!is_int || floor(d->step) == d->step);
}

static bool read_compact(struct spec_reader *r, const struct yaml_node *n, const char *path,
                         struct dist *d)
{
    const char *rest = strchr(n->text, ':') + 1;
    if (n->text[0] == 'c') {
        d->kind = DIST_CHOICE;
        return read_compact_choices(r, rest, n, path, d) && check_dist(r, n, path, d);
    }
    d->kind = n->text[0] == 'f' ? DIST_FLOAT : DIST_INT;
    if (!read_compact_range(rest, d)) {
        problem_at(r->problems, n, path, "expected %s, found '%.60s'",
                   d->kind == DIST_FLOAT
                       ? "float:LOW..HIGH, float:LOW..HIGH:log or float:LOW..HIGH:STEP"
                       : "int:LOW..HIGH, int:LOW..HIGH:log or int:LOW..HIGH:STEP",
                   n->text);
        return false;
    }
    return check_dist(r, n, path, d);
}

/* ---- conditions ---- */

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

static const struct yaml_node *matrix_value(const struct spec_reader *r, const char *name)
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
    if (matrix_value(c->r, name) != NULL)
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
    const struct yaml_node *m = matrix_value(r, name);
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

/* Leaves *out NULL when the condition always holds; *never when it cannot. */
static bool read_when(struct spec_reader *r, const struct yaml_node *space, size_t index,
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
    rc = r->problems->n > before ? -ERR_INVALID : cond_bind(c, cell_lookup, r, &truth, &err);
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

/* ---- the whole space ---- */

static bool check_param_name(struct spec_reader *r, const struct yaml_pair *p, const char *path)
{
    size_t n = strlen(p->key);
    bool ok = n > 0 && n <= 200;
    for (size_t i = 0; ok && i < n; i++)
        ok = (unsigned char)p->key[i] > ' ' && strchr("${}=\"'\x7f", p->key[i]) == NULL;
    if (!ok)
        problem_key(r->problems, p, path,
                    "a parameter's name has 1 to 200 characters without blanks and ${}=\"'");
    else if (strcmp(p->key, "args") == 0 || strcmp(p->key, "overrides") == 0)
        problem_key(r->problems, p, path, "the name is taken: ${%s} stands for all parameters",
                    p->key);
    else if (matrix_value(r, p->key) != NULL)
        problem_key(r->problems, p, path, "the name is taken by a key of matrix");
    else
        return true;
    return false;
}

static void param_free(struct param *p)
{
    free(p->name);
    dist_free(&p->dist);
    cond_destroy(p->when);
}

static bool add_param(struct spec_reader *r, struct param *p)
{
    struct space *s = &r->spec->space;
    struct param *grown = realloc(s->params, (s->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return false;
    s->params = grown;
    s->params[s->n++] = *p;
    *p = (struct param){0};
    return true;
}

static void read_param(struct spec_reader *r, const struct yaml_node *space, size_t i)
{
    const struct yaml_pair *pair = &space->pairs[i];
    const struct yaml_node *n = pair->value;
    const char *path = pool_printf(r->pool, "space.%s", pair->key);
    if (path == NULL || !check_param_name(r, pair, path))
        return;
    AUTO(param_free) struct param p = {.name = strdup(pair->key)};
    bool never = false;
    if (n->kind == YAML_MAP) {
        const struct yaml_node *when = yaml_get(n, "when");
        bool ok = read_mapping(r, n, path, &p.dist);
        if (when != NULL &&
            !read_when(r, space, i, pool_printf(r->pool, "%s.when", path), when, &p.when, &never))
            return;
        if (!ok)
            return;
    } else if (n->kind == YAML_TEXT && spec_is_param_text(n->text)) {
        if (!read_compact(r, n, path, &p.dist))
            return;
    } else if (n->kind == YAML_LIST) {
        problem_at(r->problems, n, path,
                   "expected {float: [low, high]}, {int: [low, high]} or {choice: […]}");
        return;
    } else {
        r->spec->fixed[r->spec->n_fixed++] =
            (struct spec_fixed){pool_strdup(r->pool, pair->key), spec_value(n)};
        return;
    }
    if (never)
        r->never[r->n_never++] = pool_strdup(r->pool, pair->key);
    else if (p.name == NULL || !add_param(r, &p))
        r->no_memory = true;
}

void spec_read_space(struct spec_reader *r, const struct yaml_node *node, const char *path)
{
    char found[YAML_FOUND_MAX];
    if (node->kind == YAML_NULL)
        return;
    if (node->kind != YAML_MAP || node->n > PARAMS_MAX) {
        problem_at(r->problems, node, path, "expected a mapping of parameters, found %s",
                   yaml_found(node, found));
        return;
    }
    r->never = pool_alloc(r->pool, node->n * sizeof(*r->never));
    r->spec->fixed = pool_alloc(r->pool, node->n * sizeof(*r->spec->fixed));
    if (r->never == NULL || r->spec->fixed == NULL)
        return;
    for (size_t i = 0; i < node->n; i++)
        read_param(r, node, i);
}
