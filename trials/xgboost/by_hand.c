/* The program without an executor: one trial, or only the data. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "trials/xgboost/train.h"
#include "trials/xgboost/worker.h"

static int complain(const struct err *err)
{
    (void)fprintf(stderr, "forkless-xgboost: %s\n", err->msg);
    return exit_code(err);
}

/* Shows the way of the trial to a person who watches; never prunes. */
static int on_value(void *arg, int64_t step, double value, bool *prune, struct err *err)
{
    const char *metric = arg;
    (void)err;
    *prune = false;
    if (isatty(STDERR_FILENO))
        (void)fprintf(stderr, "round %lld  %s %.6g\n", (long long)step, metric, value);
    return 0;
}

static int train(struct session *s, const struct trial_conf *conf, const char *model_dir,
                 struct err *err)
{
    size_t n;
    const char *metric = s->config->metric;
    if (metric == NULL)
        metric = metric_defaults(conf->objective->task, &n)[0];
    struct train_args args = {
        .conf = conf,
        .model_dir = model_dir,
        .on_value = on_value,
        .arg = (void *)(uintptr_t)metric,
    };
    struct train_result r;
    enum fail_class class;
    int rc = train_trial(s, &args, &r, &class, err);
    if (rc < 0)
        return err_wrap(err, rc, "trial failed (%s)", fail_class_name(class));
    for (size_t i = 0; i < r.measures.n; i++) {
        char text[TEXT_DOUBLE_MAX];
        (void)printf("%s=%s\n", r.measures.metrics[i].name, text_from_double(r.mean[i], text));
    }
    train_result_finish(&r);
    return 0;
}

int by_hand_run(const char *config_path, json_t *params, uint32_t seed, const char *model_dir,
                int threads)
{
    struct err err = {0};
    struct config config = {0};
    struct session session = {0};
    struct trial_conf conf = {0};
    AUTO_JSON json_t *owned = params;
    int rc = config_load(&config, config_path, owned, &err);
    if (rc == 0)
        rc = trial_conf_make(&conf, &config, owned, seed, threads, &err);
    if (rc == 0)
        rc = session_open(&session, &config, threads, &err);
    if (rc == 0)
        rc = train(&session, &conf, model_dir, &err);
    trial_conf_finish(&conf);
    session_close(&session);
    config_finish(&config);
    return rc < 0 ? complain(&err) : EXIT_DONE;
}

/* ---- --prepare ---- */

static json_t *describe_folds(const struct session *s, bool binary)
{
    json_t *folds = json_array();
    for (size_t i = 0; i < s->plan.n; i++) {
        const struct fold *f = &s->plan.folds[i];
        json_t *fold = json_pack("{s:I, s:I}", "train", (json_int_t)fold_train_rows(f), "test",
                                 (json_int_t)range_rows(f->test));
        if (binary)
            (void)json_object_set_new(fold, "positives",
                                      json_integer((json_int_t)session_test_positives(s, i)));
        (void)json_array_append_new(folds, fold);
    }
    return folds;
}

static json_t *describe(const struct session *s)
{
    const struct config *c = s->config;
    json_t *objectives = json_array();
    unsigned tasks = 0;
    for (size_t i = 0; i < c->n_objectives; i++) {
        (void)json_array_append_new(objectives, json_string(c->objectives[i]->name));
        tasks |= (unsigned)c->objectives[i]->task;
    }
    json_t *d = json_pack("{s:I, s:I, s:s, s:b, s:o, s:s}", "rows", (json_int_t)s->data.rows,
                          "columns", (json_int_t)s->data.cols, "matrix", buf_str(&s->matrix_path),
                          "made", s->made, "objectives", objectives, "label", c->table.label);
    size_t positives = 0;
    for (size_t i = 0; i < s->data.rows; i++)
        positives += s->data.label[i] == 1;
    if (tasks & TASK_BINARY)
        (void)json_object_set_new(d, "positives", json_integer((json_int_t)positives));
    if (s->classes > 0)
        (void)json_object_set_new(d, "classes", json_integer((json_int_t)s->classes));
    (void)json_object_set_new(d, "folds", describe_folds(s, tasks & TASK_BINARY));
    return d;
}

/* The data must suit every objective that a trial may have. */
static int check_data(struct session *s, struct err *err)
{
    const struct config *c = s->config;
    struct metric_ref metric;
    int rc = 0;
    if (c->factor.calibrate != CALIBRATE_NONE)
        rc = calibration_check(s->data.label, s->data.rows, err);
    for (size_t i = 0; rc == 0 && i < c->n_objectives; i++) {
        rc = config_metric(&metric, c, c->objectives[i], err);
        if (rc == 0)
            rc = session_check(s, c->objectives[i], &metric, err);
    }
    return rc;
}

int prepare_run(const char *config_path, int threads)
{
    struct err err = {0};
    struct config config = {0};
    struct session session = {0};
    int rc = config_load(&config, config_path, NULL, &err);
    if (rc == 0)
        rc = session_open(&session, &config, threads, &err);
    if (rc == 0)
        rc = check_data(&session, &err);
    if (rc == 0) {
        AUTO_JSON json_t *d = describe(&session);
        AUTO_FREE char *line = d != NULL ? json_dumps(d, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
        if (line == NULL)
            rc = err_set(&err, ERR_INVALID, "%s: its path is not UTF-8", config.table.path);
        else
            (void)puts(line);
    }
    session_close(&session);
    config_finish(&config);
    return rc < 0 ? complain(&err) : EXIT_DONE;
}
