#include "trials/samplers/turn.h"

#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"

/* Beyond, a Gaussian process learns too little from a few hundred trials. */
#define MOST_AXES 50

/* Now and then the estimator, which is not deceived by what a process assumes; the more often the
 * longer there was no new best, for the process may be stuck in one of many valleys. */
static bool is_turn(const struct turn *t, bool trusted)
{
    const struct history *h = t->history;
    int64_t stale = t->number - h->rows[h->complete[0]].number;
    if (!trusted || stale > 30)
        return trusted && t->number % 4 == 0;
    return stale > 15 ? t->number % 2 == 0 : t->number % 4 != 3;
}

static int choose(struct turn *t, const struct cube_axis *axes, size_t n, const struct space *space,
                  const double *fixed, double *values, bool *chosen, struct err *err)
{
    bool trusted = false;
    int rc = 0;
    *chosen = false;
    if (n == 0 || n > MOST_AXES)
        return 0;
    if (!surrogate_is_for(*t->model, axes, n)) {
        surrogate_destroy(TAKE(*t->model));
        rc = surrogate_create(t->model, axes, n, space, err);
    }
    if (rc == 0)
        rc = surrogate_learn(*t->model, t->history, &trusted, err);
    if (rc < 0 || !is_turn(t, trusted))
        return rc;
    rc = surrogate_choose(*t->model, t->history, t->number, t->rng, fixed, values, err);
    *chosen = rc == 0;
    return rc;
}

int turn_choose_joint(struct turn *t, const struct joint *at, size_t n, double *values,
                      bool *chosen, struct err *err)
{
    AUTO_FREE struct cube_axis *axes = calloc(n + 1, sizeof(*axes));
    if (axes == NULL)
        return err_set(err, ERR_NOMEM, "sampler");
    for (size_t i = 0; i < n; i++)
        axes[i] = (struct cube_axis){
            .axis = axis_of(history_dist(t->history, &at[i])), .column = at[i].column, .param = -1};
    return choose(t, axes, n, NULL, NULL, values, chosen, err);
}

int turn_choose_space(struct turn *t, const struct space *space, const double *fixed,
                      double *values, bool *chosen, struct err *err)
{
    AUTO_FREE struct cube_axis *axes = calloc(space->n + 1, sizeof(*axes));
    AUTO_FREE double *all = calloc(2 * space->n + 1, sizeof(double));
    if (axes == NULL || all == NULL)
        return err_set(err, ERR_NOMEM, "sampler");
    double *some = all, *kept = all + space->n; /* of the parameters that have a choice */
    size_t n = 0;
    for (size_t i = 0; i < space->n; i++) {
        const struct param *p = &space->params[i];
        if (dist_single(&p->dist))
            continue;
        int64_t column = history_column(t->history, p->name);
        if (column < 0)
            return err_set(err, ERR_NOMEM, "sampler");
        kept[n] = fixed != NULL ? fixed[i] : NAN;
        axes[n++] = (struct cube_axis){
            .axis = axis_of(&p->dist), .column = (size_t)column, .param = (int)i};
    }
    int rc = choose(t, axes, n, space, kept, some, chosen, err);
    for (size_t i = 0; *chosen && i < n; i++)
        values[axes[i].param] = some[i];
    return rc;
}
