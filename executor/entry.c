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

/* Attributes as the store takes them. */
struct attrs {
    struct trial_attr *v; /* json is owned */
    size_t n;
};

static void attrs_free(struct attrs *a)
{
    for (size_t i = 0; i < a->n; i++)
        free((char *)a->v[i].json);
    free(a->v);
}

static int attrs_read(struct attrs *out, json_t *object, struct err *err)
{
    const char *key;
    json_t *value;
    out->v = calloc(json_object_size(object) + 1, sizeof(*out->v));
    if (out->v == NULL)
        return err_set(err, ERR_NOMEM, "attributes");
    json_object_foreach(object, key, value)
    {
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        if (text == NULL)
            return err_set(err, ERR_NOMEM, "attribute %s", key);
        out->v[out->n++] = (struct trial_attr){key, text};
    }
    return 0;
}

/* What is new, and the end with it. */
static int put(const struct entry *e, const struct store_end *end, struct store *s, struct err *err)
{
    AUTO(attrs_free) struct attrs system = {0};
    AUTO(attrs_free) struct attrs user = {0};
    int rc = attrs_read(&system, e->rungs, err);
    if (rc == 0)
        rc = attrs_read(&user, e->attrs, err);
    if (rc < 0)
        return rc;
    const struct store_write w = {.params = e->params,
                                  .n_params = e->n_params,
                                  .steps = e->steps,
                                  .n_steps = e->n_steps,
                                  .system_attrs = system.v,
                                  .n_system_attrs = system.n,
                                  .user_attrs = user.v,
                                  .n_user_attrs = user.n,
                                  .end = end};
    return store_trial_write(s, e->trial, &w, err);
}

int entry_put_news(const struct entry *e, struct store *s, struct err *err)
{
    return put(e, NULL, s, err);
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

/* The class of a failure and its message, and the end with them if it is one. */
static int put_failure(int64_t trial, enum fail_class class, const char *why, bool ends,
                       struct store *s, struct err *err)
{
    AUTO(buf_free) struct buf name = BUF_INIT;
    AUTO(buf_free) struct buf message = BUF_INIT;
    const struct store_end end = {.state = TRIAL_FAIL};
    json_put_string(&name, fail_class_name(class));
    json_put_string(&message, why);
    if (name.failed || message.failed)
        return err_set(err, ERR_NOMEM, "a failure");
    const struct trial_attr attrs[] = {{ATTR_CLASS, buf_str(&name)},
                                       {ATTR_MESSAGE, buf_str(&message)}};
    const struct store_write w = {.user_attrs = attrs,
                                  .n_user_attrs = class == FAIL_NONE ? 0
                                                  : why[0] != '\0'   ? 2
                                                                     : 1,
                                  .end = ends ? &end : NULL};
    return store_trial_write(s, trial, &w, err);
}

/* Writes what is left, and the end if there is one. A refusal is returned in *why. Errors: trouble.
 */
static int put_rest(const struct entry *e, const struct store_end *end, struct store *s,
                    struct err *why, struct err *err)
{
    if (why->code != ERR_NONE && why->code != ERR_FINISHED)
        return 0;
    int rc = put(e, end, s, why);
    if (rc == -ERR_BUSY || rc == -ERR_UNAVAILABLE || (rc == -ERR_FINISHED && end != NULL)) {
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
    return put_failure(trial, FAIL_STORAGE, message, true, s, err);
}

/* Why it failed, and the end, with another try where there is to be one. */
static int put_failed_end(const struct entry *e, struct store *s, struct err *err)
{
    const struct entry_end *end = e->end;
    const struct store_retry retry = {.max_retries = -1, .not_before_us = end->retry_at_us};
    int rc = put_failure(e->trial, end->fail, end->message, end->fallback == NULL && !end->retry, s,
                         err);
    if (rc == 0 && end->fallback != NULL)
        rc = requeue_fallen(s, e->trial, e->study, end->fallback, err);
    else if (rc == 0 && end->retry)
        rc = store_trial_retry(s, e->trial, &retry, NULL, NULL, err);
    return rc;
}

int entry_put_end(const struct entry *e, struct store *s, struct err *why, bool *failed,
                  struct err *err)
{
    const struct entry_end *end = e->end;
    const struct store_end good = {
        .state = end->state, .values = &end->value, .n_values = isnan(end->value) ? 0u : 1u};
    bool fails = end->state == TRIAL_FAIL;
    int rc = put_rest(e, fails ? NULL : &good, s, why, err);
    if (rc < 0)
        return rc;
    *failed = why->code != ERR_NONE && !fails;
    if (*failed)
        return put_not_stored(e->trial, why, s, err);
    if (fails)
        rc = put_failed_end(e, s, err);
    if (rc == 0 && end->state == TRIAL_COMPLETE)
        rc = put_rows(e, s, err);
    return rc == 0 ? put_training(e, s, err) : rc;
}
