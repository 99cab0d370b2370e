#include "tests/fuzz/spec_use.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

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
