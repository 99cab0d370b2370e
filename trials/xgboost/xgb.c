#include "trials/xgboost/xgb.h"

#include <errno.h>
#include <fcntl.h>
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

int xgb_error(struct err *err, const char *doing)
{
    const char *text;
    int len;
    first_line(XGBGetLastError(), &text, &len);
    bool memory = strstr(XGBGetLastError(), "bad_alloc") != NULL;
    return err_set(err, memory ? ERR_NOMEM : ERR_INVALID, "XGBoost, %s: %.*s", doing, len, text);
}

enum fail_class xgb_fail_class(const struct err *err)
{
    if (err->code == ERR_NOMEM)
        return FAIL_OOM;
    if (strcasestr(err->msg, "hessian") != NULL ||
        strcasestr(err->msg, "positive definite") != NULL)
        return FAIL_HESSIAN;
    if (strcasestr(err->msg, "overflow") != NULL)
        return FAIL_OVERFLOW;
    return FAIL_BAD_DATA;
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

static int set_all(BoosterHandle b, const struct trial_conf *conf, size_t classes,
                   const char *const *natives, size_t n_natives, struct err *err)
{
    int rc = XGBoosterSetParam(b, "objective", conf->objective->native);
    rc |= XGBoosterSetParam(b, "disable_default_eval_metric", "1");
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

static int write_file(const char *path, const char *bytes, size_t n, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_sys(err, errno, "%s", path);
    while (n > 0) {
        ssize_t w = write(fd, bytes, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return err_sys(err, errno, "%s", path);
        bytes += w;
        n -= (size_t)w;
    }
    return 0;
}

int xgb_save(BoosterHandle b, int rounds, const char *const *names, size_t cols, const char *path,
             struct err *err)
{
    BoosterHandle slice = NULL, kept;
    int trained;
    if (XGBoosterBoostedRounds(b, &trained) != 0)
        return xgb_error(err, "save the model");
    if (rounds < trained && XGBoosterSlice(b, 0, rounds, 1, &slice) != 0)
        return xgb_error(err, "cut the model after its best round");
    kept = slice != NULL ? slice : b;
    const char *bytes;
    bst_ulong n;
    struct buf temp = BUF_INIT;
    int rc = 0;
    if (XGBoosterSetStrFeatureInfo(kept, "feature_name", (const char **)names, cols) != 0 ||
        XGBoosterSaveModelToBuffer(kept, "{\"format\":\"ubj\"}", &n, &bytes) != 0)
        rc = xgb_error(err, "save the model");
    buf_printf(&temp, "%s.tmp", path);
    if (rc == 0 && temp.failed)
        rc = err_set(err, ERR_NOMEM, "%s", path);
    if (rc == 0)
        rc = write_file(buf_str(&temp), bytes, n, err);
    if (rc == 0 && rename(buf_str(&temp), path) < 0)
        rc = err_sys(err, errno, "%s", path);
    buf_free(&temp);
    if (slice != NULL)
        (void)XGBoosterFree(slice);
    return rc;
}
