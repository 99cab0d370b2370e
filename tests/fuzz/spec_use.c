#include "tests/fuzz/spec_use.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "trials/fallback.h"

/* The whole ladder, from the top: asking and doing agree, and values stay what they may be. */
static void go_down(const struct spec *s, double *values, const bool *active)
{
    AUTO_FREE struct spec_fixed *instead = calloc(fallback_room(s) + 1, sizeof(*instead));
    struct fallback_values v = {values, active, instead, 0};
    for (int i = 1; i <= fallback_rungs(s); i++) {
        bool would = fallback_take(s, i, &v, true);
        assert(fallback_take(s, i, &v, false) == would && v.n_instead <= fallback_room(s));
    }
    for (size_t i = 0; i < s->space.n; i++)
        assert(!active[i] || dist_contains(&s->space.params[i].dist, values[i]));
}

/* A trial at the lower bounds with every parameter active. */
static void make_trial(const struct spec *s)
{
    AUTO_FREE double *values = calloc(s->space.n + 1, sizeof(*values));
    AUTO_FREE bool *active = calloc(s->space.n + 1, sizeof(*active));
    for (size_t i = 0; i < s->space.n; i++) {
        const struct dist *d = &s->space.params[i].dist;
        values[i] = d->kind == DIST_CHOICE ? 0 : d->low;
        active[i] = space_active(&s->space, i, values, active);
        assert(dist_contains(d, values[i]));
    }
    const struct spec_trial t = {.values = values, .active = active, .number = 3, .dir = "d"};
    struct spec_strings argv, env;
    assert(spec_argv(s, &t, &argv, NULL) == 0 && spec_env(s, &t, &env, NULL) == 0);
    assert(argv.v[argv.n] == NULL && env.v[env.n] == NULL);
    assert(s->run.runner == RUN_XGBOOST || argv.n > 0 || s->run.command != NULL);
    for (size_t i = 0; i < env.n; i++)
        assert(strchr(env.v[i], '=') != NULL);
    free(argv.v);
    free(env.v);
    go_down(s, values, active);
}

static void use_cell(const struct spec *s)
{
    assert(s->study.name != NULL && s->study.storage != NULL && s->study.metric != NULL);
    assert(s->budget.trials > 0 || s->budget.complete > 0 || s->budget.wall_ms > 0);
    assert(s->run.trials_per_worker >= 1 && s->prove.table != NULL && s->prove.trials > 0);
    if (s->run.runner == RUN_XGBOOST) {
        AUTO_JSON json_t *config = json_read(s->run.config, strlen(s->run.config), NULL);
        assert(config != NULL);
    } else {
        assert(s->run.command != NULL);
    }
    make_trial(s);
}

#define CELLS 4

static void use_document(struct spec_doc *doc)
{
    struct spec cells[CELLS];
    size_t n = spec_cells(doc) < CELLS ? spec_cells(doc) : CELLS;
    for (size_t i = 0; i < n; i++)
        assert(spec_cell(doc, i, &cells[i], NULL) == 0);
    spec_doc_destroy(doc); /* a spec outlives its document */
    for (size_t i = 0; i < n; i++) {
        use_cell(&cells[i]);
        spec_free(&cells[i]);
    }
}

void spec_use(const struct spec_source *src)
{
    struct spec_doc *doc;
    AUTO(buf_free) struct buf problems = BUF_INIT;
    struct err err = {0};
    if (spec_load(&doc, src, &problems, &err) == 0)
        use_document(doc);
    else
        assert(err.code != ERR_NONE && err.msg[0] != '\0' && problems.len > 0);
}
