#include "executor/entry.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "executor/attrs.h"
#include "executor/requeue.h"
#include "storage/ftf.h"

static int put_attrs(struct store *s, int64_t id, enum attr_kind kind, json_t *attrs,
                     struct err *err)
{
    int rc = 0;
    const char *key;
    json_t *value;
    json_object_foreach(attrs, key, value)
    {
        AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY);
        const struct trial_attr a = {key, text};
        rc = text != NULL ? store_trial_attrs(s, id, kind, &a, 1, err)
                          : err_set(err, ERR_NOMEM, "attribute %s", key);
        if (rc < 0)
            break;
    }
    return rc;
}

int entry_put_news(const struct entry *e, struct store *s, struct err *err)
{
    int rc = 0;
    if (e->n_params > 0)
        rc = store_trial_params(s, e->trial, e->params, e->n_params, err);
    if (rc == 0 && e->n_steps > 0)
        rc = store_trial_steps(s, e->trial, e->steps, e->n_steps, err);
    if (rc == 0)
        rc = put_attrs(s, e->trial, ATTR_SYSTEM, e->rungs, err);
    return rc == 0 ? put_attrs(s, e->trial, ATTR_USER, e->attrs, err) : rc;
}

/* Its result is not one of what the study asks for. */
static bool is_rolled_back(const struct entry_end *end)
{
    return json_is_true(json_object_get(end->training, "rolled_back"));
}

static int put_row(const struct entry *e, const json_t *row, struct store *s, struct err *err)
{
    const struct entry_end *end = e->end;
    const json_t *buys = json_object_get(row, "buy_trades");
    const char *variant = json_string_value(json_object_get(row, "variant"));
    bool rolled_back = is_rolled_back(end);
    AUTO_FREE char *metrics = json_dumps(json_object_get(row, "metrics"), 0);
    AUTO_FREE char *mine = NULL; /* it must not take the place of what was asked for */
    if (rolled_back && asprintf(&mine, "%s:rolled_back", variant != NULL ? variant : "") < 0)
        mine = NULL;
    const struct store_result result = {
        .run_id = end->run_id,
        .study = e->study,
        .variant = mine != NULL ? mine : variant,
        .fold = json_integer_value(json_object_get(row, "fold")),
        .crypto_symbol = end->crypto,
        .factor = end->factor,
        .trial_number = e->number,
        .objective = end->value,
        .direction = end->direction,
        .run_status = rolled_back ? "rolled_back" : "success",
        .params = end->params,
        .metrics = metrics,
        .buy_trades = json_is_integer(buys) ? json_integer_value(buys) : -1,
    };
    return store_results_put(s, &result, 1, err);
}

static int put_rows(const struct entry *e, struct store *s, struct err *err)
{
    int rc = 0;
    size_t i;
    json_t *row;
    json_array_foreach(e->end->rows, i, row)
    {
        rc = put_row(e, row, s, err);
        if (rc < 0)
            break;
    }
    return rc;
}

static int put_training(const struct entry *e, struct store *s, struct err *err)
{
    const struct entry_end *end = e->end;
    bool failed = end->fail != FAIL_NONE;
    if (end->training == NULL || !store_keeps_trainings(s)) /* a store of studies alone */
        return 0;
    AUTO_FREE char *requested = json_dumps(json_object_get(end->training, "requested"), 0);
    AUTO_FREE char *used = json_dumps(json_object_get(end->training, "used"), 0);
    const struct store_training t = {
        .run_id = end->run_id,
        .study = e->study,
        .trial_number = e->number,
        .crypto_symbol = end->crypto,
        .factor = end->factor,
        .loss_function = json_string_value(json_object_get(end->training, "loss_function")),
        .failed = failed,
        .failure_class = failed ? fail_class_name(end->fail) : NULL,
        .failure_mode = failed ? fail_class_mode(end->fail) : NULL,
        .message = failed && end->message[0] != '\0' ? end->message : NULL,
        .requested = requested,
        .used = used,
        .rolled_back = is_rolled_back(end)};
    return store_training_put(s, &t, err);
}

static int put_failure(int64_t trial, enum fail_class class, const char *why, struct store *s,
                       struct err *err)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    json_put_string(&b, fail_class_name(class));
    const struct trial_attr fail = {ATTR_CLASS, buf_str(&b)};
    int rc = store_trial_attrs(s, trial, ATTR_USER, &fail, 1, err);
    if (rc == 0 && why[0] != '\0') {
        buf_clear(&b);
        json_put_string(&b, why);
        const struct trial_attr message = {ATTR_MESSAGE, buf_str(&b)};
        rc = store_trial_attrs(s, trial, ATTR_USER, &message, 1, err);
    }
    return rc;
}

/* Writes what is left before the end. A refusal is returned in *why. Errors: trouble. */
static int put_rest(const struct entry *e, struct store *s, struct err *why, struct err *err)
{
    if (why->code != ERR_NONE && why->code != ERR_FINISHED)
        return 0;
    int rc = entry_put_news(e, s, why);
    if (rc == -ERR_BUSY || rc == -ERR_UNAVAILABLE) {
        *err = *why;
        return rc;
    }
    if (rc == 0 || rc == -ERR_FINISHED) /* the latter is told by what follows */
        why->code = ERR_NONE;
    return 0;
}

static int put_not_stored(int64_t trial, const struct err *why, struct store *s, struct err *err)
{
    char message[240];
    (void)snprintf(message, sizeof(message), "not stored: %.220s", why->msg);
    int rc = put_failure(trial, FAIL_STORAGE, message, s, err);
    return rc == 0 ? store_trial_finish(s, trial, TRIAL_FAIL, NULL, 0, err) : rc;
}

int entry_put_end(const struct entry *e, struct store *s, struct err *why, bool *failed,
                  struct err *err)
{
    const struct entry_end *end = e->end;
    const struct store_retry retry = {.max_retries = -1, .not_before_us = end->retry_at_us};
    int rc = put_rest(e, s, why, err);
    if (rc < 0)
        return rc;
    *failed = why->code != ERR_NONE && end->state != TRIAL_FAIL;
    if (*failed)
        return put_not_stored(e->trial, why, s, err);
    if (end->fail != FAIL_NONE)
        rc = put_failure(e->trial, end->fail, end->message, s, err);
    if (rc == 0 && end->fallback != NULL)
        rc = requeue_fallen(s, e->trial, e->study, end->fallback, err);
    else if (rc == 0 && end->retry)
        rc = store_trial_retry(s, e->trial, &retry, NULL, NULL, err);
    else if (rc == 0)
        rc = store_trial_finish(s, e->trial, end->state, &end->value,
                                end->state != TRIAL_FAIL && !isnan(end->value) ? 1 : 0, err);
    if (rc == 0 && end->state == TRIAL_COMPLETE)
        rc = put_rows(e, s, err);
    return rc == 0 ? put_training(e, s, err) : rc;
}
