#include "cli/ranking.h"

#include <string.h>

#include "cli/table.h"

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

static int put_row(void *ctx, const struct trial *t)
{
    struct table *table = ctx;
    AUTO(buf_free) struct buf params = BUF_INIT;
    trial_params_text(t, &params);
    table_cellf(table, "%lld", (long long)t->number);
    table_cellf(table, "%.6g", t->values[0]);
    table_cell(table, buf_str(&params));
    return table->failed ? -ERR_NOMEM : 0;
}

int ranking_print(const struct reading *r, const struct ranked *ranked, size_t n, struct err *err)
{
    AUTO(table_free) struct table table;
    table_init(&table, (const char *const[]){">TRIAL", ">VALUE", "PARAMETERS", NULL});
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = store_trial_get(r->store, ranked[i].id, WANT_PARAMS, put_row, &table, err);
    if (rc == 0)
        table_print(&table);
    return rc;
}
