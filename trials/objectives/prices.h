/* Features and labels of a price series, strictly causal: the features of a bar depend on it and on
 * earlier bars alone, its label on its close and the close `horizon` bars later alone.
 *
 * For each window w, in this order: return_w  ln(close / close w bars ago); volatility_w standard
 * deviation of the last w one-bar log returns; momentum_w  close / mean of the last w closes - 1;
 * range_w  place of the close between the lowest low and the highest high of the last w bars, 0 … 1
 * (1/2 where they are one); volume_w  ln((volume + 1) / (mean volume of the last w bars + 1)),
 * where there are volumes. Before them bar_return ln(close / close before), bar_range (high - low)
 * / close and bar_body (close - open) / open. */
#pragma once

#include <stddef.h>

#include "base/err.h"

#define PRICES_WINDOWS_MAX 8
#define PRICES_WINDOW_MAX 10000

struct bars {
    const double *open, *high, *low, *close; /* [n] in order of time, each > 0 and finite */
    const double *volume;                    /* [n] >= 0, or NULL */
    size_t n;
};

struct prices_conf {
    size_t windows[PRICES_WINDOWS_MAX]; /* [n_windows] bars, 2 … PRICES_WINDOW_MAX */
    size_t n_windows;
    size_t horizon;   /* bars that a label looks ahead, >= 1 */
    double threshold; /* of the return over the horizon, above which it was a buy */
};

/* Bounds of a price and of a volume: no quotient of two leaves the range of a float. */
#define PRICES_LEAST 1e-15
#define PRICES_MOST 1e15
#define PRICES_VOLUME_MOST 1e30

/* Checks of bar i what all below relies on: numbers in these bounds, and low <= open, close <=
 * high. Errors: ERR_INVALID, without the bar's place. */
int bars_check(const struct bars *b, size_t i, struct err *err);

size_t prices_columns(const struct prices_conf *c, const struct bars *b);
/* The name of a feature, into name[size]. */
void prices_column_name(const struct prices_conf *c, const struct bars *b, size_t column,
                        char *name, size_t size);

/* The bars that have all features: from prices_first on. Those that have a label too: before
 * prices_end; none where prices_end <= prices_first. */
size_t prices_first(const struct prices_conf *c);
size_t prices_end(const struct prices_conf *c, const struct bars *b);

/* x [prices_end - prices_first][columns] out, row by row. Errors: ERR_NOMEM. */
int prices_features(const struct prices_conf *c, const struct bars *b, float *x, struct err *err);
/* gain [same rows] out: close `horizon` bars later / close - 1; label [same rows]: gain >
 * threshold.
 */
void prices_labels(const struct prices_conf *c, const struct bars *b, float *label, float *gain);
