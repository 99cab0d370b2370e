#include "trials/samplers/search.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define BATCH 96 /* candidates a round */
#define ROUNDS 4 /* the first everywhere, the others around the best of those before */
#define KEEP 6   /* candidates around which the next round looks */

/* log of the expected improvement on `best`, for a loss of this mean and deviation; the form for
 * large z is the asymptotic series (Ament et al. 2023, arXiv:2310.20708). */
static double log_improvement(double best, double mean, double deviation)
{
    double z = (best - mean) / deviation;
    if (z > -5) {
        double density = exp(-z * z / 2) / sqrt(2 * M_PI);
        return log(deviation) + log(density + z * 0.5 * erfc(-z * M_SQRT1_2));
    }
    return log(deviation) - z * z / 2 - 0.5 * log(2 * M_PI) - 2 * log(-z) + log1p(-3 / (z * z));
}

struct search {
    const struct search_conf *conf;
    const struct cube *c;
    double best;    /* what is to be improved on */
    double *points; /* [BATCH * d] on the unit cube */
    double *mean, *deviation;
    double *kept;           /* [(KEEP + 1) * d] the best so far, the best first */
    double score[KEEP + 1]; /* theirs */
    size_t n_kept;
    size_t n_best;  /* of the observations, around which the first round looks */
    double *values; /* [space->n] scratch */
    bool *active;   /* [space->n] scratch */
};

/* Puts a point on what the parameters can be: steps, fixed values, inactive ones out of the way. */
static void settle(struct search *q, double *point)
{
    const struct cube *c = q->c;
    for (size_t a = 0; a < c->d; a++) {
        double value = cube_value(&c->axes[a].axis,
                                  point[a] == CUBE_INACTIVE && c->is_choice[a] ? 0 : point[a]);
        if (q->conf->fixed != NULL && !isnan(q->conf->fixed[a]))
            value = q->conf->fixed[a];
        point[a] = cube_unit(&c->axes[a].axis, value);
        if (c->space != NULL)
            q->values[c->axes[a].param] = value;
    }
    if (c->space == NULL)
        return;
    for (size_t i = 0, a = 0; i < c->space->n; i++) {
        q->active[i] = space_active(c->space, i, q->values, q->active);
        if (a < c->d && (size_t)c->axes[a].param == i) {
            if (!q->active[i])
                point[a] = c->is_choice[a] ? CUBE_INACTIVE : 0.5;
            a++;
        }
    }
}

static double random_coordinate(struct search *q, size_t a)
{
    const struct axis *axis = &q->c->axes[a].axis;
    return q->c->is_choice[a] ? (double)rng_below(q->conf->rng, axis->n_choices)
                              : rng_unit(q->conf->rng);
}

static void scatter(struct search *q, double *point)
{
    for (size_t a = 0; a < q->c->d; a++)
        point[a] = random_coordinate(q, a);
}

/* A neighbour: some axes move, numbers by about `reach`, choices to another. */
static void step_from(struct search *q, const double *from, double reach, double *point)
{
    const struct cube *c = q->c;
    double share = rng_unit(q->conf->rng) < 0.5 ? 1 : 2 / (double)c->d;
    size_t sure = rng_below(q->conf->rng, c->d);
    for (size_t a = 0; a < c->d; a++) {
        point[a] = from[a];
        if (a != sure && rng_unit(q->conf->rng) >= share)
            continue;
        const struct axis *x = &c->axes[a].axis;
        if (c->is_choice[a]) {
            if (a == sure || rng_unit(q->conf->rng) < 0.2)
                point[a] = random_coordinate(q, a);
            continue;
        }
        double cell = x->step > 0 && !x->log ? x->step / (x->to - x->from) : 0;
        point[a] += fmax(reach, cell) * rng_normal(q->conf->rng);
        if (point[a] < 0 || point[a] > 1)
            point[a] = point[a] < 0 ? fmin(-point[a], 1) : fmax(2 - point[a], 0);
    }
}

static bool is_seen(const struct observations *d, const double *point, size_t dims)
{
    for (size_t i = 0; i < d->n; i++) {
        if (memcmp(d->x + i * dims, point, dims * sizeof(double)) == 0)
            return true;
    }
    return false;
}

static void keep(struct search *q, const double *point, double score)
{
    size_t d = q->c->d, at = q->n_kept;
    if (at == KEEP && score <= q->score[KEEP - 1])
        return;
    for (size_t i = 0; i < q->n_kept; i++) {
        if (memcmp(q->kept + i * d, point, d * sizeof(double)) == 0)
            return;
    }
    for (; at > 0 && q->score[at - 1] < score; at--) {
        q->score[at] = q->score[at - 1];
        memcpy(q->kept + at * d, q->kept + (at - 1) * d, d * sizeof(double));
    }
    q->score[at] = score;
    memcpy(q->kept + at * d, point, d * sizeof(double));
    q->n_kept += q->n_kept < KEEP;
}

static int judge(struct search *q, size_t n, struct err *err)
{
    size_t d = q->c->d;
    int rc = gp_predict(q->conf->gp, q->points, n, q->mean, q->deviation, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        double score = log_improvement(q->best, q->mean[i], q->deviation[i]);
        if (is_seen(q->conf->seen, q->points + i * d, d))
            score -= 50; /* only when there is nothing else */
        keep(q, q->points + i * d, score);
    }
    return rc;
}

static int look(struct search *q, struct err *err)
{
    size_t d = q->c->d;
    static const double reach[ROUNDS] = {0.1, 0.1, 0.03, 0.01};
    assert(q->n_best > 0); /* nobody asks before there is something to learn from */
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < BATCH; i++) {
            double *point = q->points + i * d;
            if (round > 0)
                step_from(q, q->kept + i % q->n_kept * d,
                          reach[round] * exp(rng_normal(q->conf->rng)), point);
            else if (i % 2 == 0)
                scatter(q, point);
            else
                step_from(q, q->conf->seen->x + i / 2 % q->n_best * d,
                          reach[round] * exp(rng_normal(q->conf->rng)), point);
            settle(q, point);
        }
        int rc = judge(q, BATCH, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The least mean at an observation. Where there is noise the best observation was a lucky one: next
 * to it nothing could be expected to improve on it, and everything would be looked for far away. */
static double best_mean(const struct gp *gp, const struct observations *seen)
{
    double best = INFINITY;
    for (size_t i = 0; i < seen->n; i++)
        best = fmin(best, gp_mean_at(gp, i, seen->y[i]));
    return best;
}

static int allocate(struct search *q, double **all, struct err *err)
{
    size_t d = q->c->d, n = q->c->space != NULL ? q->c->space->n : 0;
    *all = calloc(BATCH * (d + 2) + (KEEP + 1) * d + n + 1, sizeof(double));
    q->active = calloc(n + 1, sizeof(bool));
    if (*all == NULL || q->active == NULL)
        return err_set(err, ERR_NOMEM, "search of %zu axes", d);
    q->points = *all;
    q->mean = q->points + BATCH * d;
    q->deviation = q->mean + BATCH;
    q->kept = q->deviation + BATCH;
    q->values = q->kept + (KEEP + 1) * d;
    return 0;
}

int search_improvement(const struct search_conf *conf, double *values, struct err *err)
{
    const struct cube *c = conf->cube;
    struct search q = {.conf = conf, .c = c, .best = best_mean(conf->gp, conf->seen)};
    AUTO_FREE double *all = NULL;
    int rc = allocate(&q, &all, err);
    q.n_best = conf->seen->n < 5 ? conf->seen->n : 5;
    for (size_t i = 0; rc == 0 && c->space != NULL && i < c->space->n; i++) {
        const struct dist *d = &c->space->params[i].dist; /* of one value only, maybe */
        q.values[i] = d->kind == DIST_CHOICE ? 0 : d->low;
    }
    if (rc == 0)
        rc = look(&q, err);
    for (size_t a = 0; rc == 0 && a < c->d; a++) {
        bool none = c->is_choice[a] && q.kept[a] == CUBE_INACTIVE;
        values[a] = none ? 0 : cube_value(&c->axes[a].axis, q.kept[a]);
    }
    free(q.active);
    return rc;
}
