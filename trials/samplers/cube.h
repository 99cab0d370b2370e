/* Parameters as the unit cube on which the Gaussian process works: all those of a space, inactive
 * ones included, or those that all trials share. A choice is its index. */
#pragma once

#include "trials/samplers/axis.h"

#define CUBE_INACTIVE (-1) /* as a choice; a number that is inactive stands in the middle */

struct cube_axis {
    struct axis axis;
    size_t column; /* of the history */
    int param;     /* index in the space whose conditions apply, or -1 */
};

struct cube {
    struct cube_axis *axes; /* [d] owned */
    bool *is_choice;        /* [d] owned */
    size_t d;
    const struct space *space; /* borrowed; NULL: no conditions */
};

/* axes [d] are copied. Errors: ERR_NOMEM. */
int cube_init(struct cube *c, const struct cube_axis *axes, size_t d, const struct space *space,
              struct err *err);
void cube_free(struct cube *c);

/* A parameter's internal value on its axis of the cube, and back. */
double cube_unit(const struct axis *a, double value);
double cube_value(const struct axis *a, double unit);
