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
    free(c->params);
    free(c->dists);
    free(c->steps);
    free(c);
}

int copy_trial(void *ctx, const struct trial *t)
{
    struct copies *all = ctx;
    struct copied *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ERR_NOMEM;
    c->t = (struct trial){.id = t->id,
                          .number = t->number,
                          .state = t->state,
                          .values = &c->value,
                          .n_values = t->n_values == 1 ? 1 : 0};
    c->value = t->n_values == 1 ? t->values[0] : NAN;
    c->params = calloc(t->n_params + 1, sizeof(*c->params));
    c->dists = calloc(t->n_params + 1, sizeof(*c->dists));
    c->steps = calloc(t->n_steps + 1, sizeof(*c->steps));
    bool ok = c->params != NULL && c->dists != NULL && c->steps != NULL;
    for (size_t i = 0; ok && i < t->n_params; i++) {
        char *name = strdup(t->params[i].name);
        ok = name != NULL && dist_copy(&c->dists[i], t->params[i].dist, NULL) == 0;
        if (!ok) {
            free(name);
            break;
        }
        c->params[i] = (struct trial_param){name, &c->dists[i], t->params[i].value};
        c->t.n_params++;
    }
    if (!ok) {
        copied_free(c);
        return -ERR_NOMEM;
    }
    if (t->n_steps > 0)
        memcpy(c->steps, t->steps, t->n_steps * sizeof(*c->steps));
    c->t.n_steps = t->n_steps;
    c->t.params = c->params;
    c->t.steps = c->steps;
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
