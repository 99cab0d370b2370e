/* Metrics on stdout, for workers without a channel: `auc=0.66 loss=0.3` (Katib's form, with strict
 * numbers), or JSON lines {"auc": 0.66, "step": 3}. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trials/space.h"

struct metric_line {
    bool found;    /* the metric stands in the line */
    bool bad;      /* with something that is no number behind it */
    double value;  /* may be NaN or infinite */
    bool has_step; /* JSON only */
    int64_t step;
};

/* NaN and Infinity may stand in JSON lines, as Python writes them.
 *
 * Looks for metric `name` in a line. The last occurrence counts. A name ends at space, comma,
 * semicolon or "="; "val_auc=1" is not the metric "auc". */
struct metric_line metric_line_find(const char *name, const char *line, size_t n);

/* Another name=NUMBER in the line that may be the metric under its true name: the last one that is
 * no parameter and counts no steps. Writes it as "accuracy=0.93"; false when there is none. */
bool metric_line_guess(const struct space *space, const char *line, size_t n, char *out,
                       size_t size);
