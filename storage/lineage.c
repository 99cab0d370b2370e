#include "storage/lineage.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

void lineage_free(struct lineage *l)
{
    free(l->user);
    free(l->system);
    buf_free(&l->history);
}

const char *lineage_attr(const struct trial *t, const char *key)
{
    for (size_t i = 0; i < t->n_system_attrs; i++) {
        if (strcmp(t->system_attrs[i].key, key) == 0)
            return t->system_attrs[i].json;
    }
    return NULL;
}

/* Fills history and first; *retries: so far. */
static int read_history(struct lineage *l, const struct trial *t, size_t *retries, struct err *err)
{
    const char *history = lineage_attr(t, "retry_history");
    const char *first = lineage_attr(t, "failed_trial");
    AUTO_JSON json_t *list =
        history != NULL ? json_read(history, strlen(history), err) : json_array();
    if (!json_is_array(list))
        return err_set(err, ERR_CORRUPT, "trial %" PRId64 ": retry_history is no list: %.60s",
                       t->number, history != NULL ? history : "out of memory");
    buf_putc(&l->history, '[');
    for (size_t i = 0; i < json_array_size(list); i++)
        buf_printf(&l->history, "%lld, ", (long long)json_integer_value(json_array_get(list, i)));
    buf_printf(&l->history, "%" PRId64 "]", t->number);
    if (l->history.failed)
        return err_set(err, ERR_NOMEM, "trial %" PRId64 ": retry_history", t->number);
    (void)snprintf(l->first, sizeof(l->first), "%" PRId64, t->number);
    if (first != NULL)
        (void)snprintf(l->first, sizeof(l->first), "%s", first);
    *retries = json_array_size(list);
    return 0;
}

/* Ours, or about to be written anew: not for the clone. */
static bool stays_behind(const char *key)
{
    return strncmp(key, "forkless:", strlen("forkless:")) == 0 ||
           strcmp(key, "failed_trial") == 0 || strcmp(key, "retry_history") == 0;
}

static size_t copy_attrs(struct trial_attr *out, const struct trial_attr *attrs, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!stays_behind(attrs[i].key))
            out[kept++] = attrs[i];
    }
    return kept;
}

int lineage_clone(struct lineage *l, const struct trial *t, const struct store_retry *retry,
                  struct err *err)
{
    size_t retries = 0;
    int rc = read_history(l, t, &retries, err);
    if (rc < 0 || (retry->max_retries >= 0 && retries >= (size_t)retry->max_retries))
        return rc;
    l->user = calloc(t->n_user_attrs + 1, sizeof(*l->user));
    l->system = calloc(t->n_system_attrs + 3, sizeof(*l->system));
    if (l->user == NULL || l->system == NULL)
        return err_set(err, ERR_NOMEM, "retry of trial %" PRId64, t->number);
    struct trial *clone = &l->clone;
    *clone = (struct trial){.state = TRIAL_WAITING,
                            .params = t->params,
                            .n_params = t->n_params,
                            .user_attrs = l->user,
                            .system_attrs = l->system};
    clone->n_user_attrs = copy_attrs(l->user, t->user_attrs, t->n_user_attrs);
    clone->n_system_attrs = copy_attrs(l->system, t->system_attrs, t->n_system_attrs);
    l->system[clone->n_system_attrs++] = (struct trial_attr){"failed_trial", l->first};
    l->system[clone->n_system_attrs++] = (struct trial_attr){"retry_history", buf_str(&l->history)};
    if (retry->not_before_us > 0) {
        (void)snprintf(l->due, sizeof(l->due), "%" PRId64 ".%06" PRId64,
                       retry->not_before_us / 1000000, retry->not_before_us % 1000000);
        l->system[clone->n_system_attrs++] = (struct trial_attr){STORE_ATTR_NOT_BEFORE, l->due};
    }
    return 1;
}
