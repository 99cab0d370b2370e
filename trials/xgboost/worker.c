#include "trials/xgboost/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "trials/xgboost/train.h"

struct worker {
    struct channel *channel;
    struct session *session;
    int64_t step; /* of the last intermediate value */
    double value;
    bool lost; /* the executor is gone: nobody to tell anything */
};

struct assignment {
    json_t *params; /* borrowed object */
    uint32_t seed;
    const char *dir; /* borrowed; NULL: no model is kept */
};

static int on_value(void *arg, int64_t step, double value, bool *prune, struct err *err)
{
    struct worker *w = arg;
    w->step = step;
    w->value = value;
    int rc = channel_report(w->channel, step, value, prune, err);
    w->lost = rc < 0;
    return rc;
}

static void on_event(void *arg, const char *event, json_t *fields)
{
    struct worker *w = arg;
    channel_event(w->channel, event, fields);
}

/* ---- the trial's log, for people: a few lines on stdout, written at once ---- */

static void log_start(const struct session *s, const struct trial_conf *conf)
{
    (void)printf("%s: %zu rows × %zu columns, label %s, %zu fold%s, %s, %lld rounds%s\n",
                 s->config->table.path, s->data.rows, s->data.cols, s->config->table.label,
                 s->plan.n, s->plan.n > 1 ? "s" : "", conf->objective->name,
                 (long long)conf->rounds, conf->early_stop > 0 ? " at most" : "");
    (void)fflush(stdout);
}

static void log_end(const struct worker *w, const struct train_result *r)
{
    struct buf b = BUF_INIT;
    const char *metric = r->measures.metrics[0].name;
    if (r->end == TRAIN_PRUNED)
        buf_printf(&b, "pruned after %lld rounds, %s %.6g\n", (long long)w->step, metric, w->value);
    for (size_t i = 0; i < r->n_folds; i++) {
        const struct fold *f = &w->session->plan.folds[i];
        buf_printf(&b, "fold %zu: %s %.6g after %zu rounds, trained on %zu rows, tested on %zu\n",
                   i + 1, metric, r->folds[i].metrics[0], r->folds[i].best_rounds,
                   fold_train_rows(f), range_rows(f->test));
    }
    for (size_t k = 0; r->end == TRAIN_DONE && k < r->measures.n; k++)
        buf_printf(&b, "%s %.6g%s", r->measures.metrics[k].name, r->mean[k],
                   k + 1 < r->measures.n ? ", " : "");
    if (r->end == TRAIN_DONE)
        buf_printf(&b, " (%.3g s)\n", r->seconds);
    (void)fputs(buf_str(&b), stdout);
    (void)fflush(stdout);
    buf_free(&b);
}

/* ---- telling the result ---- */

/* A metric that is undefined (one class alone in the fold) is null. */
static json_t *metrics_of(const struct measures *m, const double *values)
{
    json_t *out = json_object();
    for (size_t i = 0; i < m->n; i++) {
        json_t *v = json_real(values[i]);
        (void)json_object_set_new(out, m->metrics[i].name, v != NULL ? v : json_null());
    }
    return out;
}

/* Too few signals say nothing about a strategy, however good the other numbers look. */
static void warn_few_buys(struct worker *w, size_t fold, size_t buys)
{
    size_t least = w->session->config->factor.min_buys;
    (void)printf("fold %zu: %zu BUY signals, fewer than the %zu that make a fold count\n", fold + 1,
                 buys, least);
    (void)fflush(stdout);
    channel_event(w->channel, "buy_signals_low",
                  json_pack("{s:I, s:I, s:I}", "fold", (json_int_t)fold + 1, "buy_trades",
                            (json_int_t)buys, "least", (json_int_t)least));
}

static void tell_rows(struct worker *w, const struct trial_conf *conf, const struct train_result *r)
{
    const struct config *config = w->session->config;
    const char *variant = config->variant;
    if (variant == NULL)
        variant = conf->factor != FACTOR_NONE ? factor_name(conf->factor) : conf->objective->name;
    for (size_t i = 0; i < r->n_folds; i++) {
        const struct fold_result *f = &r->folds[i];
        json_t *values = json_pack("{s:s, s:i, s:o}", "variant", variant, "fold", (int)i + 1,
                                   "metrics", metrics_of(&r->measures, f->metrics));
        if (conf->objective->task == TASK_BINARY) {
            (void)json_object_set_new(values, "buy_trades",
                                      json_integer((json_int_t)f->predicted_positives));
            if (f->predicted_positives < config->factor.min_buys)
                warn_few_buys(w, i, f->predicted_positives);
        }
        channel_row(w->channel, "finetune_results", values);
    }
}

static void tell_result(struct worker *w, const struct trial_conf *conf,
                        const struct train_result *r)
{
    struct channel *c = w->channel;
    json_t *best = json_array();
    for (size_t i = 0; i < r->n_folds; i++)
        (void)json_array_append_new(best, json_integer((json_int_t)r->folds[i].best_rounds - 1));
    channel_attr(c, "rows", json_integer((json_int_t)w->session->data.rows));
    channel_attr(c, "features", json_integer((json_int_t)w->session->data.cols));
    channel_attr(c, "best_iteration", best);
    channel_attr(c, "train_seconds", json_real(r->seconds));
    channel_attr(c, "metrics", metrics_of(&r->measures, r->mean));
    tell_rows(w, conf, r);
    channel_result(c, r->mean[0]);
}

static void tell_failure(struct worker *w, enum fail_class class, const struct err *err)
{
    (void)fprintf(stderr, "forkless-xgboost: trial failed (%s): %s\n", fail_class_name(class),
                  err->msg);
    channel_fail(w->channel, fail_class_name(class), err->msg);
}

/* ---- one trial after another ---- */

static void run_trial(struct worker *w, const struct assignment *task)
{
    struct err err = {0};
    struct trial_conf conf;
    if (trial_conf_make(&conf, w->session->config, task->params, task->seed, w->session->threads,
                        &err) < 0) {
        tell_failure(w, FAIL_BAD_DATA, &err);
        return;
    }
    struct train_args args = {
        .conf = &conf,
        .model_dir = w->session->config->save_model ? task->dir : NULL,
        .on_value = on_value,
        .on_event = on_event,
        .arg = w,
    };
    struct train_result result;
    enum fail_class class;
    log_start(w->session, &conf);
    int rc = train_trial(w->session, &args, &result, &class, &err);
    if (rc < 0 && !w->lost)
        tell_failure(w, class, &err);
    if (rc == 0) {
        log_end(w, &result);
        if (result.end == TRAIN_PRUNED)
            channel_pruned(w->channel);
        else
            tell_result(w, &conf, &result);
        train_result_finish(&result);
    }
    trial_conf_finish(&conf);
}

/* The next trial's message as a task; the message stays the owner of what it points to. */
static int read_task(const json_t *message, struct assignment *out, struct err *err)
{
    json_t *params = json_object_get(message, "params");
    const json_t *seed = json_object_get(message, "seed");
    if (!json_is_object(params) || !json_is_integer(seed))
        return err_set(err, ERR_INVALID, "the executor's next trial has no params or no seed");
    *out = (struct assignment){
        .params = params,
        .seed = (uint32_t)json_integer_value(seed),
        .dir = json_string_value(json_object_get(message, "dir")),
    };
    return 0;
}

/* The first trial, as the environment has it; *params is the caller's. */
static int first_task(struct assignment *out, json_t **params, struct err *err)
{
    const char *path = getenv("FORKLESS_PARAMS"), *seed_text = getenv("FORKLESS_SEED");
    int64_t seed = 0;
    if (path == NULL)
        return err_set(err, ERR_INVALID, "FORKLESS_PARAMS is not set");
    if (seed_text != NULL && (!text_int(seed_text, &seed) || seed < 0 || seed > INT32_MAX))
        return err_set(err, ERR_INVALID, "FORKLESS_SEED is '%s': expected 0 to %d", seed_text,
                       INT32_MAX);
    struct err why = {0};
    *params = json_read_file(path, &why);
    if (*params == NULL)
        return err_set(err, why.code, "%s", why.msg);
    *out = (struct assignment){
        .params = *params, .seed = (uint32_t)seed, .dir = getenv("FORKLESS_TRIAL_DIR")};
    return json_is_object(*params) ? 0
                                   : err_set(err, ERR_INVALID, "%s: expected a JSON object", path);
}

/* Returns when the executor says stop or is gone. */
static int serve(struct worker *w, struct err *err)
{
    AUTO_JSON json_t *message = NULL;
    struct assignment task = {0};
    int rc = first_task(&task, &message, err);
    while (rc == 0) {
        run_trial(w, &task);
        json_decref(message);
        message = NULL;
        if (w->lost)
            return 0;
        rc = channel_next(w->channel, &message, err);
        if (rc < 0 || message == NULL)
            break;
        rc = read_task(message, &task, err);
    }
    return rc;
}

int exit_code(const struct err *err)
{
    bool path = err->code == ERR_IO && (err->sys == ENOENT || err->sys == ENOTDIR ||
                                        err->sys == EISDIR || err->sys == EACCES);
    return path || err->code == ERR_INVALID ? EXIT_BAD_INPUT : EXIT_FAILED;
}

/* The sweep cannot work at all: says so in the place of a trial, and waits until it is heard. */
static void fail_at_once(struct worker *w, const struct err *err)
{
    json_t *next = NULL;
    tell_failure(w, err->code == ERR_NOMEM ? FAIL_OOM : FAIL_BAD_DATA, err);
    (void)channel_next(w->channel, &next, NULL);
    json_decref(next);
}

int worker_run(struct channel *c, const char *config_path, int threads)
{
    struct err err = {0};
    struct config config = {0};
    struct session session = {0};
    struct worker w = {.channel = c, .session = &session};
    int rc = config_load(&config, config_path, NULL, &err);
    if (rc == 0)
        rc = session_open(&session, &config, threads, &err);
    bool ready = rc == 0;
    if (ready)
        rc = serve(&w, &err);
    else
        fail_at_once(&w, &err);
    session_close(&session);
    config_finish(&config);
    if (rc < 0 && ready && err.code != ERR_UNAVAILABLE)
        (void)fprintf(stderr, "forkless-xgboost: %s\n", err.msg);
    return rc < 0 ? exit_code(&err) : EXIT_DONE;
}
