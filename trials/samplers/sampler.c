#include "trials/samplers/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/rng.h"
#include "trials/samplers/axis.h"
#include "trials/samplers/history.h"
#include "trials/samplers/tpe.h"
#include "trials/samplers/turn.h"

/* A joint choice: values of parameters that are chosen together when a trial begins. */
struct draw {
    int64_t number;
    struct joint *at; /* [n] */
    double *values;   /* [n] */
    size_t n;
};

struct sampler {
    struct sampler_conf conf;
    struct history history;
    struct tpe *joint;           /* of the parameters that all trials have */
    struct surrogate *surrogate; /* auto; of the space, or of the parameters that all trials have */
    struct tpe **singles;        /* [n_singles] by column; NULL until asked for */
    size_t n_singles;
    struct draw *open; /* of define-by-run trials that have not ended */
    size_t n_open;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "sampler");
}

int sampler_create(struct sampler **out, const struct sampler_conf *conf, struct err *err)
{
    if (conf->startup < 0 || conf->candidates < 1)
        return err_set(err, ERR_INVALID,
                       "sampler: startup is %d and candidates %d, expected ≥ 0 and ≥ 1",
                       conf->startup, conf->candidates);
    struct sampler *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return no_memory(err);
    s->conf = *conf;
    history_init(&s->history, conf->direction);
    *out = s;
    return 0;
}

void sampler_set_seed(struct sampler *s, uint64_t seed)
{
    s->conf.seed = seed;
}

static void draw_free(struct draw *d)
{
    free(d->at);
    free(d->values);
    *d = (struct draw){0};
}

void sampler_destroy(struct sampler *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n_singles; i++)
        tpe_destroy(s->singles[i]);
    for (size_t i = 0; i < s->n_open; i++)
        draw_free(&s->open[i]);
    free(s->singles);
    free(s->open);
    tpe_destroy(s->joint);
    surrogate_destroy(s->surrogate);
    history_free(&s->history);
    free(s);
}

static uint64_t name_hash(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *name != '\0'; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return h;
}

/* Each trial has a stream for its joint choice (no name) and one for every parameter, so that
 * asking for all at once and one by one agree. */
static struct rng stream(const struct sampler *s, int64_t number, const char *name)
{
    struct rng rng;
    uint64_t seed = rng_mix(s->conf.seed, (uint64_t)number);
    rng_seed(&rng, name != NULL ? rng_mix(seed, name_hash(name)) : seed);
    return rng;
}

static bool starting(const struct sampler *s)
{
    return s->conf.kind == SAMPLER_RANDOM ||
           history_finished(&s->history) < (size_t)s->conf.startup;
}

static bool surrogate_possible(const struct sampler *s)
{
    return s->conf.kind == SAMPLER_AUTO && !starting(s) && s->history.n_complete >= SURROGATE_LEAST;
}

/* --- the joint choice ------------------------------------------------------------------------- */

static int update_joint(struct sampler *s, const struct draw *d, struct err *err)
{
    AUTO_FREE const struct dist **dists = calloc(d->n, sizeof(*dists));
    AUTO_FREE size_t *columns = calloc(d->n, sizeof(*columns));
    if (dists == NULL || columns == NULL)
        return no_memory(err);
    for (size_t i = 0; i < d->n; i++) {
        dists[i] = history_dist(&s->history, &d->at[i]);
        columns[i] = d->at[i].column;
    }
    if (!tpe_is_for(s->joint, dists, columns, d->n)) {
        tpe_destroy(TAKE(s->joint));
        int rc = tpe_create(&s->joint, dists, columns, d->n, err);
        if (rc < 0)
            return rc;
    }
    return tpe_sync(s->joint, &s->history, d->number, err);
}

/* Chooses what all finished trials have in common; *out is empty while there is nothing to learn
 * from. */
static int draw_joint(struct sampler *s, int64_t number, bool may_ask, struct draw *out,
                      struct err *err)
{
    const struct history *h = &s->history;
    struct draw d = {.number = number};
    if (!starting(s) && h->n_joint > 0) {
        d.at = calloc(h->n_joint, sizeof(*d.at));
        d.values = calloc(h->n_joint, sizeof(*d.values));
        if (d.at == NULL || d.values == NULL) {
            draw_free(&d);
            return no_memory(err);
        }
        for (size_t i = 0; i < h->n_joint; i++) {
            if (!dist_single(history_dist(&s->history, &h->joint[i])))
                d.at[d.n++] = h->joint[i];
        }
    }
    int rc = 0;
    if (d.n > 0) {
        struct rng rng = stream(s, number, NULL);
        bool chosen = false;
        struct turn turn = {&s->surrogate, &s->history, number, &rng};
        if (may_ask && surrogate_possible(s))
            rc = turn_choose_joint(&turn, d.at, d.n, d.values, &chosen, err);
        if (rc == 0 && !chosen)
            rc = update_joint(s, &d, err);
        if (rc == 0 && !chosen)
            rc = tpe_choose(s->joint, &rng, (size_t)s->conf.candidates, d.values, err);
    }
    if (rc < 0)
        draw_free(&d);
    else
        *out = d;
    return rc;
}

/* Whether the joint choice has a value for this parameter that its distribution allows today. */
static bool drawn(const struct sampler *s, const struct draw *d, const char *name,
                  const struct dist *dist, double *value)
{
    for (size_t i = 0; i < d->n; i++) {
        if (strcmp(s->history.columns[d->at[i].column].name, name) == 0) {
            *value = d->values[i];
            return dist_compatible(history_dist(&s->history, &d->at[i]), dist) &&
                   dist_contains(dist, *value);
        }
    }
    return false;
}

/* --- one parameter by itself ------------------------------------------------------------------ */

static int single_model(struct sampler *s, const char *name, const struct dist *dist,
                        struct tpe ***out, struct err *err)
{
    int64_t column = history_column(&s->history, name);
    if (column < 0)
        return no_memory(err);
    if (s->n_singles < s->history.n_columns) {
        if (!array_resize(&s->singles, s->history.n_columns, sizeof(struct tpe *)))
            return no_memory(err);
        for (; s->n_singles < s->history.n_columns; s->n_singles++)
            s->singles[s->n_singles] = NULL;
    }
    struct tpe **model = &s->singles[column];
    size_t c = (size_t)column;
    *out = model;
    if (tpe_is_for(*model, &dist, &c, 1))
        return 0;
    tpe_destroy(TAKE(*model));
    return tpe_create(model, &dist, &c, 1, err);
}

static int choose_single(struct sampler *s, int64_t number, const char *name,
                         const struct dist *dist, double *value, struct err *err)
{
    struct rng rng = stream(s, number, name);
    if (starting(s)) {
        struct axis a = axis_of(dist);
        *value = axis_random(&a, &rng);
        return 0;
    }
    struct tpe **model = NULL;
    int rc = single_model(s, name, dist, &model, err);
    if (rc == 0)
        rc = tpe_sync(*model, &s->history, number, err);
    if (rc == 0)
        rc = tpe_choose(*model, &rng, (size_t)s->conf.candidates, value, err);
    return rc;
}

static int choose(struct sampler *s, const struct draw *d, const char *name,
                  const struct dist *dist, double *value, struct err *err)
{
    if (dist_single(dist)) {
        *value = dist->kind == DIST_CHOICE ? 0 : dist->low;
        return 0;
    }
    if (drawn(s, d, name, dist, value))
        return 0;
    return choose_single(s, d->number, name, dist, value, err);
}

/* --- trials as they come ---------------------------------------------------------------------- */

static struct draw *open_draw(struct sampler *s, int64_t number)
{
    for (size_t i = 0; i < s->n_open; i++) {
        if (s->open[i].number == number)
            return &s->open[i];
    }
    return NULL;
}

static void close_draw(struct sampler *s, int64_t number)
{
    struct draw *d = open_draw(s, number);
    if (d == NULL)
        return;
    draw_free(d);
    *d = s->open[--s->n_open];
}

/* Lets other trials know what an unfinished one has been given, though it has not asked for it yet.
 */
static int share(struct sampler *s, const struct draw *d, struct err *err)
{
    AUTO_FREE struct trial_param *params = calloc(d->n + 1, sizeof(*params));
    AUTO_FREE struct dist *dists =
        calloc(d->n + 1, sizeof(*dists)); /* the history's own may move */
    if (params == NULL || dists == NULL)
        return no_memory(err);
    for (size_t i = 0; i < d->n; i++) {
        dists[i] = *history_dist(&s->history, &d->at[i]);
        params[i] = (struct trial_param){.name = s->history.columns[d->at[i].column].name,
                                         .dist = &dists[i],
                                         .value = d->values[i]};
    }
    return history_add_params(&s->history, d->number, params, d->n, err);
}

int sampler_observe(struct sampler *s, const struct trial *t, struct err *err)
{
    int rc = history_observe(&s->history, t, err);
    if (rc < 0)
        return rc;
    struct draw *d = open_draw(s, t->number);
    if (t->state != TRIAL_RUNNING)
        close_draw(s, t->number);
    else if (d != NULL)
        rc = share(s, d, err);
    return rc;
}

/* Goes through the space; `values` holds what the surrogate chose already, if `chosen`. */
static int ask_in_order(struct sampler *s, const struct draw *d, bool chosen, const double *fixed,
                        double *values, bool *active, struct err *err)
{
    const struct space *space = s->conf.space;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < space->n; i++) {
        const struct param *p = &space->params[i];
        active[i] = space_active(space, i, values, active);
        if (!active[i])
            values[i] = NAN;
        else if (fixed != NULL && !isnan(fixed[i]))
            values[i] = fixed[i];
        else if (!chosen || dist_single(&p->dist))
            rc = choose(s, d, p->name, &p->dist, &values[i], err);
    }
    return rc;
}

int sampler_ask(struct sampler *s, int64_t number, const double *fixed, double *values,
                bool *active, struct err *err)
{
    struct draw d = {.number = number};
    bool chosen = false;
    int rc = 0;
    if (surrogate_possible(s)) {
        struct rng rng = stream(s, number, NULL);
        struct turn turn = {&s->surrogate, &s->history, number, &rng};
        rc = turn_choose_space(&turn, s->conf.space, fixed, values, &chosen, err);
    }
    if (rc == 0 && !chosen)
        rc = draw_joint(s, number, false, &d, err);
    if (rc == 0)
        rc = ask_in_order(s, &d, chosen, fixed, values, active, err);
    draw_free(&d);
    return rc;
}

int sampler_suggest(struct sampler *s, int64_t number, const char *name, const struct dist *dist,
                    double *value, struct err *err)
{
    struct draw *d = open_draw(s, number);
    if (d == NULL) {
        if (!array_resize(&s->open, s->n_open + 1, sizeof(*s->open)))
            return no_memory(err);
        int rc = draw_joint(s, number, true, &s->open[s->n_open], err);
        if (rc < 0)
            return rc;
        d = &s->open[s->n_open++];
        rc = d->n > 0 ? share(s, d, err) : 0;
        if (rc < 0)
            return rc;
    }
    return choose(s, d, name, dist, value, err);
}
