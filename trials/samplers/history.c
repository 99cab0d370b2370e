#include "trials/samplers/history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"

void history_init(struct history *h, enum direction direction)
{
    *h = (struct history){.direction = direction};
}

void history_free(struct history *h)
{
    for (size_t c = 0; c < h->n_columns; c++) {
        for (size_t i = 0; i < h->columns[c].n_dists; i++)
            dist_free(&h->columns[c].dists[i]);
        free(h->columns[c].dists);
        free(h->columns[c].name);
        free(h->columns[c].values);
    }
    free(h->columns);
    free(h->rows);
    free(h->by_number);
    free(h->complete);
    free(h->pruned);
    free(h->changes);
    free(h->joint);
    *h = (struct history){0};
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "history of trials");
}

static bool reserve_rows(struct history *h)
{
    if (h->n_rows < h->capacity)
        return true;
    size_t n = h->capacity < 64 ? 64 : h->capacity + h->capacity / 2;
    for (size_t c = 0; c < h->n_columns; c++) {
        if (!array_resize(&h->columns[c].values, n, sizeof(double)))
            return false;
    }
    if (!array_resize(&h->rows, n, sizeof(*h->rows)) ||
        !array_resize(&h->by_number, n, sizeof(uint32_t)) ||
        !array_resize(&h->complete, n, sizeof(uint32_t)) ||
        !array_resize(&h->pruned, n, sizeof(uint32_t)))
        return false;
    h->capacity = n;
    return true;
}

static bool reserve_change(struct history *h)
{
    return array_reserve(&h->changes, &h->changes_capacity, h->n_changes + 1, sizeof(uint32_t));
}

/* First position in by_number whose number is not below. */
static size_t number_position(const struct history *h, int64_t number)
{
    size_t n = h->n_rows;
    if (n > 0 && h->rows[h->by_number[n - 1]].number < number)
        return n; /* as nearly always */
    return LOWER_BOUND(i, n, h->rows[h->by_number[i]].number < number);
}

int64_t history_row(const struct history *h, int64_t number)
{
    size_t at = number_position(h, number);
    bool there = at < h->n_rows && h->rows[h->by_number[at]].number == number;
    return there ? (int64_t)h->by_number[at] : -1;
}

static int64_t add_column(struct history *h, const char *name)
{
    if (!array_resize(&h->columns, h->n_columns + 1, sizeof(*h->columns)))
        return -1;
    struct column c = {.name = strdup(name),
                       .values = calloc(h->capacity > 0 ? h->capacity : 1, sizeof(double))};
    if (c.name == NULL || c.values == NULL) {
        free(c.name);
        free(c.values);
        return -1;
    }
    for (size_t r = 0; r < h->n_rows; r++)
        c.values[r] = NAN;
    h->columns[h->n_columns] = c;
    return (int64_t)h->n_columns++;
}

int64_t history_column(struct history *h, const char *name)
{
    for (size_t c = 0; c < h->n_columns; c++) {
        if (strcmp(h->columns[c].name, name) == 0)
            return (int64_t)c;
    }
    return add_column(h, name);
}

/* Parameters come in the same order again and again: the guess is usually right. */
static int64_t column_for(struct history *h, const char *name, size_t guess)
{
    if (guess < h->n_columns && strcmp(h->columns[guess].name, name) == 0)
        return (int64_t)guess;
    return history_column(h, name);
}

static int64_t dist_index(struct column *c, const struct dist *d)
{
    for (size_t i = c->n_dists; i > 0; i--) {
        if (dist_equal(&c->dists[i - 1], d))
            return (int64_t)i - 1;
    }
    if (!array_resize(&c->dists, c->n_dists + 1, sizeof(*c->dists)) ||
        dist_copy(&c->dists[c->n_dists], d, NULL) < 0)
        return -1;
    return (int64_t)c->n_dists++;
}

/* Where a COMPLETE or PRUNED row stands: a before b? */
static bool better(const struct row *a, const struct row *b)
{
    if (a->state == TRIAL_PRUNED && a->step != b->step)
        return a->step > b->step;
    double x = a->state == TRIAL_PRUNED ? a->step_loss : a->loss;
    double y = a->state == TRIAL_PRUNED ? b->step_loss : b->loss;
    return x != y ? x < y : a->number < b->number;
}

static size_t rank_position(const struct history *h, const uint32_t *list, size_t n,
                            const struct row *r)
{
    return LOWER_BOUND(i, n, better(&h->rows[list[i]], r));
}

static void insert_at(uint32_t *list, size_t *n, size_t at, uint32_t row)
{
    ARRAY_OPEN(list, at, *n);
    list[at] = row;
    (*n)++;
}

static void unrank(struct history *h, uint32_t row)
{
    const struct row *r = &h->rows[row];
    if (r->state != TRIAL_COMPLETE && r->state != TRIAL_PRUNED)
        return;
    uint32_t *list = r->state == TRIAL_COMPLETE ? h->complete : h->pruned;
    size_t *n = r->state == TRIAL_COMPLETE ? &h->n_complete : &h->n_pruned;
    size_t at = rank_position(h, list, *n, r);
    ARRAY_CLOSE(list, at, *n);
    (*n)--;
}

static void rank(struct history *h, uint32_t row)
{
    const struct row *r = &h->rows[row];
    if (r->state == TRIAL_COMPLETE)
        insert_at(h->complete, &h->n_complete, rank_position(h, h->complete, h->n_complete, r),
                  row);
    else if (r->state == TRIAL_PRUNED)
        insert_at(h->pruned, &h->n_pruned, rank_position(h, h->pruned, h->n_pruned, r), row);
}

/* NaN is worse than anything. */
static double loss_of(const struct history *h, double v)
{
    return isnan(v) ? INFINITY : h->direction == DIRECTION_MAXIMIZE ? -v : v;
}

static struct row row_of(const struct history *h, const struct trial *t)
{
    struct row r = {.number = t->number, .state = t->state, .step = -1};
    if (t->state == TRIAL_COMPLETE && t->n_values > 0)
        r.loss = loss_of(h, t->values[0]);
    if (t->state == TRIAL_FAIL || (t->state == TRIAL_COMPLETE && t->n_values == 0))
        r.state = TRIAL_WAITING;
    for (size_t i = 0; t->state == TRIAL_PRUNED && i < t->n_steps; i++) {
        if (t->steps[i].step >= r.step) {
            r.step = t->steps[i].step;
            r.step_loss = loss_of(h, t->steps[i].value);
        }
    }
    return r;
}

static int by_name(const void *a, const void *b, void *ctx)
{
    const struct history *h = ctx;
    const struct joint *x = a, *y = b;
    return strcmp(h->columns[x->column].name, h->columns[y->column].name);
}

/* The first finished trial brings its parameters; each later one takes away what it has not. */
static bool intersect(struct history *h, const struct joint *own, size_t n)
{
    if (!h->joint_known) {
        if (!array_resize(&h->joint, n + 1, sizeof(*h->joint)))
            return false;
        memcpy(h->joint, own, n * sizeof(*own));
        h->n_joint = n;
        h->joint_known = true;
        qsort_r(h->joint, n, sizeof(*h->joint), by_name, h);
        return true;
    }
    size_t kept = 0;
    for (size_t i = 0; i < h->n_joint; i++) {
        struct joint j = h->joint[i];
        size_t k = 0;
        while (k < n && (own[k].column != j.column || own[k].dist != j.dist))
            k++;
        if (k < n)
            h->joint[kept++] = j;
    }
    h->n_joint = kept;
    return true;
}

/* Makes columns and distributions for the trial's parameters and puts their indices into own. */
static int columns_for(struct history *h, const struct trial_param *params, size_t n,
                       struct joint *own, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        int64_t c = column_for(h, params[i].name, i);
        int64_t d = c >= 0 ? dist_index(&h->columns[c], params[i].dist) : -1;
        if (d < 0)
            return no_memory(err);
        own[i] = (struct joint){.column = (size_t)c, .dist = (size_t)d};
    }
    return 0;
}

static uint32_t new_row(struct history *h, int64_t number)
{
    uint32_t row = (uint32_t)h->n_rows;
    h->rows[row] = (struct row){.number = number, .state = TRIAL_WAITING};
    size_t n = h->n_rows, at = number_position(h, number);
    insert_at(h->by_number, &n, at, row);
    h->n_rows = n;
    return row;
}

/* Whether a row says already what it is about to be told. */
static bool same_row(const struct history *h, uint32_t row, const struct row *r,
                     const struct joint *own, const struct trial_param *params, size_t n)
{
    const struct row *old = &h->rows[row];
    if (old->state != r->state || old->loss != r->loss || old->step != r->step ||
        old->step_loss != r->step_loss)
        return false;
    size_t known = 0;
    for (size_t c = 0; c < h->n_columns; c++)
        known += isnan(h->columns[c].values[row]) ? 0 : 1;
    for (size_t i = 0; i < n; i++) {
        if (h->columns[own[i].column].values[row] != params[i].value)
            return false;
    }
    return known == n;
}

/* The parameters that can be learnt from: others may have stored some that cannot. */
static size_t plain_params(struct trial_param *out, const struct trial *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_params; i++) {
        if (t->params[i].dist->kind != DIST_OPAQUE)
            out[n++] = t->params[i];
    }
    return n;
}

int history_observe(struct history *h, const struct trial *t, struct err *err)
{
    struct row r = row_of(h, t);
    int64_t known = history_row(h, t->number);
    if (known < 0 && r.state == TRIAL_WAITING)
        return 0;
    AUTO_FREE struct joint *own = calloc(t->n_params + 1, sizeof(*own));
    AUTO_FREE struct trial_param *params = calloc(t->n_params + 1, sizeof(*params));
    if (own == NULL || params == NULL || !reserve_rows(h) || !reserve_change(h))
        return no_memory(err);
    size_t n = plain_params(params, t);
    int rc = columns_for(h, params, n, own, err);
    if (rc < 0)
        return rc;
    bool finished = r.state == TRIAL_COMPLETE || r.state == TRIAL_PRUNED;
    size_t joint = h->n_joint;
    if (finished && !intersect(h, own, n))
        return no_memory(err);
    if (known >= 0 && h->n_joint == joint && same_row(h, (uint32_t)known, &r, own, params, n))
        return 0;
    uint32_t row = known >= 0 ? (uint32_t)known : new_row(h, t->number);
    unrank(h, row);
    h->rows[row] = r;
    for (size_t c = 0; c < h->n_columns; c++)
        h->columns[c].values[row] = NAN;
    for (size_t i = 0; i < n; i++)
        h->columns[own[i].column].values[row] = params[i].value;
    rank(h, row);
    h->changes[h->n_changes++] = row;
    return 0;
}

int history_add_params(struct history *h, int64_t number, const struct trial_param *params,
                       size_t n, struct err *err)
{
    AUTO_FREE struct joint *own = calloc(n + 1, sizeof(*own));
    if (own == NULL || !reserve_rows(h) || !reserve_change(h))
        return no_memory(err);
    int rc = columns_for(h, params, n, own, err);
    if (rc < 0)
        return rc;
    int64_t known = history_row(h, number);
    uint32_t row = known >= 0 ? (uint32_t)known : new_row(h, number);
    for (size_t c = 0; known < 0 && c < h->n_columns; c++)
        h->columns[c].values[row] = NAN;
    if (h->rows[row].state == TRIAL_WAITING)
        h->rows[row].state = TRIAL_RUNNING;
    for (size_t i = 0; i < n; i++) {
        double *v = &h->columns[own[i].column].values[row];
        if (isnan(*v))
            *v = params[i].value;
    }
    h->changes[h->n_changes++] = row;
    return 0;
}
