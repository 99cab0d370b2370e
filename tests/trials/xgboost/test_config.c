#include <criterion/criterion.h>
#include <string.h>

#include "trials/xgboost/config.h"
#include "trials/xgboost/params.h"

static int read_config(struct config *c, const char *text, struct err *err)
{
    json_t *root = json_read(text, strlen(text), err);
    cr_assert_not_null(root, "%s", text);
    return config_read(c, root, "run.json", err);
}

/* The complaint about a config, with '…' for what every config must have. */
static const char *fault(const char *more)
{
    static struct err err;
    struct config c;
    struct buf text = BUF_INIT;
    buf_printf(&text, "{\"data\":\"d.csv\",\"label\":\"y\"%s%s}", more[0] ? "," : "", more);
    cr_assert_eq(read_config(&c, buf_str(&text), &err), -ERR_INVALID, "%s", more);
    buf_free(&text);
    return err.msg;
}

Test(config, says_nothing_and_gets_defaults)
{
    struct config c;
    struct err err;
    cr_assert_eq(read_config(&c, "{\"data\":\"d.csv\",\"label\":\"y\"}", &err), 0, "%s", err.msg);
    cr_expect_str_eq(c.objective->name, "binary:logistic");
    cr_expect(c.rounds == 100 && c.early_stop == 0 && c.report_every == 10 && c.save_model);
    cr_expect(c.folds.kind == FOLDS_HOLDOUT && c.folds.fraction == 0.2);
    cr_expect_eq(c.table.missing.n, 4);
    config_finish(&c);
}

Test(config, reads_every_key)
{
    struct config c;
    struct err err;
    static const char text[] =
        "{\"builtin\":\"xgboost\",\"data\":\"d.csv\",\"label\":\"y\",\"features\":[\"a\",\"b\"],"
        "\"categorical\":\"b\",\"missing\":[\"?\"],\"objective\":\"focal\","
        "\"folds\":{\"walk_forward\":5,\"embargo\":24},\"rounds\":400,\"early_stop\":30,"
        "\"report_every\":5,\"threshold\":0.6,\"fixed\":{\"eta\":0.1,\"eval_metric\":[\"auc\","
        "\"error@0.3\"]},\"metric\":\"f1\",\"variant\":\"v\",\"save_model\":false,\"cache\":\"c\"}";
    cr_assert_eq(read_config(&c, text, &err), 0, "%s", err.msg);
    cr_expect(c.table.features.n == 2 && c.table.categorical.n == 1 && c.table.missing.n == 1);
    cr_expect(c.folds.kind == FOLDS_WALK_FORWARD && c.folds.n == 5 && c.folds.embargo == 24);
    cr_expect(c.rounds == 400 && c.early_stop == 30 && c.report_every == 5 && c.threshold == 0.6);
    cr_expect(c.eval_metrics.n == 2 && !c.save_model && c.objective->focal);
    cr_expect_str_eq(c.metric, "f1");
    cr_expect_str_eq(c.variant, "v");
    cr_expect_str_eq(c.cache, "c");
    config_finish(&c);
}

Test(config, mistakes_name_the_key_and_what_was_expected)
{
    struct err err;
    struct config c;
    cr_expect_eq(read_config(&c, "{\"label\":\"y\"}", &err), -ERR_INVALID);
    cr_expect_str_eq(err.msg, "run.json: data: missing: expected the path of a CSV file");
    cr_expect_str_eq(fault("\"lable\":\"y\""),
                     "run.json: unknown key 'lable': did you mean 'label'?");
    cr_expect_str_eq(fault("\"rounds\":0"),
                     "run.json: rounds: expected an integer of at least 1, found 0");
    cr_expect_str_eq(fault("\"rounds\":\"ten\""),
                     "run.json: rounds: expected an integer of at least 1, found \"ten\"");
    cr_expect_str_eq(fault("\"folds\":{\"holdout\":1}"),
                     "run.json: folds.holdout: expected a fraction above 0 and below 1, found 1");
    cr_expect_str_eq(
        fault("\"folds\":{\"kfold\":3,\"walk_forward\":3}"),
        "run.json: folds: expected one of {holdout: 0.2}, {walk_forward: 5}, {kfold: 5}, "
        "found {\"kfold\":3,\"walk_forward\":3}");
    cr_expect_str_eq(fault("\"folds\":{\"walkforward\":3}"),
                     "run.json: folds: unknown key 'walkforward': did you mean 'walk_forward'?");
    cr_expect_str_eq(
        fault("\"objective\":\"binary:logistics\""),
        "run.json: unknown objective 'binary:logistics': did you mean 'binary:logistic'?");
    cr_expect_str_eq(fault("\"metric\":\"auk\""),
                     "run.json: unknown metric 'auk': did you mean 'auc'?");
    cr_expect_str_eq(fault("\"metric\":\"rmse\",\"objective\":\"multi:softprob\""),
                     "run.json: metric 'rmse' does not go with objective multi:softprob");
    cr_expect_str_eq(
        fault("\"fixed\":{\"max_dept\":3}"),
        "run.json: fixed: XGBoost has no parameter 'max_dept': did you mean 'max_depth'?");
    cr_expect_str_eq(fault("\"fixed\":{\"n_estimators\":3}"),
                     "run.json: fixed: parameter 'n_estimators' is called rounds here");
    cr_expect_str_eq(
        fault("\"folds\":{\"holdout\":0.5,\"shuffle\":true}"),
        "run.json: folds.shuffle goes with kfold alone: the others are in order of time");
    cr_expect_str_eq(fault("\"threshold\":2"),
                     "run.json: threshold: expected a number from 0 to 1, found 2");
}

Test(config, factors_and_prices_are_checked_before_any_trial)
{
    cr_expect_str_eq(fault("\"factor\":\"clean_lab\""),
                     "run.json: factor: expected baseline, cleanlab, focal_loss or "
                     "label_smoothing, found 'clean_lab': did you mean 'cleanlab'?");
    cr_expect_str_eq(fault("\"factor\":\"baseline\",\"objective\":\"focal\""),
                     "run.json: factor baseline trains for binary:logistic: leave objective out");
    cr_expect_str_eq(fault("\"cleanlab\":{\"mod\":1}"),
                     "run.json: cleanlab: a key: expected mode, filter, quality, folds or cap_pct, "
                     "found 'mod': did you mean 'mode'?");
    cr_expect_str_eq(fault("\"cleanlab\":{\"cap_pct\":101}"),
                     "run.json: cleanlab.cap_pct: expected a number from 0 to 100");
    cr_expect_str_eq(fault("\"calibrate\":\"plat\""),
                     "run.json: calibrate: expected none, platt or isotonic, found 'plat': did you "
                     "mean 'platt'?");
    cr_expect_str_eq(fault("\"fixed\":{\"factor\":\"baseline\"}"),
                     "run.json: fixed: factor is a setting of its own: set run.factor");
    cr_expect_str_eq(fault("\"label_smoothing\":1"),
                     "run.json: label_smoothing: expected a number from 0 to 0.99");
    cr_expect_str_eq(fault("\"prices\":{}"),
                     "run.json: label: prices makes label and features itself: leave it out");
    struct config c;
    struct err err;
    cr_expect_lt(read_config(&c, "{\"data\":\"d\",\"prices\":{\"horizont\":3}}", &err), 0);
    cr_expect_str_eq(err.msg, "run.json: prices: unknown key 'horizont': did you mean 'horizon'?");
    cr_expect_lt(read_config(&c,
                             "{\"data\":\"d\",\"prices\":{\"horizon\":30},\"folds\":"
                             "{\"walk_forward\":3,\"embargo\":29}}",
                             &err),
                 0);
    cr_expect_str_eq(err.msg, "run.json: folds.embargo: expected at least the 30 bars that labels "
                              "look ahead (prices.horizon)");
    cr_assert_eq(read_config(&c, "{\"data\":\"d\",\"prices\":{\"horizon\":30}}", &err), 0);
    cr_expect_eq(c.folds.embargo, 30);
    config_finish(&c);
}

Test(config, knows_every_objective_that_a_trial_may_have)
{
    struct config c;
    struct err err;
    static const char *const texts[] = {
        "{\"data\":\"d\",\"label\":\"y\",\"metric\":\"rmse\",\"space\":{\"objective\":"
        "[\"reg:gamma\",\"reg:squarederror\"]}}",
        "{\"data\":\"d\",\"label\":\"y\",\"metric\":\"auc\",\"space\":{\"eta\":[],"
        "\"objective\":[null,\"focal\"]}}",
        "{\"data\":\"d\",\"label\":\"y\",\"metric\":\"rmse\",\"fixed\":{\"objective\":"
        "\"reg:gamma\"}}",
    };
    static const char *const first[] = {"reg:gamma", "binary:logistic", "reg:gamma"};
    static const size_t n[] = {2, 2, 1};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cr_assert_eq(read_config(&c, texts[i], &err), 0, "%s", err.msg);
        cr_expect_eq(c.n_objectives, n[i], "%s", texts[i]);
        cr_expect_str_eq(c.objectives[0]->name, first[i]);
        config_finish(&c);
    }
    cr_expect_str_eq(fault("\"metric\":\"r2\",\"space\":{\"objective\":[\"reg:gamma\",\"focal\"]}"),
                     "run.json: metric 'r2' does not go with objective focal");
    cr_expect_str_eq(fault("\"space\":{\"objective\":[\"reg:gama\"]}"),
                     "run.json: space: unknown objective 'reg:gama': did you mean 'reg:gamma'?");
    cr_expect_str_eq(fault("\"space\":{\"objective\":[]}"),
                     "run.json: space: space.objective: expected texts, found []");
    cr_expect_str_eq(fault("\"space\":{\"eval_metric\":[\"auc\"]}"),
                     "run.json: space: eval_metric says what is recorded, the same for all trials: "
                     "set it under fixed");
    cr_expect_str_eq(fault("\"space\":{\"max_dept\":[]}"),
                     "run.json: space: XGBoost has no parameter 'max_dept': did you mean "
                     "'max_depth'?");
}

/* ---- parameters of a trial ---- */

static struct config config;

static void load(const char *fixed)
{
    struct err err;
    struct buf text = BUF_INIT;
    buf_printf(&text, "{\"data\":\"d.csv\",\"label\":\"y\",\"fixed\":%s}", fixed);
    cr_assert_eq(read_config(&config, buf_str(&text), &err), 0, "%s", err.msg);
    buf_free(&text);
}

/* "name=value name=value" of what XGBoost is told, or the complaint. */
static const char *told(const char *sampled, struct trial_conf *keep)
{
    static struct buf out;
    struct err err;
    struct trial_conf t;
    json_t *params = json_read(sampled, strlen(sampled), &err);
    buf_clear(&out);
    int rc = trial_conf_make(&t, &config, params, 7, 2, &err);
    json_decref(params);
    if (rc < 0) {
        buf_puts(&out, err.msg);
        return buf_str(&out);
    }
    for (size_t i = 0; i < t.n_params; i++)
        buf_printf(&out, "%s%s=%s", i > 0 ? " " : "", t.params[i].name, t.params[i].value);
    if (keep != NULL)
        *keep = t;
    else
        trial_conf_finish(&t);
    return buf_str(&out);
}

Test(params, sampled_win_over_fixed_over_defaults_by_either_name)
{
    load("{\"eta\":0.3,\"max_depth\":6,\"nthread\":4}");
    cr_expect_str_eq(told("{\"learning_rate\":0.001,\"subsample\":1}", NULL),
                     "seed=7 nthread=4 verbosity=1 eta=0.001 max_depth=6 subsample=1");
    config_finish(&config);
}

Test(params, lists_and_switches_are_written_as_xgboost_reads_them)
{
    load("{\"monotone_constraints\":[1,0,-1],\"interaction_constraints\":[[0,1],[2]],"
         "\"seed_per_iteration\":true,\"eval_metric\":\"rmse\"}");
    cr_expect_str_eq(told("{\"eta\":1e-5}", NULL),
                     "seed=7 nthread=2 verbosity=1 monotone_constraints=(1,0,-1) "
                     "interaction_constraints=[[0,1],[2]] seed_per_iteration=1 eta=1e-05");
    config_finish(&config);
}

Test(params, ours_do_not_reach_xgboost)
{
    struct trial_conf t;
    load("{}");
    cr_expect_str_eq(
        told("{\"objective\":\"focal\",\"focal_gamma\":3,\"focal_alpha\":0.4,\"rounds\":9,"
             "\"early_stop\":2,\"threshold\":0.7}",
             &t),
        "seed=7 nthread=2 verbosity=1 base_score=0.5");
    cr_expect(t.objective->focal && t.focal.gamma == 3 && t.focal.alpha == 0.4);
    cr_expect(t.rounds == 9 && t.early_stop == 2 && t.threshold == 0.7);
    trial_conf_finish(&t);
    config_finish(&config);
}

Test(params, what_xgboost_knows_is_never_refused)
{
    static const char *const names[] = {"process_type",   "gpu_id",     "lambda_bias",
                                        "n_jobs",         "num_class",  "device",
                                        "multi_strategy", "sketch_eps", "max_cat_threshold"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct err err = {0};
        cr_expect_eq(params_check_name(names[i], &err), 0, "%s", err.msg);
    }
    load("{\"nthread\":4}");
    cr_expect_str_eq(told("{\"n_jobs\":3}", NULL), "seed=7 nthread=3 verbosity=1");
    config_finish(&config);
}

Test(params, mistakes_are_found_before_training)
{
    load("{}");
    cr_expect_str_eq(told("{\"sub_sample\":1}", NULL),
                     "XGBoost has no parameter 'sub_sample': did you mean 'subsample'?");
    cr_expect_str_eq(told("{\"rounds\":1.5}", NULL),
                     "parameter rounds: expected an integer of at least 1");
    cr_expect_str_eq(told("{\"objective\":\"focal\",\"scale_pos_weight\":3}", NULL),
                     "parameter scale_pos_weight has no effect with focal loss: weigh positives by "
                     "focal_alpha");
    cr_expect_str_eq(told("{\"focal_gamma\":2}", NULL),
                     "parameter focal_gamma has no effect with objective "
                     "binary:logistic: set objective: focal");
    cr_expect_str_eq(told("{\"focal_gamma\":2,\"objective\":\"binary:hinge\"}", NULL),
                     "seed=7 nthread=2 verbosity=1");
    cr_expect_str_eq(told("{\"eta\":null}", NULL),
                     "parameter eta: expected a number, a text or a list");
    config_finish(&config);
}

/* ---- labels ---- */

static const char *label_fault(const char *name, const float *label, size_t rows)
{
    static struct err err;
    const struct objective *o;
    size_t classes;
    cr_assert_eq(objective_find(&o, name, NULL), 0);
    return objective_check_labels(o, label, rows, &classes, &err) < 0 ? err.msg : "";
}

Test(objective, labels_must_suit_it)
{
    cr_expect_str_eq(label_fault("binary:logistic", (float[]){0, 1, 2}, 3),
                     "objective binary:logistic: row 3 has the label 2: expected 0 or 1");
    cr_expect_str_eq(label_fault("binary:logistic", (float[]){1, 1}, 2),
                     "objective binary:logistic: no row has the label 0, though labels go up to 1");
    cr_expect_str_eq(label_fault("focal", (float[]){0, 0}, 2),
                     "objective focal: every row has the label 0");
    cr_expect_str_eq(label_fault("multi:softprob", (float[]){0, 1, 3}, 3),
                     "objective multi:softprob: no row has the label 2, though labels go up to 3");
    cr_expect_str_eq(
        label_fault("multi:softmax", (float[]){0, 1.5f}, 2),
        "objective multi:softmax: row 2 has the label 1.5: expected a class 0, 1, 2 …");
    cr_expect_str_eq(label_fault("reg:gamma", (float[]){1, 0}, 2),
                     "objective reg:gamma: row 2 has the label 0: expected more than 0");
    cr_expect_str_eq(label_fault("reg:squarederror", (float[]){-1, 2}, 2), "");
}

Test(objective, ranking_and_survival_are_refused_with_the_reason)
{
    struct err err;
    const struct objective *o;
    cr_expect_eq(objective_find(&o, "rank:pairwise", &err), -ERR_INVALID);
    cr_expect_str_eq(err.msg,
                     "objective 'rank:pairwise' needs groups of rows or censored labels, which "
                     "the CSV reader does not have");
}
