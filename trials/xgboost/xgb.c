#include "trials/xgboost/xgb.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"

/* "[02:40:07] ./src/learner.cc:553: Check failed: … : why\nStack trace: …" -> "Check failed: … :
 * why" */
static void first_line(const char *message, const char **text, int *len)
{
    if (message[0] == '[') {
        const char *stamp = strstr(message, "] ");
        message = stamp != NULL ? stamp + 2 : message;
    }
    const char *source = strstr(message, ".cc:");
    const char *after = source != NULL ? strstr(source, ": ") : NULL;
    const char *end = message + strcspn(message, "\n");
    if (after != NULL && after < end)
        message = after + 2;
    *text = message;
    *len = (int)(end - message);
}

#define XGBOOST_SAYS "XGBoost, "

int xgb_error(struct err *err, const char *doing)
{
    const char *text;
    int len;
    first_line(XGBGetLastError(), &text, &len);
    bool memory = strstr(XGBGetLastError(), "bad_alloc") != NULL;
    return err_set(err, memory ? ERR_NOMEM : ERR_INVALID, XGBOOST_SAYS "%s: %.*s", doing, len,
                   text);
}

enum fail_class xgb_fail_class(const struct err *err)
{
    if (err->code == ERR_NOMEM)
        return FAIL_OOM;
    const char *words = strstr(err->msg, XGBOOST_SAYS); /* ours may name a file hessian.csv */
    if (words == NULL)
        return FAIL_BAD_DATA;
    if (strcasestr(words, "hessian") != NULL || strcasestr(words, "positive definite") != NULL)
        return FAIL_HESSIAN;
    return strcasestr(words, "overflow") != NULL ? FAIL_OVERFLOW : FAIL_BAD_DATA;
}

int xgb_matrix(DMatrixHandle *out, const float *x, const float *label, size_t rows, size_t cols,
               int threads, struct err *err)
{
    DMatrixHandle m;
    if (XGDMatrixCreateFromMat_omp(x, rows, cols, NAN, &m, threads) != 0)
        return xgb_error(err, "take the data");
    if (XGDMatrixSetFloatInfo(m, "label", label, rows) != 0) {
        int rc = xgb_error(err, "take the labels");
        (void)XGDMatrixFree(m);
        return rc;
    }
    *out = m;
    return 0;
}

int xgb_weigh(DMatrixHandle m, const float *weight, size_t rows, struct err *err)
{
    return XGDMatrixSetFloatInfo(m, "weight", weight, rows) == 0 ? 0
                                                                 : xgb_error(err, "take weights");
}

static int set_all(BoosterHandle b, const struct trial_conf *conf, size_t classes,
                   const char *const *natives, size_t n_natives, struct err *err)
{
    int rc = XGBoosterSetParam(b, "objective", conf->objective->native);
    rc |= XGBoosterSetParam(b, "disable_default_eval_metric", "1");
    rc |= XGBoosterSetParam(b, "validate_parameters", "1"); /* names what it has no use for */
    if (classes > 0) {
        char text[24];
        (void)snprintf(text, sizeof(text), "%zu", classes);
        rc |= XGBoosterSetParam(b, "num_class", text);
    }
    for (size_t i = 0; rc == 0 && i < n_natives; i++)
        rc = XGBoosterSetParam(b, "eval_metric", natives[i]);
    for (size_t i = 0; rc == 0 && i < conf->n_params; i++)
        rc = XGBoosterSetParam(b, conf->params[i].name, conf->params[i].value);
    return rc == 0 ? 0 : xgb_error(err, "take the parameters");
}

int xgb_booster(BoosterHandle *out, const struct trial_conf *conf, DMatrixHandle train,
                DMatrixHandle test, size_t classes, const char *const *natives, size_t n_natives,
                struct err *err)
{
    BoosterHandle b;
    DMatrixHandle both[] = {train, test};
    if (XGBoosterCreate(both, test != NULL ? 2 : 1, &b) != 0)
        return xgb_error(err, "start");
    int rc = set_all(b, conf, classes, natives, n_natives, err);
    if (rc < 0)
        (void)XGBoosterFree(b);
    else
        *out = b;
    return rc;
}

int xgb_predict(BoosterHandle b, DMatrixHandle m, bool margin, const float **out, size_t *n,
                struct err *err)
{
    static const char value[] = "{\"type\":0,\"training\":false,\"iteration_begin\":0,"
                                "\"iteration_end\":0,\"strict_shape\":false}";
    static const char raw[] = "{\"type\":1,\"training\":true,\"iteration_begin\":0,"
                              "\"iteration_end\":0,\"strict_shape\":false}";
    const bst_ulong *shape;
    bst_ulong dims;
    if (XGBoosterPredictFromDMatrix(b, m, margin ? raw : value, &shape, &dims, out) != 0)
        return xgb_error(err, "predict");
    *n = 1;
    for (bst_ulong i = 0; i < dims; i++)
        *n *= shape[i];
    return 0;
}

/* "[9]\ttest-rmsle:0.25\ttest-error@0.3:0.5": a value stands behind the last colon of each part. */
static bool parse_evaluation(const char *text, double *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        text = strchr(text, '\t');
        if (text == NULL)
            return false;
        size_t len = strcspn(++text, "\t");
        const char *colon = memrchr(text, ':', len);
        char number[64];
        size_t digits = colon != NULL ? (size_t)(text + len - colon - 1) : sizeof(number);
        if (digits >= sizeof(number))
            return false;
        memcpy(number, colon + 1, digits);
        number[digits] = '\0';
        if (!text_double(number, &values[i]))
            values[i] = NAN; /* "-nan" */
    }
    return true;
}

int xgb_evaluate(BoosterHandle b, DMatrixHandle test, int round, double *values, size_t n,
                 struct err *err)
{
    const char *name = "test", *text;
    if (XGBoosterEvalOneIter(b, round, &test, &name, 1, &text) != 0)
        return xgb_error(err, "evaluate");
    if (!parse_evaluation(text, values, n))
        return err_set(err, ERR_INVALID, "XGBoost says '%.200s' for %zu metrics", text, n);
    return 0;
}

static int put_model(BoosterHandle b, struct buf *out, struct err *err)
{
    const char *bytes;
    bst_ulong n;
    if (XGBoosterSaveModelToBuffer(b, "{\"format\":\"ubj\"}", &n, &bytes) != 0)
        return xgb_error(err, "save the model");
    buf_add(out, bytes, n);
    return out->failed ? err_set(err, ERR_NOMEM, "out of memory for the model") : 0;
}

int xgb_snapshot(BoosterHandle b, struct buf *out, struct err *err)
{
    buf_clear(out);
    return put_model(b, out, err);
}

int xgb_restore(BoosterHandle *out, const struct buf *snapshot, struct err *err)
{
    BoosterHandle b;
    if (XGBoosterCreate(NULL, 0, &b) != 0)
        return xgb_error(err, "start");
    if (XGBoosterLoadModelFromBuffer(b, snapshot->data, snapshot->len) != 0) {
        int rc = xgb_error(err, "take up the model of the best round");
        (void)XGBoosterFree(b);
        return rc;
    }
    *out = b;
    return 0;
}

int xgb_model(BoosterHandle b, int64_t rounds, const char *const *names, size_t cols,
              struct buf *out, struct err *err)
{
    BoosterHandle slice = NULL;
    int trained, rc;
    if (XGBoosterBoostedRounds(b, &trained) != 0)
        return xgb_error(err, "save the model");
    if (rounds < trained && XGBoosterSlice(b, 0, (int)rounds, 1, &slice) != 0)
        return xgb_error(err, "cut the model after its best round");
    BoosterHandle kept = slice != NULL ? slice : b;
    if (XGBoosterSetStrFeatureInfo(kept, "feature_name", (const char **)(uintptr_t)names, cols) !=
        0)
        rc = xgb_error(err, "save the model");
    else
        rc = put_model(kept, out, err);
    if (slice != NULL)
        (void)XGBoosterFree(slice);
    return rc;
}
