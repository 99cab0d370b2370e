#include "trials/xgboost/objective.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

/* multi:softmax is trained as multi:softprob: the same model, but it tells probabilities. */
/* clang-format off */
static const struct objective objectives[] = {
    {"binary:logistic",       "binary:logistic",       TASK_BINARY,     LABEL_BINARY,       false},
    {"focal",                 "binary:logistic",       TASK_BINARY,     LABEL_BINARY,       true},
    {"binary:hinge",          "binary:hinge",          TASK_BINARY,     LABEL_BINARY,       false},
    {"multi:softprob",        "multi:softprob",        TASK_MULTICLASS, LABEL_CLASS,        false},
    {"multi:softmax",         "multi:softprob",        TASK_MULTICLASS, LABEL_CLASS,        false},
    {"reg:squarederror",      "reg:squarederror",      TASK_REGRESSION, LABEL_ANY,          false},
    {"reg:absoluteerror",     "reg:absoluteerror",     TASK_REGRESSION, LABEL_ANY,          false},
    {"reg:pseudohubererror",  "reg:pseudohubererror",  TASK_REGRESSION, LABEL_ANY,          false},
    {"reg:squaredlogerror",   "reg:squaredlogerror",   TASK_REGRESSION, LABEL_NOT_NEGATIVE, false},
    {"reg:logistic",          "reg:logistic",          TASK_REGRESSION, LABEL_UNIT,         false},
    {"reg:gamma",             "reg:gamma",             TASK_REGRESSION, LABEL_POSITIVE,     false},
    {"reg:tweedie",           "reg:tweedie",           TASK_REGRESSION, LABEL_NOT_NEGATIVE, false},
    {"count:poisson",         "count:poisson",         TASK_REGRESSION, LABEL_NOT_NEGATIVE, false},
};

/* XGBoost's metrics that need neither groups of rows nor censored labels. */
static const struct {
    const char *name;
    bool maximize;
    bool takes_number; /* "error@0.3" */
} native_metrics[] = {
    {"auc", true, false},             {"aucpr", true, false},          {"rmse", false, false},
    {"rmsle", false, false},          {"mae", false, false},           {"mape", false, false},
    {"mphe", false, false},           {"logloss", false, false},       {"error", false, true},
    {"merror", false, false},         {"mlogloss", false, false},      {"poisson-nloglik", false, false},
    {"gamma-nloglik", false, false},  {"gamma-deviance", false, false}, {"tweedie-nloglik", false, true},
};
/* clang-format on */

static const char *nearest_objective(const char *name)
{
    const char *names[ARRAY_LEN(objectives)];
    for (size_t i = 0; i < ARRAY_LEN(objectives); i++)
        names[i] = objectives[i].name;
    return text_nearest(name, names, ARRAY_LEN(objectives));
}

int objective_find(const struct objective **out, const char *name, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(objectives); i++) {
        if (strcmp(objectives[i].name, name) == 0) {
            *out = &objectives[i];
            return 0;
        }
    }
    if (strncmp(name, "rank:", 5) == 0 || strncmp(name, "survival:", 9) == 0)
        return err_set(
            err, ERR_INVALID,
            "objective '%s' needs groups of rows or censored labels, which the CSV reader "
            "does not have",
            name);
    const char *near = nearest_objective(name);
    if (near != NULL)
        return err_set(err, ERR_INVALID, "unknown objective '%s': did you mean '%s'?", name, near);
    return err_set(
        err, ERR_INVALID,
        "unknown objective '%s': binary:logistic, focal, multi:softprob, reg:squarederror "
        "are some",
        name);
}

/* What is wrong with a label, or NULL. */
static const char *label_fault(enum label_rule rule, float y)
{
    switch (rule) {
    case LABEL_BINARY:
        return y == 0 || y == 1 ? NULL : "expected 0 or 1";
    case LABEL_CLASS:
        return y >= 0 && y < 65536 && y == floorf(y) ? NULL : "expected a class 0, 1, 2 …";
    case LABEL_UNIT:
        return y >= 0 && y <= 1 ? NULL : "expected 0 to 1";
    case LABEL_NOT_NEGATIVE:
        return y >= 0 ? NULL : "expected 0 or more";
    case LABEL_POSITIVE:
        return y > 0 ? NULL : "expected more than 0";
    default:
        return NULL;
    }
}

static int check_all_classes(const struct objective *o, const float *label, size_t rows,
                             size_t classes, struct err *err)
{
    AUTO_FREE bool *seen = calloc(classes, sizeof(*seen));
    if (seen == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %zu classes", classes);
    for (size_t i = 0; i < rows; i++)
        seen[(size_t)label[i]] = true;
    for (size_t k = 0; k < classes; k++) {
        if (!seen[k])
            return err_set(err, ERR_INVALID,
                           "objective %s: no row has the label %zu, though labels go up to %zu",
                           o->name, k, classes - 1);
    }
    if (classes < 2)
        return err_set(err, ERR_INVALID, "objective %s: every row has the label 0", o->name);
    return 0;
}

int objective_check_labels(const struct objective *o, const float *label, size_t rows,
                           size_t *classes, struct err *err)
{
    float most = 0;
    for (size_t i = 0; i < rows; i++) {
        const char *fault = label_fault(o->labels, label[i]);
        if (fault != NULL)
            return err_set(err, ERR_INVALID, "objective %s: row %zu has the label %g: %s", o->name,
                           i + 1, (double)label[i], fault);
        most = label[i] > most ? label[i] : most;
    }
    *classes = o->labels == LABEL_CLASS ? (size_t)most + 1 : 0;
    if (o->labels == LABEL_CLASS)
        return check_all_classes(o, label, rows, *classes, err);
    if (o->labels == LABEL_BINARY)
        return check_all_classes(o, label, rows, most > 0 ? 2 : 1, err);
    return 0;
}

static bool native_metric(struct metric_ref *out, const char *name)
{
    size_t len = strcspn(name, "@");
    for (size_t i = 0; i < ARRAY_LEN(native_metrics); i++) {
        if (strlen(native_metrics[i].name) != len ||
            strncmp(native_metrics[i].name, name, len) != 0)
            continue;
        double number;
        if (name[len] == '@' &&
            !(native_metrics[i].takes_number && text_double(name + len + 1, &number)))
            return false;
        *out = (struct metric_ref){.name = name, .maximize = native_metrics[i].maximize};
        return true;
    }
    return false;
}

/* Whether XGBoost would evaluate the metric without a word, though it means nothing here. */
static bool means_nothing(const struct objective *o, const char *name)
{
    switch (o->task) {
    case TASK_REGRESSION:
        return (o->labels != LABEL_UNIT && metric_find(name, TASK_BINARY) != NULL) ||
               metric_find(name, TASK_MULTICLASS) != NULL;
    case TASK_BINARY:
        return metric_find(name, TASK_BINARY) == NULL && metric_find(name, TASK_MULTICLASS) != NULL;
    default:
        return metric_find(name, TASK_REGRESSION) != NULL || strcmp(name, "logloss") == 0;
    }
}

static int no_such_metric(const struct objective *o, const char *name, struct err *err)
{
    size_t n, count = 0;
    const struct metric *all = metric_all(&n);
    const char *names[64];
    for (size_t i = 0; i < n; i++) {
        if (strcmp(all[i].name, name) == 0)
            return err_set(err, ERR_INVALID, "metric '%s' does not go with objective %s", name,
                           o->name);
        if ((all[i].tasks & (unsigned)o->task) != 0 && count < ARRAY_LEN(names))
            names[count++] = all[i].name;
    }
    for (size_t i = 0; i < ARRAY_LEN(native_metrics) && count < ARRAY_LEN(names); i++)
        names[count++] = native_metrics[i].name;
    const char *near = text_nearest(name, names, count);
    if (near != NULL)
        return err_set(err, ERR_INVALID, "unknown metric '%s': did you mean '%s'?", name, near);
    return err_set(err, ERR_INVALID, "unknown metric '%s': %s and %s are some", name, names[0],
                   names[1]);
}

int objective_metric(struct metric_ref *out, const struct objective *o, const char *name,
                     struct err *err)
{
    const struct metric *own = metric_find(name, o->task);
    if (own != NULL) {
        *out = (struct metric_ref){.name = name, .own = own, .maximize = own->maximize};
        return 0;
    }
    if (!means_nothing(o, name) && native_metric(out, name))
        return 0;
    return no_such_metric(o, name, err);
}
