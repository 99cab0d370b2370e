/* What is true for every backend's training_runs and ftf_config. */
#include "storage/ftf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "storage/backend.h"

static int check(const struct store *s, bool write, struct err *err)
{
    assert(s->owner == getpid());
    if (s->ops->ftf == NULL)
        return err_set(err, ERR_INVALID,
                       "a %s store keeps no training_runs and ftf_config: name the store behind it",
                       s->ops->scheme);
    if (write && s->read_only)
        return err_set(err, ERR_UNSUPPORTED, "the store is open for reading only");
    return 0;
}

bool store_keeps_trainings(const struct store *s)
{
    return s->ops->ftf != NULL;
}

static int check_object(const char *what, const char *json, struct err *err)
{
    if (json == NULL)
        return 0;
    AUTO_JSON json_t *j = json_read_python(json, strlen(json), NULL);
    return json_is_object(j)
               ? 0
               : err_set(err, ERR_INVALID, "%s is not a JSON object: %.80s", what, json);
}

int store_training_put(struct store *s, const struct store_training *t, struct err *err)
{
    int rc = check(s, true, err);
    if (rc == 0)
        rc = check_object("requested", t->requested, err);
    if (rc == 0)
        rc = check_object("used", t->used, err);
    return rc < 0 ? rc : s->ops->ftf->training_put(s, t, err);
}

int store_trainings_each(struct store *s, int64_t since_us, store_training_fn *fn, void *ctx,
                         struct err *err)
{
    int rc = check(s, false, err);
    return rc < 0 ? rc : s->ops->ftf->trainings_each(s, since_us, fn, ctx, err);
}

int store_results_each(struct store *s, const char *run_id, store_result_fn *fn, void *ctx,
                       struct err *err)
{
    int rc = check(s, false, err);
    return rc < 0 ? rc : s->ops->ftf->results_each(s, run_id, fn, ctx, err);
}

int store_config_get(struct store *s, struct store_config *out, struct err *err)
{
    int rc = check(s, false, err);
    return rc < 0 ? rc : s->ops->ftf->config_get(s, out, err);
}

int store_config_set(struct store *s, const struct store_config_change *c, int64_t *version,
                     struct err *err)
{
    int64_t ignored;
    int rc = check(s, true, err);
    if (rc == 0)
        rc = check_object("base_env", c->base_env, err);
    return rc < 0 ? rc : s->ops->ftf->config_set(s, c, version != NULL ? version : &ignored, err);
}

int store_config_history(struct store *s, store_config_event_fn *fn, void *ctx, struct err *err)
{
    int rc = check(s, false, err);
    return rc < 0 ? rc : s->ops->ftf->config_history(s, fn, ctx, err);
}
