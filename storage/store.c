/* What is true for every backend: argument checks, then the backend's operation. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "storage/module.h"
#include "storage/sqlite/sqlite.h"

enum { NAME_MAX_CHARS = 512 }; /* VARCHAR(512): SQLite does not enforce it, PostgreSQL does */

static void check_owner(const struct store *s)
{
    assert(s->owner == getpid());
}

static int check_write(const struct store *s, struct err *err)
{
    check_owner(s);
    if (s->read_only)
        return err_set(err, ERR_UNSUPPORTED, "the store is open for reading only");
    return 0;
}

static int check_name(const char *what, const char *name, struct err *err)
{
    size_t chars = 0;
    size_t n = strlen(name);
    for (size_t i = 0; i < n; chars++) {
        size_t len = text_utf8_len(name + i, n - i);
        if (len == 0)
            return err_set(err, ERR_INVALID, "%s is not UTF-8 at byte %zu", what, i);
        i += len;
    }
    if (chars > NAME_MAX_CHARS)
        return err_set(err, ERR_INVALID, "%s has %zu characters, at most %d are possible: %.40s…",
                       what, chars, NAME_MAX_CHARS, name);
    return 0;
}

static int check_json(const char *key, const char *json, struct err *err)
{
    if (!json_check(json, strlen(json)))
        return err_set(err, ERR_INVALID, "value of '%s' is not JSON: %.80s", key, json);
    return 0;
}

static int check_attrs(const struct trial_attr *attrs, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        int rc = check_name("an attribute's key", attrs[i].key, err);
        if (rc == 0)
            rc = check_json(attrs[i].key, attrs[i].json, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_params(const struct trial_param *params, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        int rc = check_name("a parameter's name", params[i].name, err);
        if (rc < 0)
            return rc;
        if (isnan(params[i].value))
            return err_set(err, ERR_INVALID, "parameter '%s' has no value", params[i].name);
        if (params[i].dist->kind == DIST_CHOICE && !dist_contains(params[i].dist, params[i].value))
            return err_set(err, ERR_INVALID, "parameter '%s' has no choice number %g",
                           params[i].name, params[i].value);
    }
    return 0;
}

static int check_values(enum trial_state state, const double *values, size_t n, struct err *err)
{
    if (n > 0 && state != TRIAL_COMPLETE && state != TRIAL_PRUNED)
        return err_set(err, ERR_INVALID, "a %s trial has no values", trial_state_name(state));
    for (size_t i = 0; i < n; i++) {
        if (isnan(values[i]))
            return err_set(err, ERR_INVALID, "objective %zu is NaN: the trial has failed", i);
    }
    return 0;
}

static int check_directions(const enum direction *directions, size_t n, struct err *err)
{
    if (n == 0)
        return err_set(err, ERR_INVALID, "a study needs a direction");
    for (size_t i = 0; i < n; i++)
        assert(directions[i] == DIRECTION_MINIMIZE || directions[i] == DIRECTION_MAXIMIZE);
    return 0;
}

/* Backends by the scheme of their urls. A module is loaded when it is asked for. */
static const struct {
    const char *scheme;
    store_open_fn *open; /* NULL: the module's */
    const char *module;
} backends[] = {
    {"sqlite", store_sqlite_open, NULL},
    {"postgresql", NULL, "postgresql"},
    {"postgres", NULL, "postgresql"},
    {"grpc", NULL, "grpc"},
    {"grpcs", NULL, "grpc"},
};

int store_open(struct store **out, const char *url, const struct store_opts *opts, struct err *err)
{
    static const struct store_opts defaults = {0};
    const char *sep = strstr(url, "://");
    if (opts == NULL)
        opts = &defaults;
    if (sep == NULL)
        return store_sqlite_open(out, url, opts, err);
    size_t n = strcspn(url, "+:"); /* SQLAlchemy writes its driver behind a plus sign */
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        if (strncmp(backends[i].scheme, url, n) != 0 || backends[i].scheme[n] != '\0')
            continue;
        return backends[i].open != NULL ? backends[i].open(out, url, opts, err)
                                        : module_open(out, backends[i].module, url, opts, err);
    }
    /* the rest of the url may hold a password */
    return err_set(err, ERR_INVALID,
                   "storage '%.*s://…': only sqlite:///study.db, a path, memory:, "
                   "postgresql://HOST/NAME or grpc://HOST:PORT are supported",
                   (int)(sep - url), url);
}

void store_destroy(struct store *s)
{
    if (s == NULL)
        return;
    check_owner(s);
    s->ops->destroy(s);
}

bool store_in_memory(const struct store *s)
{
    return s->in_memory;
}

bool store_is_private(const struct store *s)
{
    return s->is_private;
}

int store_begin(struct store *s, struct err *err)
{
    int rc = check_write(s, err);
    return rc < 0 ? rc : s->ops->begin(s, err);
}

int store_commit(struct store *s, bool durable, struct err *err)
{
    int rc = check_write(s, err);
    return rc < 0 ? rc : s->ops->commit(s, durable, err);
}

int store_sync(struct store *s, struct err *err)
{
    int rc = check_write(s, err);
    return rc < 0 ? rc : s->ops->sync(s, err);
}

void store_rollback(struct store *s)
{
    check_owner(s);
    s->ops->rollback(s);
}

int store_study_create(struct store *s, const char *name, const enum direction *directions,
                       size_t n_directions, int64_t *study, struct err *err)
{
    int rc = check_write(s, err);
    if (rc == 0)
        rc = check_name("the study's name", name, err);
    if (rc == 0)
        rc = check_directions(directions, n_directions, err);
    return rc < 0 ? rc : s->ops->study_create(s, name, directions, n_directions, study, err);
}

int store_study_find(struct store *s, const char *name, int64_t *study, struct err *err)
{
    check_owner(s);
    return s->ops->study_find(s, name, study, err);
}

static const char *direction_name(enum direction d)
{
    return d == DIRECTION_MAXIMIZE ? "maximize" : "minimize";
}

/* The study exists: are its directions the wanted ones? */
static int check_same_directions(struct store *s, const char *name, int64_t study,
                                 const enum direction *wanted, size_t n_wanted, struct err *err)
{
    size_t n = n_wanted;
    AUTO_FREE enum direction *there = calloc(n_wanted, sizeof(*there));
    if (there == NULL)
        return err_set(err, ERR_NOMEM, "directions of study '%s'", name);
    int rc = s->ops->study_directions(s, study, there, &n, err);
    if (rc < 0)
        return rc;
    if (n != n_wanted)
        return err_set(err, ERR_CONFLICT,
                       "study '%s' exists with %zu objective%s, not %zu: choose another name", name,
                       n, n == 1 ? "" : "s", n_wanted);
    for (size_t i = 0; i < n; i++) {
        if (there[i] != wanted[i])
            return err_set(err, ERR_CONFLICT,
                           "study '%s' exists and is to %s objective %zu, not to %s it: choose "
                           "another name or direction",
                           name, direction_name(there[i]), i, direction_name(wanted[i]));
    }
    return 0;
}

int store_study_open(struct store *s, const char *name, const enum direction *directions,
                     size_t n_directions, int64_t *study, struct err *err)
{
    int64_t id = 0;
    int rc = store_study_find(s, name, &id, err);
    if (rc == -ERR_NOTFOUND)
        rc = store_study_create(s, name, directions, n_directions, &id, err);
    if (rc == -ERR_EXISTS) /* another process created it in between */
        rc = store_study_find(s, name, &id, err);
    if (rc == 0)
        rc = check_same_directions(s, name, id, directions, n_directions, err);
    if (rc == 0)
        *study = id;
    return rc;
}

int store_studies_each(struct store *s, store_study_fn *fn, void *ctx, struct err *err)
{
    check_owner(s);
    return s->ops->studies_each(s, fn, ctx, err);
}

int store_studies_look(struct store *s, store_study_fn *fn, void *ctx, struct err *err)
{
    check_owner(s);
    return s->ops->study_look(s, NULL, fn, ctx, err);
}

int store_study_look(struct store *s, int64_t study, store_study_fn *fn, void *ctx, struct err *err)
{
    check_owner(s);
    return s->ops->study_look(s, &study, fn, ctx, err);
}

int store_study_delete(struct store *s, int64_t study, struct err *err)
{
    int rc = check_write(s, err);
    return rc < 0 ? rc : s->ops->study_delete(s, study, err);
}

int store_study_attr_set(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                         const char *json, struct err *err)
{
    const struct trial_attr attr = {.key = key, .json = json};
    int rc = check_write(s, err);
    if (rc == 0)
        rc = check_attrs(&attr, 1, err);
    return rc < 0 ? rc : s->ops->study_attr_set(s, study, kind, key, json, err);
}

int store_study_attr_get(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                         char **json, struct err *err)
{
    check_owner(s);
    return s->ops->study_attr_get(s, study, kind, key, json, err);
}

int store_study_attrs_each(struct store *s, int64_t study, enum attr_kind kind, store_attr_fn *fn,
                           void *ctx, struct err *err)
{
    check_owner(s);
    return s->ops->study_attrs_each(s, study, kind, fn, ctx, err);
}

int store_study_counts(struct store *s, int64_t study, int64_t counts[static TRIAL_STATES],
                       struct err *err)
{
    check_owner(s);
    return s->ops->study_counts(s, study, counts, err);
}

/* Both or none. */
static void ask_for_ids(const struct store *s, int64_t **id, int64_t **number,
                        int64_t ignored[static 2])
{
    if (s->ops->ids_optional && *id == NULL && *number == NULL)
        return;
    *id = *id != NULL ? *id : &ignored[0];
    *number = *number != NULL ? *number : &ignored[1];
}

int store_trial_create(struct store *s, int64_t study, const struct trial *tmpl, int64_t *id,
                       int64_t *number, struct err *err)
{
    int64_t ignored[2];
    int rc = check_write(s, err);
    if (rc == 0 && tmpl != NULL) {
        rc = check_values(tmpl->state, tmpl->values, tmpl->n_values, err);
        if (rc == 0)
            rc = check_params(tmpl->params, tmpl->n_params, err);
        if (rc == 0)
            rc = check_attrs(tmpl->user_attrs, tmpl->n_user_attrs, err);
        if (rc == 0)
            rc = check_attrs(tmpl->system_attrs, tmpl->n_system_attrs, err);
    }
    if (rc < 0)
        return rc;
    ask_for_ids(s, &id, &number, ignored);
    return s->ops->trial_create(s, study, tmpl, id, number, err);
}

int store_trial_claim(struct store *s, int64_t study, const struct store_claim_opts *opts,
                      struct store_claim *out, struct err *err)
{
    int rc = check_write(s, err);
    if (rc == 0 && opts->owner != NULL)
        rc = check_name("the owner", opts->owner, err);
    return rc < 0 ? rc : s->ops->trial_claim(s, study, opts, out, err);
}

int store_trial_params(struct store *s, int64_t trial, const struct trial_param *params, size_t n,
                       struct err *err)
{
    int rc = check_write(s, err);
    if (rc == 0)
        rc = check_params(params, n, err);
    return rc < 0 ? rc : s->ops->trial_params(s, trial, params, n, err);
}

int store_trial_steps(struct store *s, int64_t trial, const struct trial_step *steps, size_t n,
                      struct err *err)
{
    int rc = check_write(s, err);
    return rc < 0 ? rc : s->ops->trial_steps(s, trial, steps, n, false, err);
}

int store_trial_steps_set(struct store *s, int64_t trial, const struct trial_step *steps, size_t n,
                          struct err *err)
{
    int rc = check_write(s, err);
    return rc < 0 ? rc : s->ops->trial_steps(s, trial, steps, n, true, err);
}

int store_trial_attrs(struct store *s, int64_t trial, enum attr_kind kind,
                      const struct trial_attr *attrs, size_t n, struct err *err)
{
    int rc = check_write(s, err);
    if (rc == 0)
        rc = check_attrs(attrs, n, err);
    return rc < 0 ? rc : s->ops->trial_attrs(s, trial, kind, attrs, n, err);
}

static int check_end(enum trial_state state, const double *values, size_t n, struct err *err)
{
    if (!trial_state_finished(state))
        return err_set(err, ERR_INVALID, "a trial cannot end as %s", trial_state_name(state));
    return check_values(state, values, n, err);
}

int store_trial_finish(struct store *s, int64_t trial, enum trial_state state, const double *values,
                       size_t n_values, struct err *err)
{
    int rc = check_write(s, err);
    if (rc == 0)
        rc = check_end(state, values, n_values, err);
    return rc < 0 ? rc : s->ops->trial_finish(s, trial, state, values, n_values, err);
}

int store_trial_write(struct store *s, int64_t trial, const struct store_write *w, struct err *err)
{
    int rc = check_write(s, err);
    if (rc == 0)
        rc = check_params(w->params, w->n_params, err);
    if (rc == 0)
        rc = check_attrs(w->system_attrs, w->n_system_attrs, err);
    if (rc == 0)
        rc = check_attrs(w->user_attrs, w->n_user_attrs, err);
    if (rc == 0 && w->end != NULL)
        rc = check_end(w->end->state, w->end->values, w->end->n_values, err);
    if (rc < 0)
        return rc;
    return s->ops->trial_write != NULL ? s->ops->trial_write(s, trial, w, err)
                                       : backend_write_parts(s, trial, w, err);
}

int store_trial_state(struct store *s, int64_t trial, enum trial_state state, const double *values,
                      size_t n_values, bool *changed, struct err *err)
{
    bool yes = true;
    int rc = check_write(s, err);
    if (rc == 0)
        rc = check_values(state, values, n_values, err);
    if (rc == 0)
        rc = trial_state_finished(state)
                 ? s->ops->trial_finish(s, trial, state, values, n_values, err)
                 : s->ops->trial_state(s, trial, state, &yes, err);
    if (rc == 0 && changed != NULL)
        *changed = yes;
    return rc;
}

int store_trial_retry(struct store *s, int64_t trial, const struct store_retry *retry,
                      int64_t *retry_id, int64_t *retry_number, struct err *err)
{
    int64_t ignored[2];
    int rc = check_write(s, err);
    if (rc < 0)
        return rc;
    ask_for_ids(s, &retry_id, &retry_number, ignored);
    return s->ops->trial_retry(s, trial, retry, retry_id, retry_number, err);
}

int store_heartbeat(struct store *s, const int64_t *trials, size_t n, struct err *err)
{
    int rc = check_write(s, err);
    return rc < 0 ? rc : s->ops->heartbeat(s, trials, n, err);
}

int store_running_each(struct store *s, int64_t study, store_running_fn *fn, void *ctx,
                       struct err *err)
{
    check_owner(s);
    return s->ops->running_each(s, study, fn, ctx, err);
}

int store_trials_each(struct store *s, int64_t study, const struct store_each_opts *opts,
                      store_trial_fn *fn, void *ctx, struct err *err)
{
    check_owner(s);
    return s->ops->trials_each(s, study, opts, fn, ctx, err);
}

int store_trial_get(struct store *s, int64_t trial, unsigned want, store_trial_fn *fn, void *ctx,
                    struct err *err)
{
    check_owner(s);
    return s->ops->trial_get(s, trial, want, fn, ctx, err);
}

int store_trial_look(struct store *s, int64_t trial, struct trial_head *out, struct err *err)
{
    check_owner(s);
    return s->ops->trial_look(s, trial, out, err);
}

int store_trial_find(struct store *s, int64_t study, int64_t number, int64_t *trial,
                     struct err *err)
{
    check_owner(s);
    return s->ops->trial_find(s, study, number, trial, err);
}

int store_trials_sync(struct store *s, int64_t study, unsigned want, store_trial_fn *fn, void *ctx,
                      struct err *err)
{
    check_owner(s);
    return s->ops->trials_sync(s, study, want, fn, ctx, err);
}

int store_run_start(struct store *s, const struct store_run *run, struct err *err)
{
    int rc = check_write(s, err);
    if (rc == 0)
        rc = check_json("config", run->config, err);
    return rc < 0 ? rc : s->ops->run_start(s, run, err);
}

int store_run_end(struct store *s, const char *run_id, const char *status, struct err *err)
{
    int rc = check_write(s, err);
    return rc < 0 ? rc : s->ops->run_end(s, run_id, status, err);
}

int store_runs_each(struct store *s, store_run_fn *fn, void *ctx, struct err *err)
{
    check_owner(s);
    return s->ops->runs_each(s, fn, ctx, err);
}

int store_results_put(struct store *s, const struct store_result *rows, size_t n, struct err *err)
{
    int rc = check_write(s, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (rows[i].params != NULL)
            rc = check_json("params", rows[i].params, err);
        if (rc == 0 && rows[i].metrics != NULL)
            rc = check_json("metrics", rows[i].metrics, err);
    }
    return rc < 0 ? rc : s->ops->results_put(s, rows, n, err);
}

int store_results_count(struct store *s, const char *run_id, const char *study, const char *status,
                        int64_t *n, struct err *err)
{
    check_owner(s);
    return s->ops->results_count(s, run_id, study, status, n, err);
}
