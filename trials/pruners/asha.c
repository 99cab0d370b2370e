#include "trials/pruners/asha.h"

#include <math.h>
#include <stdlib.h>

#include "base/array.h"

int asha_add(struct asha *a, int rung, double loss, struct err *err)
{
    if ((size_t)rung >= a->n_rungs) {
        if (!array_resize(&a->rungs, (size_t)rung + 1, sizeof(*a->rungs)))
            return err_set(err, ERR_NOMEM, "pruner");
        for (; a->n_rungs <= (size_t)rung; a->n_rungs++)
            a->rungs[a->n_rungs] = (struct sorted){0};
    }
    if (!sorted_reserve(&a->rungs[rung]))
        return err_set(err, ERR_NOMEM, "pruner");
    sorted_insert(&a->rungs[rung], loss);
    return 0;
}

/* The step at which a rung is completed; INT64_MAX when that is beyond all steps. */
static int64_t rung_step(const struct pruner_conf *conf, int rung)
{
    int64_t step = conf->min_resource;
    for (int i = 0; i < conf->min_early_stopping_rate + rung; i++) {
        if (__builtin_mul_overflow(step, conf->reduction_factor, &step))
            return INT64_MAX;
    }
    return step;
}

/* Whether the loss is among the best 1/reduction_factor of its rung, of which there is always one.
 */
static bool goes_on(const struct sorted *rung, double loss, int reduction_factor)
{
    size_t winners = rung->n / (size_t)reduction_factor;
    return loss <= rung->v[winners > 0 ? winners - 1 : 0];
}

int asha_climb(struct asha *a, const struct pruner_conf *conf, int64_t step, double loss,
               int *rungs, bool *prune, struct err *err)
{
    *prune = false;
    while (!*prune && step >= rung_step(conf, *rungs)) {
        if (isnan(loss)) {
            *prune = true;
            return 0;
        }
        int rc = asha_add(a, *rungs, loss, err);
        if (rc < 0)
            return rc;
        *prune = !goes_on(&a->rungs[*rungs], loss, conf->reduction_factor);
        (*rungs)++;
    }
    return 0;
}

void asha_free(struct asha *a)
{
    for (size_t i = 0; i < a->n_rungs; i++)
        sorted_free(&a->rungs[i]);
    free(a->rungs);
    *a = (struct asha){0};
}
