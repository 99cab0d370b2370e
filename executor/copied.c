#include "executor/copied.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

static void copied_free(struct copied *c)
{
    for (size_t i = 0; i < c->t.n_params; i++) {
        free((char *)(uintptr_t)c->params[i].name);
        dist_free(&c->dists[i]);
    }
    for (size_t i = 0; i < c->t.n_system_attrs; i++) {
        free((char *)(uintptr_t)c->attrs[i].key);
        free((char *)(uintptr_t)c->attrs[i].json);
    }
    free(c->params);
    free(c->dists);
    free(c->steps);
    free(c->attrs);
    free(c);
}

static bool copy_params(struct copied *c, const struct trial *t)
{
    for (size_t i = 0; i < t->n_params; i++) {
        char *name = strdup(t->params[i].name);
        if (name == NULL || dist_copy(&c->dists[i], t->params[i].dist, NULL) < 0) {
            free(name);
            return false;
        }
        c->params[i] = (struct trial_param){name, &c->dists[i], t->params[i].value};
        c->t.n_params++;
    }
    return true;
}

static bool copy_attrs(struct copied *c, const struct trial *t)
{
    for (size_t i = 0; i < t->n_system_attrs; i++) {
        char *key = strdup(t->system_attrs[i].key), *json = strdup(t->system_attrs[i].json);
        c->attrs[i] = (struct trial_attr){key, json};
        c->t.n_system_attrs++;
        if (key == NULL || json == NULL)
            return false;
    }
    return true;
}

static bool copy(struct copied *c, const struct trial *t)
{
    c->params = calloc(t->n_params + 1, sizeof(*c->params));
    c->dists = calloc(t->n_params + 1, sizeof(*c->dists));
    c->steps = calloc(t->n_steps + 1, sizeof(*c->steps));
    c->attrs = calloc(t->n_system_attrs + 1, sizeof(*c->attrs));
    if (c->params == NULL || c->dists == NULL || c->steps == NULL || c->attrs == NULL)
        return false;
    if (t->n_steps > 0)
        memcpy(c->steps, t->steps, t->n_steps * sizeof(*c->steps));
    c->t.params = c->params;
    c->t.steps = c->steps;
    c->t.n_steps = t->n_steps;
    c->t.system_attrs = c->attrs;
    return copy_params(c, t) && copy_attrs(c, t);
}

int copy_trial(void *ctx, const struct trial *t)
{
    struct copies *all = ctx;
    struct copied *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ERR_NOMEM;
    c->value = t->n_values == 1 ? t->values[0] : NAN;
    c->t = (struct trial){.id = t->id,
                          .number = t->number,
                          .state = t->state,
                          .values = &c->value,
                          .n_values = t->n_values == 1 ? 1 : 0};
    if (!copy(c, t)) {
        copied_free(c);
        return -ERR_NOMEM;
    }
    c->next = all->head;
    all->head = c;
    return 0;
}

void copies_free(struct copies *all)
{
    for (struct copied *c = all->head, *next; c != NULL; c = next) {
        next = c->next;
        copied_free(c);
    }
    all->head = NULL;
}
