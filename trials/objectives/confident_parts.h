/* What the parts of confident learning share. */
#pragma once

#include "trials/objectives/confident.h"

/* Two probabilities closer than this count as equal (cleanlab's FLOATING_POINT_COMPARISON). */
#define CONFIDENT_TOLERANCE 1e-6

/* The rows of each class, in their order. */
struct confident_rows {
    size_t *start;   /* [k+1]: class j's rows are row[start[j]] … row[start[j+1]-1] */
    size_t *row;     /* [n] */
    double *scratch; /* [n] */
};

int confident_check(const struct confident *c, struct err *err);
/* *out is finished with confident_rows_finish, on success. */
int confident_group(const struct confident *c, struct confident_rows *out, struct err *err);
void confident_rows_finish(struct confident_rows *r);
int confident_estimate(const struct confident *c, const struct confident_rows *rows,
                       double *threshold, int64_t *joint, struct err *err);
/* Whether the row reaches a class's threshold, and which: of several the most probable. */
bool confident_guess(const struct confident *c, const double *threshold, size_t row, size_t *guess);
