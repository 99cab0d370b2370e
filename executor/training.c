/* A trial as a training: what its row in training_runs says, and its event when it fails. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "executor/internal.h"
#include "trials/base_env.h"

static const char *cell_value(const struct spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->n_cell; i++) {
        if (strcmp(spec->cell[i].name, name) == 0)
            return spec->cell[i].value;
    }
    return NULL;
}

const char *training_crypto(const struct spec *spec)
{
    return spec->run.crypto != NULL ? spec->run.crypto : cell_value(spec, "crypto");
}

const char *training_factor(const struct spec *spec)
{
    return cell_value(spec, "factor");
}

/* What the worker's environment has, of the executor's or of ftf_config; NULL: nothing. */
static const char *env_value(const struct study *st, const char *name)
{
    size_t n = strlen(name);
    for (char **e = st->ex->base_env; *e != NULL; e++) {
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=' && (*e)[n + 1] != '\0')
            return *e + n + 1;
    }
    return NULL;
}

static bool is_of_config(const struct executor *ex, const char *value)
{
    for (size_t i = 0; i < ex->n_config_env; i++) {
        const char *eq = strchr(ex->config_env[i], '=');
        if (eq != NULL && eq + 1 == value)
            return true;
    }
    return false;
}

/* A factor that the environment turns into another one would be compared under its name. Said once
 * for each factor; run.env is the spec's own word. */
static void tell_overridden(struct study *st, const char *factor)
{
    const struct spec *spec = st->spec;
    const char *loss = env_value(st, BASE_ENV_LOSS), *mode = env_value(st, BASE_ENV_CLEANLAB), *key;
    const char *what =
        base_env_over_factor(factor, spec_env_has(spec, BASE_ENV_LOSS) ? NULL : loss,
                             spec_env_has(spec, BASE_ENV_CLEANLAB) ? NULL : mode, &key);
    if (what == NULL)
        return;
    for (int i = 0; i < st->index; i++) {
        const char *earlier = st->ex->studies[i].overridden;
        if (earlier != NULL && strcmp(earlier, factor) == 0)
            return;
    }
    const char *value = env_value(st, key);
    st->overridden = strdup(factor);
    executor_notice(st->ex, "%s=%s of %s is over the spec: factor %s %s", key, value,
                    is_of_config(st->ex, value) ? "ftf_config" : "the environment", factor, what);
}

/* What a factor trains with when nothing else is said. */
static const char *factor_loss(const char *factor)
{
    return strcmp(factor, "focal_loss") == 0 ? "focal" : "binary:logistic";
}

/* The XGBoost worker's loss for trials that have none of their own. */
static const char *xgboost_loss(const struct spec *spec, const json_t *conf)
{
    const char *objective = json_string_value(json_object_get(conf, "objective"));
    const char *factor = json_string_value(json_object_get(conf, "factor"));
    if (objective == NULL)
        objective = json_string_value(json_object_get(json_object_get(conf, "fixed"), "objective"));
    if (objective == NULL)
        objective = factor_loss(factor != NULL ? factor : "baseline");
    return spec->run.loss_function != NULL ? spec->run.loss_function : objective;
}

int training_init(struct study *st, struct err *err)
{
    const struct spec *spec = st->spec;
    const char *text = spec->run.config, *loss = spec->run.loss_function;
    AUTO_JSON json_t *conf = text != NULL ? json_read(text, strlen(text), NULL) : NULL;
    st->training = spec->run.runner == RUN_XGBOOST || training_crypto(spec) != NULL ||
                   loss != NULL || spec->run.base_env != NULL;
    st->loss_of_env = env_value(st, BASE_ENV_LOSS);
    if (spec->run.runner == RUN_XGBOOST && json_is_string(json_object_get(conf, "factor")))
        tell_overridden(st, json_string_value(json_object_get(conf, "factor")));
    if (spec->run.runner == RUN_XGBOOST)
        loss = st->loss_of_env != NULL ? st->loss_of_env : xgboost_loss(spec, conf);
    else if (loss == NULL)
        loss = st->loss_of_env;
    st->loss = loss != NULL ? strdup(loss) : NULL;
    return loss != NULL && st->loss == NULL ? err_set(err, ERR_NOMEM, "study") : 0;
}

static const char *text(const struct value *v)
{
    return v->kind == VALUE_TEXT ? v->s : NULL;
}

/* What the trial has under the name, as a text. */
static const char *trial_text(const struct run *r, const char *name)
{
    const struct spec *spec = r->study->spec;
    for (size_t i = 0; i < r->n_instead; i++) {
        if (strcmp(r->instead[i].name, name) == 0)
            return text(&r->instead[i].value);
    }
    for (size_t i = 0; i < r->n_params; i++) {
        const struct run_param *p = r->params[i];
        if (strcmp(p->name, name) == 0 && p->dist->kind == DIST_CHOICE)
            return text(&p->dist->choices[(size_t)p->value]);
    }
    for (size_t i = 0; i < spec->n_fixed; i++) {
        if (strcmp(spec->fixed[i].name, name) == 0)
            return text(&spec->fixed[i].value);
    }
    return NULL;
}

/* The trial's own loss, else its factor's unless the environment says otherwise, else the study's.
 */
static const char *loss_of(const struct run *r)
{
    const struct study *st = r->study;
    const char *loss = trial_text(r, "loss_function");
    if (loss == NULL)
        loss = trial_text(r, "objective");
    const char *factor =
        loss == NULL && st->spec->run.runner == RUN_XGBOOST && st->loss_of_env == NULL
            ? trial_text(r, "factor")
            : NULL;
    return loss != NULL ? loss : factor != NULL ? factor_loss(factor) : st->loss;
}

/* What the trial was trained with: its parameters, and the values beside them. */
static json_t *used_of(const struct run *r)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    const struct spec_trial t = run_spec_trial(r);
    spec_put_params(&b, r->study->spec, &t);
    json_t *used = json_read_python(buf_str(&b), b.len, NULL);
    buf_clear(&b);
    run_put_params(&b, r); /* suggested ones too */
    AUTO_JSON json_t *params = json_read_python(buf_str(&b), b.len, NULL);
    (void)json_object_update_missing(used, params);
    return used != NULL ? used : json_object();
}

/* What it was asked for: the same but for what a fallback changed. */
static json_t *requested_of(const struct run *r, const json_t *used)
{
    json_t *all = json_copy((json_t *)used);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)ladder_requested(r), name, value)
    {
        if (json_is_null(value))
            (void)json_object_del(all, name);
        else
            (void)json_object_set(all, name, value);
    }
    return all;
}

/* What was cut short from outside is no training that failed. */
static bool counts(const struct run *r, enum fail_class fail)
{
    return r->study->training && !fail_class_is_interruption(fail);
}

json_t *training_of(const struct run *r, enum fail_class fail)
{
    if (!counts(r, fail))
        return NULL;
    json_t *used = used_of(r);
    json_t *out = json_pack("{s:s?, s:o, s:o, s:b}", "loss_function", loss_of(r), "requested",
                            requested_of(r, used), "used", used, "rolled_back", r->rolled_back);
    return out;
}

/* A worker's words may be no UTF-8. */
static json_t *words(const char *text)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    json_put_string(&b, text);
    return json_read(buf_str(&b), b.len, NULL);
}

/* A line with all that an offline analysis needs; one write, for several processes may append. A
 * file that would have us wait (a pipe that nobody reads) goes without. */
static void append_to_log(const struct run *r, const char *path)
{
    const struct study *st = r->study;
    char at[CLOCK_TEXT_MAX];
    json_t *used = used_of(r);
    AUTO_JSON json_t *all = json_pack(
        "{s:s, s:s?, s:s, s:I, s:s?, s:s?, s:s?, s:s, s:s, s:o, s:o, s:o, s:s?}", "ts",
        clock_rfc3339(clock_utc_us(), at), "run_id", st->ex->run_row.run_id, "study", st->view.name,
        "trial", (json_int_t)r->number, "crypto_symbol", training_crypto(st->spec), "factor",
        training_factor(st->spec), "loss_function", loss_of(r), "failure_class",
        fail_class_name(r->fail), "failure_mode", fail_class_mode(r->fail), "message",
        words(r->message), "requested", requested_of(r, used), "used", used, "logs", r->dir);
    AUTO_FREE char *text = json_dumps(all, 0);
    AUTO(buf_free) struct buf line = BUF_INIT;
    if (text != NULL)
        buf_printf(&line, "%s\n", text);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0644);
    if (fd < 0 || line.failed || write(fd, buf_str(&line), line.len) != (ssize_t)line.len)
        log_event(LOG_WARNING, "failure_log_not_written", LOG_TEXT("file", path),
                  LOG_TEXT("error", strerrordesc_np(errno)));
}

void training_tell(const struct run *r)
{
    const struct spec *spec = r->study->spec;
    if (r->state != TRIAL_FAIL || !counts(r, r->fail))
        return;
    log_event(LOG_ERROR, "xgboost_training_failed", LOG_TEXT("study", r->study->view.name),
              LOG_INT("trial", r->number), LOG_TEXT("crypto_symbol", training_crypto(spec)),
              LOG_TEXT("factor", training_factor(spec)), LOG_TEXT("loss_function", loss_of(r)),
              LOG_TEXT("failure_class", fail_class_name(r->fail)),
              LOG_TEXT("failure_mode", fail_class_mode(r->fail)), LOG_TEXT("message", r->message));
    if (spec->report.failure_log != NULL)
        append_to_log(r, spec->report.failure_log);
}
