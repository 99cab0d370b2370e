#include "trials/xgboost/factor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "trials/objectives/focal.h"
#include "trials/objectives/smoothing.h"

#define SMOOTHING_DEFAULT 0.1
#define MIN_BUYS_DEFAULT 50
#define FOLDS_MAX 100

static const char *const factors[] = {"baseline", "cleanlab", "focal_loss", "label_smoothing"};
static const char *const modes[] = {"off", "prune", "weight", "relabel"};
static const char *const calibrations[] = {"none", "platt", "isotonic"};

const char *factor_name(enum factor f)
{
    return f == FACTOR_NONE ? NULL : factors[f - 1];
}

const char *cleanlab_mode_name(enum cleanlab_mode m)
{
    return modes[m];
}

/* The place of the name, or an error that lists the names. */
static int find(const char *key, const char *name, const char *const *names, size_t n, int *out,
                struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (int)i;
            return 0;
        }
    }
    const char *near = text_nearest(name, names, n);
    AUTO(buf_free) struct buf all = BUF_INIT;
    for (size_t i = 0; i < n; i++)
        buf_printf(&all, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " or ", names[i]);
    return err_set(err, ERR_INVALID, "%s: expected %s, found '%.40s'%s%s%s", key, buf_str(&all),
                   name, near != NULL ? ": did you mean '" : "", near != NULL ? near : "",
                   near != NULL ? "'?" : "");
}

int factor_find(enum factor *out, const char *name, struct err *err)
{
    int at;
    int rc = find("factor", name, factors, ARRAY_LEN(factors), &at, err);
    if (rc == 0)
        *out = (enum factor)(at + 1);
    return rc;
}

/* One of the names under the key; YAML's false is off. Nothing there: *out stays. */
static int word(const json_t *object, const char *key, const char *shown, const char *const *names,
                size_t n, int *out, struct err *err)
{
    const json_t *v = json_object_get(object, key);
    if (v == NULL || json_is_null(v))
        return 0;
    const char *text = json_is_false(v) ? "off" : json_string_value(v);
    return find(shown, text != NULL ? text : "a value that is no text", names, n, out, err);
}

static int number(const json_t *object, const char *key, const char *shown, double least,
                  double most, double *out, struct err *err)
{
    const json_t *v = json_object_get(object, key);
    if (v == NULL || json_is_null(v))
        return 0;
    double d = json_is_number(v) ? json_number_value(v) : NAN;
    if (!(d >= least && d <= most))
        return err_set(err, ERR_INVALID, "%s: expected a number from %g to %g", shown, least, most);
    *out = d;
    return 0;
}

static int whole(const json_t *object, const char *key, const char *shown, double least,
                 double most, size_t *out, struct err *err)
{
    double d = (double)*out;
    int rc = number(object, key, shown, least, most, &d, err);
    if (rc == 0 && d != floor(d))
        rc = err_set(err, ERR_INVALID, "%s: expected a whole number from %g to %g", shown, least,
                     most);
    if (rc == 0)
        *out = (size_t)d;
    return rc;
}

static int check_cleanlab_keys(const json_t *v, struct err *err)
{
    static const char *const keys[] = {"mode", "filter", "quality", "folds", "cap_pct"};
    const char *key;
    json_t *value;
    if (!json_is_object(v))
        return err_set(err, ERR_INVALID, "cleanlab: expected a mapping such as {mode: prune}");
    json_object_foreach((json_t *)(uintptr_t)v, key, value)
    {
        int at;
        int rc = find("cleanlab: a key", key, keys, ARRAY_LEN(keys), &at, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_cleanlab(struct cleanlab_conf *c, const json_t *v, struct err *err)
{
    static const char *filters[CONFIDENT_FILTERS], *qualities[CONFIDENT_QUALITIES];
    int mode = -1, filter = 0, quality = 0;
    for (int i = 0; i < CONFIDENT_FILTERS; i++)
        filters[i] = confident_filter_name((enum confident_filter)i);
    for (int i = 0; i < CONFIDENT_QUALITIES; i++)
        qualities[i] = confident_quality_name((enum confident_quality)i);
    if (v == NULL || json_is_null(v))
        return 0;
    int rc = check_cleanlab_keys(v, err);
    if (rc == 0)
        rc = word(v, "mode", "cleanlab.mode", modes, ARRAY_LEN(modes), &mode, err);
    if (rc == 0)
        rc = word(v, "filter", "cleanlab.filter", filters, CONFIDENT_FILTERS, &filter, err);
    if (rc == 0)
        rc = word(v, "quality", "cleanlab.quality", qualities, CONFIDENT_QUALITIES, &quality, err);
    if (rc == 0)
        rc = whole(v, "folds", "cleanlab.folds", 2, FOLDS_MAX, &c->folds, err);
    if (rc == 0)
        rc = number(v, "cap_pct", "cleanlab.cap_pct", 0, 100, &c->cap_pct, err);
    c->mode_given = mode >= 0;
    c->mode = (enum cleanlab_mode)(mode >= 0 ? mode : 0);
    c->filter = (enum confident_filter)filter;
    c->quality = (enum confident_quality)quality;
    return rc;
}

int factor_read(struct factor_conf *out, const json_t *root, struct err *err)
{
    struct factor_conf f = {.cleanlab = {.folds = 5, .cap_pct = 5},
                            .smoothing = -1,
                            .env_gamma = NAN,
                            .env_alpha = NAN};
    int factor = -1, calibrate = 0;
    int rc = word(root, "factor", "factor", factors, ARRAY_LEN(factors), &factor, err);
    if (rc == 0)
        rc = read_cleanlab(&f.cleanlab, json_object_get(root, "cleanlab"), err);
    if (rc == 0)
        rc =
            number(root, "label_smoothing", "label_smoothing", 0, SMOOTHING_MAX, &f.smoothing, err);
    if (rc == 0)
        rc = word(root, "calibrate", "calibrate", calibrations, ARRAY_LEN(calibrations), &calibrate,
                  err);
    f.factor = (enum factor)(factor + 1);
    f.calibrate = (enum calibration)calibrate;
    if (f.factor != FACTOR_NONE || json_object_get(root, "prices") != NULL)
        f.min_buys = MIN_BUYS_DEFAULT;
    if (rc == 0)
        rc = whole(root, "min_buys", "min_buys", 0, 1e9, &f.min_buys, err);
    if (rc == 0)
        *out = f;
    return rc;
}

static int env_number(const char *name, double least, double most, double *out, struct err *err)
{
    const char *text = getenv(name);
    double v;
    if (text == NULL || text[0] == '\0')
        return 0;
    if (!text_double(text, &v) || !(v >= least && v <= most))
        return err_set(err, ERR_INVALID, "%s is '%.40s': expected a number from %g to %g", name,
                       text, least, most);
    *out = v;
    return 0;
}

int factor_read_environment(struct factor_conf *f, struct err *err)
{
    const char *mode = getenv("CVN_CLEANLAB_MODE"), *loss = getenv("CVN_LOSS_FUNCTION");
    int at, rc = 0;
    if (mode != NULL && mode[0] != '\0') {
        rc = find("CVN_CLEANLAB_MODE", mode, modes, ARRAY_LEN(modes), &at, err);
        if (rc == 0) {
            f->cleanlab.mode = (enum cleanlab_mode)at;
            f->cleanlab.mode_given = true;
        }
    }
    if (rc == 0 && loss != NULL && loss[0] != '\0')
        f->env_objective = loss;
    if (rc == 0)
        rc = env_number("CVN_FOCAL_GAMMA", 0, FOCAL_GAMMA_MAX, &f->env_gamma, err);
    if (rc == 0)
        rc = env_number("CVN_FOCAL_ALPHA", 0, 1, &f->env_alpha, err);
    return rc;
}

double factor_smoothing(const struct factor_conf *c, enum factor f)
{
    if (c->smoothing >= 0 && (f == FACTOR_NONE || f == FACTOR_LABEL_SMOOTHING))
        return c->smoothing;
    return f == FACTOR_LABEL_SMOOTHING ? SMOOTHING_DEFAULT : 0;
}

enum cleanlab_mode factor_cleanlab(const struct factor_conf *c, enum factor f)
{
    if (f != FACTOR_NONE && f != FACTOR_CLEANLAB)
        return CLEANLAB_OFF;
    if (c->cleanlab.mode_given)
        return c->cleanlab.mode;
    return f == FACTOR_CLEANLAB ? CLEANLAB_PRUNE : CLEANLAB_OFF;
}
