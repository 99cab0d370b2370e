#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "trials/objectives/prices.h"

#define BARS 400

struct series {
    double open[BARS], high[BARS], low[BARS], close[BARS], volume[BARS];
    struct bars bars;
};

static const struct prices_conf conf = {
    .windows = {2, 7, 30}, .n_windows = 3, .horizon = 5, .threshold = 0.004};

static void draw_from(struct series *s, size_t from, uint64_t seed)
{
    struct rng rng;
    rng_seed(&rng, seed);
    for (size_t i = from; i < BARS; i++) {
        double before = i > 0 ? s->close[i - 1] : 100;
        s->open[i] = before;
        s->close[i] = before * exp(0.01 * rng_normal(&rng));
        s->high[i] = fmax(s->open[i], s->close[i]) * (1 + 0.005 * rng_unit(&rng));
        s->low[i] = fmin(s->open[i], s->close[i]) * (1 - 0.005 * rng_unit(&rng));
        s->volume[i] = (double)rng_below(&rng, 5000);
    }
    s->bars = (struct bars){s->open, s->high, s->low, s->close, s->volume, BARS};
}

static size_t rows(const struct series *s)
{
    return prices_end(&conf, &s->bars) - prices_first(&conf);
}

static float *features_of(const struct series *s)
{
    float *x = calloc(rows(s) * prices_columns(&conf, &s->bars), sizeof(*x));
    cr_assert_not_null(x);
    cr_assert_eq(prices_features(&conf, &s->bars, x, NULL), 0);
    return x;
}

/* Column i of row `bar`, computed by the definitions in prices.h. */
static double defined(const struct series *s, size_t bar, size_t column)
{
    if (column == 0)
        return log(s->close[bar] / s->close[bar - 1]);
    if (column == 1)
        return (s->high[bar] - s->low[bar]) / s->close[bar];
    if (column == 2)
        return (s->close[bar] - s->open[bar]) / s->open[bar];
    size_t w = conf.windows[(column - 3) / 5];
    double mean = 0, square = 0, closes = 0, volumes = 0, low = INFINITY, high = 0;
    for (size_t i = bar + 1 - w; i <= bar; i++) {
        double r = log(s->close[i] / s->close[i - 1]);
        mean += r / (double)w;
        square += r * r / (double)w;
        closes += s->close[i] / (double)w;
        volumes += s->volume[i] / (double)w;
        low = fmin(low, s->low[i]);
        high = fmax(high, s->high[i]);
    }
    switch ((column - 3) % 5) {
    case 0:
        return log(s->close[bar] / s->close[bar - w]);
    case 1:
        return sqrt(fmax(square - mean * mean, 0));
    case 2:
        return s->close[bar] / closes - 1;
    case 3:
        return (s->close[bar] - low) / (high - low);
    default:
        return log((s->volume[bar] + 1) / (volumes + 1));
    }
}

Test(prices, features_are_what_their_definitions_say)
{
    static struct series s;
    draw_from(&s, 0, 1);
    size_t columns = prices_columns(&conf, &s.bars);
    cr_assert_eq(columns, 18);
    float *x = features_of(&s);
    for (size_t i = 0; i < rows(&s); i++) {
        for (size_t k = 0; k < columns; k++) {
            double want = defined(&s, prices_first(&conf) + i, k);
            cr_assert_float_eq((double)x[i * columns + k], want, 1e-6, "row %zu column %zu", i, k);
        }
    }
    free(x);
    char name[32];
    prices_column_name(&conf, &s.bars, 12, name, sizeof(name));
    cr_expect_str_eq(name, "volume_7");
    s.bars.volume = NULL;
    cr_expect_eq(prices_columns(&conf, &s.bars), 15);
    prices_column_name(&conf, &s.bars, 11, name, sizeof(name));
    cr_expect_str_eq(name, "return_30");
}

Test(prices, another_future_never_changes_a_feature)
{
    static struct series s, other;
    draw_from(&s, 0, 2);
    float *x = features_of(&s);
    size_t columns = prices_columns(&conf, &s.bars), first = prices_first(&conf);
    for (size_t now = first; now < BARS; now += 13) {
        other = s;
        draw_from(&other, now + 1, now);
        float *y = features_of(&other);
        size_t known = now - first + 1 < rows(&s) ? now - first + 1 : rows(&s);
        cr_assert_eq(memcmp(x, y, known * columns * sizeof(*x)), 0, "bar %zu", now);
        if (known < rows(&s))
            cr_assert_neq(memcmp(x + known * columns, y + known * columns, columns * sizeof(*x)), 0,
                          "the future was the same");
        free(y);
    }
    free(x);
}

Test(prices, a_label_is_known_after_the_horizon_and_not_changed_by_what_comes_later)
{
    static struct series s, other;
    static float label[BARS], gain[BARS], label2[BARS], gain2[BARS];
    draw_from(&s, 0, 3);
    prices_labels(&conf, &s.bars, label, gain);
    size_t first = prices_first(&conf), buys = 0;
    for (size_t i = 0; i < rows(&s); i++) {
        double want = s.close[first + i + 5] / s.close[first + i] - 1;
        cr_assert_float_eq((double)gain[i], want, 1e-7);
        cr_assert_eq(label[i], want > 0.004);
        buys += label[i] == 1;
    }
    cr_expect(buys > 50 && buys < rows(&s) - 50);
    other = s;
    draw_from(&other, 200, 77);
    prices_labels(&conf, &other.bars, label2, gain2);
    size_t same =
        200 - first - conf.horizon; /* labels of bars before 195 look at bars before 200 */
    cr_expect_eq(memcmp(gain, gain2, same * sizeof(*gain)), 0);
    cr_expect_neq(memcmp(gain + same, gain2 + same, 20 * sizeof(*gain)), 0);
}

Test(prices, bars_that_cannot_be_are_refused)
{
    static struct series s;
    struct err err = {0};
    draw_from(&s, 0, 4);
    cr_assert_eq(bars_check(&s.bars, 9, NULL), 0);
    s.high[9] = s.low[9] / 2;
    cr_expect_eq(bars_check(&s.bars, 9, &err), -ERR_INVALID);
    cr_expect_eq(strncmp(err.msg, "open ", 5), 0, "%s", err.msg);
    cr_expect_eq(bars_check(&s.bars, 8, &err), 0);
    s.high[8] = 1e300; /* its quotients are beyond a float */
    cr_expect_eq(bars_check(&s.bars, 8, &err), -ERR_INVALID);
    s.volume[3] = NAN;
    cr_expect_eq(bars_check(&s.bars, 3, &err), -ERR_INVALID);
    cr_expect_str_eq(err.msg, "volume nan: expected 0 to 1e+30");
}
