#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "trials/base_env.h"
#include "trials/triage.h"

static const char *const five[] = {"OPUSDC", "ARBUSDC", "AAVEUSDC", "UNIUSDC", "LDOUSDC"};

static void add(struct triage *t, const char *symbol, int failed, int succeeded, const char *mode)
{
    for (int i = 0; i < failed + succeeded; i++)
        cr_assert(triage_add(t, symbol, true, i < failed, i < failed ? mode : NULL));
}

static struct triage_verdict judge(struct triage *t, bool focal, double gamma)
{
    struct triage_verdict v;
    const struct triage_config now = {.focal = focal, .gamma = gamma};
    triage_sort(t);
    triage_judge(t, &now, &v);
    triage_free(t);
    *t = (struct triage){0};
    return v;
}

Test(triage, nothing_that_fails_is_healthy)
{
    struct triage t = {0};
    add(&t, "OPUSDC", 0, 5, NULL);
    cr_expect_eq(judge(&t, true, 2).path, TRIAGE_HEALTHY);
}

Test(triage, no_training_at_all_is_no_data_and_not_healthy)
{
    struct triage t = {0};
    cr_expect_eq(judge(&t, true, 2).path, TRIAGE_NO_DATA);
}

Test(triage, the_gamma_of_a_spec_is_not_judged_by_that_of_ftf_config)
{
    struct triage t = {0};
    add(&t, "OPUSDC", 2, 8, "hessian");
    cr_expect_eq(judge(&t, false, 0.5).path, TRIAGE_LOWER_GAMMA);
}

Test(triage, over_half_of_a_cryptos_trainings_is_a_rollback)
{
    struct triage t = {0};
    add(&t, "OPUSDC", 6, 5, "hessian");
    add(&t, "ARBUSDC", 0, 9, NULL);
    struct triage_verdict v = judge(&t, true, 4);
    cr_expect_eq(v.path, TRIAGE_ROLLBACK);
    cr_expect(v.has_pattern && v.pattern == TRIAGE_HESSIAN);
    cr_expect_not(v.page);
    cr_expect_not_null(strstr(v.why, "1 of 2 cryptos"), "%s", v.why);
    add(&t, "OPUSDC", 5, 5, "calibration"); /* just half */
    cr_expect_eq(judge(&t, true, 4).path, TRIAGE_INVESTIGATE);
}

Test(triage, all_of_five_failing_is_paged_four_of_five_is_not)
{
    struct triage t = {0};
    for (int i = 0; i < 5; i++)
        add(&t, five[i], 3, 1, "dependency");
    struct triage_verdict v = judge(&t, true, 2);
    cr_expect(v.page && v.path == TRIAGE_ROLLBACK);
    for (int i = 0; i < 5; i++)
        add(&t, five[i], i < 4 ? 3 : 0, 1, "dependency");
    v = judge(&t, true, 2);
    cr_expect(!v.page && v.path == TRIAGE_ROLLBACK);
    for (int i = 0; i < 4; i++)
        add(&t, five[i], 3, 1, "dependency");
    cr_expect_not(judge(&t, true, 2).page); /* there are only four */
}

Test(triage, numerical_failures_lower_gamma_by_one)
{
    struct triage t = {0};
    add(&t, "OPUSDC", 2, 18, "hessian"); /* 10 %, but all for one numerical cause */
    struct triage_verdict v = judge(&t, true, 4);
    cr_expect_eq(v.path, TRIAGE_LOWER_GAMMA);
    cr_expect_float_eq(v.gamma, 3, 0);
    add(&t, "OPUSDC", 1, 3, "numerical"); /* 50 %: one numerical, one not */
    add(&t, "OPUSDC", 1, 0, "oom");
    cr_expect_eq(judge(&t, true, 4).path, TRIAGE_LOWER_GAMMA);
    add(&t, "OPUSDC", 2, 8, "hessian");
    cr_expect_eq(judge(&t, true, 0.5).path, TRIAGE_ROLLBACK); /* there is no step left */
}

Test(triage, sparse_failures_without_a_numerical_pattern_are_investigated)
{
    struct triage t = {0};
    add(&t, "OPUSDC", 1, 19, "oom");
    struct triage_verdict v = judge(&t, true, 4);
    cr_expect(v.path == TRIAGE_INVESTIGATE && !v.has_pattern && !v.page);
    add(&t, "OPUSDC", 2, 18, "calibration");
    v = judge(&t, true, 4);
    cr_expect(v.path == TRIAGE_INVESTIGATE && v.has_pattern && v.pattern == TRIAGE_CALIBRATION);
}

Test(triage, failing_on_after_a_rollback_is_paged)
{
    struct triage t = {0};
    for (int i = 0; i < 4; i++)
        cr_assert(triage_add(&t, "OPUSDC", false, i < 3, "dependency"));
    struct triage_verdict v = judge(&t, false, 4);
    cr_expect(v.page && v.path == TRIAGE_INVESTIGATE);
    add(&t, "ARBUSDC", 3, 0, "hessian"); /* a spec of its own asks for the focal loss */
    v = judge(&t, false, 4);
    cr_expect(!v.page && v.path == TRIAGE_ROLLBACK);
    const struct triage_config baseline = {.focal = false}, focal = {.focal = true};
    cr_expect(triage_applies(&v, &focal) && !triage_applies(&v, &baseline));
}

static void add_others(struct triage *t, const char *symbol, int failed, int succeeded)
{
    for (int i = 0; i < failed + succeeded; i++)
        cr_assert(triage_add(t, symbol, false, i < failed, i < failed ? "dependency" : NULL));
}

/* A rollback would lead to what fails as well. */
Test(triage, what_fails_without_the_focal_loss_too_is_paged_and_not_rolled_back)
{
    struct triage t = {0};
    add(&t, "OPUSDC", 6, 1, "dependency");
    add_others(&t, "OPUSDC", 6, 1);
    struct triage_verdict v = judge(&t, true, 4);
    cr_expect(v.page && v.path == TRIAGE_INVESTIGATE, "%s", v.why);
    add(&t, "OPUSDC", 1, 99, "oom");
    add_others(&t, "OPUSDC", 6, 1);
    v = judge(&t, true, 4);
    cr_expect(v.page && v.path == TRIAGE_INVESTIGATE, "%s", v.why);
    add(&t, "OPUSDC", 6, 1, "dependency");
    add_others(&t, "OPUSDC", 6, 1);
    add(&t, "ARBUSDC", 6, 1, "hessian"); /* is helped */
    v = judge(&t, true, 4);
    cr_expect(v.page && v.path == TRIAGE_ROLLBACK, "%s", v.why);
}

Test(triage, one_failure_of_one_is_no_rate_but_of_five_cryptos_one_each_is)
{
    struct triage t = {0};
    add(&t, "OPUSDC", 1, 0, "oom");
    struct triage_verdict v = judge(&t, true, 4);
    cr_expect(!v.page && v.path == TRIAGE_INVESTIGATE && v.worst == 1);
    cr_expect_str_eq(v.why, "OPUSDC fails most, 1 of 1: too few to act upon");
    add(&t, "OPUSDC", 1, 0, "hessian");
    add(&t, "ARBUSDC", 0, 99, NULL);
    cr_expect_eq(judge(&t, true, 4).path, TRIAGE_INVESTIGATE);
    add_others(&t, "OPUSDC", 2, 0);
    v = judge(&t, true, 4);
    cr_expect(!v.page && v.path == TRIAGE_HEALTHY);
    for (int i = 0; i < 5; i++)
        add(&t, five[i], 1, 0, "hessian");
    v = judge(&t, true, 4);
    cr_expect(v.page && v.path == TRIAGE_ROLLBACK, "%s", v.why);
    for (int i = 0; i < 5; i++)
        add_others(&t, five[i], 1, 0);
    v = judge(&t, true, 4);
    cr_expect(v.page && v.path == TRIAGE_INVESTIGATE, "%s", v.why);
}

Test(triage, cryptos_are_sorted_by_failures)
{
    struct triage t = {0};
    add(&t, "B", 1, 0, "hessian");
    add(&t, "A", 1, 0, "hessian");
    add(&t, "C", 2, 0, "hessian");
    triage_sort(&t);
    cr_expect_str_eq(t.cryptos[0].symbol, "C");
    cr_expect_str_eq(t.cryptos[1].symbol, "A");
    triage_free(&t);
}

Test(base_env, values_are_checked_and_mistakes_told)
{
    static const struct {
        const char *key, *value, *error, *note;
    } cases[] = {
        {"CVN_LOSS_FUNCTION", "focal", NULL, ""},
        {"CVN_LOSS_FUNCTION", "binary:logistic", NULL, ""},
        {"CVN_LOSS_FUNCTION", "focall", "did you mean 'focal'?", NULL},
        {"CVN_FOCAL_GAMMA", "6.0", NULL, ""},
        {"CVN_FOCAL_GAMMA", "6.5", NULL, "is over 6"},
        {"CVN_FOCAL_GAMMA", "-1", "a number from 0 to 100", NULL},
        {"CVN_FOCAL_GAMMA", "nan", "a number from 0 to 100", NULL},
        {"CVN_FOCAL_ALPHA", "1.5", "a number between 0 and 1", NULL},
        {"CVN_FOCAL_ALPHA", "0", "a number between 0 and 1", NULL}, /* as the worker has it */
        {"CVN_FOCAL_ALPHA", "1", "a number between 0 and 1", NULL},
        {"CVN_FOCAL_ALPHA", "0.001", NULL, ""},
        {"CVN_LOSS_FUNCTION", "binary:logitraw", "expected one of focal, ", NULL},
        {"CVN_CLEANLAB_MODE", "off", NULL, ""},
        {"CVN_CLEANLAB_MODE", "on", "expected one of off, prune, weight, relabel", NULL},
        {"CVN_FOCAL_GAMA", "2", "did you mean 'CVN_FOCAL_GAMMA'?", NULL},
        {"x", "2", "expected CVN_LOSS_FUNCTION, ", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char note[200];
        struct err err = {0};
        int rc = base_env_check(cases[i].key, cases[i].value, note, sizeof(note), &err);
        cr_expect_eq(rc, cases[i].error == NULL ? 0 : -ERR_INVALID);
        if (cases[i].error != NULL)
            cr_expect_not_null(strstr(err.msg, cases[i].error), "%s", err.msg);
        else
            cr_expect(strstr(note, cases[i].note) != NULL &&
                          (note[0] == '\0') == (cases[i].note[0] == '\0'),
                      "%s", note);
    }
}

Test(base_env, what_it_makes_of_a_factor_is_known)
{
    static const struct {
        const char *factor, *loss, *mode, *key; /* key NULL: nothing */
    } cases[] = {
        {"focal_loss", "binary:logistic", "off", "CVN_LOSS_FUNCTION"},
        {"focal_loss", "focal", "off", NULL},
        {"focal_loss", NULL, NULL, NULL},
        {"focal_loss", "", "", NULL},
        {"baseline", "binary:logistic", "off", NULL},
        {"baseline", "focal", "off", "CVN_LOSS_FUNCTION"},
        {"label_smoothing", "focal", NULL, "CVN_LOSS_FUNCTION"},
        {"cleanlab", "binary:logistic", "off", "CVN_CLEANLAB_MODE"},
        {"cleanlab", "binary:logistic", "weight", NULL},
        {"cleanlab", "focal", "off", "CVN_LOSS_FUNCTION"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *key;
        const char *what =
            base_env_over_factor(cases[i].factor, cases[i].loss, cases[i].mode, &key);
        cr_expect((what != NULL) == (cases[i].key != NULL), "case %zu", i);
        if (what != NULL && cases[i].key != NULL)
            cr_expect_str_eq(key, cases[i].key, "case %zu", i);
    }
}
