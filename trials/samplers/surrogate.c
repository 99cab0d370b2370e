#include "trials/samplers/surrogate.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/samplers/axis.h"
#include "trials/samplers/gp.h"

#define MOST_FIT 70   /* observations from which scales are found */
#define MOST_USED 160 /* observations from which the process predicts */
#define BATCH 96      /* candidates a round */
#define ROUNDS 4      /* the first everywhere, the others around the best of those before */
#define KEEP 6        /* candidates around which the next round looks */
#define INACTIVE (-1) /* as a choice; a number that is inactive stands in the middle */

struct surrogate {
    struct surrogate_axis *on; /* [d] */
    struct axis *axes;         /* [d] */
    bool *is_choice;           /* [d] */
    size_t d;
    const struct space *space; /* NULL: no conditions */
    struct gp_scales scales;
    uint64_t known;         /* hash of the trials that the scales were found from */
    struct gp_scales early; /* those found from the first TRUST_AT trials at most */
    uint64_t early_known;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "surrogate");
}

int surrogate_create(struct surrogate **out, const struct surrogate_axis *axes, size_t d,
                     const struct space *space, struct err *err)
{
    struct surrogate *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return no_memory(err);
    s->d = d;
    s->space = space;
    s->on = calloc(d, sizeof(*s->on));
    s->axes = calloc(d, sizeof(*s->axes));
    s->is_choice = calloc(d, sizeof(*s->is_choice));
    if (s->on == NULL || s->axes == NULL || s->is_choice == NULL) {
        surrogate_destroy(s);
        return no_memory(err);
    }
    memcpy(s->on, axes, d * sizeof(*axes));
    for (size_t i = 0; i < d; i++) {
        s->axes[i] = axes[i].axis;
        s->is_choice[i] = axes[i].axis.kind == DIST_CHOICE;
    }
    *out = s;
    return 0;
}

void surrogate_destroy(struct surrogate *s)
{
    if (s == NULL)
        return;
    free(s->scales.weight);
    free(s->early.weight);
    free(s->on);
    free(s->axes);
    free(s->is_choice);
    free(s);
}

/* A value on the unit cube. */
static double unit_of(const struct axis *a, double value)
{
    double place = axis_place(a, value);
    if (a->kind == DIST_CHOICE)
        return isnan(place) ? INACTIVE : place;
    return isnan(place) ? 0.5 : fmin(fmax((place - a->from) / (a->to - a->from), 0), 1);
}

static double value_of(const struct axis *a, double unit)
{
    return a->kind == DIST_CHOICE ? unit : axis_value(a, a->from + unit * (a->to - a->from));
}

/* --- what it learns from ------------------------------------------------------------------------
 */

/* Observations, the best first. */
struct data {
    double *x; /* [n * d] */
    double *y; /* [n] losses */
    size_t n;
};

static void data_free(struct data *d)
{
    free(d->x);
    free(d->y);
}

static void add_row(const struct surrogate *s, const struct history *h, uint32_t row, double y,
                    struct data *d)
{
    for (size_t a = 0; a < s->d; a++)
        d->x[d->n * s->d + a] = unit_of(&s->axes[a], h->columns[s->on[a].column].values[row]);
    d->y[d->n++] = y;
}

static bool has_any(const struct surrogate *s, const struct history *h, uint32_t row)
{
    for (size_t a = 0; a < s->d; a++) {
        if (!isnan(h->columns[s->on[a].column].values[row]))
            return true;
    }
    return false;
}

/* Losses, ascending: an infinite one counts as the best or the worst finite one among them. */
static void make_finite(double *y, size_t n)
{
    size_t first = 0, last = n;
    while (first < n && y[first] == -INFINITY)
        first++;
    while (last > first && y[last - 1] == INFINITY)
        last--;
    double best = first < last ? y[first] : 0, worst = first < last ? y[last - 1] : 1;
    for (size_t i = 0; i < first; i++)
        y[i] = best;
    for (size_t i = last; i < n; i++)
        y[i] = worst;
}

/* Losses as the process sees them: the distance from the best, in units of the median's, on a scale
 * that is linear near the best and logarithmic far away; then standardised. */
static void standardise(double *y, size_t n)
{
    double best = y[0], middle = y[n / 2] - best, mean = 0, square = 0;
    if (!(middle > 0))
        middle = y[n - 1] - best > 0 ? y[n - 1] - best : 1;
    for (size_t i = 0; i < n; i++) {
        y[i] = log(0.5 + fmin((y[i] - best) / middle, DBL_MAX));
        mean += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++)
        square += (y[i] - mean) * (y[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        y[i] = (y[i] - mean) / sqrt(square > 1e-24 ? square : 1);
}

static int data_open(const struct surrogate *s, size_t most, struct data *d, struct err *err)
{
    *d = (struct data){.x = calloc(most * s->d + 1, sizeof(double)),
                       .y = calloc(most + 1, sizeof(double))};
    return d->x != NULL && d->y != NULL ? 0 : no_memory(err);
}

/* Of complete trials, numbered up to `last`, the best half of `most` and an even choice of the
 * others. */
static void add_complete(const struct surrogate *s, const struct history *h, int64_t last, size_t n,
                         size_t most, struct data *d)
{
    size_t head = n <= most ? n : most / 2, rank = 0, next = 0, taken = 0;
    for (size_t i = 0; i < h->n_complete && taken < most; i++) {
        uint32_t row = h->complete[i];
        if (h->rows[row].number > last)
            continue;
        if (rank++ != next)
            continue;
        taken++;
        next =
            taken < head ? taken : head + (taken - head) * (n - head) / (most - head + (n == head));
        if (has_any(s, h, row))
            add_row(s, h, row, h->rows[row].loss, d);
    }
    make_finite(d->y, d->n);
    if (d->n > 0)
        standardise(d->y, d->n);
}

/* Pruned trials are known to be no good, and running ones are taken for mediocre. */
static void add_others(const struct surrogate *s, const struct history *h, int64_t number,
                       size_t most, struct data *d)
{
    size_t stride = h->n_pruned / most + 1;
    for (size_t i = 0; i < h->n_pruned; i += stride) {
        if (has_any(s, h, h->pruned[i]))
            add_row(s, h, h->pruned[i], 0.7, d);
    }
    for (size_t i = h->n_rows, left = most; i-- > 0 && left > 0;) {
        uint32_t row = h->by_number[i];
        if (h->rows[row].state == TRIAL_RUNNING && h->rows[row].number != number &&
            has_any(s, h, row)) {
            add_row(s, h, row, 0, d);
            left--;
        }
    }
}

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

/* Finds the scales from the first `wanted` complete trials by number, unless that was done: so they
 * depend on what is known, and not on when it was asked. */
static int find_scales(const struct surrogate *s, const struct history *h, size_t wanted,
                       struct gp_scales *scales, uint64_t *known, struct err *err)
{
    uint64_t hash = wanted;
    int64_t last = 0;
    size_t n = 0;
    for (size_t i = 0; i < h->n_rows && n < wanted; i++) {
        const struct row *r = &h->rows[h->by_number[i]];
        if (r->state != TRIAL_COMPLETE)
            continue;
        hash = rng_mix(hash, rng_mix((uint64_t)r->number, bits_of(r->loss)));
        last = r->number;
        n++;
    }
    if (scales->weight != NULL && *known == hash)
        return 0;
    AUTO(data_free) struct data d = {0};
    struct gp_scales found;
    int rc = data_open(s, MOST_FIT, &d, err);
    if (rc < 0)
        return rc;
    add_complete(s, h, last, n, MOST_FIT, &d);
    if (d.n < SURROGATE_LEAST)
        return 0; /* trials of another space: nothing to learn the scales from */
    rc = gp_scales_fit(&found, d.x, d.y, d.n, s->d, s->is_choice, err);
    if (rc < 0)
        return rc;
    free(scales->weight);
    *scales = found;
    *known = hash;
    return 0;
}

/* Whether to trust the process is judged early: later it has gathered many trials in one place,
 * which explain one another well wherever that is. */
#define TRUST_FROM 18
#define TRUST_AT 33
#define TRUST_LEAST 0.6 /* explained share of the variance */

/* Whether what surrogate_choose would learn from is enough: the study may have many complete
 * trials, but with other parameters. */
static int enough(const struct surrogate *s, const struct history *h, bool *yes, struct err *err)
{
    AUTO(data_free) struct data d = {0};
    int rc = data_open(s, (size_t)2 * MOST_USED, &d, err);
    if (rc == 0)
        add_complete(s, h, INT64_MAX, h->n_complete, MOST_USED, &d);
    *yes = rc == 0 && d.n >= SURROGATE_LEAST;
    return rc;
}

int surrogate_learn(struct surrogate *s, const struct history *h, bool *trusted, struct err *err)
{
    size_t milestone = SURROGATE_LEAST, early = SURROGATE_LEAST; /* a quarter more each time */
    while (milestone + milestone / 4 <= h->n_complete) {
        milestone += milestone / 4;
        early = milestone <= TRUST_AT ? milestone : early;
    }
    int rc = find_scales(s, h, milestone, &s->scales, &s->known, err);
    if (rc == 0)
        rc = find_scales(s, h, early, &s->early, &s->early_known, err);
    bool able = false;
    if (rc == 0)
        rc = enough(s, h, &able, err);
    able = able && s->scales.weight != NULL && s->early.weight != NULL;
    *trusted = able && (early < TRUST_FROM || s->early.explained >= TRUST_LEAST);
    return rc;
}

/* --- where it looks -----------------------------------------------------------------------------
 */

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
    const struct surrogate *s;
    const struct gp *gp;
    const struct data *data;
    const double *fixed; /* [d] or NULL */
    struct rng *rng;
    double *points; /* [BATCH * d] on the unit cube */
    double *mean, *deviation;
    double *kept;           /* [(KEEP + 1) * d] the best so far, the best first */
    double score[KEEP + 1]; /* theirs */
    size_t n_kept;
    size_t n_best;  /* of the data, around which the first round looks */
    double *values; /* [space->n] scratch */
    bool *active;   /* [space->n] scratch */
};

/* Puts a point on what the parameters can be: steps, fixed values, inactive ones out of the way. */
static void settle(struct search *q, double *point)
{
    const struct surrogate *s = q->s;
    for (size_t a = 0; a < s->d; a++) {
        double value =
            value_of(&s->axes[a], point[a] == INACTIVE && s->is_choice[a] ? 0 : point[a]);
        if (q->fixed != NULL && !isnan(q->fixed[a]))
            value = q->fixed[a];
        point[a] = unit_of(&s->axes[a], value);
        if (s->space != NULL)
            q->values[s->on[a].param] = value;
    }
    if (s->space == NULL)
        return;
    for (size_t i = 0, a = 0; i < s->space->n; i++) {
        q->active[i] = space_active(s->space, i, q->values, q->active);
        if (a < s->d && (size_t)s->on[a].param == i) {
            if (!q->active[i])
                point[a] = s->is_choice[a] ? INACTIVE : 0.5;
            a++;
        }
    }
}

static double random_coordinate(struct search *q, size_t a)
{
    const struct axis *axis = &q->s->axes[a];
    return q->s->is_choice[a] ? (double)rng_below(q->rng, axis->n_choices) : rng_unit(q->rng);
}

static void scatter(struct search *q, double *point)
{
    for (size_t a = 0; a < q->s->d; a++)
        point[a] = random_coordinate(q, a);
}

/* A neighbour: some axes move, numbers by about `reach`, choices to another. */
static void step_from(struct search *q, const double *from, double reach, double *point)
{
    const struct surrogate *s = q->s;
    double share = rng_unit(q->rng) < 0.5 ? 1 : 2 / (double)s->d;
    size_t sure = rng_below(q->rng, s->d);
    for (size_t a = 0; a < s->d; a++) {
        point[a] = from[a];
        if (a != sure && rng_unit(q->rng) >= share)
            continue;
        const struct axis *x = &s->axes[a];
        if (s->is_choice[a]) {
            if (a == sure || rng_unit(q->rng) < 0.2)
                point[a] = random_coordinate(q, a);
            continue;
        }
        double cell = x->step > 0 && !x->log ? x->step / (x->to - x->from) : 0;
        point[a] += fmax(reach, cell) * rng_normal(q->rng);
        if (point[a] < 0 || point[a] > 1)
            point[a] = point[a] < 0 ? fmin(-point[a], 1) : fmax(2 - point[a], 0);
    }
}

static bool seen(const struct data *d, const double *point, size_t dims)
{
    for (size_t i = 0; i < d->n; i++) {
        if (memcmp(d->x + i * dims, point, dims * sizeof(double)) == 0)
            return true;
    }
    return false;
}

static void keep(struct search *q, const double *point, double score)
{
    size_t d = q->s->d, at = q->n_kept;
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
    size_t d = q->s->d;
    int rc = gp_predict(q->gp, q->points, n, q->mean, q->deviation, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        double score = log_improvement(q->data->y[0], q->mean[i], q->deviation[i]);
        if (seen(q->data, q->points + i * d, d))
            score -= 50; /* only when there is nothing else */
        keep(q, q->points + i * d, score);
    }
    return rc;
}

static int look(struct search *q, struct err *err)
{
    size_t d = q->s->d;
    static const double reach[ROUNDS] = {0.1, 0.1, 0.03, 0.01};
    assert(q->n_best > 0); /* nobody asks before there is something to learn from */
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < BATCH; i++) {
            double *point = q->points + i * d;
            if (round > 0)
                step_from(q, q->kept + i % q->n_kept * d, reach[round] * exp(rng_normal(q->rng)),
                          point);
            else if (i % 2 == 0)
                scatter(q, point);
            else
                step_from(q, q->data->x + i / 2 % q->n_best * d,
                          reach[round] * exp(rng_normal(q->rng)), point);
            settle(q, point);
        }
        int rc = judge(q, BATCH, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int search(struct search *q, double *values, struct err *err)
{
    const struct surrogate *s = q->s;
    size_t d = s->d, n = s->space != NULL ? s->space->n : 0;
    AUTO_FREE double *all = calloc(BATCH * (d + 2) + (KEEP + 1) * d + n + 1, sizeof(double));
    AUTO_FREE bool *active = calloc(n + 1, sizeof(bool));
    if (all == NULL || active == NULL)
        return no_memory(err);
    q->points = all;
    q->mean = q->points + BATCH * d;
    q->deviation = q->mean + BATCH;
    q->kept = q->deviation + BATCH;
    q->values = q->kept + (KEEP + 1) * d;
    q->active = active;
    q->n_best = q->data->n < 5 ? q->data->n : 5;
    for (size_t i = 0; i < n; i++) /* parameters of one value only */
        q->values[i] =
            s->space->params[i].dist.kind == DIST_CHOICE ? 0 : s->space->params[i].dist.low;
    int rc = look(q, err);
    for (size_t a = 0; rc == 0 && a < d; a++)
        values[a] =
            s->is_choice[a] && q->kept[a] == INACTIVE ? 0 : value_of(&s->axes[a], q->kept[a]);
    return rc;
}

int surrogate_choose(struct surrogate *s, const struct history *h, int64_t number, struct rng *rng,
                     const double *fixed, double *values, struct err *err)
{
    AUTO(data_free) struct data d = {0};
    struct gp *gp = NULL;
    int rc = data_open(s, (size_t)2 * MOST_USED, &d, err);
    if (rc < 0)
        return rc;
    add_complete(s, h, INT64_MAX, h->n_complete, MOST_USED, &d);
    add_others(s, h, number, MOST_USED / 4, &d);
    rc = gp_create(&gp, &s->scales, d.x, d.y, d.n, s->d, s->is_choice, err);
    if (rc < 0)
        return rc;
    struct search q = {.s = s, .gp = gp, .data = &d, .fixed = fixed, .rng = rng};
    rc = search(&q, values, err);
    gp_destroy(gp);
    return rc;
}
