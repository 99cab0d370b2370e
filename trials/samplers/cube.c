#include "trials/samplers/cube.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int cube_init(struct cube *c, const struct cube_axis *axes, size_t d, const struct space *space,
              struct err *err)
{
    *c = (struct cube){.axes = calloc(d, sizeof(*axes)), .is_choice = calloc(d, sizeof(bool))};
    if (c->axes == NULL || c->is_choice == NULL) {
        cube_free(c);
        return err_set(err, ERR_NOMEM, "cube of %zu axes", d);
    }
    c->d = d;
    c->space = space;
    memcpy(c->axes, axes, d * sizeof(*axes));
    for (size_t i = 0; i < d; i++)
        c->is_choice[i] = axes[i].axis.kind == DIST_CHOICE;
    return 0;
}

void cube_free(struct cube *c)
{
    free(c->axes);
    free(c->is_choice);
    *c = (struct cube){0};
}

double cube_unit(const struct axis *a, double value)
{
    double place = axis_place(a, value);
    if (a->kind == DIST_CHOICE)
        return isnan(place) ? CUBE_INACTIVE : place;
    return isnan(place) ? 0.5 : fmin(fmax((place - a->from) / (a->to - a->from), 0), 1);
}

double cube_value(const struct axis *a, double unit)
{
    return a->kind == DIST_CHOICE ? unit : axis_value(a, a->from + unit * (a->to - a->from));
}
