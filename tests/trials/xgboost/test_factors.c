/* Factors in the real program: what they change, what they tell, and how they fail. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/rng.h"
#include "tests/trials/xgboost/program.h"

TestSuite(factors, .init = setup, .fini = teardown, .timeout = 100);
TestSuite(failures, .init = setup, .fini = teardown, .timeout = 100);

#define PARAMS "{\"eta\":0.1,\"max_depth\":3}"

static const json_t *event_named(const struct heard *h, const char *name, size_t at)
{
    for (size_t i = 0; i < json_array_size(h->events); i++) {
        const json_t *e = json_array_get(h->events, i);
        if (strcmp(json_string_value(json_object_get(e, "event")), name) == 0 && at-- == 0)
            return e;
    }
    return NULL;
}

static double number_in(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static const char *class_of(const struct heard *h)
{
    const char *class = json_string_value(json_object_get(h->last, "class"));
    return class != NULL ? class : h->end;
}

static const char *message_of(const struct heard *h)
{
    return json_string_value(json_object_get(h->last, "message"));
}

/* A trial's value with these settings beside BINARY's. */
static double value_of(const char *settings, const char *params)
{
    char config[1024];
    (void)snprintf(config, sizeof(config), BINARY "%s}", settings);
    (void)rmdir("trial");
    start(config, params);
    struct heard h = listen_to_trial(0);
    cr_assert_str_eq(h.end, "result", "%s: %s", settings, h.end);
    double value = h.value;
    forget(&h);
    expect_stop();
    (void)fclose(in);
    cr_assert_eq(system("rm -rf trial"), 0);
    return value;
}

Test(factors, each_is_trained_and_is_the_variant_of_its_rows)
{
    static const char *const names[] = {"baseline", "cleanlab", "focal_loss", "label_smoothing"};
    double value[4];
    for (int i = 0; i < 4; i++) {
        char config[1024];
        (void)snprintf(config, sizeof(config), BINARY ",\"factor\":\"%s\"}", names[i]);
        start(config, PARAMS);
        struct heard h = listen_to_trial(0);
        cr_assert_str_eq(h.end, "result");
        cr_expect_eq(json_array_size(h.rows), 3);
        cr_expect_str_eq(json_string_value(json_object_get(json_array_get(h.rows, 0), "variant")),
                         names[i]);
        value[i] = h.value;
        cr_expect(h.value > 0.7 && h.value < 1);
        forget(&h);
        expect_stop();
        (void)fclose(in);
        cr_assert_eq(system("rm -rf trial"), 0);
        for (int k = 0; k < i; k++)
            cr_expect_neq(value[k], value[i], "%s trains like %s", names[i], names[k]);
    }
    cr_expect_eq(value[0], value_of("", PARAMS), "baseline is the plain objective");
}

Test(factors, one_may_be_a_parameter_of_the_trial)
{
    double focal = value_of(",\"factor\":\"focal_loss\"", PARAMS);
    cr_expect_eq(focal, value_of("", "{\"eta\":0.1,\"max_depth\":3,\"factor\":\"focal_loss\"}"));
    cr_expect_neq(focal, value_of("", "{\"eta\":0.1,\"max_depth\":3,\"factor\":\"focal_loss\","
                                      "\"focal_gamma\":0.5}"));
    double smooth = value_of(",\"factor\":\"label_smoothing\",\"label_smoothing\":0.3", PARAMS);
    cr_expect_eq(smooth, value_of("", "{\"eta\":0.1,\"max_depth\":3,\"factor\":\"label_smoothing\","
                                      "\"label_smoothing\":0.3}"));
}

Test(factors, a_trial_that_falls_back_to_the_baseline_keeps_its_other_parameters)
{
    double baseline = value_of("", PARAMS);
    cr_expect_eq(
        baseline,
        value_of(",\"factor\":\"focal_loss\"",
                 "{\"eta\":0.1,\"max_depth\":3,\"focal_gamma\":4,\"factor\":\"baseline\"}"));
    cr_expect_eq(baseline, value_of(",\"factor\":\"label_smoothing\"",
                                    "{\"eta\":0.1,\"max_depth\":3,\"label_smoothing\":0.3,"
                                    "\"factor\":\"baseline\"}"));
}

Test(factors, smoothing_by_nothing_is_the_baseline)
{
    cr_expect_eq(value_of("", PARAMS), value_of(",\"label_smoothing\":0", PARAMS));
}

Test(factors, cleaning_tells_that_it_is_one_process_once_and_what_it_took_in_each_fold)
{
    start(BINARY ",\"factor\":\"cleanlab\",\"cleanlab\":{\"cap_pct\":4}}", PARAMS);
    struct heard h = listen_to_trial(0);
    cr_assert_str_eq(h.end, "result");
    const json_t *first = event_named(&h, "cleanlab_find_issues_start", 0);
    cr_assert_not_null(first);
    cr_expect(number_in(first, "n_jobs") == 1);
    cr_expect_str_eq(json_string_value(json_object_get(first, "backend")), "single_process");
    cr_expect_str_eq(json_string_value(json_object_get(first, "reason")),
                     "cvn_n011_ea_s10_fork_safety");
    for (size_t i = 0; i < 3; i++) {
        const json_t *e = event_named(&h, "cleanlab_cv_probs", i);
        cr_assert_not_null(e);
        cr_expect(number_in(e, "fold") == (double)i + 1 &&
                  number_in(e, "rows") == (double)(i + 1) * 150);
        cr_expect(number_in(e, "buy_drop_pct") <= 4 && number_in(e, "cap_pct") == 4);
        cr_expect(number_in(e, "touched") > 0 && number_in(e, "issues") >= number_in(e, "touched"));
    }
    forget(&h);
    say("{\"op\":\"trial\",\"number\":1,\"trial_id\":1,\"params\":" PARAMS ",\"seed\":5}\n");
    h = listen_to_trial(0);
    cr_expect_null(event_named(&h, "cleanlab_find_issues_start", 0));
    cr_expect_not_null(event_named(&h, "cleanlab_cv_probs", 0));
    forget(&h);
    expect_stop();
}

Test(factors, the_modes_of_cleaning_train_differently_and_a_cap_of_nothing_changes_nothing)
{
    double plain = value_of("", PARAMS);
    double prune = value_of(",\"cleanlab\":{\"mode\":\"prune\",\"cap_pct\":20}", PARAMS);
    double weight = value_of(",\"cleanlab\":{\"mode\":\"weight\",\"cap_pct\":20}", PARAMS);
    double relabel = value_of(",\"cleanlab\":{\"mode\":\"relabel\",\"cap_pct\":20}", PARAMS);
    cr_expect(prune != plain && weight != plain && relabel != plain);
    cr_expect(prune != weight && weight != relabel && prune != relabel);
    cr_expect_eq(plain, value_of(",\"cleanlab\":{\"mode\":\"off\"}", PARAMS));
    cr_expect_eq(plain, value_of(",\"cleanlab\":{\"mode\":\"relabel\",\"cap_pct\":0}", PARAMS));
}

/* The validation part of the last fold is made nonsense: what the trial learns must stay. */
Test(factors, cleaning_and_calibration_never_look_at_validation_rows)
{
    static const char config[] =
        "{" COMMON
        "\"label\":\"y\",\"drop\":[\"k\",\"z\"],\"rounds\":40,\"folds\":{\"holdout\":0.25},"
        "\"cleanlab\":{\"mode\":\"prune\",\"cap_pct\":20},\"calibrate\":\"platt\"}";
    start(config, PARAMS);
    struct heard h = listen_to_trial(0);
    cr_assert_str_eq(h.end, "result");
    double before = h.value;
    forget(&h);
    expect_stop();
    (void)fclose(in);
    cr_assert_eq(system("mv trial first && awk -F, -v OFS=, 'NR > 451 {$4 = 1 - $4} {print}' "
                        "data.csv > other.csv && mv other.csv data.csv"),
                 0);
    start(config, PARAMS);
    h = listen_to_trial(0);
    cr_assert_str_eq(h.end, "result");
    cr_expect_float_eq(h.value, 1 - before, 1e-9, "the labels were not turned round");
    forget(&h);
    expect_stop();
    cr_expect_eq(system("cmp trial/model.ubj first/model.ubj && cmp trial/model.json "
                        "first/model.json"),
                 0);
}

Test(factors, the_environment_is_over_the_settings_and_under_the_trial)
{
    double baseline = value_of("", PARAMS), focal = value_of(",\"factor\":\"focal_loss\"", PARAMS);
    double prune = value_of(",\"cleanlab\":{\"mode\":\"prune\"}", PARAMS);
    (void)setenv("CVN_LOSS_FUNCTION", "binary:logistic", 1);
    cr_expect_eq(
        value_of(",\"factor\":\"focal_loss\"", "{\"eta\":0.1,\"max_depth\":3,\"focal_gamma\":3.0}"),
        baseline, "a deployment can fall back from focal loss");
    (void)setenv("CVN_LOSS_FUNCTION", "focal", 1);
    cr_expect_eq(value_of("", PARAMS), focal);
    (void)setenv("CVN_FOCAL_GAMMA", "0.5", 1);
    double half = value_of("", PARAMS);
    cr_expect_neq(half, focal);
    cr_expect_eq(focal, value_of("", "{\"eta\":0.1,\"max_depth\":3,\"focal_gamma\":2.0}"));
    (void)unsetenv("CVN_LOSS_FUNCTION");
    (void)unsetenv("CVN_FOCAL_GAMMA");
    (void)setenv("CVN_CLEANLAB_MODE", "prune", 1);
    cr_expect_eq(value_of("", PARAMS), prune);
    (void)setenv("CVN_CLEANLAB_MODE", "off", 1);
    cr_expect_eq(value_of(",\"factor\":\"cleanlab\"", PARAMS), baseline);
    (void)setenv("CVN_CLEANLAB_MODE", "prone", 1);
    start(BINARY "}", PARAMS);
    struct heard h = listen_to_trial(0);
    cr_expect_str_eq(message_of(&h), "CVN_CLEANLAB_MODE: expected off, prune, weight or relabel, "
                                     "found 'prone': did you mean 'prune'?");
    forget(&h);
}

/* Isotonic calibration maps to what was seen; Platt keeps every ranking. */
Test(factors, calibration_keeps_the_ranking_and_mends_probabilities)
{
    static const char *const kinds[] = {"none", "platt", "isotonic"};
    double auc[3], loss[3];
    for (int i = 0; i < 3; i++) {
        char config[1024];
        (void)snprintf(config, sizeof(config),
                       BINARY ",\"factor\":\"focal_loss\",\"calibrate\":\"%s\"}", kinds[i]);
        start(config, "{\"eta\":0.1,\"max_depth\":3,\"focal_alpha\":0.1,\"focal_gamma\":1}");
        struct heard h = listen_to_trial(0);
        cr_assert_str_eq(h.end, "result");
        auc[i] = number_in(json_object_get(h.attrs, "metrics"), "auc");
        loss[i] = number_in(json_object_get(h.attrs, "metrics"), "brier");
        forget(&h);
        expect_stop();
        (void)fclose(in);
        cr_assert_eq(system(i == 1
                                ? "grep -q '\"kind\": \"platt\"' trial/model.json && rm -rf trial"
                                : "rm -rf trial"),
                     0);
    }
    cr_expect_float_eq(auc[1], auc[0], 1e-3);
    cr_expect(loss[1] < loss[0] && loss[2] < loss[0]);
}

/* Every fifth label is wrong, in what is validated too: a calibrator that saw cleaned labels alone
 * would promise a certainty that there is not. */
Test(factors, calibration_learns_from_the_labels_that_were_whatever_cleaning_did_to_them)
{
    static const char *const modes[] = {"prune", "relabel"};
    struct rng rng;
    rng_seed(&rng, 3);
    FILE *f = fopen("noise.csv", "we");
    cr_assert_not_null(f);
    (void)fputs("a,b,y\n", f);
    for (int i = 0; i < 2000; i++) {
        double a = rng_normal(&rng), b = rng_normal(&rng);
        (void)fprintf(f, "%g,%g,%d\n", a, b, (a + b > 0) != (rng_unit(&rng) < 0.2));
    }
    cr_assert_eq(fclose(f), 0);
    for (int i = 0; i < 2; i++) {
        char config[512];
        (void)snprintf(
            config, sizeof(config),
            "{\"data\":\"noise.csv\",\"cache\":\"cache\",\"label\":\"y\",\"rounds\":40,"
            "\"folds\":{\"walk_forward\":2},\"calibrate\":\"platt\",\"cleanlab\":{\"mode\":"
            "\"%s\",\"cap_pct\":40}}",
            modes[i]);
        start(config, "{\"eta\":0.3,\"max_depth\":3}");
        struct heard h = listen_to_trial(0);
        const json_t *metrics = json_object_get(h.attrs, "metrics");
        cr_assert_str_eq(h.end, "result");
        cr_expect(number_in(event_named(&h, "cleanlab_cv_probs", 1), "touched") > 100);
        cr_expect_lt(number_in(metrics, "logloss"), 0.6, "%s: %g", modes[i],
                     number_in(metrics, "logloss"));
        cr_expect_lt(number_in(metrics, "ece"), 0.12, "%s: %g", modes[i],
                     number_in(metrics, "ece"));
        forget(&h);
        expect_stop();
        (void)fclose(in);
        cr_assert_eq(system("rm -rf trial"), 0);
    }
}

Test(factors, weights_count_with_focal_loss_too)
{
    double focal = value_of(",\"objective\":\"focal\"", PARAMS);
    double weighed = value_of(",\"objective\":\"focal\",\"cleanlab\":{\"mode\":\"weight\","
                              "\"cap_pct\":20}",
                              PARAMS);
    cr_expect_neq(focal, weighed);
}

/* K-fold keeps a model of all rows, which are cleaned and calibrated like a fold's. */
Test(factors, a_model_of_all_rows_is_cleaned_and_calibrated_too)
{
    start("{" COMMON "\"label\":\"y\",\"drop\":[\"k\",\"z\"],\"rounds\":20,\"folds\":{\"kfold\":3,"
          "\"shuffle\":true},\"factor\":\"cleanlab\",\"calibrate\":\"isotonic\"}",
          PARAMS);
    struct heard h = listen_to_trial(0);
    cr_assert_str_eq(h.end, "result");
    cr_expect_eq(json_array_size(h.rows), 3);
    forget(&h);
    expect_stop();
    json_t *model = json_load_file("trial/model.json", 0, NULL);
    const json_t *calibration = json_object_get(model, "calibration");
    const json_t *x = json_object_get(calibration, "x"), *y = json_object_get(calibration, "y");
    cr_expect_str_eq(json_string_value(json_object_get(calibration, "kind")), "isotonic");
    cr_assert_eq(json_array_size(x), json_array_size(y));
    cr_assert_gt(json_array_size(x), 2);
    for (size_t i = 1; i < json_array_size(x); i++) {
        cr_expect_lt(json_number_value(json_array_get(x, i - 1)),
                     json_number_value(json_array_get(x, i)));
        cr_expect_leq(json_number_value(json_array_get(y, i - 1)),
                      json_number_value(json_array_get(y, i)));
    }
    json_decref(model);
}

Test(factors, few_buy_signals_are_told)
{
    start(BINARY ",\"factor\":\"baseline\",\"threshold\":0.95,\"min_buys\":50}", PARAMS);
    struct heard h = listen_to_trial(0);
    const json_t *e = event_named(&h, "buy_signals_low", 0);
    cr_assert_not_null(e);
    cr_expect(number_in(e, "buy_trades") < 50 && number_in(e, "least") == 50);
    cr_expect_eq(number_in(e, "buy_trades"), number_in(json_array_get(h.rows, 0), "buy_trades"));
    forget(&h);
    expect_stop();
}

/* ---- failures ---- */

/* A trial with these settings beside BINARY's that must fail in this class, its message beginning
 * so. */
static void expect_failure(const char *settings, const char *params, const char *class,
                           const char *message)
{
    char config[1024];
    (void)snprintf(config, sizeof(config), BINARY "%s}", settings);
    start(config, params);
    struct heard h = listen_to_trial(0);
    cr_expect_str_eq(h.end, "fail", "%s %s: %s", settings, params, h.end);
    cr_expect_str_eq(class_of(&h), class, "%s: %s, not %s (%s)", settings, class_of(&h), class,
                     message_of(&h));
    cr_expect(message_of(&h) != NULL && strstr(message_of(&h), message) != NULL, "%s: %s", settings,
              message_of(&h));
    cr_expect_eq(json_array_size(h.rows), 0);
    forget(&h);
    expect_stop();
    (void)fclose(in);
    cr_assert_eq(system("rm -rf trial"), 0);
}

Test(failures, a_soft_label_breaks_the_calibration_contract_whatever_the_factor)
{
    static const char *const factors[] = {"baseline", "cleanlab", "focal_loss", "label_smoothing"};
    cr_assert_eq(system("awk -F, -v OFS=, 'NR == 300 {$4 = 0.95} {print}' data.csv > other.csv && "
                        "mv other.csv data.csv"),
                 0);
    for (int i = 0; i < 8; i++) {
        char config[1024];
        (void)snprintf(config, sizeof(config), BINARY ",\"factor\":\"%s\",\"calibrate\":\"%s\"}",
                       factors[i % 4], i < 4 ? "platt" : "isotonic");
        start(config, PARAMS);
        struct heard h = listen_to_trial(0);
        cr_expect_str_eq(class_of(&h), "calibration", "%s: %s", factors[i % 4], class_of(&h));
        cr_expect_eq(strncmp(message_of(&h),
                             "Calibration contract violation: target y must be discrete", 57),
                     0, "%s", message_of(&h));
        cr_expect_eq(h.n_reports, 0, "work was done first");
        cr_expect_eq(json_array_size(h.events), 0, "work was done first");
        forget(&h);
        expect_stop();
        (void)fclose(in);
        cr_assert_eq(system("rm -rf trial"), 0);
    }
    expect_failure("", PARAMS, "bad_data", "expected 0 or 1");
}

Test(failures, smoothed_labels_never_reach_a_calibrator)
{
    (void)value_of(",\"factor\":\"label_smoothing\",\"label_smoothing\":0.4,\"calibrate\":"
                   "\"isotonic\"",
                   PARAMS);
}

Test(failures, numerical_ones_have_the_class_of_their_cause)
{
    expect_failure(",\"factor\":\"focal_loss\"",
                   "{\"focal_gamma\":8,\"base_score\":0.9999,\"eta\":0.1}", "hessian",
                   "Hessian not positive definite");
    expect_failure(",\"factor\":\"focal_loss\"", "{\"eta\":3e38,\"lambda\":0,\"focal_gamma\":0}",
                   "overflow", "overflow");
    expect_failure("", "{\"eta\":3e38,\"lambda\":0}", "nan", "NaN");
    expect_failure(",\"factor\":\"cleanlab\"", "{\"eta\":3e38,\"lambda\":0}", "nan",
                   "a model inside the training part predicts NaN");
    expect_failure(",\"factor\":\"focal_loss\"", "{\"focal_gamma\":100}", "hessian",
                   "after 0 rounds: lower focal_gamma");
    expect_failure(",\"factor\":\"focal_loss\"", "{\"focal_gamma\":-1}", "bad_data", "focal_gamma");
}

Test(failures, a_name_with_the_word_of_a_class_is_not_the_cause)
{
    cr_assert_eq(system("awk -F, -v OFS=, 'NR == 300 {$4 = 0.95} {print}' data.csv > other.csv && "
                        "mv other.csv hessian-overflow.csv"),
                 0);
    start("{\"data\":\"hessian-overflow.csv\",\"categorical\":[\"c\"],\"cache\":\"cache\","
          "\"label\":\"y\",\"drop\":[\"k\",\"z\"],\"rounds\":5,\"folds\":{\"holdout\":0.25}}",
          PARAMS);
    struct heard h = listen_to_trial(0);
    cr_expect_str_eq(class_of(&h), "bad_data", "%s", message_of(&h));
    cr_expect_not_null(strstr(message_of(&h), "hessian-overflow.csv, label 'y'"), "%s",
                       message_of(&h));
    forget(&h);
    expect_stop();
}

Test(failures, too_few_rows_for_the_folds_inside_the_training_part_are_told)
{
    start("{" COMMON "\"label\":\"y\",\"drop\":[\"k\",\"z\"],\"folds\":{\"holdout\":0.9},"
          "\"cleanlab\":{\"mode\":\"prune\",\"folds\":100}}",
          PARAMS);
    struct heard h = listen_to_trial(0);
    cr_expect_str_eq(class_of(&h), "bad_data");
    cr_expect_str_eq(message_of(&h),
                     "fold 1: cleanlab: folds inside the training part: 100 folds of 60 rows: "
                     "there must be more rows than folds");
    forget(&h);
    expect_stop();
}

/* Two blocks of 100 rows inside the training part: an embargo of 100 leaves each nothing to learn
 * from, one of 99 a row. */
Test(failures, the_embargo_holds_between_the_folds_inside_the_training_part_too)
{
    static const struct {
        const char *settings, *what;
    } cases[] = {
        {"\"cleanlab\":{\"mode\":\"prune\",\"folds\":2}", "cleanlab"},
        {"\"calibrate\":\"platt\",\"cleanlab\":{\"folds\":2}", "calibrate"},
    };
    for (int i = 0; i < 4; i++) {
        char config[512], want[200];
        int embargo = i % 2 == 0 ? 100 : 99;
        (void)snprintf(config, sizeof(config),
                       "{" COMMON "\"label\":\"y\",\"drop\":[\"k\",\"z\"],\"rounds\":3,"
                       "\"folds\":{\"holdout\":0.5,\"embargo\":%d},%s}",
                       embargo, cases[i / 2].settings);
        (void)snprintf(want, sizeof(want),
                       "fold 1: %s: folds inside the training part: fold 1 of 2 has nothing to "
                       "train on: 200 rows with an embargo of 100",
                       cases[i / 2].what);
        start(config, PARAMS);
        struct heard h = listen_to_trial(0);
        if (embargo == 100)
            cr_expect_str_eq(message_of(&h), want);
        else
            cr_expect_str_eq(h.end, "result", "%s", message_of(&h));
        forget(&h);
        expect_stop();
        (void)fclose(in);
        cr_assert_eq(system("rm -rf trial"), 0);
    }
}

Test(failures, contradictions_are_refused_with_what_to_do)
{
    expect_failure(",\"factor\":\"baseline\"", "{\"focal_gamma\":2}", "bad_data",
                   "parameter focal_gamma has no effect");
    expect_failure(",\"factor\":\"cleanlab\"", "{\"label_smoothing\":0.1}", "bad_data",
                   "parameter label_smoothing has no effect with factor cleanlab");
    expect_failure(",\"factor\":\"focal_loss\"",
                   "{\"factor\":\"label_smoothing\",\"objective\":\"focal\"}", "bad_data",
                   "label_smoothing goes with objective binary:logistic");
}
