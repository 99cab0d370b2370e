/* Runs and result rows, as attributes of the studies that they belong to: the protocol reaches no
 * other table. A run stands in each study that it works on. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/json.h"
#include "storage/grpc/client/client.h"

/* Each study's id; in an array of the caller. */
struct ids {
    int64_t *v;
    size_t n, cap;
};

static void ids_free(struct ids *l)
{
    free(l->v);
}

static int note_id(void *ctx, const struct study_info *info)
{
    struct ids *l = ctx;
    if (!array_reserve(&l->v, &l->cap, l->n + 1, sizeof(l->v[0])))
        return -ERR_NOMEM;
    l->v[l->n++] = info->id;
    return 0;
}

/* ---- runs ---- */

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "a run's row");
}

/* The row of a run as JSON, owned; NULL when out of memory. */
static char *run_text(const struct store_run *run)
{
    AUTO_JSON json_t *row =
        json_pack("{s:s, s:s, s:s*, s:s, s:I, s:I}", "run_id", run->run_id, "status", run->status,
                  "dag_id", run->dag_id, "config", run->config, "started_us",
                  (json_int_t)run->started_us, "ended_us", (json_int_t)run->ended_us);
    return row != NULL ? json_dumps(row, 0) : NULL;
}

static bool read_run(const char *text, json_t **row, struct store_run *run)
{
    json_int_t started = 0, ended = 0;
    *row = json_read(text, strlen(text), NULL);
    if (*row == NULL || json_unpack(*row, "{s:s, s:s, s?s, s:s, s:I, s:I}", "run_id", &run->run_id,
                                    "status", &run->status, "dag_id", &run->dag_id, "config",
                                    &run->config, "started_us", &started, "ended_us", &ended) != 0)
        return false;
    run->started_us = started;
    run->ended_us = ended;
    return true;
}

int grpc_run_start(struct store *s, const struct store_run *run, struct err *err)
{
    struct store_grpc *g = SELF(s);
    const struct store_run row = {.run_id = run->run_id,
                                  .status = "running",
                                  .config = run->config,
                                  .dag_id = run->dag_id,
                                  .started_us = clock_utc_us()};
    AUTO_FREE char *id = strdup(run->run_id);
    AUTO_FREE char *text = run_text(&row);
    if (id == NULL || text == NULL)
        return no_memory(err);
    free(g->run_id);
    free(g->run_row);
    g->run_id = TAKE(id);
    g->run_row = TAKE(text);
    for (size_t i = 0; i < g->n_mirrors; i++)
        g->mirrors[i]->run_noted = false;
    return 0;
}

static int put_run(struct store_grpc *g, int64_t study, const struct store_run *run,
                   struct err *err)
{
    AUTO_FREE char *key = NULL;
    AUTO_FREE char *text = run_text(run);
    if (text == NULL || asprintf(&key, ATTR_RUN "%s", run->run_id) < 0)
        return no_memory(err);
    return grpc_study_attr_set(&g->base, study, ATTR_SYSTEM, key, text, err);
}

/* A run that is continued keeps the time when it began. */
int run_note(struct store_grpc *g, struct mirror *m, struct err *err)
{
    AUTO_FREE char *key = NULL;
    AUTO_FREE char *there = NULL;
    AUTO_JSON json_t *ours = NULL;
    AUTO_JSON json_t *before = NULL;
    struct store_run run = {0}, old = {0};
    if (g->run_id == NULL || m->run_noted)
        return 0;
    if (!read_run(g->run_row, &ours, &run) || asprintf(&key, ATTR_RUN "%s", g->run_id) < 0)
        return no_memory(err);
    int rc = grpc_study_attr_get(&g->base, m->study, ATTR_SYSTEM, key, &there, err);
    if (rc < 0 && rc != -ERR_NOTFOUND)
        return rc;
    if (rc == 0 && read_run(there, &before, &old)) {
        run.started_us = old.started_us;
        run.dag_id = run.dag_id != NULL ? run.dag_id : old.dag_id;
    }
    rc = put_run(g, m->study, &run, err);
    m->run_noted = rc == 0;
    return rc;
}

/* Calls fn for each study's row of each run. */
struct run_walk {
    int (*fn)(void *ctx, int64_t study, const struct store_run *run);
    void *ctx;
    int64_t study;
};

static int walk_run(void *ctx, const struct trial_attr *attr)
{
    struct run_walk *w = ctx;
    AUTO_JSON json_t *row = NULL;
    struct store_run run = {0};
    if (strncmp(attr->key, ATTR_RUN, sizeof(ATTR_RUN) - 1) != 0 ||
        !read_run(attr->json, &row, &run))
        return 0;
    return w->fn(w->ctx, w->study, &run);
}

static int walk_runs(struct store *s, struct run_walk *w, struct err *err)
{
    AUTO(ids_free) struct ids l = {0};
    int rc = grpc_study_look(s, NULL, note_id, &l, err);
    for (size_t i = 0; i < l.n && rc == 0; i++) {
        w->study = l.v[i];
        rc = grpc_study_attrs_each(s, l.v[i], ATTR_SYSTEM, walk_run, w, err);
        rc = rc == -ERR_NOTFOUND ? 0 : rc;
    }
    return rc;
}

/* Rows that were found, kept until the calls are over. */
struct found_runs {
    struct found_run {
        int64_t study;
        json_t *row;
        struct store_run run;
    } * v;
    size_t n, cap;
    const char *only; /* run_id; NULL: all */
    bool once;        /* each run, not each study's row of it */
};

static void found_free(struct found_runs *l)
{
    for (size_t i = 0; i < l->n; i++)
        json_decref(l->v[i].row);
    free(l->v);
}

static int keep_run(void *ctx, int64_t study, const struct store_run *run)
{
    struct found_runs *l = ctx;
    if (l->only != NULL && strcmp(l->only, run->run_id) != 0)
        return 0;
    for (size_t i = 0; i < l->n && l->once; i++) {
        if (strcmp(l->v[i].run.run_id, run->run_id) == 0)
            return 0;
    }
    AUTO_FREE char *text = run_text(run);
    if (text == NULL || !array_reserve(&l->v, &l->cap, l->n + 1, sizeof(l->v[0])))
        return -ERR_NOMEM;
    struct found_run *f = &l->v[l->n];
    *f = (struct found_run){.study = study};
    if (!read_run(text, &f->row, &f->run))
        return -ERR_NOMEM;
    l->n++;
    return 0;
}

int grpc_run_end(struct store *s, const char *run_id, const char *status, struct err *err)
{
    struct store_grpc *g = SELF(s);
    AUTO(found_free) struct found_runs l = {.only = run_id};
    struct run_walk w = {.fn = keep_run, .ctx = &l};
    bool ours = g->run_id != NULL && strcmp(g->run_id, run_id) == 0;
    int rc = walk_runs(s, &w, err);
    for (size_t i = 0; i < l.n && rc == 0; i++) {
        l.v[i].run.status = status;
        l.v[i].run.ended_us = clock_utc_us();
        rc = put_run(g, l.v[i].study, &l.v[i].run, err);
    }
    return rc == 0 && l.n == 0 && !ours
               ? err_set(err, ERR_NOTFOUND, "there is no run '%s' in %s", run_id, g->target)
               : rc;
}

static int by_start(const void *a, const void *b)
{
    const struct found_run *x = a, *y = b;
    if (x->run.started_us != y->run.started_us)
        return x->run.started_us < y->run.started_us ? -1 : 1;
    return strcmp(x->run.run_id, y->run.run_id);
}

int grpc_runs_each(struct store *s, store_run_fn *fn, void *ctx, struct err *err)
{
    AUTO(found_free) struct found_runs l = {.once = true};
    struct run_walk w = {.fn = keep_run, .ctx = &l};
    int rc = walk_runs(s, &w, err);
    if (l.n > 0)
        qsort(l.v, l.n, sizeof(l.v[0]), by_start);
    for (size_t i = 0; i < l.n && rc == 0; i++)
        rc = fn(ctx, &l.v[i].run);
    return rc;
}

/* ---- rows ---- */

static json_t *text_or_empty(const char *text)
{
    return text != NULL ? json_read_python(text, strlen(text), NULL) : json_object();
}

static char *row_text(const struct store_result *r)
{
    char now[CLOCK_TEXT_MAX];
    AUTO_JSON json_t *objective = isfinite(r->objective) ? json_real(r->objective) : json_null();
    AUTO_JSON json_t *params = text_or_empty(r->params);
    AUTO_JSON json_t *metrics = text_or_empty(r->metrics);
    AUTO_JSON json_t *buys = r->buy_trades >= 0 ? json_integer(r->buy_trades) : json_null();
    AUTO_JSON json_t *row =
        json_pack("{s:s, s:s, s:I, s:s?, s:s?, s:I, s:O, s:s, s:O, s:O, s:O, s:s}", "run_id",
                  r->run_id, "variant", r->variant != NULL ? r->variant : "", "fold",
                  (json_int_t)r->fold, "crypto_symbol", r->crypto_symbol, "factor", r->factor,
                  "trial_number", (json_int_t)r->trial_number, "objective", objective, "run_status",
                  r->run_status, "params", params, "metrics", metrics, "buy_trades", buys,
                  "created_at", clock_sql(clock_utc_us(), now));
    return row != NULL ? json_dumps(row, 0) : NULL;
}

/* Whether the stored row gives way, as in the tables of the other backends. */
static bool gives_way(const char *stored, const struct store_result *r)
{
    AUTO_JSON json_t *row = json_read(stored, strlen(stored), NULL);
    const json_t *objective = json_object_get(row, "objective");
    if (json_integer_value(json_object_get(row, "trial_number")) == r->trial_number)
        return true;
    if (!isfinite(r->objective))
        return false;
    double there = json_number_value(objective);
    return !json_is_number(objective) ||
           (r->direction == DIRECTION_MAXIMIZE ? r->objective > there : r->objective < there);
}

static int put_result(struct store_grpc *g, const struct store_result *r, struct err *err)
{
    int64_t study = 0;
    AUTO_FREE char *key = NULL;
    AUTO_FREE char *there = NULL;
    AUTO_FREE char *text = row_text(r);
    if (g->run_id == NULL || strcmp(g->run_id, r->run_id) != 0)
        return err_set(err, ERR_NOTFOUND, "the run '%s' was not begun here", r->run_id);
    if (text == NULL || asprintf(&key, ATTR_ROW "%s/%s/%lld", r->run_id,
                                 r->variant != NULL ? r->variant : "", (long long)r->fold) < 0)
        return err_set(err, ERR_NOMEM, "a row of results");
    int rc = grpc_study_find(&g->base, r->study, &study, err);
    struct mirror *m = rc == 0 ? mirror_of(g, study) : NULL;
    if (rc == 0)
        rc = m == NULL ? err_set(err, ERR_NOMEM, "a row of results") : run_note(g, m, err);
    if (rc < 0)
        return rc;
    rc = grpc_study_attr_get(&g->base, study, ATTR_USER, key, &there, err);
    if (rc == 0 && !gives_way(there, r))
        return 0;
    return rc == 0 || rc == -ERR_NOTFOUND
               ? grpc_study_attr_set(&g->base, study, ATTR_USER, key, text, err)
               : rc;
}

int grpc_results_put(struct store *s, const struct store_result *rows, size_t n, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = put_result(SELF(s), &rows[i], err);
    return rc;
}

struct row_count {
    const char *run_id, *status;
    int64_t n;
};

static int count_row(void *ctx, const struct trial_attr *attr)
{
    struct row_count *c = ctx;
    const char *run_id = NULL, *status = NULL;
    if (strncmp(attr->key, ATTR_ROW, sizeof(ATTR_ROW) - 1) != 0)
        return 0;
    AUTO_JSON json_t *row = json_read(attr->json, strlen(attr->json), NULL);
    if (json_unpack(row, "{s:s, s:s}", "run_id", &run_id, "run_status", &status) == 0)
        c->n += (c->run_id == NULL || strcmp(c->run_id, run_id) == 0) &&
                (c->status == NULL || strcmp(c->status, status) == 0);
    return 0;
}

int grpc_results_count(struct store *s, const char *run_id, const char *study, const char *status,
                       int64_t *n, struct err *err)
{
    AUTO(ids_free) struct ids l = {0};
    struct row_count c = {.run_id = run_id, .status = status};
    int64_t one = 0;
    int rc = study != NULL ? grpc_study_find(s, study, &one, err)
                           : grpc_study_look(s, NULL, note_id, &l, err);
    const int64_t *ids = study != NULL ? &one : l.v;
    size_t n_ids = study != NULL ? 1 : l.n;
    for (size_t i = 0; i < n_ids && rc == 0; i++) {
        rc = grpc_study_attrs_each(s, ids[i], ATTR_USER, count_row, &c, err);
        rc = rc == -ERR_NOTFOUND ? 0 : rc;
    }
    if (rc == -ERR_NOTFOUND) /* no study, no rows */
        rc = 0;
    if (rc == 0)
        *n = c.n;
    return rc;
}
