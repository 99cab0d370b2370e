#include "trials/samplers/surrogate.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/samplers/gp.h"
#include "trials/samplers/observations.h"
#include "trials/samplers/search.h"

#define MOST_FIT 70   /* observations from which scales are found */
#define MOST_USED 160 /* observations from which the process predicts */

struct surrogate {
    struct cube cube;
    struct gp_scales scales;
    uint64_t known;         /* hash of the trials that the scales were found from */
    struct gp_scales early; /* those found from the first TRUST_AT trials at most */
    uint64_t early_known;
};

int surrogate_create(struct surrogate **out, const struct cube_axis *axes, size_t d,
                     const struct space *space, struct err *err)
{
    struct surrogate *s = calloc(1, sizeof(*s));
    int rc =
        s != NULL ? cube_init(&s->cube, axes, d, space, err) : err_set(err, ERR_NOMEM, "surrogate");
    if (rc == 0)
        *out = s;
    else
        surrogate_destroy(s);
    return rc;
}

void surrogate_destroy(struct surrogate *s)
{
    if (s == NULL)
        return;
    free(s->scales.weight);
    free(s->early.weight);
    cube_free(&s->cube);
    free(s);
}

bool surrogate_is_for(const struct surrogate *s, const struct cube_axis *axes, size_t d)
{
    bool same = s != NULL && d == s->cube.d;
    for (size_t i = 0; same && i < d; i++) {
        const struct cube_axis *a = &s->cube.axes[i];
        same = a->column == axes[i].column && a->param == axes[i].param &&
               axis_equal(&a->axis, &axes[i].axis);
    }
    return same;
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
    AUTO(observations_free) struct observations d = {0};
    struct gp_scales found;
    int rc = observations_open(&s->cube, MOST_FIT, &d, err);
    if (rc < 0)
        return rc;
    observations_add_complete(&s->cube, h, last, n, MOST_FIT, &d);
    if (d.n < SURROGATE_LEAST)
        return 0; /* trials of another space: nothing to learn the scales from */
    rc = gp_scales_fit(&found, d.x, d.y, d.n, s->cube.d, s->cube.is_choice, err);
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
    AUTO(observations_free) struct observations d = {0};
    int rc = observations_open(&s->cube, (size_t)2 * MOST_USED, &d, err);
    if (rc == 0)
        observations_add_complete(&s->cube, h, INT64_MAX, h->n_complete, MOST_USED, &d);
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

int surrogate_choose(struct surrogate *s, const struct history *h, int64_t number, struct rng *rng,
                     const double *fixed, double *values, struct err *err)
{
    const struct cube *c = &s->cube;
    AUTO(observations_free) struct observations d = {0};
    struct gp *gp = NULL;
    int rc = observations_open(c, (size_t)2 * MOST_USED, &d, err);
    if (rc < 0)
        return rc;
    observations_add_complete(c, h, INT64_MAX, h->n_complete, MOST_USED, &d);
    observations_add_others(c, h, number, MOST_USED / 4, &d);
    rc = gp_create(&gp, &s->scales, d.x, d.y, d.n, c->d, c->is_choice, err);
    if (rc < 0)
        return rc;
    struct search_conf conf = {.cube = c, .gp = gp, .seen = &d, .fixed = fixed, .rng = rng};
    rc = search_improvement(&conf, values, err);
    gp_destroy(gp);
    return rc;
}
