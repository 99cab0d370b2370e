#include "trials/xgboost/lesson.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/objectives/smoothing.h"
#include "trials/xgboost/boost.h"

bool lesson_is_own(const struct trial_conf *conf)
{
    return conf->cleanlab.mode != CLEANLAB_OFF || conf->smoothing > 0;
}

void lesson_finish(struct lesson *l)
{
    free(l->row);
    free(l->label);
    free(l->weight);
    free(l->target);
    free(l->all);
    free(l->given);
    free(l->place);
    session_part_finish(&l->own);
    *l = (struct lesson){0};
}

static int no_memory(size_t n, struct err *err)
{
    return err_set(err, ERR_NOMEM, "out of memory for %zu training rows", n);
}

static int list_rows(struct lesson *l, const struct session *s, const struct range *ranges, int n,
                     struct err *err)
{
    size_t rows = 0;
    for (int k = 0; k < n; k++)
        rows += range_rows(ranges[k]);
    l->row = malloc((rows + 1) * sizeof(*l->row));
    l->label = malloc((rows + 1) * sizeof(*l->label));
    if (l->row == NULL || l->label == NULL)
        return no_memory(rows, err);
    for (int k = 0; k < n; k++) {
        for (size_t i = ranges[k].from; i < ranges[k].to; i++, l->n++) {
            l->row[l->n] = s->plan.order != NULL ? s->plan.order[i] : (uint32_t)i;
            l->label[l->n] = s->data.label[l->row[l->n]];
        }
    }
    return 0;
}

/* ---- out-of-fold probabilities ---- */

static size_t all_rows(const struct lesson *l)
{
    return l->all != NULL ? l->n_all : l->n;
}

/* The next of the lesson's rows, from i on, whose place is `at` or later. */
static size_t seek(const struct lesson *l, size_t i, size_t at)
{
    if (l->place == NULL)
        return at;
    while (i < l->n && l->place[i] < at)
        i++;
    return i;
}

/* What the lesson teaches of the rows at the places of the ranges, as a matrix. */
static int train_part(const struct lesson *l, const struct session *s, const struct range *ranges,
                      int n, struct part *out, struct err *err)
{
    struct lesson some = {.row = malloc((l->n + 1) * sizeof(*some.row)),
                          .target = malloc((l->n + 1) * sizeof(*some.target)),
                          .weight = malloc((l->n + 1) * sizeof(*some.weight))};
    int rc =
        some.row != NULL && some.target != NULL && some.weight != NULL ? 0 : no_memory(l->n, err);
    size_t i = 0;
    for (int k = 0; rc == 0 && k < n; k++) {
        size_t end = seek(l, i, ranges[k].to);
        for (i = seek(l, i, ranges[k].from); i < end; i++, some.n++) {
            some.row[some.n] = l->row[i];
            some.target[some.n] = l->target != NULL ? l->target[i] : l->label[i];
            some.weight[some.n] = l->weight != NULL ? l->weight[i] : 1;
        }
    }
    if (rc == 0 && some.n == 0)
        rc = err_set(err, ERR_INVALID, "cleaning leaves no row of %zu to train on", all_rows(l));
    if (rc == 0)
        rc = session_part(s, some.row, some.n, some.target, l->weight != NULL ? some.weight : NULL,
                          out, err);
    lesson_finish(&some);
    return rc;
}

/* Every row of the range, cleaned or not. */
static int test_part(const struct lesson *l, const struct session *s, const struct range *range,
                     struct part *out, struct err *err)
{
    const uint32_t *row = l->all != NULL ? l->all : l->row;
    const float *label = l->given != NULL ? l->given : l->label;
    return session_part(s, row + range->from, range_rows(*range), label + range->from, NULL, out,
                        err);
}

/* NaN is no probability that a label could be judged by, and would clip to a certain "no". */
static int check_predictions(const float *pred, size_t n, enum fail_class *fail, struct err *err)
{
    bool nan = false; /* no early end: so the loop is vectorised */
    for (size_t i = 0; i < n; i++)
        nan |= isnan(pred[i]) != 0;
    if (!nan)
        return 0;
    *fail = FAIL_NAN;
    return err_set(err, ERR_INVALID,
                   "a model inside the training part predicts NaN: lower eta or raise lambda");
}

static int predict_fold(const struct lesson *l, const struct session *s,
                        const struct trial_conf *conf, const struct fold *fold, float *prob,
                        enum fail_class *fail, struct err *err)
{
    static const struct measures none = {0};
    struct part train = {0}, test = {0};
    struct boost b = {0};
    const float *pred;
    size_t n;
    int rc = train_part(l, s, fold->train, fold->n_train, &train, err);
    if (rc == 0)
        rc = test_part(l, s, &fold->test, &test, err);
    if (rc == 0)
        rc = boost_start(&b, conf, &none, &train, NULL, 0, err);
    if (rc == 0)
        rc = boost_until(&b, conf->rounds, err);
    if (rc == 0)
        rc = xgb_predict(b.booster, test.matrix, false, &pred, &n, err);
    if (rc == 0)
        rc = check_predictions(pred, n, fail, err);
    if (rc == 0)
        memcpy(prob + fold->test.from, pred, n * sizeof(*prob));
    if (b.fail != FAIL_NONE)
        *fail = b.fail;
    boost_finish(&b);
    session_part_finish(&train);
    session_part_finish(&test);
    return rc;
}

/* prob [all_rows] out, each from a model that has not seen the row. */
static int out_of_fold(const struct lesson *l, const struct session *s,
                       const struct trial_conf *given, size_t folds, int64_t rounds, float *prob,
                       enum fail_class *fail, struct err *err)
{
    const struct fold_conf kfold = {
        .kind = FOLDS_KFOLD, .n = folds, .embargo = s->config->folds.embargo};
    struct trial_conf conf = *given; /* borrows its parameters */
    struct fold_plan plan;
    conf.early_stop = 0;
    conf.rounds = rounds;
    int rc = fold_plan_create(&plan, &kfold, all_rows(l), err);
    if (rc < 0)
        return err_wrap(err, rc, "folds inside the training part");
    for (size_t i = 0; rc == 0 && i < plan.n; i++)
        rc = predict_fold(l, s, &conf, &plan.folds[i], prob, fail, err);
    fold_plan_finish(&plan);
    return rc;
}

/* ---- cleaning ---- */

struct judged {
    double *prob;    /* [n][2] */
    uint32_t *label; /* [n] */
    double *quality; /* [n] */
    bool *issue;     /* [n] */
};

static void judged_finish(struct judged *j)
{
    free(j->prob);
    free(j->label);
    free(j->quality);
    free(j->issue);
}

static int judge(const struct lesson *l, const struct cleanlab_conf *conf, const float *prob,
                 struct judged *j, struct cleaning *found, struct err *err)
{
    j->prob = malloc(2 * l->n * sizeof(*j->prob));
    j->label = malloc(l->n * sizeof(*j->label));
    j->quality = malloc(l->n * sizeof(*j->quality));
    j->issue = malloc(l->n * sizeof(*j->issue));
    if (j->prob == NULL || j->label == NULL || j->quality == NULL || j->issue == NULL)
        return no_memory(l->n, err);
    for (size_t i = 0; i < l->n; i++) {
        j->prob[2 * i + 1] = (double)prob[i];
        j->prob[2 * i] = 1 - (double)prob[i];
        j->label[i] = l->label[i] > 0.5f;
        found->rows[j->label[i]]++;
    }
    struct confident c = {.prob = j->prob, .label = j->label, .n = l->n, .k = 2};
    int rc = confident_find(&c, conf->filter, j->issue, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < l->n; i++)
        found->issues[j->label[i]] += j->issue[i];
    confident_scores(&c, conf->quality, j->quality);
    return confident_cap(&c, j->quality, conf->cap_pct, j->issue, found->touched, err);
}

/* Before the labels are changed or rows left out. */
static int keep_given(struct lesson *l, struct err *err)
{
    l->all = malloc(l->n * sizeof(*l->all));
    l->given = malloc(l->n * sizeof(*l->given));
    l->place = malloc(l->n * sizeof(*l->place));
    if (l->all == NULL || l->given == NULL || l->place == NULL)
        return no_memory(l->n, err);
    memcpy(l->all, l->row, l->n * sizeof(*l->all));
    memcpy(l->given, l->label, l->n * sizeof(*l->given));
    for (size_t i = 0; i < l->n; i++)
        l->place[i] = (uint32_t)i;
    l->n_all = l->n;
    return 0;
}

static void leave_out(struct lesson *l, const bool *issue)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++) {
        l->row[kept] = l->row[i];
        l->label[kept] = l->label[i];
        if (l->place != NULL)
            l->place[kept] = l->place[i];
        kept += !issue[i];
    }
    l->n = kept;
}

static int weigh(struct lesson *l, const struct judged *j, struct err *err)
{
    l->weight = malloc(l->n * sizeof(*l->weight));
    if (l->weight == NULL)
        return no_memory(l->n, err);
    for (size_t i = 0; i < l->n; i++)
        l->weight[i] = j->issue[i] ? (float)j->quality[i] : 1;
    return 0;
}

static int apply(struct lesson *l, enum cleanlab_mode mode, const struct judged *j, struct err *err)
{
    if (mode == CLEANLAB_WEIGHT)
        return weigh(l, j, err);
    if (mode == CLEANLAB_PRUNE)
        leave_out(l, j->issue);
    for (size_t i = 0; mode == CLEANLAB_RELABEL && i < l->n; i++)
        l->label[i] = j->issue[i] ? 1 - l->label[i] : l->label[i];
    return 0;
}

/* Labels are judged by a plain model of the trial's parameters, whatever loss it trains for. */
static int clean(struct lesson *l, const struct session *s, const struct trial_conf *conf,
                 struct cleaning *found, enum fail_class *fail, struct err *err)
{
    AUTO_FREE float *prob = malloc((l->n + 1) * sizeof(*prob));
    AUTO(judged_finish) struct judged j = {0};
    struct trial_conf plain = *conf;
    int rc = prob != NULL ? 0 : no_memory(l->n, err);
    if (rc == 0)
        rc = objective_find(&plain.objective, "binary:logistic", err);
    if (rc == 0)
        rc = out_of_fold(l, s, &plain, conf->cleanlab.folds, conf->rounds, prob, fail, err);
    if (rc == 0)
        rc = judge(l, &conf->cleanlab, prob, &j, found, err);
    if (rc == 0 && conf->calibrate != CALIBRATE_NONE)
        rc = keep_given(l, err);
    return rc == 0 ? apply(l, conf->cleanlab.mode, &j, err) : rc;
}

static int smooth(struct lesson *l, double eps, struct err *err)
{
    l->target = malloc((l->n + 1) * sizeof(*l->target));
    if (l->target == NULL)
        return no_memory(l->n, err);
    smoothing_apply(eps, l->label, l->n, l->target);
    return 0;
}

int lesson_make(struct lesson *out, const struct session *s, const struct trial_conf *conf,
                const struct range *ranges, int n_ranges, const struct part *shared,
                struct cleaning *found, enum fail_class *fail, struct err *err)
{
    *out = (struct lesson){.train = shared};
    if (shared != NULL && conf->calibrate == CALIBRATE_NONE)
        return 0;
    int rc = list_rows(out, s, ranges, n_ranges, err);
    if (rc == 0 && conf->cleanlab.mode != CLEANLAB_OFF) {
        *found = (struct cleaning){0};
        rc = clean(out, s, conf, found, fail, err);
        if (rc < 0)
            return err_wrap(err, rc, "cleanlab");
    }
    if (rc == 0 && conf->smoothing > 0)
        rc = smooth(out, conf->smoothing, err);
    if (rc < 0 || shared != NULL)
        return rc;
    out->train = &out->own;
    return session_part(s, out->row, out->n, out->target != NULL ? out->target : out->label,
                        out->weight, &out->own, err);
}

/* ---- calibration ---- */

void lesson_scores(const float *prob, size_t n, float *score)
{
    for (size_t i = 0; i < n; i++) {
        double p = fmin(fmax((double)prob[i], FLT_EPSILON), 1 - FLT_EPSILON);
        score[i] = (float)log(p / (1 - p));
    }
}

int lesson_calibrate(struct calibrator *out, const struct lesson *l, const struct session *s,
                     const struct trial_conf *conf, int64_t rounds, enum fail_class *fail,
                     struct err *err)
{
    size_t n = all_rows(l);
    const float *label = l->given != NULL ? l->given : l->label;
    AUTO_FREE float *score = malloc((n + 1) * sizeof(*score));
    int rc = score != NULL ? calibration_check(label, n, err) : no_memory(n, err);
    if (rc < 0) {
        *fail = score != NULL ? FAIL_CALIBRATION : *fail;
        return rc;
    }
    rc = out_of_fold(l, s, conf, conf->cleanlab.folds, rounds, score, fail, err);
    if (rc < 0)
        return err_wrap(err, rc, "calibrate");
    lesson_scores(score, n, score);
    return calibrator_fit(out, conf->calibrate, score, label, n, err);
}
