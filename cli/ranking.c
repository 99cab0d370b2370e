#include "cli/ranking.h"

#include <string.h>

struct race {
    struct ranked *out;
    size_t n, found;
    enum direction direction;
};

static bool better(const struct race *race, double a, double b)
{
    return race->direction == DIRECTION_MAXIMIZE ? a > b : a < b;
}

/* Puts the trial in its place; of equals the earlier one is first. */
static int enter(void *ctx, const struct trial *t)
{
    struct race *race = ctx;
    if (t->n_values == 0)
        return 0;
    size_t at = race->found;
    while (at > 0 && better(race, t->values[0], race->out[at - 1].value))
        at--;
    if (at == race->n)
        return 0;
    size_t last = race->found < race->n ? race->found++ : race->n - 1;
    memmove(&race->out[at + 1], &race->out[at], (last - at) * sizeof(*race->out));
    race->out[at] = (struct ranked){.id = t->id, .number = t->number, .value = t->values[0]};
    return 0;
}

int ranking(const struct reading *r, struct ranked *out, size_t n, size_t *found, struct err *err)
{
    struct race race = {.out = out, .n = n, .direction = r->direction};
    const struct store_each_opts opts = {.states = STORE_STATE_BIT(TRIAL_COMPLETE)};
    int rc = store_trials_each(r->store, r->study, &opts, enter, &race, err);
    if (rc == 0)
        *found = race.found;
    return rc;
}
