/* Focal loss for binary labels, as a function of the margin (raw score, log-odds) z.
 *
 * With u = z for a positive and -z for a negative row, q = 1 / (1 + exp(-u)) the probability given
 * to the true class and a = alpha or 1 - alpha:
 *     L = -a (1 - q)^gamma ln q
 * Source: Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", 2017, eq. 5.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct focal {
    double alpha; /* weight of positives, 0 < alpha < 1; negatives weigh 1 - alpha */
    double gamma; /* focusing, 0 … FOCAL_GAMMA_MAX, unitless; 0 is weighted log-loss */
};

/* The values of the paper. */
#define FOCAL_DEFAULT ((struct focal){.alpha = 0.25, .gamma = 2.0})
#define FOCAL_GAMMA_MAX 100.0
/* The loss is not convex, so its second derivative may be negative or vanish where a tree needs it
 * positive: it is never returned smaller than this. */
#define FOCAL_HESSIAN_FLOOR 1e-16

/* Errors: ERR_INVALID when alpha or gamma is out of its range, with the range. */
int focal_check(const struct focal *f, struct err *err);

/* Everything is computed from u in double precision through softplus, never from a rounded
 * probability, so all results are finite for any finite margin. */
double focal_loss(const struct focal *f, double margin, bool positive);
/* First and second derivative by the margin; the second is not floored. */
double focal_gradient(const struct focal *f, double margin, bool positive);
double focal_hessian(const struct focal *f, double margin, bool positive);

/* Both derivatives of one loss, tabulated: what a training with a fixed alpha and gamma asks for in
 * every round. 0.2 to 1.3 MB for gamma up to 10. */
struct focal_table;

/* *out is the caller's to destroy. Errors: ERR_NOMEM. */
int focal_table_create(struct focal_table **out, const struct focal *f, struct err *err);
void focal_table_destroy(struct focal_table *t); /* NULL is fine */

/* Gradients of a boosting round. Threads may share a table.
 * margin [n] log-odds, not NaN; label [n] 0 or 1; grad, hess [n] out, hess >= FOCAL_HESSIAN_FLOOR.
 * Within 0.7 of a float's last place of the derivatives above; near where the second one crosses
 * zero, within 1e-8 of the loss. */
void focal_round(const struct focal_table *t, const float *margin, const float *label, size_t n,
                 float *grad, float *hess);
