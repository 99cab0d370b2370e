#include "trials/xgboost/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "trials/xgboost/lesson.h"
#include "trials/xgboost/model.h"

/* ---- what is measured ---- */

/* Adds a metric once. */
static int add_metric(struct measures *m, const struct objective *o, const char *name,
                      struct err *err)
{
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->metrics[i].name, name) == 0) /* NOLINT: all i < n were set below */
            return 0;
    }
    struct metric_ref ref;
    int rc = objective_metric(&ref, o, name, err);
    if (rc < 0)
        return rc;
    m->metrics[m->n++] = ref;
    if (ref.own == NULL)
        m->natives[m->n_natives++] = name;
    return 0;
}

/* The objective value first, then what such tasks always record, then what the user asks for. */
static int choose_metrics(struct measures *m, const struct config *config,
                          const struct objective *o, bool gains, struct err *err)
{
    size_t n;
    const char *const *defaults = metric_defaults(o->task, &n);
    size_t most = 2 + n + config->eval_metrics.n;
    m->metrics = calloc(most, sizeof(*m->metrics));
    m->natives = calloc(most, sizeof(*m->natives));
    if (m->metrics == NULL || m->natives == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %zu metrics", most);
    int rc = add_metric(m, o, config->metric != NULL ? config->metric : defaults[0], err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add_metric(m, o, defaults[i], err);
    if (rc == 0 && gains && o->task == TASK_BINARY)
        rc = add_metric(m, o, "expectancy", err);
    for (size_t i = 0; rc == 0 && i < config->eval_metrics.n; i++)
        rc = add_metric(m, o, config->eval_metrics.v[i], err);
    return rc;
}

/* ---- training ---- */

struct run {
    struct session *session;
    const struct train_args *args;
    struct train_result *result;
    struct boost *folds;            /* [session->plan.n] */
    struct lesson *lessons;         /* [session->plan.n] what they train on */
    struct calibrator *calibrators; /* [session->plan.n] */
    enum fail_class *fail;
};

static int not_finite(const struct run *r, double value, size_t fold, int64_t rounds,
                      struct err *err)
{
    *r->fail = isnan(value) ? FAIL_NAN : FAIL_OVERFLOW;
    return err_set(err, ERR_INVALID, "%s of fold %zu is %s after %lld rounds",
                   r->result->measures.metrics[0].name, fold + 1, isnan(value) ? "NaN" : "infinite",
                   (long long)rounds);
}

/* Brings every fold to `rounds`; *value is their mean, *running whether any goes on after it. */
static int advance(struct run *r, int64_t rounds, double *value, bool *running, struct err *err)
{
    size_t n = r->session->plan.n;
    *value = 0;
    *running = false;
    for (size_t i = 0; i < n; i++) {
        struct boost *b = &r->folds[i];
        int rc = boost_until(b, rounds, err);
        if (rc < 0) {
            *r->fail = b->fail;
            return err_wrap(err, rc, "fold %zu", i + 1);
        }
        double v = b->finished ? b->best_value : b->value;
        if (!isfinite(v))
            return not_finite(r, v, i, b->rounds, err);
        *value += v / (double)n;
        *running |= !b->finished;
    }
    return 0;
}

static int train_folds(struct run *r, struct err *err)
{
    int64_t every = r->session->config->report_every, last = r->args->conf->rounds;
    bool running = true;
    for (int64_t done = 0; running;) {
        double value;
        bool prune = false;
        done = last - done < every ? last : done + every;
        int rc = advance(r, done, &value, &running, err);
        if (rc == 0)
            rc = r->args->on_value(r->args->arg, done, value, &prune, err);
        if (rc < 0)
            return rc;
        if (prune) {
            r->result->end = TRAIN_PRUNED;
            return 0;
        }
    }
    r->result->end = TRAIN_DONE;
    return 0;
}

/* Hold-out and walk-forward keep the model of the most recent rows, their last fold's; k-fold one
 * of all rows. */
static bool keeps_a_fold(const struct run *r)
{
    return r->args->model_dir != NULL && r->session->config->folds.kind != FOLDS_KFOLD;
}

/* Calibrators never see soft labels: looked at before any work, whatever the factor. */
static int check_contract(const struct run *r, struct err *err)
{
    const struct session *s = r->session;
    if (r->args->conf->calibrate == CALIBRATE_NONE)
        return 0;
    int rc = calibration_check(s->data.label, s->data.rows, err);
    if (rc < 0)
        *r->fail = FAIL_CALIBRATION;
    return rc;
}

static void tell(const struct run *r, const char *event, json_t *fields)
{
    if (r->args->on_event != NULL)
        r->args->on_event(r->args->arg, event, fields);
    else
        json_decref(fields);
}

static double percent(size_t part, size_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static void tell_start(const struct run *r)
{
    const struct cleanlab_conf *c = &r->args->conf->cleanlab;
    if (c->mode == CLEANLAB_OFF || r->session->told)
        return;
    r->session->told = true;
    tell(r, "cleanlab_find_issues_start",
         json_pack("{s:i, s:s, s:s, s:s, s:s}", "n_jobs", 1, "backend", "single_process", "reason",
                   "cvn_n011_ea_s10_fork_safety", "mode", cleanlab_mode_name(c->mode), "filter",
                   confident_filter_name(c->filter)));
}

static json_int_t both(const size_t *rows)
{
    return (json_int_t)rows[0] + (json_int_t)rows[1];
}

static void tell_cleaning(const struct run *r, size_t fold, const struct cleaning *f)
{
    const struct cleanlab_conf *c = &r->args->conf->cleanlab;
    if (c->mode == CLEANLAB_OFF)
        return;
    tell(r, "cleanlab_cv_probs",
         json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "fold", (json_int_t)fold + 1, "rows",
                   both(f->rows), "folds", (json_int_t)c->folds, "issues", both(f->issues),
                   "touched", both(f->touched), "buy_drop_pct", percent(f->touched[1], f->rows[1]),
                   "other_drop_pct", percent(f->touched[0], f->rows[0]), "cap_pct", c->cap_pct));
}

/* What fold i trains on. */
static int teach(struct run *r, size_t i, struct err *err)
{
    struct session *s = r->session;
    const struct fold *f = &s->plan.folds[i];
    const struct part *shared = lesson_is_own(r->args->conf) ? NULL : &s->train[i];
    struct cleaning found = {0};
    int rc = lesson_make(&r->lessons[i], s, r->args->conf, f->train, f->n_train, shared, &found,
                         r->fail, err);
    if (rc < 0)
        return err_wrap(err, rc, "fold %zu", i + 1);
    tell_cleaning(r, i, &found);
    return 0;
}

static int start_folds(struct run *r, struct err *err)
{
    struct session *s = r->session;
    size_t last = s->plan.n - 1;
    tell_start(r);
    for (size_t i = 0; i <= last; i++) {
        int rc = teach(r, i, err);
        if (rc == 0)
            rc = boost_start(&r->folds[i], r->args->conf, &r->result->measures, r->lessons[i].train,
                             &s->test[i], s->classes, err);
        if (rc < 0)
            return rc;
        r->folds[i].cost = s->config->cost;
        r->folds[i].to_keep = i == last && keeps_a_fold(r);
    }
    return 0;
}

/* Each fold's predictions through a calibrator of its own training part. */
static int calibrate(struct run *r, struct err *err)
{
    const struct trial_conf *conf = r->args->conf;
    int rc = 0;
    for (size_t i = 0; conf->calibrate != CALIBRATE_NONE && rc == 0 && i < r->session->plan.n;
         i++) {
        rc = lesson_calibrate(&r->calibrators[i], &r->lessons[i], r->session, conf,
                              boost_rounds(&r->folds[i]), r->fail, err);
        if (rc == 0)
            rc = boost_calibrate(&r->folds[i], &r->calibrators[i], err);
        if (rc < 0)
            return err_wrap(err, rc, "fold %zu", i + 1);
    }
    return rc;
}

/* ---- results ---- */

static int summarize(struct run *r, struct err *err)
{
    struct train_result *out = r->result;
    size_t n = r->session->plan.n;
    out->folds = calloc(n, sizeof(*out->folds));
    out->mean = calloc(out->measures.n, sizeof(*out->mean));
    if (out->folds == NULL || out->mean == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %zu results", n);
    out->n_folds = n;
    for (size_t i = 0; i < n; i++) {
        struct fold_result *f = &out->folds[i];
        f->best_rounds = (size_t)r->folds[i].best_rounds;
        f->metrics = calloc(out->measures.n, sizeof(*f->metrics));
        if (f->metrics == NULL)
            return err_set(err, ERR_NOMEM, "out of memory for %zu results", n);
        for (size_t k = 0; k < out->measures.n; k++) {
            f->metrics[k] = boost_metric(&r->folds[i], k);
            out->mean[k] += f->metrics[k] / (double)n;
        }
        if (r->args->conf->objective->task == TASK_BINARY)
            f->predicted_positives = boost_predicted_positives(&r->folds[i]);
    }
    return 0;
}

/* Trains on every row for as many rounds as were best on average: a model of k-fold validation. */
static int train_on_all(struct run *r, struct err *err)
{
    struct session *s = r->session;
    const struct range everything = {0, s->data.rows};
    double rounds = 0;
    for (size_t i = 0; i < s->plan.n; i++)
        rounds += (double)r->folds[i].best_rounds / (double)s->plan.n;
    struct trial_conf conf = *r->args->conf; /* borrows its parameters */
    conf.early_stop = 0;
    conf.rounds = (int64_t)lround(rounds);
    struct measures none = {0};
    struct boost b = {0};
    struct lesson all = {0};
    struct calibrator calibrator = {0};
    struct cleaning found;
    bool own = lesson_is_own(&conf);
    int rc = own ? 0 : session_all_rows(s, err);
    if (rc == 0)
        rc =
            lesson_make(&all, s, &conf, &everything, 1, own ? NULL : &s->all, &found, r->fail, err);
    if (rc == 0)
        rc = boost_start(&b, &conf, &none, all.train, NULL, s->classes, err);
    if (rc == 0)
        rc = boost_until(&b, conf.rounds, err);
    if (rc == 0 && conf.calibrate != CALIBRATE_NONE)
        rc = lesson_calibrate(&calibrator, &all, s, &conf, conf.rounds, r->fail, err);
    if (rc == 0)
        rc = model_save(s, r->args->conf, &b, &calibrator, r->args->model_dir, err);
    boost_finish(&b);
    calibrator_finish(&calibrator);
    lesson_finish(&all);
    return rc;
}

static int save(struct run *r, struct err *err)
{
    size_t last = r->session->plan.n - 1;
    if (r->args->model_dir == NULL)
        return 0;
    if (!keeps_a_fold(r))
        return train_on_all(r, err);
    return model_save(r->session, r->args->conf, &r->folds[last], &r->calibrators[last],
                      r->args->model_dir, err);
}

/* Classes are counted; a num_class that says otherwise would be another model than is measured. */
static int check_classes(const struct run *r, struct err *err)
{
    int64_t said = r->args->conf->classes, counted = (int64_t)r->session->classes;
    if (r->args->conf->objective->task != TASK_MULTICLASS || said == 0 || said == counted)
        return 0;
    return err_set(err, ERR_INVALID, "num_class is %lld, but the labels have %lld classes",
                   (long long)said, (long long)counted);
}

static int run(struct run *r, struct err *err)
{
    const struct objective *o = r->args->conf->objective;
    uint64_t start = clock_mono_ns();
    int rc = check_contract(r, err);
    if (rc == 0)
        rc = choose_metrics(&r->result->measures, r->session->config, o,
                            r->session->data.gain != NULL, err);
    if (rc == 0)
        rc = session_check(r->session, o, &r->result->measures.metrics[0], err);
    if (rc == 0)
        rc = check_classes(r, err);
    if (rc == 0)
        rc = session_matrices(r->session, !lesson_is_own(r->args->conf), err);
    if (rc == 0)
        rc = start_folds(r, err);
    if (rc == 0)
        rc = train_folds(r, err);
    if (rc == 0 && r->result->end == TRAIN_DONE) {
        rc = calibrate(r, err);
        if (rc == 0)
            rc = summarize(r, err);
        if (rc == 0)
            rc = save(r, err);
    }
    r->result->seconds = (double)(clock_mono_ns() - start) / 1e9;
    return rc;
}

int train_trial(struct session *s, const struct train_args *args, struct train_result *out,
                enum fail_class *fail, struct err *err)
{
    struct err why = {0};
    *out = (struct train_result){0};
    *fail = FAIL_NONE;
    struct run r = {.session = s, .args = args, .result = out, .fail = fail};
    r.folds = calloc(s->plan.n, sizeof(*r.folds));
    r.lessons = calloc(s->plan.n, sizeof(*r.lessons));
    r.calibrators = calloc(s->plan.n, sizeof(*r.calibrators));
    bool room = r.folds != NULL && r.lessons != NULL && r.calibrators != NULL;
    int rc = room ? run(&r, &why) : err_set(&why, ERR_NOMEM, "%zu folds", s->plan.n);
    for (size_t i = 0; room && i < s->plan.n; i++) {
        boost_finish(&r.folds[i]);
        lesson_finish(&r.lessons[i]);
        calibrator_finish(&r.calibrators[i]);
    }
    free(r.folds);
    free(r.lessons);
    free(r.calibrators);
    if (rc < 0) {
        if (*fail == FAIL_NONE)
            *fail = xgb_fail_class(&why);
        train_result_finish(out);
        return err_set(err, why.code, "%s", why.msg);
    }
    return 0;
}

void train_result_finish(struct train_result *r)
{
    for (size_t i = 0; i < r->n_folds; i++)
        free(r->folds[i].metrics);
    free(r->folds);
    free(r->mean);
    free(r->measures.metrics);
    free(r->measures.natives);
    *r = (struct train_result){0};
}
