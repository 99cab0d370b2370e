#include "trials/samplers/axis.h"

#include <math.h>

struct axis axis_of(const struct dist *d)
{
    struct axis a = {.kind = d->kind, .log = d->log, .low = d->low, .high = d->high, .to = 1};
    if (d->kind == DIST_CHOICE) {
        a.n_choices = d->n_choices;
        return a;
    }
    a.step = d->step;
    a.from = d->low - d->step / 2;
    a.to = d->high + d->step / 2;
    if (d->log) {
        a.from = log(a.from);
        a.to = log(a.to);
    }
    return a;
}

bool axis_equal(const struct axis *a, const struct axis *b)
{
    return a->kind == b->kind && a->log == b->log && a->step == b->step && a->low == b->low &&
           a->high == b->high && a->n_choices == b->n_choices;
}

double axis_place(const struct axis *a, double value)
{
    if (a->kind == DIST_CHOICE)
        return value >= 0 && value < (double)a->n_choices ? trunc(value) : NAN;
    if (a->log)
        return value > 0 ? log(value) : NAN;
    return value;
}

double axis_value(const struct axis *a, double place)
{
    if (a->kind == DIST_CHOICE)
        return place;
    double v = a->log ? exp(place) : place;
    if (a->step > 0)
        v = a->low + nearbyint((v - a->low) / a->step) * a->step;
    return fmin(fmax(v, a->low), a->high);
}

double axis_random(const struct axis *a, struct rng *rng)
{
    if (a->kind == DIST_CHOICE)
        return (double)rng_below(rng, a->n_choices);
    return axis_value(a, a->from + rng_unit(rng) * (a->to - a->from));
}
