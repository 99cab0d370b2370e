#include "trials/pruners/pruner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "trials/pruners/asha.h"
#include "trials/pruners/median.h"

struct known {
    int64_t number;
    struct trial_step
        *losses; /* [n] owned, in order of report; let go of when the trial has ended */
    size_t n, capacity;
    struct median_progress progress;
    double last_loss; /* at the highest step */
    int rungs;
    bool complete; /* counted */
};

struct pruner {
    struct pruner_conf conf;
    struct known *trials; /* [n] by number */
    size_t n, capacity;
    struct median median;
    struct asha asha;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "pruner");
}

int pruner_create(struct pruner **out, const struct pruner_conf *conf, struct err *err)
{
    if (conf->startup_trials < 0 || conf->warmup_steps < 0 || conf->interval_steps < 1)
        return err_set(
            err, ERR_INVALID,
            "median pruner: startup and warm-up must not be negative, the interval at least 1");
    if (conf->min_resource < 1 || conf->reduction_factor < 2 || conf->min_early_stopping_rate < 0)
        return err_set(
            err, ERR_INVALID,
            "asha pruner: min resource must be at least 1, the reduction factor at least 2, the "
            "early stopping rate not negative");
    struct pruner *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return no_memory(err);
    p->conf = *conf;
    *out = p;
    return 0;
}

void pruner_destroy(struct pruner *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->n; i++)
        free(p->trials[i].losses);
    free(p->trials);
    median_free(&p->median);
    asha_free(&p->asha);
    free(p);
}

/* First position whose number is not below. */
static size_t position(const struct pruner *p, int64_t number)
{
    return LOWER_BOUND(i, p->n, p->trials[i].number < number);
}

static struct known *find(struct pruner *p, int64_t number)
{
    size_t at = position(p, number);
    if (at < p->n && p->trials[at].number == number)
        return &p->trials[at];
    if (!array_reserve(&p->trials, &p->capacity, p->n + 1, sizeof(*p->trials)))
        return NULL;
    ARRAY_OPEN(p->trials, at, p->n);
    p->trials[at] = (struct known){.number = number};
    p->trials[at].progress = (struct median_progress){.last = -1, .before_last = -1, .best = NAN};
    p->n++;
    return &p->trials[at];
}

static double loss_of(const struct pruner *p, double value)
{
    return p->conf.direction == DIRECTION_MAXIMIZE ? -value : value;
}

static bool reported(const struct known *k, int64_t step)
{
    for (size_t i = k->n; i > 0; i--) {
        if (k->losses[i - 1].step == step)
            return true;
        if (k->progress.last == k->losses[i - 1].step && step > k->progress.last)
            return false; /* in order, as nearly always */
    }
    return false;
}

static bool remember(struct known *k, int64_t step, double loss)
{
    if (!array_reserve(&k->losses, &k->capacity, k->n + 1, sizeof(*k->losses)))
        return false;
    k->losses[k->n++] = (struct trial_step){.step = step, .value = loss};
    struct median_progress *g = &k->progress;
    if (step > g->last) {
        g->before_last = g->last;
        g->last = step;
        k->last_loss = loss;
    } else if (step > g->before_last) {
        g->before_last = step;
    }
    g->best = fmin(g->best, loss); /* ignores NaN */
    return true;
}

int pruner_report(struct pruner *p, int64_t number, int64_t step, double value, bool *prune,
                  int *rung, struct err *err)
{
    *prune = false;
    if (rung != NULL)
        *rung = -1;
    if (p->conf.kind == PRUNER_NONE)
        return 0;
    struct known *k = find(p, number);
    if (k == NULL || (!reported(k, step) && !remember(k, step, loss_of(p, value))))
        return no_memory(err);
    if (p->conf.kind == PRUNER_MEDIAN) {
        *prune = median_prunes(&p->median, &p->conf, &k->progress);
        return 0;
    }
    int before = k->rungs;
    int rc = asha_climb(&p->asha, &p->conf, k->progress.last, k->last_loss, &k->rungs, prune, err);
    if (rung != NULL && k->rungs > before)
        *rung = k->rungs - 1;
    return rc;
}

int pruner_rungs(const struct pruner *p, int64_t number)
{
    size_t at = position(p, number);
    return at < p->n && p->trials[at].number == number ? p->trials[at].rungs : 0;
}

static int complete(struct pruner *p, struct known *k, const struct trial_step *losses, size_t n,
                    struct err *err)
{
    if (k->complete)
        return 0;
    int rc = median_complete(&p->median, losses, n, err);
    k->complete = rc == 0;
    return rc;
}

static int observe_complete(struct pruner *p, struct known *k, const struct trial *t,
                            struct err *err)
{
    AUTO_FREE struct trial_step *losses = calloc(t->n_steps + 1, sizeof(*losses));
    if (losses == NULL)
        return no_memory(err);
    for (size_t i = 0; i < t->n_steps; i++)
        losses[i] = (struct trial_step){t->steps[i].step, loss_of(p, t->steps[i].value)};
    return complete(p, k, losses, t->n_steps, err);
}

/* The value of the attribute completed_rung_N, or NaN. */
static double rung_value(const struct trial *t, int rung)
{
    char key[32];
    double v = NAN;
    (void)snprintf(key, sizeof(key), "completed_rung_%d", rung);
    for (size_t i = 0; i < t->n_system_attrs; i++) {
        const char *json = t->system_attrs[i].json;
        if (strcmp(t->system_attrs[i].key, key) == 0 && text_double(json, &v))
            return v;
    }
    return NAN;
}

static int observe_rungs(struct pruner *p, struct known *k, const struct trial *t, struct err *err)
{
    for (double v; !isnan(v = rung_value(t, k->rungs)); k->rungs++) {
        int rc = asha_add(&p->asha, k->rungs, loss_of(p, v), err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int pruner_observe(struct pruner *p, const struct trial *t, struct err *err)
{
    if (p->conf.kind == PRUNER_NONE)
        return 0;
    struct known *k = find(p, t->number);
    if (k == NULL)
        return no_memory(err);
    if (p->conf.kind == PRUNER_ASHA)
        return observe_rungs(p, k, t, err);
    return t->state == TRIAL_COMPLETE ? observe_complete(p, k, t, err) : 0;
}

int pruner_finish(struct pruner *p, int64_t number, enum trial_state state, struct err *err)
{
    if (p->conf.kind == PRUNER_NONE)
        return 0;
    struct known *k = find(p, number);
    if (k == NULL)
        return no_memory(err);
    int rc = 0;
    if (p->conf.kind == PRUNER_MEDIAN && state == TRIAL_COMPLETE)
        rc = complete(p, k, k->losses, k->n, err);
    if (rc == 0) {
        free(TAKE(k->losses));
        k->n = k->capacity = 0;
    }
    return rc;
}
