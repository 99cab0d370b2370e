#include "trials/xgboost/config.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "trials/xgboost/params.h"

static const char *const known_keys[] = {
    "builtin", "data",    "label",      "features",        "drop",      "categorical",
    "missing", "folds",   "objective",  "rounds",          "fixed",     "early_stop",
    "metric",  "variant", "save_model", "report_every",    "threshold", "cache",
    "space",   "factor",  "cleanlab",   "label_smoothing", "calibrate", "min_buys",
    "prices",
};

/* `key: expected …, found <the value>`. */
static int wrong(struct err *err, const char *key, const char *expected, const json_t *found)
{
    AUTO_FREE char *text = found != NULL ? json_dumps(found, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (found == NULL)
        return err_set(err, ERR_INVALID, "%s: missing: expected %s", key, expected);
    return err_set(err, ERR_INVALID, "%s: expected %s, found %.80s", key, expected,
                   text != NULL ? text : "?");
}

static int get_string(const json_t *root, const char *key, const char **out, struct err *err)
{
    const json_t *v = json_object_get(root, key);
    if (v == NULL || json_is_null(v))
        return 0;
    if (!json_is_string(v) || json_string_value(v)[0] == '\0')
        return wrong(err, key, "a text", v);
    *out = json_string_value(v);
    return 0;
}

static int get_int(const json_t *root, const char *key, int64_t least, int64_t *out,
                   struct err *err)
{
    const json_t *v = json_object_get(root, key);
    if (v == NULL || json_is_null(v))
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > INT32_MAX) {
        char expected[48];
        (void)snprintf(expected, sizeof(expected), "an integer of at least %d", (int)least);
        return wrong(err, key, expected, v);
    }
    *out = json_integer_value(v);
    return 0;
}

static int get_bool(const json_t *root, const char *key, bool *out, struct err *err)
{
    const json_t *v = json_object_get(root, key);
    if (v == NULL || json_is_null(v))
        return 0;
    if (!json_is_boolean(v))
        return wrong(err, key, "true or false", v);
    *out = json_is_true(v);
    return 0;
}

/* A list of strings; a single string is a list of one. */
static int get_names(const json_t *v, const char *key, struct names *out, struct err *err)
{
    if (v == NULL || json_is_null(v))
        return 0;
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    const char **names = calloc(n + 1, sizeof(*names));
    if (names == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory", key);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_string(item)) {
            free(names);
            return wrong(err, key, "a list of texts", v);
        }
        names[i] = json_string_value(item);
    }
    free(out->v);
    *out = (struct names){.v = names, .n = n};
    return 0;
}

static int unknown_key(const char *where, const char *key, const char *const *known, size_t n,
                       struct err *err)
{
    const char *near = text_nearest(key, known, n);
    if (near != NULL)
        return err_set(err, ERR_INVALID, "%sunknown key '%s': did you mean '%s'?", where, key,
                       near);
    return err_set(err, ERR_INVALID, "%sunknown key '%s'", where, key);
}

static int check_keys(const json_t *object, const char *where, const char *const *known, size_t n,
                      struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        size_t i = 0;
        while (i < n && strcmp(known[i], key) != 0)
            i++;
        if (i == n)
            return unknown_key(where, key, known, n, err);
    }
    return 0;
}

/* ---- folds ---- */

static int fold_kind(const json_t *v, struct fold_conf *out, struct err *err)
{
    static const char expected[] = "one of {holdout: 0.2}, {walk_forward: 5}, {kfold: 5}";
    const json_t *holdout = json_object_get(v, "holdout");
    const json_t *walk = json_object_get(v, "walk_forward");
    const json_t *kfold = json_object_get(v, "kfold");
    if ((holdout != NULL) + (walk != NULL) + (kfold != NULL) != 1)
        return wrong(err, "folds", expected, v);
    if (holdout != NULL) {
        double f = json_is_number(holdout) ? json_number_value(holdout) : NAN;
        if (!(f > 0 && f < 1))
            return wrong(err, "folds.holdout", "a fraction above 0 and below 1", holdout);
        *out = (struct fold_conf){.kind = FOLDS_HOLDOUT, .fraction = f};
        return 0;
    }
    int64_t n = 0;
    int rc =
        walk != NULL ? get_int(v, "walk_forward", 1, &n, err) : get_int(v, "kfold", 2, &n, err);
    if (rc < 0)
        return err_wrap(err, rc, "folds");
    *out =
        (struct fold_conf){.kind = walk != NULL ? FOLDS_WALK_FORWARD : FOLDS_KFOLD, .n = (size_t)n};
    return n > 0 ? 0 : wrong(err, "folds", expected, v);
}

static int read_folds(const json_t *v, struct fold_conf *out, struct err *err)
{
    static const char *const keys[] = {"holdout", "walk_forward", "kfold", "embargo", "shuffle"};
    if (v == NULL || json_is_null(v)) {
        *out = (struct fold_conf){.kind = FOLDS_HOLDOUT, .fraction = 0.2};
        return 0;
    }
    if (!json_is_object(v))
        return wrong(err, "folds", "a mapping such as {walk_forward: 5}", v);
    int64_t embargo = 0;
    int rc = check_keys(v, "folds: ", keys, ARRAY_LEN(keys), err);
    if (rc == 0)
        rc = fold_kind(v, out, err);
    if (rc == 0)
        rc = get_int(v, "embargo", 0, &embargo, err);
    if (rc == 0)
        rc = get_bool(v, "shuffle", &out->shuffle, err);
    if (rc < 0)
        return rc;
    out->embargo = (size_t)embargo;
    if (out->shuffle && out->kind != FOLDS_KFOLD)
        return err_set(err, ERR_INVALID,
                       "folds.shuffle goes with kfold alone: the others are in order of "
                       "time");
    if (out->shuffle && embargo > 0)
        return err_set(err, ERR_INVALID, "folds: shuffled rows have no neighbours for an embargo");
    return 0;
}

/* ---- the rest ---- */

static int read_table(const json_t *root, struct table_conf *t, struct err *err)
{
    static const struct {
        const char *key;
        size_t at;
    } lists[] = {
        {"features", offsetof(struct table_conf, features)},
        {"drop", offsetof(struct table_conf, drop)},
        {"categorical", offsetof(struct table_conf, categorical)},
        {"missing", offsetof(struct table_conf, missing)},
    };
    bool prices = json_is_object(json_object_get(root, "prices"));
    int rc = get_string(root, "data", &t->path, err);
    if (rc == 0 && prices)
        t->label = "buy";
    if (rc == 0)
        rc = get_string(root, "label", &t->label, err);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(lists); i++)
        rc = get_names(json_object_get(root, lists[i].key), lists[i].key,
                       (struct names *)(void *)((char *)t + lists[i].at), err);
    if (rc < 0)
        return rc;
    if (t->path == NULL)
        return wrong(err, "data", "the path of a CSV file", NULL);
    if (t->label == NULL)
        return wrong(err, "label", "the column to predict", NULL);
    if (t->features.n > 0 && t->drop.n > 0)
        return err_set(err, ERR_INVALID,
                       "drop: features names the columns already, leave one of them out");
    return 0;
}

static int default_missing(struct names *missing, struct err *err)
{
    static const char *const tokens[] = {"NA", "NaN", "nan", "null"};
    missing->v = calloc(ARRAY_LEN(tokens), sizeof(*missing->v));
    if (missing->v == NULL)
        return err_set(err, ERR_NOMEM, "missing: out of memory");
    memcpy(missing->v, tokens, sizeof(tokens));
    missing->n = ARRAY_LEN(tokens);
    return 0;
}

static int read_fixed(struct config *c, struct err *err)
{
    c->fixed = json_object_get(c->root, "fixed");
    if (c->fixed == NULL || json_is_null(c->fixed)) {
        c->fixed = NULL;
        return 0;
    }
    if (!json_is_object(c->fixed))
        return wrong(err, "fixed", "a mapping of XGBoost parameters", c->fixed);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)c->fixed, key, value)
    {
        static const char *const keys[] = {"factor", "label_smoothing"};
        int rc = params_check_name(key, err);
        for (size_t i = 0; rc == 0 && i < ARRAY_LEN(keys); i++) {
            if (strcmp(key, keys[i]) == 0)
                rc = err_set(err, ERR_INVALID, "%s is a setting of its own: set run.%s", key, key);
        }
        if (rc < 0)
            return err_wrap(err, rc, "fixed");
    }
    const char *objective = NULL;
    int rc =
        get_names(json_object_get(c->fixed, "eval_metric"), "eval_metric", &c->eval_metrics, err);
    if (rc == 0)
        rc = get_string(c->fixed, "objective", &objective, err);
    if (rc == 0 && objective != NULL)
        rc = objective_find(&c->objective, objective, err);
    return rc < 0 ? err_wrap(err, rc, "fixed") : 0;
}

static int read_training(struct config *c, struct err *err)
{
    const json_t *root = c->root, *threshold = json_object_get(root, "threshold");
    const char *objective = "binary:logistic";
    int rc = get_string(root, "objective", &objective, err);
    if (rc == 0)
        rc = objective_find(&c->objective, objective, err);
    if (rc == 0)
        rc = get_int(root, "rounds", 1, &c->rounds, err);
    if (rc == 0)
        rc = get_int(root, "early_stop", 0, &c->early_stop, err);
    if (rc == 0)
        rc = get_int(root, "report_every", 1, &c->report_every, err);
    if (rc == 0)
        rc = get_string(root, "metric", &c->metric, err);
    if (rc == 0)
        rc = get_string(root, "variant", &c->variant, err);
    if (rc == 0)
        rc = get_string(root, "cache", &c->cache, err);
    if (rc == 0)
        rc = get_bool(root, "save_model", &c->save_model, err);
    if (rc < 0)
        return rc;
    if (threshold != NULL && !json_is_null(threshold)) {
        c->threshold = json_is_number(threshold) ? json_number_value(threshold) : NAN;
        if (!(c->threshold >= 0 && c->threshold <= 1))
            return wrong(err, "threshold", "a number from 0 to 1", threshold);
    }
    return 0;
}

/* prices: {…}: the file is a price series, and label and features are made of it. */
static int read_prices(struct config *c, struct err *err)
{
    static const char *const others[] = {"label", "features", "drop", "categorical", "missing"};
    const json_t *v = json_object_get(c->root, "prices");
    if (v == NULL || json_is_null(v))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (json_object_get(c->root, others[i]) != NULL)
            return err_set(err, ERR_INVALID,
                           "%s: prices makes label and features itself: leave it out", others[i]);
    }
    int rc = bars_read_conf(&c->bars, v, err);
    c->cost = c->bars.cost;
    return rc;
}

/* A label looks `horizon` bars ahead: rows closer to the validation part would know it. */
static int settle_embargo(struct config *c, struct err *err)
{
    const json_t *folds = json_object_get(c->root, "folds");
    size_t horizon = c->bars.prices.horizon;
    if (c->folds.shuffle)
        return err_set(err, ERR_INVALID, "folds.shuffle: prices are in order of time");
    if (json_object_get(folds, "embargo") == NULL)
        c->folds.embargo = horizon;
    if (c->folds.embargo < horizon)
        return err_set(err, ERR_INVALID,
                       "folds.embargo: expected at least the %zu bars that labels look ahead "
                       "(prices.horizon)",
                       horizon);
    return 0;
}

/* The factor's objective, which another one beside it would contradict. */
static int read_factor(struct config *c, struct err *err)
{
    int rc = factor_read(&c->factor, c->root, err);
    if (rc < 0 || c->factor.factor == FACTOR_NONE)
        return rc;
    const struct objective *implied = NULL;
    bool focal = c->factor.factor == FACTOR_FOCAL_LOSS;
    rc = objective_find(&implied, focal ? "focal" : "binary:logistic", err);
    bool given = json_object_get(c->root, "objective") != NULL ||
                 json_object_get(c->fixed, "objective") != NULL;
    if (rc == 0 && given && c->objective != implied)
        return err_set(err, ERR_INVALID, "factor %s trains for %s: leave objective out",
                       factor_name(c->factor.factor), implied->name);
    if (rc == 0)
        c->objective = implied;
    return rc;
}

/* ---- what differs between trials ---- */

static int add_objective(struct config *c, const struct objective *o)
{
    for (size_t i = 0; i < c->n_objectives; i++) {
        if (c->objectives[i] == o)
            return 0;
    }
    assert(c->n_objectives < OBJECTIVES_MAX);
    c->objectives[c->n_objectives++] = o;
    return 0;
}

/* null among the choices: some trials are given none. */
static int read_objectives(struct config *c, const json_t *choices, struct err *err)
{
    size_t i;
    json_t *choice;
    int rc = json_array_size(choices) > 0 ? 0 : wrong(err, "space.objective", "texts", choices);
    json_array_foreach((json_t *)(uintptr_t)choices, i, choice)
    {
        const struct objective *o = c->objective;
        if (!json_is_null(choice) && !json_is_string(choice))
            rc = wrong(err, "space.objective", "a text", choice);
        else if (!json_is_null(choice))
            rc = objective_find(&o, json_string_value(choice), err);
        if (rc < 0)
            return rc;
        rc = add_objective(c, o);
    }
    return rc;
}

/* The objectives that the factors among the choices stand for; null: the settings' one. */
static int read_factors(struct config *c, const json_t *choices, struct err *err)
{
    size_t i;
    json_t *choice;
    int rc = json_array_size(choices) > 0 ? 0 : wrong(err, "space.factor", "texts", choices);
    json_array_foreach((json_t *)(uintptr_t)choices, i, choice)
    {
        const struct objective *o = c->objective;
        enum factor f = FACTOR_NONE;
        if (!json_is_null(choice) && !json_is_string(choice))
            rc = wrong(err, "space.factor", "a text", choice);
        else if (!json_is_null(choice))
            rc = factor_find(&f, json_string_value(choice), err);
        if (rc == 0 && f != FACTOR_NONE)
            rc = objective_find(&o, f == FACTOR_FOCAL_LOSS ? "focal" : "binary:logistic", err);
        if (rc < 0)
            return rc;
        rc = add_objective(c, o);
    }
    return rc;
}

/* space: {eta: [], objective: [focal, "binary:logistic"]}: the parameters that trials are given,
 * with their choices where they have some. */
static int read_space(struct config *c, struct err *err)
{
    const json_t *space = json_object_get(c->root, "space");
    const char *name;
    json_t *choices;
    int rc = space == NULL || json_is_object(space) ? 0 : wrong(err, "space", "a mapping", space);
    json_object_foreach((json_t *)(uintptr_t)space, name, choices)
    {
        rc = params_check_name(name, err);
        if (rc == 0 && strcmp(name, "eval_metric") == 0)
            rc = err_set(err, ERR_INVALID,
                         "eval_metric says what is recorded, the same for all trials: set it "
                         "under fixed");
        if (rc == 0 && strcmp(name, "objective") == 0)
            rc = read_objectives(c, choices, err);
        if (rc == 0 && strcmp(name, "factor") == 0)
            rc = read_factors(c, choices, err);
        if (rc < 0)
            return err_wrap(err, rc, "space");
    }
    return rc == 0 && c->n_objectives == 0 ? add_objective(c, c->objective) : rc;
}

int config_metric(struct metric_ref *out, const struct config *c, const struct objective *o,
                  struct err *err)
{
    size_t n;
    return objective_metric(out, o, c->metric != NULL ? c->metric : metric_defaults(o->task, &n)[0],
                            err);
}

/* That the metrics go with every objective that a trial may have. */
static int check_metrics(const struct config *c, struct err *err)
{
    struct metric_ref ref;
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < c->n_objectives; k++) {
        rc = config_metric(&ref, c, c->objectives[k], err);
        for (size_t i = 0; rc == 0 && i < c->eval_metrics.n; i++)
            rc = objective_metric(&ref, c->objectives[k], c->eval_metrics.v[i], err);
    }
    return rc;
}

static int read_all(struct config *c, struct err *err)
{
    if (!json_is_object(c->root))
        return err_set(err, ERR_INVALID, "expected a JSON object");
    int rc = check_keys(c->root, "", known_keys, ARRAY_LEN(known_keys), err);
    if (rc == 0)
        rc = read_prices(c, err);
    if (rc == 0)
        rc = read_table(c->root, &c->table, err);
    if (rc == 0 && c->table.missing.v == NULL)
        rc = default_missing(&c->table.missing, err);
    if (rc == 0)
        rc = read_folds(json_object_get(c->root, "folds"), &c->folds, err);
    if (rc == 0 && c->bars.prices.horizon > 0)
        rc = settle_embargo(c, err);
    if (rc == 0)
        rc = read_training(c, err);
    if (rc == 0)
        rc = read_fixed(c, err);
    if (rc == 0)
        rc = read_factor(c, err);
    if (rc == 0)
        rc = read_space(c, err);
    return rc < 0 ? rc : check_metrics(c, err);
}

int config_read(struct config *out, json_t *root, const char *name, struct err *err)
{
    struct config c = {
        .root = root,
        .rounds = 100,
        .report_every = 10,
        .threshold = 0.5,
        .save_model = true,
    };
    int rc = read_all(&c, err);
    if (rc < 0) {
        config_finish(&c);
        return err_wrap(err, rc, "%s", name);
    }
    *out = c;
    if (out->bars.prices.horizon > 0)
        out->table.bars = &out->bars;
    return 0;
}

/* One trial's parameters as a space of single choices. */
static json_t *space_of(const json_t *params)
{
    json_t *space = json_object(), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)params, name, value)
    {
        (void)json_object_set_new(space, name, json_pack("[O]", value));
    }
    return space;
}

/* A worker's environment over its settings: see factor.h. */
static int use_environment(struct config *c, struct err *err)
{
    int rc = factor_read_environment(&c->factor, err);
    if (rc == 0 && c->factor.env_objective != NULL) {
        rc = objective_find(&c->objective, c->factor.env_objective, err);
        if (rc == 0)
            rc = add_objective(c, c->objective);
        if (rc < 0)
            return err_wrap(err, rc, "CVN_LOSS_FUNCTION");
    }
    return rc;
}

int config_load(struct config *out, const char *path, const json_t *params, struct err *err)
{
    struct err why = {0};
    json_t *root = json_read_file(path, &why);
    if (root == NULL)
        return err_set(err, why.code, "%s", why.msg);
    if (params != NULL && json_is_object(root))
        (void)json_object_set_new(root, "space", space_of(params));
    int rc = config_read(out, root, path, err);
    if (rc < 0)
        return rc;
    rc = use_environment(out, err);
    if (rc < 0)
        config_finish(out);
    return rc;
}

void config_finish(struct config *c)
{
    free(c->table.features.v);
    free(c->table.drop.v);
    free(c->table.categorical.v);
    free(c->table.missing.v);
    free(c->eval_metrics.v);
    json_decref(c->root);
    *c = (struct config){0};
}
