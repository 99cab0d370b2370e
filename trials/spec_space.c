/* The search space: sampled parameters, fixed values, and those that this cell never activates. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/spec_read.h"

#define PARAMS_MAX 4096

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
    else if (spec_matrix_value(r, p->key) != NULL)
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

static void add_fixed(struct spec_reader *r, const char *name, const struct yaml_node *n)
{
    r->spec->fixed[r->spec->n_fixed++] =
        (struct spec_fixed){pool_strdup(r->pool, name), spec_value(n)};
}

static void add_never(struct spec_reader *r, const char *name)
{
    r->never[r->n_never++] = pool_strdup(r->pool, name);
}

/* {value: focal, when: factor == "focal_loss"}: fixed in some cells of the matrix. */
static void read_fixed(struct spec_reader *r, const struct yaml_pair *pair, const char *path,
                       const struct cond *when, bool never)
{
    const struct yaml_node *value = yaml_get(pair->value, "value");
    for (size_t i = 0; i < pair->value->n; i++) {
        const struct yaml_pair *p = &pair->value->pairs[i];
        if (strcmp(p->key, "value") != 0 && strcmp(p->key, "when") != 0) {
            problem_key(r->problems, p, path, "'%.60s': beside 'value' only 'when' may stand",
                        p->key);
            return;
        }
    }
    if (!spec_is_scalar(value))
        problem_at(r->problems, value, path,
                   "value: expected a text, a number, true, false or null");
    else if (when != NULL)
        problem_at(r->problems, pair->value, path,
                   "the condition of a fixed value may name keys of matrix and fixed values only");
    else if (never)
        add_never(r, pair->key);
    else
        add_fixed(r, pair->key, value);
}

static void read_mapped(struct spec_reader *r, const struct yaml_node *space, size_t i,
                        const char *path, struct param *p)
{
    const struct yaml_pair *pair = &space->pairs[i];
    const struct yaml_node *when = yaml_get(pair->value, "when");
    const char *when_path = pool_printf(r->pool, "%s.when", path);
    bool never = false, is_fixed = yaml_get(pair->value, "value") != NULL;
    bool ok = is_fixed || spec_read_dist(r, pair->value, path, &p->dist);
    if (when_path == NULL ||
        (when != NULL && !spec_read_when(r, space, i, when_path, when, &p->when, &never)) || !ok)
        return;
    if (is_fixed)
        read_fixed(r, pair, path, p->when, never);
    else if (never)
        add_never(r, pair->key);
    else if (!add_param(r, p))
        r->no_memory = true;
}

static const char *place_of(struct spec_reader *r, const struct yaml_pair *pair)
{
    char where[YAML_WHERE_MAX];
    return pool_strdup(r->pool, yaml_where(pair->value->origin, pair->line, pair->column, where));
}

static void read_param(struct spec_reader *r, const struct yaml_node *space, size_t i)
{
    const struct yaml_pair *pair = &space->pairs[i];
    const struct yaml_node *n = pair->value;
    const char *path = pool_printf(r->pool, "space.%s", pair->key);
    if (path == NULL || !check_param_name(r, pair, path))
        return;
    AUTO(param_free) struct param p = {.name = strdup(pair->key), .place = place_of(r, pair)};
    if (p.name == NULL) {
        r->no_memory = true;
    } else if (n->kind == YAML_MAP) {
        read_mapped(r, space, i, path, &p);
    } else if (n->kind == YAML_LIST) {
        problem_at(r->problems, n, path,
                   "expected {float: [low, high]}, {int: [low, high]} or {choice: […]}");
    } else if (n->kind == YAML_TEXT && spec_is_mistyped_param(n->text)) {
        spec_refuse_mistyped(r, n, path);
    } else if (n->kind != YAML_TEXT || !spec_is_param_text(n->text)) {
        add_fixed(r, pair->key, n);
    } else if (spec_read_compact(r, n, path, &p.dist)) {
        r->no_memory |= !add_param(r, &p);
    }
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
