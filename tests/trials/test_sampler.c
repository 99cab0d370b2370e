#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "trials/samplers/history.h"
#include "trials/samplers/sampler.h"

static struct param params[5];
static struct space space = {.params = params};

/* lr, layers, act, and drop when act is "b" */
static void make_space(void)
{
    static const char *const dists[] = {
        "{\"type\":\"float\",\"low\":1e-5,\"high\":1,\"log\":true}",
        "{\"type\":\"int\",\"low\":1,\"high\":8}",
        "{\"type\":\"categorical\",\"choices\":[\"a\",\"b\",\"c\"]}",
        "{\"type\":\"float\",\"low\":0,\"high\":1}",
        "{\"type\":\"float\",\"low\":2,\"high\":2}",
    };
    static char *const names[] = {"lr", "layers", "act", "drop", "two"};
    if (space.n > 0)
        return;
    for (; space.n < ARRAY_LEN(dists); space.n++) {
        params[space.n] = (struct param){.name = names[space.n]};
        cr_assert_eq(
            dist_read_json(&params[space.n].dist, dists[space.n], strlen(dists[space.n]), NULL), 0);
    }
    cr_assert_eq(cond_parse(&params[3].when, "act == \"b\"", NULL), 0);
}

static struct sampler *make(enum sampler_kind kind, uint64_t seed, enum direction direction)
{
    make_space();
    struct sampler_conf conf = SAMPLER_CONF_DEFAULT;
    conf.kind = kind;
    conf.seed = seed;
    conf.direction = direction;
    conf.space = &space;
    struct sampler *s;
    cr_assert_eq(sampler_create(&s, &conf, NULL), 0);
    return s;
}

struct asked {
    double values[ARRAY_LEN(params)];
    bool active[ARRAY_LEN(params)];
};

static struct asked ask(struct sampler *s, int64_t number)
{
    struct asked a;
    struct err err = {0};
    cr_assert_eq(sampler_ask(s, number, NULL, a.values, a.active, &err), 0, "%s", err.msg);
    return a;
}

static void observe(struct sampler *s, int64_t number, enum trial_state state,
                    const struct asked *a, double value)
{
    struct trial_param p[ARRAY_LEN(params)];
    struct trial t = {.number = number, .state = state, .params = p, .values = &value};
    t.n_values = state == TRIAL_COMPLETE;
    for (size_t i = 0; i < space.n; i++) {
        if (a->active[i])
            p[t.n_params++] = (struct trial_param){params[i].name, &params[i].dist, a->values[i]};
    }
    cr_assert_eq(sampler_observe(s, &t, NULL), 0);
}

/* Best at lr 0.01, 3 layers, act "b", drop 0.3. */
static double loss(const struct asked *a)
{
    double l = fabs(log10(a->values[0]) + 2) + 0.3 * fabs(a->values[1] - 3) + (a->values[2] != 1);
    return l + (a->active[3] ? fabs(a->values[3] - 0.3) : 0.5);
}

static bool same(const struct asked *a, const struct asked *b)
{
    for (size_t i = 0; i < space.n; i++) {
        if (a->active[i] != b->active[i] || (a->active[i] && a->values[i] != b->values[i]))
            return false;
    }
    return true;
}

static double run(struct sampler *s, int n, double sign)
{
    double best = INFINITY;
    for (int i = 0; i < n; i++) {
        struct asked a = ask(s, i);
        for (size_t k = 0; k < space.n; k++)
            cr_assert(!a.active[k] || dist_contains(&params[k].dist, a.values[k]));
        cr_assert_eq(a.active[3], a.values[2] == 1);
        best = fmin(best, loss(&a));
        observe(s, i, TRIAL_COMPLETE, &a, sign * loss(&a));
    }
    return best;
}

static double mean_best(enum sampler_kind kind, enum direction direction)
{
    double sum = 0;
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct sampler *s = make(kind, seed, direction);
        sum += run(s, 60, direction == DIRECTION_MAXIMIZE ? -1 : 1);
        sampler_destroy(s);
    }
    return sum / 10;
}

Test(sampler, learning_beats_chance_in_both_directions)
{
    double chance = mean_best(SAMPLER_RANDOM, DIRECTION_MINIMIZE);
    cr_expect_lt(mean_best(SAMPLER_TPE, DIRECTION_MINIMIZE), 0.7 * chance);
    cr_expect_lt(mean_best(SAMPLER_TPE, DIRECTION_MAXIMIZE), 0.7 * chance);
    cr_expect_lt(mean_best(SAMPLER_AUTO, DIRECTION_MINIMIZE), 0.7 * chance);
}

static void check_repeats(enum sampler_kind kind)
{
    struct sampler *s = make(kind, 7, DIRECTION_MINIMIZE), *t = make(kind, 7, DIRECTION_MINIMIZE);
    struct sampler *other = make(kind, 8, DIRECTION_MINIMIZE);
    bool differs = false;
    for (int i = 0; i < 40; i++) {
        struct asked a = ask(s, i), b = ask(t, i), c = ask(other, i), again = ask(s, i);
        cr_assert(same(&a, &b), "trial %d", i);
        cr_assert(same(&a, &again), "trial %d: asking has no effect", i);
        differs = differs || !same(&a, &c);
        observe(s, i, TRIAL_COMPLETE, &a, loss(&a));
        observe(t, i, TRIAL_RUNNING, &a, 0);
        observe(t, i, TRIAL_COMPLETE, &a, loss(&a));
        observe(other, i, TRIAL_COMPLETE, &c, loss(&c));
    }
    cr_expect(differs);
    sampler_destroy(s);
    sampler_destroy(t);
    sampler_destroy(other);
}

Test(sampler, equal_seeds_repeat)
{
    check_repeats(SAMPLER_RANDOM);
    check_repeats(SAMPLER_TPE);
    check_repeats(SAMPLER_AUTO);
}

/* The same set of observations in three orders, with detours, one of them with asks in between. */
static void check_order(enum sampler_kind kind)
{
    enum { N = 140 };
    static struct asked trials[N];
    struct sampler *s[3];
    for (int k = 0; k < 3; k++)
        s[k] = make(kind, 1, DIRECTION_MINIMIZE);
    struct sampler *source = make(SAMPLER_RANDOM, 5, DIRECTION_MINIMIZE);
    struct rng rng;
    rng_seed(&rng, 2);
    for (int i = 0; i < N; i++) {
        trials[i] = ask(source, i);
        observe(s[0], i, i % 10 == 9 ? TRIAL_RUNNING : TRIAL_COMPLETE, &trials[i],
                loss(&trials[i]));
        (void)ask(s[0], N + 10);
    }
    for (int i = N; i-- > 0;) {
        observe(s[1], i, TRIAL_RUNNING, &trials[i], 0);
        observe(s[2], (i * 37) % N, TRIAL_RUNNING, &trials[i], 0); /* wrong, put right below */
    }
    observe(s[1], 1000, TRIAL_RUNNING, &trials[0], 0);
    for (int i = 0; i < N; i++) {
        int at = (i * 59 + 3) % N;
        enum trial_state state = at % 10 == 9 ? TRIAL_RUNNING : TRIAL_COMPLETE;
        observe(s[1], at, state, &trials[at], loss(&trials[at]));
        observe(s[2], N - 1 - i, (N - 1 - i) % 10 == 9 ? TRIAL_RUNNING : TRIAL_COMPLETE,
                &trials[N - 1 - i], loss(&trials[N - 1 - i]));
    }
    observe(s[1], 1000, TRIAL_FAIL, &trials[0], 0);
    for (int number = N; number < N + 20; number++) {
        struct asked a = ask(s[0], number), b = ask(s[1], number), c = ask(s[2], number);
        cr_expect(same(&a, &b), "trial %d", number);
        cr_expect(same(&a, &c), "trial %d", number);
    }
    for (int k = 0; k < 3; k++)
        sampler_destroy(s[k]);
    sampler_destroy(source);
}

Test(sampler, order_of_arrival_does_not_matter)
{
    check_order(SAMPLER_TPE);
    check_order(SAMPLER_AUTO);
}

/* What an infinite value counts as must not depend on which others were known at the last ask. */
Test(sampler, order_of_arrival_does_not_matter_with_infinite_values)
{
    enum { N = 60 };
    struct sampler *asked = make(SAMPLER_AUTO, 1, DIRECTION_MINIMIZE),
                   *quiet = make(SAMPLER_AUTO, 1, DIRECTION_MINIMIZE),
                   *source = make(SAMPLER_RANDOM, 5, DIRECTION_MINIMIZE);
    for (int i = 0; i < N; i++) {
        struct asked a = ask(source, i);
        double value = a.values[0] > 0.1 ? INFINITY : loss(&a) + (i < 52 ? 0 : 1000);
        observe(asked, i, TRIAL_COMPLETE, &a, value);
        observe(quiet, i, TRIAL_COMPLETE, &a, value);
        (void)ask(asked, N + 10);
    }
    for (int number = N; number < N + 10; number++) {
        struct asked a = ask(asked, number), b = ask(quiet, number);
        cr_expect(same(&a, &b), "trial %d", number);
    }
    sampler_destroy(asked);
    sampler_destroy(quiet);
    sampler_destroy(source);
}

Test(sampler, fixed_values_are_taken_as_they_are)
{
    struct sampler *s = make(SAMPLER_TPE, 1, DIRECTION_MINIMIZE);
    const double fixed[] = {5, NAN, 1, NAN, NAN};
    struct asked a;
    cr_assert_eq(sampler_ask(s, 0, fixed, a.values, a.active, NULL), 0);
    cr_expect_eq(a.values[0], 5, "out of range, as Optuna takes it");
    cr_expect_eq(a.values[2], 1);
    cr_expect(a.active[3], "its condition sees the fixed choice");
    cr_expect_eq(a.values[4], 2, "a single value");
    sampler_destroy(s);
}

/* Asking for everything at once and parameter by parameter is the same. */
Test(sampler, define_by_run_agrees_with_ask)
{
    struct sampler *s = make(SAMPLER_TPE, 3, DIRECTION_MINIMIZE),
                   *t = make(SAMPLER_TPE, 3, DIRECTION_MINIMIZE);
    for (int i = 0; i < 40; i++) {
        struct asked a = ask(s, i);
        for (size_t k = 0; k < space.n; k++) {
            double v, again;
            if (!a.active[k])
                continue;
            cr_assert_eq(sampler_suggest(t, i, params[k].name, &params[k].dist, &v, NULL), 0);
            cr_assert_eq(sampler_suggest(t, i, params[k].name, &params[k].dist, &again, NULL), 0);
            cr_assert_eq(v, again);
            cr_assert_eq(v, a.values[k], "trial %d %s", i, params[k].name);
        }
        observe(s, i, TRIAL_COMPLETE, &a, loss(&a));
        observe(t, i, TRIAL_COMPLETE, &a, loss(&a));
    }
    sampler_destroy(s);
    sampler_destroy(t);
}

static double run_by_name(enum sampler_kind kind, uint64_t seed, int n)
{
    struct sampler *s = make(kind, seed, DIRECTION_MINIMIZE);
    double best = INFINITY;
    for (int i = 0; i < n; i++) {
        struct dist d = {.kind = DIST_FLOAT, .low = -4, .high = 5};
        struct dist e = {
            .kind = DIST_INT, .low = 0, .high = 3 + (i == n / 2), .step = 1}; /* once another */
        double v[3];
        cr_assert_eq(sampler_suggest(s, i, "x", &d, &v[0], NULL), 0);
        cr_assert_eq(sampler_suggest(s, i, "y", &d, &v[1], NULL), 0);
        cr_assert_eq(sampler_suggest(s, i, "n", &e, &v[2], NULL), 0);
        cr_assert(dist_contains(&d, v[0]) && dist_contains(&d, v[1]) && dist_contains(&e, v[2]));
        struct trial_param p[] = {{"x", &d, v[0]}, {"y", &d, v[1]}, {"n", &e, v[2]}};
        double value = (v[0] - 1) * (v[0] - 1) + (v[1] + v[0]) * (v[1] + v[0]) + fabs(v[2] - 2);
        struct trial t = {
            .number = i, .state = TRIAL_RUNNING, .params = p, .n_params = 3, .values = &value};
        cr_assert_eq(sampler_observe(s, &t, NULL), 0);
        t.state = TRIAL_COMPLETE;
        t.n_values = 1;
        cr_assert_eq(sampler_observe(s, &t, NULL), 0);
        best = fmin(best, value);
    }
    sampler_destroy(s);
    return best;
}

Test(sampler, auto_learns_without_knowing_the_space)
{
    double chance = 0, learnt = 0;
    for (uint64_t seed = 0; seed < 8; seed++) {
        chance += run_by_name(SAMPLER_RANDOM, seed, 60);
        learnt += run_by_name(SAMPLER_AUTO, seed, 60);
    }
    cr_expect_lt(learnt, 0.2 * chance, "%g, by chance %g", learnt, chance);
}

Test(sampler, ranges_may_change_from_trial_to_trial)
{
    struct sampler *s = make(SAMPLER_AUTO, 3, DIRECTION_MINIMIZE);
    for (int i = 0; i < 60; i++) {
        struct dist d = {.kind = DIST_FLOAT, .low = -i, .high = 1 + i % 7};
        double v, w;
        cr_assert_eq(sampler_suggest(s, i, "x", &d, &v, NULL), 0);
        cr_assert(dist_contains(&d, v));
        struct dist e = {.kind = DIST_INT, .low = 0, .high = 3 + i % 2, .step = 1};
        cr_assert_eq(sampler_suggest(s, i, "n", &e, &w, NULL), 0);
        cr_assert(dist_contains(&e, w));
        struct trial_param p[] = {{"x", &d, v}, {"n", &e, w}};
        double value = v * v + w;
        struct trial t = {.number = i,
                          .state = TRIAL_COMPLETE,
                          .params = p,
                          .n_params = 2,
                          .values = &value,
                          .n_values = 1};
        cr_assert_eq(sampler_observe(s, &t, NULL), 0);
    }
    sampler_destroy(s);
}

/* Infinite values, pruned trials without steps, NaN steps, nothing but pruned trials. */
static void check_odd(enum sampler_kind kind)
{
    struct sampler *s = make(kind, 3, DIRECTION_MAXIMIZE);
    for (int i = 0; i < 60; i++) {
        struct asked a = ask(s, i);
        if (i % 3 == 0) {
            observe(s, i, TRIAL_COMPLETE, &a, i % 2 ? INFINITY : -INFINITY);
        } else {
            struct trial_step steps[] = {{0, 1}, {i % 5, i % 7 == 0 ? NAN : i}};
            struct trial_param p = {params[0].name, &params[0].dist, a.values[0]};
            struct trial t = {.number = i,
                              .state = TRIAL_PRUNED,
                              .params = &p,
                              .n_params = 1,
                              .steps = steps,
                              .n_steps = i % 4 == 0 ? 0 : 2};
            cr_assert_eq(sampler_observe(s, &t, NULL), 0);
        }
    }
    sampler_destroy(s);
}

Test(sampler, odd_trials_are_survived)
{
    check_odd(SAMPLER_TPE);
    check_odd(SAMPLER_AUTO);
}

/* A study goes on with its parameters renamed: none of its trials says anything about the new ones.
 */
Test(sampler, trials_of_another_space_teach_auto_nothing_and_do_no_harm)
{
    struct sampler *s = make(SAMPLER_AUTO, 3, DIRECTION_MINIMIZE);
    struct dist other = {.kind = DIST_FLOAT, .low = 0, .high = 1};
    for (int64_t i = 0; i < 40; i++) {
        double loss = (double)(i % 7);
        const struct trial_param p = {"renamed", &other, (double)(i % 10) / 10};
        const struct trial t = {.number = i,
                                .state = TRIAL_COMPLETE,
                                .values = &loss,
                                .n_values = 1,
                                .params = &p,
                                .n_params = 1};
        cr_assert_eq(sampler_observe(s, &t, NULL), 0);
    }
    for (int64_t i = 40; i < 60; i++) {
        struct asked a = ask(s, i);
        cr_expect(a.values[1] >= 1 && a.values[1] <= 8);
        observe(s, i, TRIAL_COMPLETE, &a, a.values[1]);
    }
    sampler_destroy(s);
}

Test(sampler, a_trial_told_twice_is_no_change)
{
    struct history h;
    struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};
    struct dist wider = {.kind = DIST_FLOAT, .low = 0, .high = 2};
    double value = 3;
    struct trial_param p[] = {{"x", &unit, 0.5}, {"y", &unit, 0.25}};
    struct trial t = {.state = TRIAL_RUNNING, .params = p, .n_params = 2};
    history_init(&h, DIRECTION_MINIMIZE);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(history_observe(&h, &t, NULL), 0);
    cr_expect_eq(h.n_changes, 1);
    t.state = TRIAL_COMPLETE;
    t.values = &value;
    t.n_values = 1;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(history_observe(&h, &t, NULL), 0);
    cr_expect_eq(h.n_changes, 2);
    value = 2;
    cr_assert_eq(history_observe(&h, &t, NULL), 0);
    p[0].value = 0.75;
    cr_assert_eq(history_observe(&h, &t, NULL), 0);
    p[1].dist = &wider; /* the parameters in common are others then */
    cr_assert_eq(history_observe(&h, &t, NULL), 0);
    t.n_params = 1;
    cr_assert_eq(history_observe(&h, &t, NULL), 0);
    cr_expect_eq(h.n_changes, 6);
    cr_expect_eq(h.n_complete, 1);
    history_free(&h);
}
