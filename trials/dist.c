#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "trials/decimal.h"
#include "trials/space.h"

/* How many whole steps lie between low and high. Optuna counts in decimal arithmetic on the
 * shortest text forms, for in binary 0.3 is no multiple of 0.1. False: too many to be told apart.
 */
static bool count_steps(double low, double high, double step, __int128 *k, bool *exact)
{
    struct decimal l = decimal_from(low), minus = {.m = -l.m, .e = l.e};
    return decimal_divide(decimal_add(decimal_from(high), minus), decimal_from(step), k, exact);
}

/* The largest low + k * step that is not above high. */
static double grid_high(double low, double high, double step)
{
    __int128 k;
    bool exact;
    if (!count_steps(low, high, step, &k, &exact) || exact)
        return high;
    return decimal_to(decimal_add(decimal_times(k, decimal_from(step)), decimal_from(low)));
}

static int bounds_error(struct err *err, const struct dist *d, const char *rule)
{
    char low[TEXT_DOUBLE_MAX], high[TEXT_DOUBLE_MAX];
    return err_set(err, ERR_INVALID, "%s, but the bounds are %s and %s", rule,
                   text_from_double(d->low, low), text_from_double(d->high, high));
}

static bool whole(double v)
{
    return v == trunc(v) && fabs(v) <= 0x1p53;
}

static int check_range(struct dist *d, struct err *err)
{
    char step[TEXT_DOUBLE_MAX];
    bool is_int = d->kind == DIST_INT;
    if (!isfinite(d->low) || !isfinite(d->high))
        return bounds_error(err, d, "bounds must be finite");
    if (is_int && (!whole(d->low) || !whole(d->high)))
        return bounds_error(err, d, "bounds of an int must be whole numbers within 2^53");
    if (d->low > d->high)
        return bounds_error(err, d, "low must not be above high");
    if (d->log && is_int && d->low < 1)
        return bounds_error(err, d, "a log scale of ints needs low >= 1");
    if (d->log && d->low <= 0)
        return bounds_error(err, d, "a log scale needs low > 0");
    if (!isfinite(d->step) || d->step < 0 || (is_int && (d->step < 1 || !whole(d->step))))
        return err_set(err, ERR_INVALID, "step must be %s, but it is %s",
                       is_int ? "a whole number from 1" : "above 0",
                       text_from_double(d->step, step));
    if (d->log && d->step != (is_int ? 1 : 0))
        return err_set(err, ERR_INVALID, "a log scale takes no step, but step is %s",
                       text_from_double(d->step, step));
    if (is_int)
        d->high = d->low + floor((d->high - d->low) / d->step) * d->step;
    else if (d->step > 0)
        d->high = grid_high(d->low, d->high, d->step);
    return 0;
}

int dist_check(struct dist *d, struct err *err)
{
    if (d->kind != DIST_CHOICE)
        return check_range(d, err);
    if (d->n_choices == 0)
        return err_set(err, ERR_INVALID, "a choice needs at least one option");
    return 0;
}

void dist_free(struct dist *d)
{
    for (size_t i = 0; i < d->n_choices; i++) {
        if (d->choices[i].kind == VALUE_TEXT)
            free(d->choices[i].s);
    }
    free(d->choices);
    *d = (struct dist){0};
}

static int copy_choices(struct dist *out, const struct dist *d)
{
    out->choices = calloc(d->n_choices, sizeof(*out->choices));
    if (out->choices == NULL)
        return -ERR_NOMEM;
    for (; out->n_choices < d->n_choices; out->n_choices++) {
        struct value v = d->choices[out->n_choices];
        if (v.kind == VALUE_TEXT && (v.s = strdup(v.s)) == NULL)
            return -ERR_NOMEM;
        out->choices[out->n_choices] = v;
    }
    return 0;
}

int dist_copy(struct dist *out, const struct dist *d, struct err *err)
{
    struct dist copy = *d;
    copy.choices = NULL;
    copy.n_choices = 0;
    if (d->n_choices > 0 && copy_choices(&copy, d) < 0) {
        dist_free(&copy);
        return err_set(err, ERR_NOMEM, "copy of a choice of %zu", d->n_choices);
    }
    *out = copy;
    return 0;
}

bool dist_contains(const struct dist *d, double internal)
{
    if (d->kind == DIST_OPAQUE)
        return !isnan(internal);
    if (d->kind == DIST_CHOICE)
        return internal > -1 && internal < (double)d->n_choices;
    if (!(internal >= d->low && internal <= d->high))
        return false;
    if (d->kind == DIST_INT)
        return fmod(internal - d->low, d->step) == 0;
    double k = d->step > 0 ? (internal - d->low) / d->step : 0;
    return fabs(k - nearbyint(k)) < 1e-8;
}

bool dist_single(const struct dist *d)
{
    if (d->kind == DIST_CHOICE)
        return d->n_choices == 1;
    if (d->low == d->high || d->kind == DIST_INT || d->step == 0)
        return d->low == d->high;
    /* rounding can leave high, one step above low, a bit nearer than a step */
    __int128 k;
    bool exact;
    return count_steps(d->low, d->high, d->step, &k, &exact) && k == 0;
}

static bool same_choices(const struct dist *a, const struct dist *b)
{
    if (a->n_choices != b->n_choices)
        return false;
    for (size_t i = 0; i < a->n_choices; i++) {
        if (!value_equal(&a->choices[i], &b->choices[i]))
            return false;
    }
    return true;
}

bool dist_compatible(const struct dist *a, const struct dist *b)
{
    if (a->kind == DIST_OPAQUE || b->kind == DIST_OPAQUE)
        return a->kind == b->kind;
    return a->kind == b->kind && a->log == b->log && same_choices(a, b);
}

bool dist_equal(const struct dist *a, const struct dist *b)
{
    return a->kind == b->kind && a->log == b->log && a->low == b->low && a->high == b->high &&
           a->step == b->step && same_choices(a, b);
}

/* Compares without rounding: 2^53 + 1 is not the double 2^53. */
static bool int_equals_real(int64_t i, double d)
{
    return d >= -0x1p63 && d < 0x1p63 && d == trunc(d) && (int64_t)d == i;
}

static bool as_int(const struct value *v, int64_t *i)
{
    *i = v->kind == VALUE_BOOL ? v->b : v->kind == VALUE_INT ? v->i : 0;
    return v->kind == VALUE_BOOL || v->kind == VALUE_INT;
}

bool value_equal(const struct value *a, const struct value *b)
{
    int64_t i, j;
    if (as_int(a, &i))
        return as_int(b, &j) ? i == j : b->kind == VALUE_REAL && int_equals_real(i, b->d);
    if (a->kind == VALUE_REAL && as_int(b, &j))
        return int_equals_real(j, a->d);
    if (a->kind != b->kind)
        return false;
    if (a->kind == VALUE_REAL)
        return a->d == b->d || (isnan(a->d) && isnan(b->d));
    return a->kind == VALUE_NULL || strcmp(a->s, b->s) == 0;
}
