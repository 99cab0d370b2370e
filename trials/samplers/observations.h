/* Trials as the Gaussian process sees them: points on the cube, and losses on a scale of their own.
 */
#pragma once

#include "trials/samplers/cube.h"
#include "trials/samplers/history.h"

/* The best first, but for those that are not complete. */
struct observations {
    double *x; /* [n * d] */
    double *y; /* [n] losses, standardised */
    size_t n;
};

/* Makes room for `most` of them. Errors: ERR_NOMEM. */
int observations_open(const struct cube *c, size_t most, struct observations *d, struct err *err);
void observations_free(struct observations *d);

/* Of the n complete trials that are numbered up to `last`, the best half of `most` and an even
 * choice of the others; none that have none of the cube's parameters. */
void observations_add_complete(const struct cube *c, const struct history *h, int64_t last,
                               size_t n, size_t most, struct observations *d);
/* Pruned trials, known to be no good, and running ones but the trial `number`, taken for mediocre:
 * up to `most` of each. */
void observations_add_others(const struct cube *c, const struct history *h, int64_t number,
                             size_t most, struct observations *d);
