#include "cli/earlier.h"

#include <string.h>

#include "cli/trial_count.h"
#include "storage/storage.h"

/* How long a store may delay the start for this. */
#define BUSY_MS 500

struct earlier {
    int64_t done, target;
    size_t n;           /* studies with finished trials */
    const char *study;  /* one of them: with a change, if there is one */
    const char *change; /* a parameter that is not as it was; NULL: none was found */
};

struct comparison {
    const struct spec *spec;
    const char *change;
};

static const struct trial_param *find(const struct trial *t, const char *name)
{
    for (size_t i = 0; i < t->n_params; i++) {
        if (strcmp(t->params[i].name, name) == 0)
            return &t->params[i];
    }
    return NULL;
}

/* Whether the study's parameter is not what it was, though both may stand in one study: what may
 * not is refused later. A trial lacks parameters that were inactive. */
static bool differs(const struct trial_param *old, const struct param *p)
{
    if (old == NULL)
        return p->when == NULL;
    return dist_compatible(old->dist, &p->dist) && !dist_equal(old->dist, &p->dist);
}

/* The oldest trial must do: to read all would delay the start. */
static int compare(void *ctx, const struct trial *t)
{
    struct comparison *c = ctx;
    const struct space *space = &c->spec->space;
    for (size_t i = 0; i < space->n && c->change == NULL; i++) {
        if (differs(find(t, space->params[i].name), &space->params[i]))
            c->change = space->params[i].name;
    }
    return 1;
}

static void look_at(struct earlier *e, struct store *s, const struct spec *spec)
{
    const struct store_each_opts finished = {.states = STORE_STATE_BIT(TRIAL_COMPLETE) |
                                                       STORE_STATE_BIT(TRIAL_PRUNED),
                                             .want = WANT_PARAMS};
    struct comparison c = {.spec = spec};
    int64_t study, counts[TRIAL_STATES] = {0};
    e->target += spec->budget.trials > 0 ? spec->budget.trials : spec->budget.complete;
    if (store_study_find(s, spec->study.name, &study, NULL) < 0 ||
        store_study_counts(s, study, counts, NULL) < 0)
        return;
    int64_t done = counts[TRIAL_COMPLETE] + (spec->budget.complete > 0 ? 0 : counts[TRIAL_PRUNED]);
    if (done == 0)
        return;
    e->n++;
    e->done += done;
    (void)store_trials_each(s, study, &finished, compare, &c, NULL);
    if (e->study == NULL || (e->change == NULL && c.change != NULL)) {
        e->study = spec->study.name;
        e->change = c.change;
    }
}

void earlier_put(struct buf *b, const struct spec *cells, size_t n_cells)
{
    AUTO_STORE struct store *s = NULL;
    const struct store_opts opts = {.read_only = true, .busy_ms = BUSY_MS};
    struct earlier e = {0};
    char count[TRIAL_COUNT_MAX];
    if (store_open(&s, cells[0].study.storage, &opts, NULL) < 0)
        return;
    for (size_t i = 0; i < n_cells; i++)
        look_at(&e, s, &cells[i]);
    if (e.n == 0 || (e.change == NULL && e.target > 0 && e.done >= e.target))
        return;
    if (e.n == 1)
        buf_printf(b, "study '%s' goes on: ", e.study);
    else
        buf_printf(b, "%zu studies go on: ", e.n);
    buf_printf(b, "%s %s there", trial_count(e.done, e.target, count),
               trial_count_is_one(e.done, e.target) ? "is" : "are");
    if (e.change != NULL)
        buf_printf(b,
                   ", from a search with another '%s'%s%s: they count too; --study NAME starts "
                   "afresh",
                   e.change, e.n > 1 ? " in study " : "", e.n > 1 ? e.study : "");
}
