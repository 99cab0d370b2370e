#include "trials/objectives/prices.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define BAR_FEATURES 3 /* bar_return, bar_range, bar_body */

static const char *const bar_names[BAR_FEATURES] = {"bar_return", "bar_range", "bar_body"};
/* volume last, because not every series has it */
static const char *const window_names[] = {"return", "volatility", "momentum", "range", "volume"};

int bars_check(const struct bars *b, size_t i, struct err *err)
{
    double o = b->open[i], h = b->high[i], l = b->low[i], c = b->close[i];
    if (!(l >= PRICES_LEAST && h <= PRICES_MOST && o >= l && o <= h && c >= l && c <= h))
        return err_set(err, ERR_INVALID,
                       "open %g, high %g, low %g, close %g: expected %g <= low <= open, close <= "
                       "high <= %g",
                       o, h, l, c, PRICES_LEAST, PRICES_MOST);
    if (b->volume != NULL && !(b->volume[i] >= 0 && b->volume[i] <= PRICES_VOLUME_MOST))
        return err_set(err, ERR_INVALID, "volume %g: expected 0 to %g", b->volume[i],
                       PRICES_VOLUME_MOST);
    return 0;
}

static size_t each(const struct bars *b)
{
    return ARRAY_LEN(window_names) - (b->volume == NULL);
}

size_t prices_columns(const struct prices_conf *c, const struct bars *b)
{
    return BAR_FEATURES + c->n_windows * each(b);
}

void prices_column_name(const struct prices_conf *c, const struct bars *b, size_t column,
                        char *name, size_t size)
{
    if (column < BAR_FEATURES)
        (void)snprintf(name, size, "%s", bar_names[column]);
    else
        (void)snprintf(name, size, "%s_%zu", window_names[(column - BAR_FEATURES) % each(b)],
                       c->windows[(column - BAR_FEATURES) / each(b)]);
}

size_t prices_first(const struct prices_conf *c)
{
    size_t longest = 1;
    for (size_t i = 0; i < c->n_windows; i++)
        longest = c->windows[i] > longest ? c->windows[i] : longest;
    return longest;
}

size_t prices_end(const struct prices_conf *c, const struct bars *b)
{
    return b->n > c->horizon ? b->n - c->horizon : 0;
}

/* The extreme of the last w values at every place, in one pass: a queue of candidates, each better
 * than all that came after it (sign -1: the lowest). */
static void sliding_extreme(const double *v, size_t n, size_t w, double sign, size_t *queue,
                            double *out)
{
    size_t head = 0, tail = 0;
    for (size_t i = 0; i < n; i++) {
        while (tail > head && sign * v[queue[tail - 1]] <= sign * v[i])
            tail--;
        queue[tail++] = i;
        if (queue[head] + w <= i)
            head++;
        out[i] = v[queue[head]];
    }
}

/* What the windows of one length need of the whole series. */
struct scratch {
    double *log_return, *high, *low; /* [n] */
    size_t *queue;                   /* [n] */
};

static void scratch_free(struct scratch *s)
{
    free(s->log_return);
    free(s->high);
    free(s->low);
    free(s->queue);
}

static double mean_of_last(const double *v, size_t at, size_t w)
{
    double sum = 0;
    for (size_t i = at + 1 - w; i <= at; i++)
        sum += v[i];
    return sum / (double)w;
}

/* Summed anew for each bar, so that no rounding of other bars, earlier ones out of the window
 * included, gets into a feature. */
static double deviation_of_last(const double *v, size_t at, size_t w)
{
    double mean = mean_of_last(v, at, w), sum = 0;
    for (size_t i = at + 1 - w; i <= at; i++)
        sum += (v[i] - mean) * (v[i] - mean);
    return sqrt(sum / (double)w);
}

static void window_features(const struct bars *b, const struct scratch *s, size_t at, size_t w,
                            float *out)
{
    double close = b->close[at], span = s->high[at] - s->low[at];
    out[0] = (float)log(close / b->close[at - w]);
    out[1] = (float)deviation_of_last(s->log_return, at, w);
    out[2] = (float)(close / mean_of_last(b->close, at, w) - 1);
    out[3] = (float)(span > 0 ? (close - s->low[at]) / span : 0.5);
    if (b->volume != NULL)
        out[4] = (float)log((b->volume[at] + 1) / (mean_of_last(b->volume, at, w) + 1));
}

int prices_features(const struct prices_conf *c, const struct bars *b, float *x, struct err *err)
{
    size_t first = prices_first(c), end = prices_end(c, b), columns = prices_columns(c, b);
    AUTO(scratch_free)
    struct scratch s = {.log_return = malloc((b->n + 1) * sizeof(double)),
                        .high = malloc((b->n + 1) * sizeof(double)),
                        .low = malloc((b->n + 1) * sizeof(double)),
                        .queue = malloc((b->n + 1) * sizeof(size_t))};
    if (s.log_return == NULL || s.high == NULL || s.low == NULL || s.queue == NULL)
        return err_set(err, ERR_NOMEM, "features of %zu bars", b->n);
    for (size_t i = 0; i < b->n; i++)
        s.log_return[i] = i > 0 ? log(b->close[i] / b->close[i - 1]) : 0;
    for (size_t i = first; i < end; i++) {
        float *row = x + (i - first) * columns;
        row[0] = (float)s.log_return[i];
        row[1] = (float)((b->high[i] - b->low[i]) / b->close[i]);
        row[2] = (float)((b->close[i] - b->open[i]) / b->open[i]);
    }
    for (size_t k = 0; k < c->n_windows; k++) {
        size_t w = c->windows[k];
        sliding_extreme(b->high, b->n, w, 1, s.queue, s.high);
        sliding_extreme(b->low, b->n, w, -1, s.queue, s.low);
        for (size_t i = first; i < end; i++)
            window_features(b, &s, i, w, x + (i - first) * columns + BAR_FEATURES + k * each(b));
    }
    return 0;
}

void prices_labels(const struct prices_conf *c, const struct bars *b, float *label, float *gain)
{
    size_t first = prices_first(c), end = prices_end(c, b);
    for (size_t i = first; i < end; i++) {
        double g = b->close[i + c->horizon] / b->close[i] - 1;
        gain[i - first] = (float)g;
        label[i - first] = g > c->threshold ? 1 : 0;
    }
}
