#include "executor/requeue.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "executor/attrs.h"
#include "executor/copied.h"

/* The trial that failed, copied: a callback must not call the store. */
struct fallen {
    struct copies copies; /* one: its parameters and system attributes */
    struct trial_attr *user;
    size_t n_user;
};

static void fallen_free(struct fallen *f)
{
    copies_free(&f->copies);
    for (size_t i = 0; i < f->n_user; i++) {
        free((char *)f->user[i].key);
        free((char *)f->user[i].json);
    }
    free(f->user);
}

static bool stays_behind(const char *key)
{
    return strncmp(key, "forkless:", 9) == 0 || strcmp(key, "failed_trial") == 0 ||
           strcmp(key, "retry_history") == 0 || strcmp(key, ATTR_FALLBACK) == 0;
}

static int look(void *ctx, const struct trial *t)
{
    struct fallen *f = ctx;
    f->user = calloc(t->n_user_attrs + 1, sizeof(*f->user));
    if (f->user == NULL)
        return -ERR_NOMEM;
    for (size_t i = 0; i < t->n_user_attrs; i++) {
        const struct trial_attr *a = &t->user_attrs[i];
        if (stays_behind(a->key))
            continue;
        struct trial_attr *mine = &f->user[f->n_user++];
        *mine = (struct trial_attr){strdup(a->key), strdup(a->json)};
        if (mine->key == NULL || mine->json == NULL)
            return -ERR_NOMEM;
    }
    return copy_trial(&f->copies, t);
}

static size_t choose_params(struct trial_param *out, const struct trial *t, const json_t *values)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_params; i++) {
        const json_t *value = json_object_get(values, t->params[i].name);
        if (json_is_null(value))
            continue;
        out[n] = t->params[i];
        if (json_is_number(value))
            out[n].value = json_number_value(value);
        n++;
    }
    return n;
}

/* "failed_trial" and "retry_history", as Optuna's callback for failed trials writes them. */
static bool make_lineage(const struct trial *t, char **first, char **history)
{
    AUTO_JSON json_t *numbers = NULL;
    for (size_t i = 0; i < t->n_system_attrs; i++) {
        const struct trial_attr *a = &t->system_attrs[i];
        if (strcmp(a->key, "failed_trial") == 0)
            *first = strdup(a->json);
        else if (strcmp(a->key, "retry_history") == 0)
            numbers = json_read(a->json, strlen(a->json), NULL);
    }
    if (!json_is_array(numbers)) {
        json_decref(numbers);
        numbers = json_array();
    }
    (void)json_array_append_new(numbers, json_integer(t->number));
    *history = json_dumps(numbers, 0);
    if (*first == NULL && asprintf(first, "%" PRId64, t->number) < 0)
        *first = NULL;
    return *first != NULL && *history != NULL;
}

static int create(struct store *s, int64_t study, const struct fallen *f, const json_t *next,
                  struct err *err)
{
    const struct trial *t = &f->copies.head->t;
    AUTO_FREE char *first = NULL;
    AUTO_FREE char *history = NULL;
    AUTO_FREE char *attr = json_dumps(json_object_get(next, "attr"), 0);
    AUTO_FREE struct trial_param *params = calloc(t->n_params + 1, sizeof(*params));
    AUTO_FREE struct trial_attr *system = calloc(t->n_system_attrs + 3, sizeof(*system));
    if (!make_lineage(t, &first, &history) || attr == NULL || params == NULL || system == NULL)
        return err_set(err, ERR_NOMEM, "fallback of trial %" PRId64, t->number);
    struct trial again = {.state = TRIAL_WAITING,
                          .params = params,
                          .user_attrs = f->user,
                          .n_user_attrs = f->n_user,
                          .system_attrs = system};
    again.n_params = choose_params(params, t, json_object_get(next, "values"));
    for (size_t i = 0; i < t->n_system_attrs; i++) {
        if (!stays_behind(t->system_attrs[i].key))
            system[again.n_system_attrs++] = t->system_attrs[i];
    }
    system[again.n_system_attrs++] = (struct trial_attr){"failed_trial", first};
    system[again.n_system_attrs++] = (struct trial_attr){"retry_history", history};
    system[again.n_system_attrs++] = (struct trial_attr){ATTR_FALLBACK, attr};
    return store_trial_create(s, study, &again, NULL, NULL, err);
}

int requeue_fallen(struct store *s, int64_t trial, const char *study, const json_t *next,
                   struct err *err)
{
    AUTO(fallen_free) struct fallen f = {0};
    int64_t id = 0;
    const unsigned want = WANT_PARAMS | WANT_USER_ATTRS | WANT_SYSTEM_ATTRS;
    int rc = store_study_find(s, study, &id, err);
    if (rc == 0)
        rc = store_trial_get(s, trial, want, look, &f, err);
    if (rc == -ERR_NOMEM)
        return err_set(err, ERR_NOMEM, "fallback of trial %" PRId64, trial);
    if (rc == 0) /* first: somebody else may have ended it */
        rc = store_trial_finish(s, trial, TRIAL_FAIL, NULL, 0, err);
    return rc == 0 ? create(s, id, &f, next, err) : rc;
}
