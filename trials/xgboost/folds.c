#include "trials/xgboost/folds.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"

/* Adds [from, to) to what the fold trains on. */
static void train_on(struct fold *f, size_t from, size_t to)
{
    if (from < to)
        f->train[f->n_train++] = (struct range){from, to};
}

static size_t less(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

static struct fold holdout(const struct fold_conf *conf, size_t rows)
{
    size_t test = (size_t)ceil(conf->fraction * (double)rows);
    struct fold f = {.test = {rows - test, rows}};
    train_on(&f, 0, less(f.test.from, conf->embargo));
    return f;
}

static struct fold walk_forward(const struct fold_conf *conf, size_t rows, size_t i)
{
    size_t block = rows / (conf->n + 1);
    size_t from = rows - (conf->n - i) * block;
    struct fold f = {.test = {from, from + block}};
    train_on(&f, 0, less(from, conf->embargo));
    return f;
}

static struct fold kfold(const struct fold_conf *conf, size_t rows, size_t i)
{
    size_t block = rows / conf->n, longer = rows % conf->n;
    size_t from = i * block + (i < longer ? i : longer);
    struct fold f = {.test = {from, from + block + (i < longer)}};
    train_on(&f, 0, less(from, conf->embargo));
    train_on(&f, f.test.to + conf->embargo < rows ? f.test.to + conf->embargo : rows, rows);
    return f;
}

static struct fold fold_at(const struct fold_conf *conf, size_t rows, size_t i)
{
    switch (conf->kind) {
    case FOLDS_HOLDOUT:
        return holdout(conf, rows);
    case FOLDS_WALK_FORWARD:
        return walk_forward(conf, rows, i);
    default:
        return kfold(conf, rows, i);
    }
}

/* Fisher and Yates; the seed is a constant, so all trials of all sweeps see the same folds. */
static uint32_t *shuffled(size_t rows)
{
    uint32_t *order = malloc(rows * sizeof(*order));
    if (order == NULL)
        return NULL;
    struct rng rng;
    rng_seed(&rng, rows);
    for (size_t i = 0; i < rows; i++) {
        size_t j = (size_t)rng_below(&rng, i + 1);
        order[i] = order[j];
        order[j] = (uint32_t)i;
    }
    return order;
}

int fold_plan_create(struct fold_plan *out, const struct fold_conf *conf, size_t rows,
                     struct err *err)
{
    size_t n = conf->kind == FOLDS_HOLDOUT ? 1 : conf->n;
    if (rows > UINT32_MAX)
        return err_set(err, ERR_INVALID, "%zu rows: at most %u are possible", rows, UINT32_MAX);
    if (n >= rows)
        return err_set(err, ERR_INVALID,
                       "%zu folds of %zu rows: there must be more rows than folds", n, rows);
    struct fold_plan p = {.folds = calloc(n, sizeof(*p.folds)), .n = n};
    if (conf->shuffle)
        p.order = shuffled(rows);
    if (p.folds == NULL || (conf->shuffle && p.order == NULL)) {
        fold_plan_finish(&p);
        return err_set(err, ERR_NOMEM, "out of memory for %zu folds", n);
    }
    for (size_t i = 0; i < n; i++) {
        p.folds[i] = fold_at(conf, rows, i);
        if (p.folds[i].n_train == 0 || range_rows(p.folds[i].test) == 0) {
            fold_plan_finish(&p);
            return err_set(
                err, ERR_INVALID,
                "fold %zu of %zu has nothing to train on: %zu rows with an embargo of %zu", i + 1,
                n, rows, conf->embargo);
        }
    }
    *out = p;
    return 0;
}

void fold_plan_finish(struct fold_plan *p)
{
    free(p->folds);
    free(p->order);
    *p = (struct fold_plan){0};
}

size_t fold_train_rows(const struct fold *f)
{
    size_t n = 0;
    for (int i = 0; i < f->n_train; i++)
        n += range_rows(f->train[i]);
    return n;
}
