#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "trials/samplers/surrogate.h"

static struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};

static void complete(struct history *h, int64_t number, double x, double value)
{
    struct trial_param p = {"x", &unit, x};
    struct trial t = {.number = number,
                      .state = TRIAL_COMPLETE,
                      .params = &p,
                      .n_params = 1,
                      .values = &value,
                      .n_values = 1};
    cr_assert_eq(history_observe(h, &t, NULL), 0);
}

/* What is chosen for x after some trials, their value being `infinite` where it is below 0.2. */
static double choice(enum direction direction, double infinite)
{
    enum { N = 24 };
    struct history h;
    struct surrogate *s;
    struct cube_axis axis = {.axis = axis_of(&unit), .param = -1};
    double sign = direction == DIRECTION_MAXIMIZE ? -1 : 1, x;
    bool trusted;
    struct rng rng;
    rng_seed(&rng, 1);
    history_init(&h, direction);
    for (int i = 0; i < N; i++) {
        x = (double)(i * 7 % N) / N;
        complete(&h, i, x, x < 0.2 ? infinite : sign * fabs(x - 0.3));
    }
    cr_assert_eq(surrogate_create(&s, &axis, 1, NULL, NULL), 0);
    cr_assert_eq(surrogate_learn(s, &h, &trusted, NULL), 0);
    cr_expect(trusted);
    cr_assert_eq(surrogate_choose(s, &h, N, &rng, NULL, &x, NULL), 0);
    surrogate_destroy(s);
    history_free(&h);
    return x;
}

Test(surrogate, looks_where_the_value_is_infinitely_good)
{
    cr_expect_lt(choice(DIRECTION_MINIMIZE, -INFINITY), 0.22);
    cr_expect_lt(choice(DIRECTION_MAXIMIZE, INFINITY), 0.22);
    cr_expect_lt(choice(DIRECTION_MINIMIZE, -DBL_MAX), 0.22);
}

Test(surrogate, keeps_away_from_where_the_value_is_infinitely_bad)
{
    cr_expect_gt(choice(DIRECTION_MINIMIZE, INFINITY), 0.2);
    cr_expect_gt(choice(DIRECTION_MAXIMIZE, -INFINITY), 0.2);
    cr_expect_gt(choice(DIRECTION_MINIMIZE, NAN), 0.2);
    cr_expect_gt(choice(DIRECTION_MINIMIZE, DBL_MAX), 0.2);
}

/* A bowl with noise, which trials have found: none of the noise is worth a trip to a corner. */
Test(surrogate, is_not_driven_away_by_a_lucky_trial)
{
    enum { N = 90, D = 4 };
    static const char *const names[D] = {"a", "b", "c", "d"};
    struct history h;
    struct surrogate *s;
    struct cube_axis axes[D];
    struct trial_param p[D];
    struct rng rng;
    bool trusted;
    rng_seed(&rng, 1);
    history_init(&h, DIRECTION_MINIMIZE);
    for (int i = 0; i < N; i++) {
        double value = 0.05 * rng_normal(&rng);
        for (int k = 0; k < D; k++) {
            double v = i < N / 3 ? rng_unit(&rng) : 0.4 + 0.2 * rng_unit(&rng);
            p[k] = (struct trial_param){names[k], &unit, v};
            value += (v - 0.5) * (v - 0.5);
        }
        struct trial t = {.number = i,
                          .state = TRIAL_COMPLETE,
                          .params = p,
                          .n_params = D,
                          .values = &value,
                          .n_values = 1};
        cr_assert_eq(history_observe(&h, &t, NULL), 0);
    }
    for (size_t k = 0; k < D; k++)
        axes[k] = (struct cube_axis){.axis = axis_of(&unit), .column = k, .param = -1};
    cr_assert_eq(surrogate_create(&s, axes, D, NULL, NULL), 0);
    cr_assert_eq(surrogate_learn(s, &h, &trusted, NULL), 0);
    double sum = 0, v[D];
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(surrogate_choose(s, &h, N, &rng, NULL, v, NULL), 0);
        for (int k = 0; k < D; k++)
            sum += (v[k] - 0.5) * (v[k] - 0.5) / 20;
    }
    cr_expect_lt(sum, 0.1, "%g, by chance 0.33", sum);
    surrogate_destroy(s);
    history_free(&h);
}
