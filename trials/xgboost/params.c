#include "trials/xgboost/params.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "trials/objectives/smoothing.h"
#include "trials/xgboost/config.h"

/* Ours first, then XGBoost's: what its documentation has ever listed, parameters of its old command
 * line apart, and what its saved configurations name (tests/trials/xgboost/interop.py compares
 * them). A library that does not know one of them says so on the trial's stderr. */
/* clang-format off */
static const char *const known[] = {
    "objective", "rounds", "early_stop", "threshold", "focal_alpha", "focal_gamma", "eval_metric",
    "factor", "label_smoothing", "cleanlab_cap_pct",
    /* general */
    "booster", "device", "gpu_id", "n_gpus", "fail_on_invalid_gpu_id", "verbosity", "silent",
    "validate_parameters", "disable_default_eval_metric", "nthread", "n_jobs", "seed",
    "random_state", "seed_per_iteration", "debug_synchronize", "use_rmm", "use_cuda_async_pool",
    "single_precision_histogram",
    /* trees */
    "eta", "learning_rate", "gamma", "min_split_loss", "max_depth", "max_leaves",
    "min_child_weight", "max_delta_step", "subsample", "sampling_method", "colsample_bytree",
    "colsample_bylevel", "colsample_bynode", "lambda", "reg_lambda", "alpha", "reg_alpha",
    "tree_method", "grow_policy", "max_bin", "scale_pos_weight", "num_parallel_tree",
    "monotone_constraints", "interaction_constraints", "updater", "refresh_leaf", "process_type",
    "predictor", "multi_strategy", "max_cat_to_onehot", "max_cat_threshold",
    "max_cached_hist_node", "extmem_single_page", "extmem_concat_pages", "default_direction",
    "sketch_eps", "sketch_ratio", "deterministic_histogram", "sparse_threshold", "opt_dense_col",
    "enable_feature_grouping", "max_conflict_rate", "max_search_group", "gpu_batch_nrows",
    "gpu_page_size",
    /* dart */
    "sample_type", "normalize_type", "rate_drop", "one_drop", "skip_drop",
    /* linear */
    "feature_selector", "top_k", "tolerance", "max_row_perbatch", "lambda_bias", "reg_lambda_bias",
    /* objectives */
    "base_score", "boost_from_average", "num_class", "num_target", "num_feature", "num_pbuffer",
    "tweedie_variance_power", "huber_slope", "quantile_alpha", "expectile_alpha",
    "aft_loss_distribution", "aft_loss_distribution_scale", "lambdarank_pair_method",
    "lambdarank_num_pair_per_sample", "lambdarank_normalization",
    "lambdarank_score_normalization", "lambdarank_unbiased", "lambdarank_bias_norm",
    "ndcg_exp_gain", "num_pairsample", "fix_list_weight",
};
/* clang-format on */

/* Names of other interfaces, and what they are called here. */
static const struct {
    const char *name, *ours;
} aliases[] = {
    {"num_boost_round", "rounds"},
    {"num_round", "rounds"},
    {"n_estimators", "rounds"},
    {"early_stopping_rounds", "early_stop"},
};

/* XGBoost's second names: a sampled learning_rate must replace a fixed eta. */
static const struct {
    const char *name, *first;
} second_names[] = {
    {"learning_rate", "eta"},           {"min_split_loss", "gamma"},
    {"reg_lambda", "lambda"},           {"reg_alpha", "alpha"},
    {"random_state", "seed"},           {"n_jobs", "nthread"},
    {"reg_lambda_bias", "lambda_bias"},
};

const char *const *params_known(size_t *n)
{
    *n = ARRAY_LEN(known);
    return known;
}

/* The constant that names the parameter to XGBoost, or NULL. */
static const char *known_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(second_names); i++) {
        if (strcmp(second_names[i].name, name) == 0)
            return second_names[i].first;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(known[i], name) == 0)
            return known[i];
    }
    return NULL;
}

int params_check_name(const char *name, struct err *err)
{
    if (known_name(name) != NULL)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
        if (strcmp(aliases[i].name, name) == 0)
            return err_set(err, ERR_INVALID, "parameter '%s' is called %s here", name,
                           aliases[i].ours);
    }
    const char *near = text_nearest(name, known, ARRAY_LEN(known));
    if (near != NULL)
        return err_set(err, ERR_INVALID, "XGBoost has no parameter '%s': did you mean '%s'?", name,
                       near);
    return err_set(err, ERR_INVALID, "XGBoost has no parameter '%s'", name);
}

static const struct setting *find(const struct trial_conf *t, const char *name)
{
    for (size_t i = 0; i < t->n_params; i++) {
        if (strcmp(t->params[i].name, name) == 0)
            return &t->params[i];
    }
    return NULL;
}

/* Takes value, also when it fails; NULL is out of memory. A later value replaces an earlier one. */
static int put(struct trial_conf *t, const char *name, char *value, struct err *err)
{
    struct setting *p = (struct setting *)find(t, name);
    if (value != NULL && p == NULL) {
        struct setting *more = realloc(t->params, (t->n_params + 1) * sizeof(*more));
        if (more != NULL) {
            t->params = more;
            p = &more[t->n_params++];
            *p = (struct setting){.name = name};
        }
    }
    if (value == NULL || p == NULL) {
        free(value);
        return err_set(err, ERR_NOMEM, "parameter %s", name);
    }
    free(p->value);
    p->value = value;
    return 0;
}

/* A list as XGBoost writes it: "(1,0,-1)" of numbers, JSON of lists (interaction_constraints). */
static char *list_text(const json_t *v)
{
    char *text = json_dumps(v, JSON_COMPACT);
    bool flat = text != NULL && json_array_size(v) > 0 && json_is_number(json_array_get(v, 0));
    if (flat) {
        text[0] = '(';
        text[strlen(text) - 1] = ')';
    }
    return text;
}

static int value_text(const json_t *v, const char *name, char **out, struct err *err)
{
    char number[TEXT_DOUBLE_MAX];
    switch (json_typeof(v)) {
    case JSON_STRING:
        *out = strdup(json_string_value(v));
        return 0;
    case JSON_INTEGER:
        (void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        *out = strdup(number);
        return 0;
    case JSON_REAL:
        *out = strdup(text_from_double(json_real_value(v), number));
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = strdup(json_is_true(v) ? "1" : "0");
        return 0;
    case JSON_ARRAY:
        *out = list_text(v);
        return 0;
    default:
        return err_set(err, ERR_INVALID, "parameter %s: expected a number, a text or a list", name);
    }
}

/* ---- parameters that are ours ---- */

static int want_int(const json_t *v, const char *name, int64_t least, int64_t *out, struct err *err)
{
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > INT32_MAX)
        return err_set(err, ERR_INVALID, "parameter %s: expected an integer of at least %" PRId64,
                       name, least);
    *out = json_integer_value(v);
    return 0;
}

static int want_real(const json_t *v, const char *name, double least, double most, double *out,
                     struct err *err)
{
    double d = json_is_number(v) ? json_number_value(v) : most + 1;
    if (!(d >= least && d <= most))
        return err_set(err, ERR_INVALID, "parameter %s: expected a number from %g to %g", name,
                       least, most);
    *out = d;
    return 0;
}

/* Sets *ours when the name is one of ours. */
static int take_ours(struct trial_conf *t, const char *name, const json_t *v, bool *ours,
                     struct err *err)
{
    *ours = true;
    if (strcmp(name, "rounds") == 0)
        return want_int(v, name, 1, &t->rounds, err);
    if (strcmp(name, "early_stop") == 0)
        return want_int(v, name, 0, &t->early_stop, err);
    if (strcmp(name, "threshold") == 0)
        return want_real(v, name, 0, 1, &t->threshold, err);
    if (strcmp(name, "focal_alpha") == 0)
        return want_real(v, name, 0, 1, &t->focal.alpha, err);
    if (strcmp(name, "focal_gamma") == 0)
        return want_real(v, name, 0, FOCAL_GAMMA_MAX, &t->focal.gamma, err);
    if (strcmp(name, "label_smoothing") == 0)
        return want_real(v, name, 0, SMOOTHING_MAX, &t->smoothing, err);
    if (strcmp(name, "cleanlab_cap_pct") == 0)
        return want_real(v, name, 0, 100, &t->cleanlab.cap_pct, err);
    if (strcmp(name, "factor") == 0)
        return 0; /* what it stands for comes first: see take_factor */
    if (strcmp(name, "num_class") == 0)
        return want_int(v, name, 0, &t->classes, err);
    if (strcmp(name, "eval_metric") == 0)
        return 0; /* the config has read it from fixed, and refused it elsewhere */
    if (strcmp(name, "objective") == 0)
        return json_is_string(v)
                   ? objective_find(&t->objective, json_string_value(v), err)
                   : err_set(err, ERR_INVALID, "parameter objective: expected a text");
    *ours = false;
    return 0;
}

static int take_all(struct trial_conf *t, const json_t *object, struct err *err)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, name, v)
    {
        bool ours;
        int rc = params_check_name(name, err);
        if (rc == 0)
            rc = take_ours(t, name, v, &ours, err);
        char *text = NULL;
        if (rc == 0 && !ours)
            rc = value_text(v, name, &text, err);
        if (rc == 0 && !ours)
            rc = put(t, known_name(name), text, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int put_number(struct trial_conf *t, const char *name, int64_t v, struct err *err)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRId64, v);
    return put(t, name, strdup(text), err);
}

/* What the factor stands for, the trial's own before the settings' one; then what the environment
 * says about the loss, so that a deployment can fall back from it. */
static int take_factor(struct trial_conf *t, const struct config *config, const json_t *sampled,
                       struct err *err)
{
    const struct factor_conf *f = &config->factor;
    const json_t *own = json_object_get(sampled, "factor");
    int rc = 0;
    if (own != NULL)
        rc = json_is_string(own) ? factor_find(&t->factor, json_string_value(own), err)
                                 : err_set(err, ERR_INVALID, "parameter factor: expected a text");
    t->smoothing = factor_smoothing(f, t->factor);
    t->cleanlab.mode = factor_cleanlab(f, t->factor);
    const char *implied = t->factor == FACTOR_FOCAL_LOSS ? "focal" : "binary:logistic";
    if (rc == 0 && own != NULL)
        rc = objective_find(&t->objective, implied, err);
    if (rc == 0 && f->env_objective != NULL)
        rc = objective_find(&t->objective, f->env_objective, err);
    return rc;
}

/* The environment's values, over the fixed ones and below the trial's own. */
static void take_environment(struct trial_conf *t, const struct factor_conf *f)
{
    if (!isnan(f->env_gamma))
        t->focal.gamma = f->env_gamma;
    if (!isnan(f->env_alpha))
        t->focal.alpha = f->env_alpha;
}

/* Labels are cleaned, smoothed and calibrated where there are two classes. */
static int settle_factor(const struct trial_conf *t, const json_t *sampled, struct err *err)
{
    const struct objective *o = t->objective;
    bool two = o->labels == LABEL_BINARY;
    if (t->smoothing > 0 && (!two || o->focal))
        return err_set(err, ERR_INVALID,
                       "label_smoothing goes with objective binary:logistic, not with %s", o->name);
    if (t->cleanlab.mode != CLEANLAB_OFF && !two)
        return err_set(err, ERR_INVALID, "cleanlab goes with binary objectives, not with %s",
                       o->name);
    if (t->calibrate != CALIBRATE_NONE && o->task != TASK_BINARY && o->labels != LABEL_UNIT)
        return err_set(err, ERR_INVALID, "calibrate goes with binary objectives, not with %s",
                       o->name);
    if (json_object_get(sampled, "label_smoothing") != NULL &&
        json_object_get(sampled, "factor") == NULL && t->factor != FACTOR_NONE &&
        t->factor != FACTOR_LABEL_SMOOTHING)
        return err_set(err, ERR_INVALID,
                       "parameter label_smoothing has no effect with factor %s: give it `when: "
                       "factor == 'label_smoothing'`",
                       factor_name(t->factor));
    return 0;
}

/* What a custom objective cannot honour, and the margin its gradients start from. */
static int settle_focal(struct trial_conf *t, struct err *err)
{
    if (!t->objective->focal)
        return 0;
    if (find(t, "scale_pos_weight") != NULL)
        return err_set(err, ERR_INVALID,
                       "parameter scale_pos_weight has no effect with focal loss: weigh "
                       "positives by focal_alpha");
    int rc = focal_check(&t->focal, err);
    if (rc == 0 && find(t, "base_score") == NULL)
        rc = put(t, "base_score", strdup("0.5"), err);
    return rc == 0 ? focal_table_create(&t->focal_table, &t->focal, err) : rc;
}

/* A sampled focal_gamma that no trial can ever use is a search over nothing. */
static int refuse_idle_focal(const struct trial_conf *t, const struct config *config,
                             const json_t *sampled, struct err *err)
{
    static const char *const names[] = {"focal_alpha", "focal_gamma"};
    if (t->objective->focal || json_object_get(sampled, "objective") != NULL ||
        json_object_get(sampled, "factor") != NULL ||
        config->factor.env_objective != NULL) /* fallen back from focal loss */
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (json_object_get(sampled, names[i]) != NULL)
            return err_set(err, ERR_INVALID,
                           "parameter %s has no effect with objective %s: set objective: focal",
                           names[i], t->objective->name);
    }
    return 0;
}

static int make(struct trial_conf *t, const struct config *config, const json_t *sampled,
                uint32_t seed, int threads, struct err *err)
{
    int rc = put_number(t, "seed", seed, err);
    if (rc == 0)
        rc = put_number(t, "nthread", threads, err);
    if (rc == 0)
        rc = put_number(t, "verbosity", 1, err);
    if (rc == 0 && config->fixed != NULL)
        rc = take_all(t, config->fixed, err);
    if (rc == 0)
        rc = take_factor(t, config, sampled, err);
    take_environment(t, &config->factor);
    if (rc == 0 && sampled != NULL)
        rc = take_all(t, sampled, err);
    /* a trial with a factor of its own may carry what belongs to another one, as when it falls back
     */
    if (json_object_get(sampled, "factor") != NULL && t->factor != FACTOR_LABEL_SMOOTHING)
        t->smoothing = 0;
    if (rc == 0)
        rc = refuse_idle_focal(t, config, sampled, err);
    if (rc == 0)
        rc = settle_factor(t, sampled, err);
    if (rc == 0)
        rc = settle_focal(t, err);
    return rc;
}

int trial_conf_make(struct trial_conf *out, const struct config *config, const json_t *sampled,
                    uint32_t seed, int threads, struct err *err)
{
    struct trial_conf t = {
        .objective = config->objective,
        .factor = config->factor.factor,
        .cleanlab = config->factor.cleanlab,
        .calibrate = config->factor.calibrate,
        .focal = FOCAL_DEFAULT,
        .rounds = config->rounds,
        .early_stop = config->early_stop,
        .threshold = config->threshold,
    };
    int rc = make(&t, config, sampled, seed, threads, err);
    if (rc < 0) {
        trial_conf_finish(&t);
        return rc;
    }
    *out = t;
    return 0;
}

const char *trial_conf_param(const struct trial_conf *t, const char *name)
{
    const struct setting *p = find(t, name);
    return p != NULL ? p->value : NULL;
}

void trial_conf_finish(struct trial_conf *t)
{
    for (size_t i = 0; i < t->n_params; i++)
        free(t->params[i].value);
    free(t->params);
    focal_table_destroy(t->focal_table);
    *t = (struct trial_conf){0};
}
