/* The Parzen estimator of the many trials that are not among the best, kept from one ask to the
 * next. A new trial changes the bandwidths of its two neighbours on every axis and nothing else,
 * and the density is summed in single precision, eight components at a time.
 *
 * The same mixture as trials/samplers/parzen.h; log densities agree within 1e-3 where the density
 * is not negligible (tests/trials/test_kernels.c). Components stand in the order of trial numbers,
 * so that sums are rounded alike whatever the order of arrival was. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "trials/samplers/axis.h"

struct kernel_axis {
    double *place;   /* [n] on the axis */
    float *mu;       /* [n] 0 … 1 over the axis; a choice: its index */
    float *sharp;    /* [n] 1 / (sigma sqrt 2), sigma likewise; 0 for choices */
    float *scale;    /* [n] log of what normalises the component */
    uint32_t *order; /* [n] components as they are ranked */
    size_t gap;      /* where the last removed one stood in the order */
};

struct kernels {
    const struct axis *axes; /* [d], borrowed */
    size_t d;
    size_t n, capacity; /* components without the prior */
    int64_t *number;    /* [n] ascending trial numbers */
    struct kernel_axis *of;
    bool stale;     /* all bandwidths are to be computed again */
    bool unordered; /* and so are the orders */
};

int kernels_init(struct kernels *k, const struct axis *axes, size_t d, struct err *err);
void kernels_free(struct kernels *k);

/* places [d], none NaN; the number must not be there yet. Errors: ERR_NOMEM. */
int kernels_add(struct kernels *k, int64_t number, const double *places, struct err *err);
/* The number must be there. */
void kernels_remove(struct kernels *k, int64_t number);
/* Says that many additions follow: the orders are sorted once, before the next density, instead of
 * being kept for each of them. The densities are the same. */
void kernels_expect_many(struct kernels *k);

/* Log densities of m points, up to a constant that is the same for all: as parzen_log_pdf, but a
 * continuous axis counts its length as 1. values [m * d], point after point. Errors: ERR_NOMEM. */
int kernels_log_pdf(struct kernels *k, const double *values, size_t m, double *out,
                    struct err *err);
