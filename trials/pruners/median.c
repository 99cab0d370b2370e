#include "trials/pruners/median.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

/* First position whose step is not below. */
static size_t position(const struct median *m, int64_t step)
{
    return LOWER_BOUND(i, m->n_steps, m->steps[i].step < step);
}

/* The step's losses, made when there are none; NULL when out of memory. */
static struct sorted *losses_at(struct median *m, int64_t step)
{
    size_t at = position(m, step);
    if (at < m->n_steps && m->steps[at].step == step)
        return &m->steps[at].losses;
    if (!array_reserve(&m->steps, &m->capacity, m->n_steps + 1, sizeof(*m->steps)))
        return NULL;
    ARRAY_OPEN(m->steps, at, m->n_steps);
    m->steps[at] = (struct median_step){.step = step};
    m->n_steps++;
    return &m->steps[at].losses;
}

int median_complete(struct median *m, const struct trial_step *losses, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) { /* room first: all or nothing */
        struct sorted *s = losses_at(m, losses[i].step);
        if (s == NULL || !sorted_reserve(s))
            return err_set(err, ERR_NOMEM, "pruner");
    }
    for (size_t i = 0; i < n; i++) {
        if (!isnan(losses[i].value))
            sorted_insert(losses_at(m, losses[i].step), losses[i].value);
    }
    m->n_complete++;
    return 0;
}

static double median_of(const struct sorted *s)
{
    double low = s->v[(s->n - 1) / 2], high = s->v[s->n / 2];
    return low == high ? low : high - (high - low) * 0.5;
}

/* Whether this is the first step since the last one at which to look. */
static bool due(const struct pruner_conf *conf, const struct median_progress *p)
{
    int64_t since = p->last - conf->warmup_steps;
    if (since < 0)
        return false;
    int64_t look = conf->warmup_steps + since / conf->interval_steps * conf->interval_steps;
    return p->before_last < look;
}

bool median_prunes(const struct median *m, const struct pruner_conf *conf,
                   const struct median_progress *p)
{
    if (m->n_complete == 0 || m->n_complete < (size_t)conf->startup_trials || !due(conf, p))
        return false;
    if (isnan(p->best))
        return true;
    size_t at = position(m, p->last);
    if (at == m->n_steps || m->steps[at].step != p->last || m->steps[at].losses.n == 0)
        return false;
    return p->best > median_of(&m->steps[at].losses);
}

void median_free(struct median *m)
{
    for (size_t i = 0; i < m->n_steps; i++)
        sorted_free(&m->steps[i].losses);
    free(m->steps);
    *m = (struct median){0};
}
