#include "trials/xgboost/boost.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/xgboost/lesson.h"

int boost_start(struct boost *b, const struct trial_conf *conf, const struct measures *measures,
                const struct part *train, const struct part *test, size_t classes, struct err *err)
{
    *b = (struct boost){
        .conf = conf, .measures = measures, .train = train, .test = test, .classes = classes};
    if (conf->objective->focal) {
        b->grad = malloc(train->rows * sizeof(*b->grad));
        b->hess = malloc(train->rows * sizeof(*b->hess));
    }
    b->native_now = calloc(measures->n_natives + 1, sizeof(*b->native_now));
    b->native_best = calloc(measures->n_natives + 1, sizeof(*b->native_best));
    if (b->native_now == NULL || b->native_best == NULL ||
        (conf->objective->focal && (b->grad == NULL || b->hess == NULL)))
        return err_set(err, ERR_NOMEM, "out of memory for %zu gradients", train->rows);
    return xgb_booster(&b->booster, conf, train->matrix, test != NULL ? test->matrix : NULL,
                       classes, measures->natives, measures->n_natives, err);
}

void boost_finish(struct boost *b)
{
    if (b->booster != NULL)
        (void)XGBoosterFree(b->booster);
    free(b->grad);
    free(b->hess);
    free(b->best_pred);
    free(b->native_now);
    free(b->native_best);
    buf_free(&b->best_model);
    *b = (struct boost){0};
}

static int numerical(struct boost *b, enum fail_class class, struct err *err, const char *what,
                     double value)
{
    b->fail = class;
    return err_set(
        err, ERR_INVALID, "%s after %" PRId64 " rounds: %s (focal_gamma %g)", what, b->rounds,
        class == FAIL_HESSIAN ? "lower focal_gamma" : "lower eta or raise lambda", value);
}

/* A margin beyond what a float holds: exp of it would be infinite in any formula. */
static int check_margins(struct boost *b, const float *margin, size_t n, struct err *err)
{
    bool infinite = false, nan = false; /* no early end: so the loop is vectorised */
    for (size_t i = 0; i < n; i++) {
        nan |= isnan(margin[i]) != 0;
        infinite |= fabsf(margin[i]) > FLT_MAX;
    }
    if (infinite)
        return numerical(b, FAIL_OVERFLOW, err, "margins overflow a 32-bit float",
                         b->conf->focal.gamma);
    return nan ? numerical(b, FAIL_NAN, err, "margins are NaN", b->conf->focal.gamma) : 0;
}

/* The floor may help where single rows are not convex. Where it alone is left, splits mean nothing;
 * if slopes vanish too, the model has learned all there is, or in its first round nothing can be.
 */
static int check_hessians(struct boost *b, size_t n, struct err *err)
{
    float most = 0, slope = 0;
    for (size_t i = 0; i < n; i++) {
        most = b->hess[i] > most ? b->hess[i] : most;
        slope = fabsf(b->grad[i]) > slope ? fabsf(b->grad[i]) : slope;
    }
    if (most > (float)FOCAL_HESSIAN_FLOOR || (b->rounds > 0 && slope <= (float)FOCAL_HESSIAN_FLOOR))
        return 0;
    return numerical(b, FAIL_HESSIAN, err,
                     "Hessian not positive definite: no row has a positive second derivative",
                     b->conf->focal.gamma);
}

static void weigh(struct boost *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        b->grad[i] *= b->train->weight[i];
        b->hess[i] *= b->train->weight[i];
    }
}

static int focal_step(struct boost *b, struct err *err)
{
    const float *margin;
    size_t n;
    int rc = xgb_predict(b->booster, b->train->matrix, true, &margin, &n, err);
    if (rc < 0)
        return rc;
    rc = check_margins(b, margin, n, err);
    if (rc < 0)
        return rc;
    focal_round(b->conf->focal_table, margin, b->train->label, n, b->grad, b->hess);
    rc = check_hessians(b, n, err);
    if (rc < 0)
        return rc;
    if (b->train->weight != NULL)
        weigh(b, n);
    if (XGBoosterBoostOneIter(b->booster, b->train->matrix, b->grad, b->hess, n) != 0)
        return xgb_error(err, "boost");
    return 0;
}

static int step(struct boost *b, struct err *err)
{
    int rc = 0;
    if (b->conf->objective->focal)
        rc = focal_step(b, err);
    else if (XGBoosterUpdateOneIter(b->booster, (int)b->rounds, b->train->matrix) != 0)
        rc = xgb_error(err, "boost");
    b->rounds += rc == 0;
    return rc;
}

static struct predictions predictions_of(const struct boost *b, const float *pred)
{
    return (struct predictions){
        .pred = pred,
        .label = b->test->label,
        .rows = b->test->rows,
        .classes = b->classes,
        .threshold = b->conf->threshold,
        .gain = b->test->gain,
        .cost = b->cost,
    };
}

/* Whether a grown model still holds what it was some rounds before: gbtree only adds trees. */
static bool can_be_cut(const struct trial_conf *conf)
{
    const char *booster = trial_conf_param(conf, "booster");
    const char *process = trial_conf_param(conf, "process_type");
    return (booster == NULL || strcmp(booster, "gbtree") == 0) &&
           (process == NULL || strcmp(process, "default") == 0);
}

static int keep_best(struct boost *b, const float *pred, size_t n, struct err *err)
{
    if (b->best_pred == NULL) {
        b->best_pred = malloc(n * sizeof(*b->best_pred));
        if (b->best_pred == NULL)
            return err_set(err, ERR_NOMEM, "out of memory for %zu predictions", n);
        b->n_pred = n;
    }
    memcpy(b->best_pred, pred, n * sizeof(*pred));
    memcpy(b->native_best, b->native_now, b->measures->n_natives * sizeof(*b->native_now));
    b->best_value = b->value;
    b->best_rounds = b->rounds;
    if (b->to_keep && b->conf->early_stop > 0 && !can_be_cut(b->conf))
        return xgb_snapshot(b->booster, &b->best_model, err);
    return 0;
}

/* Sets value; keeps the predictions when they are the ones that count so far. */
static int measure(struct boost *b, struct err *err)
{
    const struct metric_ref *main = &b->measures->metrics[0];
    const float *pred;
    size_t n;
    int rc = 0;
    if (b->measures->n_natives > 0)
        rc = xgb_evaluate(b->booster, b->test->matrix, (int)b->rounds, b->native_now,
                          b->measures->n_natives, err);
    if (rc == 0)
        rc = xgb_predict(b->booster, b->test->matrix, false, &pred, &n, err);
    if (rc < 0)
        return rc;
    struct predictions p = predictions_of(b, pred);
    if (n != p.rows * (p.classes > 0 ? p.classes : 1))
        return err_set(err, ERR_INVALID, "XGBoost predicts %zu numbers for %zu rows", n, p.rows);
    b->value = main->own != NULL       ? metric_value(main->own, &p)
               : predictions_sound(&p) ? b->native_now[0]
                                       : NAN;
    bool better = b->best_pred == NULL || b->conf->early_stop == 0 ||
                  (main->maximize ? b->value > b->best_value : b->value < b->best_value);
    return better ? keep_best(b, pred, n, err) : 0;
}

int boost_until(struct boost *b, int64_t rounds, struct err *err)
{
    int64_t patience = b->conf->early_stop;
    while (b->rounds < rounds && !b->finished) {
        int rc = step(b, err);
        bool due = patience > 0 || b->rounds == rounds;
        if (rc == 0 && due && b->test != NULL)
            rc = measure(b, err);
        if (rc < 0)
            return rc;
        b->finished = b->rounds == b->conf->rounds ||
                      (patience > 0 && b->test != NULL && b->rounds - b->best_rounds >= patience);
    }
    return 0;
}

int boost_calibrate(struct boost *b, const struct calibrator *c, struct err *err)
{
    AUTO_FREE float *score = malloc((b->n_pred + 1) * sizeof(*score));
    if (score == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %zu predictions", b->n_pred);
    lesson_scores(b->best_pred, b->n_pred, score);
    calibrator_apply(c, score, b->n_pred, b->best_pred);
    return 0;
}

double boost_metric(const struct boost *b, size_t i)
{
    const struct metric_ref *m = &b->measures->metrics[i];
    struct predictions p = predictions_of(b, b->best_pred);
    if (m->own != NULL)
        return metric_value(m->own, &p);
    for (size_t k = 0; k < b->measures->n_natives; k++) {
        if (strcmp(b->measures->natives[k], m->name) == 0)
            return b->native_best[k];
    }
    return NAN;
}

int64_t boost_rounds(const struct boost *b)
{
    return b->test != NULL ? b->best_rounds : b->rounds;
}

int boost_model(const struct boost *b, const char *const *names, size_t cols, struct buf *out,
                struct err *err)
{
    if (b->best_model.len == 0)
        return xgb_model(b->booster, boost_rounds(b), names, cols, out, err);
    BoosterHandle best;
    int rc = xgb_restore(&best, &b->best_model, err);
    if (rc < 0)
        return rc;
    rc = xgb_model(best, boost_rounds(b), names, cols, out, err);
    (void)XGBoosterFree(best);
    return rc;
}

size_t boost_predicted_positives(const struct boost *b)
{
    struct predictions p = predictions_of(b, b->best_pred);
    return metric_predicted_positives(&p);
}
