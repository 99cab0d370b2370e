#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/pruners/pruner.h"

static struct pruner *make(const struct pruner_conf *conf)
{
    struct pruner *p = NULL;
    struct err err = {0};
    cr_assert_eq(pruner_create(&p, conf, &err), 0, "%s", err.msg);
    return p;
}

static struct pruner *make_study(const char *line)
{
    char kind[16], direction[16];
    struct pruner_conf c = PRUNER_CONF_DEFAULT;
    cr_assert_eq(sscanf(line, "study %15s %15s %d %" SCNd64 " %" SCNd64 " %" SCNd64 " %d %d", kind,
                        direction, &c.startup_trials, &c.warmup_steps, &c.interval_steps,
                        &c.min_resource, &c.reduction_factor, &c.min_early_stopping_rate),
                 8);
    c.kind = strcmp(kind, "asha") == 0 ? PRUNER_ASHA : PRUNER_MEDIAN;
    c.direction = strcmp(direction, "maximize") == 0 ? DIRECTION_MAXIMIZE : DIRECTION_MINIMIZE;
    return make(&c);
}

static void check_report(struct pruner *p, const char *line, int at)
{
    int64_t number, step;
    char value[64];
    int expected, expected_rungs, rung;
    bool prune;
    cr_assert_eq(sscanf(line, "report %" SCNd64 " %" SCNd64 " %63s %d %d", &number, &step, value,
                        &expected, &expected_rungs),
                 5);
    int before = pruner_rungs(p, number);
    cr_assert_eq(pruner_report(p, number, step, strtod(value, NULL), &prune, &rung, NULL), 0);
    cr_assert_eq(prune, expected != 0, "line %d: %s", at, line);
    cr_assert_eq(pruner_rungs(p, number), expected_rungs, "line %d: %s", at, line);
    cr_assert_eq(rung, expected_rungs > before ? expected_rungs - 1 : -1, "line %d", at);
}

Test(pruner, says_what_optuna_says)
{
    AUTO_FCLOSE FILE *f = fopen(GOLDEN_DIR "/pruner.txt", "re");
    cr_assert_not_null(f);
    struct pruner *p = NULL;
    char line[256], state[16];
    int n = 0, prunes = 0;
    for (; fgets(line, sizeof(line), f) != NULL; n++) {
        int64_t number;
        enum trial_state s;
        if (strncmp(line, "study", 5) == 0) {
            pruner_destroy(p);
            p = make_study(line);
        } else if (strncmp(line, "report", 6) == 0) {
            check_report(p, line, n + 1);
            prunes += strstr(line, " 1 ") != NULL;
        } else {
            cr_assert_eq(sscanf(line, "end %" SCNd64 " %15s", &number, state), 2);
            cr_assert(trial_state_from_name(state, &s));
            cr_assert_eq(pruner_finish(p, number, s, NULL), 0);
        }
    }
    pruner_destroy(p);
    cr_expect_gt(n, 3000);
    cr_expect_gt(prunes, 200);
}

/* A pruner that was told of the trials afterwards decides as the one that watched them. */
Test(pruner, trials_of_others_count_as_ours)
{
    static const enum pruner_kind kinds[] = {PRUNER_MEDIAN, PRUNER_ASHA};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct pruner_conf c = PRUNER_CONF_DEFAULT;
        c.kind = kinds[k];
        struct pruner *ours = make(&c), *theirs = make(&c);
        for (int n = 0; n < 20; n++) {
            bool prune = false;
            double value = (n * 7 % 20) / 20.0;
            struct trial_step steps[5];
            struct trial_attr attrs[3];
            char keys[3][40], json[32];
            (void)snprintf(json, sizeof(json), "%g", value);
            struct trial t = {
                .number = n, .state = TRIAL_COMPLETE, .steps = steps, .system_attrs = attrs};
            for (int step = 0; step < 5; step++) {
                steps[t.n_steps++] = (struct trial_step){step, value};
                cr_assert_eq(pruner_report(ours, n, step, value, &prune, NULL, NULL), 0);
            }
            cr_assert_eq(pruner_finish(ours, n, TRIAL_COMPLETE, NULL), 0);
            for (int r = 0; r < pruner_rungs(ours, n); r++) {
                (void)snprintf(keys[r], sizeof(keys[r]), "completed_rung_%d", r);
                attrs[t.n_system_attrs++] = (struct trial_attr){keys[r], json};
            }
            cr_assert_eq(pruner_observe(theirs, &t, NULL), 0);
            cr_assert_eq(pruner_observe(theirs, &t, NULL), 0); /* again: no change */
            cr_assert_eq(pruner_rungs(theirs, n), pruner_rungs(ours, n));
        }
        for (int n = 20; n < 40; n++) {
            bool a, b;
            double value = n / 40.0 - 0.4;
            for (int step = 0; step < 5; step++) {
                cr_assert_eq(pruner_report(ours, n, step, value, &a, NULL, NULL), 0);
                cr_assert_eq(pruner_report(theirs, n, step, value, &b, NULL, NULL), 0);
                cr_expect_eq(a, b, "kind %d trial %d step %d", (int)kinds[k], n, step);
            }
        }
        pruner_destroy(ours);
        pruner_destroy(theirs);
    }
}

Test(pruner, infinities_stand_at_the_ends)
{
    struct pruner_conf c = PRUNER_CONF_DEFAULT;
    c.kind = PRUNER_MEDIAN;
    c.startup_trials = 1;
    struct pruner *p = make(&c);
    static const double values[] = {INFINITY, 1, INFINITY};
    bool prune;
    for (int n = 0; n < 3; n++) {
        cr_assert_eq(pruner_report(p, n, 1, values[n], &prune, NULL, NULL), 0);
        cr_assert_eq(pruner_finish(p, n, TRIAL_COMPLETE, NULL), 0);
    }
    cr_assert_eq(pruner_report(p, 3, 1, 5, &prune, NULL, NULL), 0);
    cr_expect_not(prune, "5 is below the median, which is infinite");
    pruner_destroy(p);
}

Test(pruner, none_never_prunes_and_bad_settings_are_refused)
{
    struct pruner_conf c = PRUNER_CONF_DEFAULT;
    struct pruner *p = make(&c);
    bool prune = true;
    cr_assert_eq(pruner_report(p, 0, 1, NAN, &prune, NULL, NULL), 0);
    cr_expect_not(prune);
    pruner_destroy(p);
    c.reduction_factor = 1;
    struct err err = {0};
    cr_expect_eq(pruner_create(&p, &c, &err), -ERR_INVALID);
    cr_expect(strstr(err.msg, "reduction factor") != NULL);
}
