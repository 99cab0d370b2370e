/* Copying the tables beside Optuna's: of all studies everything, of some what belongs to them.
 *
 * What is there already is known by hashes: which runs, by id and by id and start; which rows of
 * training_runs that have no study or number of a trial, and so no key. */
#include "storage/copy_tables.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "storage/tables.h"

/* Places of cells in a row, see tables.c. */
enum { RUN_ID = 0, RUN_CONFIG = 6, RUN_STARTED = 8 };
enum { TRAINING_STUDY = 1, TRAINING_NUMBER = 2 };
enum { CONFIG_VERSION = 2, CONFIG_CHANGED = 3 };

struct hashes {
    uint64_t *v; /* [n] */
    size_t n, cap;
};

struct taking {
    struct store *dst, *src;
    const struct store_copy_opts *opts;
    struct store_copied *out;
    struct err *err;
    enum store_table table;        /* that is being copied */
    struct hashes used;            /* ids of runs that the copied studies' rows name */
    struct hashes runs;            /* ids of runs that are copied */
    struct hashes ids, starts;     /* of runs in dst: their ids; ids with starts */
    struct hashes loose;           /* rows in dst without a key */
    char version[24], changed[40]; /* of an ftf_config */
};

static void taking_free(struct taking *t)
{
    free(t->used.v);
    free(t->runs.v);
    free(t->ids.v);
    free(t->starts.v);
    free(t->loose.v);
}

/* FNV-1a, a NULL told from an empty text. */
static uint64_t hash_cell(uint64_t h, const char *cell)
{
    h = (h ^ (cell != NULL)) * UINT64_C(1099511628211);
    for (const char *p = cell != NULL ? cell : ""; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    return h * UINT64_C(1099511628211);
}

static uint64_t hash_cells(const char *const *cells, size_t n)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < n; i++)
        h = hash_cell(h, cells[i]);
    return h;
}

static int hashes_add(struct hashes *l, uint64_t h, struct err *err)
{
    if (!array_reserve(&l->v, &l->cap, l->n + 1, sizeof(*l->v)))
        return err_set(err, ERR_NOMEM, "rows");
    l->v[l->n++] = h;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void hashes_sort(struct hashes *l)
{
    if (l->n > 0)
        qsort(l->v, l->n, sizeof(*l->v), compare);
}

/* Sorted before. */
static bool hashes_have(const struct hashes *l, uint64_t h)
{
    return l->n > 0 && bsearch(&h, l->v, l->n, sizeof(*l->v), compare) != NULL;
}

static uint64_t run_start(const char *const *cells)
{
    return hash_cells((const char *const[]){cells[RUN_ID], cells[RUN_STARTED]}, 2);
}

/* Of what both backends write alike: they have their own forms of JSON and of what is true. */
static uint64_t loose_hash(const char *const *cells)
{
    const struct table_form *form = &table_forms[STORE_TRAININGS];
    uint64_t h = 0;
    for (size_t i = 0; i < form->n; i++) {
        if (form->columns[i].kind != CELL_JSON && form->columns[i].kind != CELL_BOOL)
            h = hash_cell(h, cells[i]);
    }
    return h;
}

static bool has_key(const char *const *cells)
{
    return cells[TRAINING_STUDY] != NULL && cells[TRAINING_NUMBER] != NULL;
}

/* --- what is where before
 * --------------------------------------------------------------------------------------------- */

static int note_used(void *ctx, const char *const *cells)
{
    struct taking *t = ctx;
    return cells[RUN_ID] != NULL ? hashes_add(&t->used, hash_cells(cells, 1), t->err) : 0;
}

static int note_run_there(void *ctx, const char *const *cells)
{
    struct taking *t = ctx;
    int rc = hashes_add(&t->ids, hash_cells(cells, 1), t->err);
    return rc < 0 ? rc : hashes_add(&t->starts, run_start(cells), t->err);
}

static int note_loose(void *ctx, const char *const *cells)
{
    struct taking *t = ctx;
    return has_key(cells) ? 0 : hashes_add(&t->loose, loose_hash(cells), t->err);
}

static int look(struct taking *t)
{
    int rc = 0;
    for (size_t i = 0; i < t->opts->n_names && rc == 0; i++) {
        rc = store_rows_each(t->src, STORE_RESULTS, t->opts->names[i], note_used, t, t->err);
        if (rc == 0)
            rc = store_rows_each(t->src, STORE_TRAININGS, t->opts->names[i], note_used, t, t->err);
    }
    if (rc == 0 && store_keeps_tables(t->dst))
        rc = store_rows_each(t->dst, STORE_RUNS, NULL, note_run_there, t, t->err);
    if (rc == 0 && store_keeps_tables(t->dst) && t->opts->n_names == 0)
        rc = store_rows_each(t->dst, STORE_TRAININGS, NULL, note_loose, t, t->err);
    hashes_sort(&t->used);
    hashes_sort(&t->ids);
    hashes_sort(&t->starts);
    hashes_sort(&t->loose);
    return rc;
}

/* --- rows
 * --------------------------------------------------------------------------------------------- */

static void leave(struct taking *t, int64_t rows, const char *why)
{
    t->out->left[t->table].rows += rows;
    t->out->left[t->table].why = why;
}

static int put(struct taking *t, const char *const *cells)
{
    if (!store_keeps_tables(t->dst)) {
        leave(t, 1, "a store behind a proxy keeps no such table");
        return 0;
    }
    int rc = store_row_put(t->dst, t->table, cells, t->err);
    t->out->rows[t->table] += rc == 0;
    return rc < 0 ? err_wrap(t->err, rc, "%s", table_forms[t->table].name) : 0;
}

static bool is_wanted(const struct store_copy_opts *opts, const char *study)
{
    for (size_t i = 0; study != NULL && i < opts->n_names; i++) {
        if (strcmp(opts->names[i], study) == 0)
            return true;
    }
    return false;
}

/* Whether the run's config names a study that is copied: it may have no row of it yet. */
static bool names_study(const struct taking *t, const char *config)
{
    AUTO_JSON json_t *j = config != NULL ? json_read_python(config, strlen(config), NULL) : NULL;
    const json_t *study;
    size_t i;
    json_array_foreach(json_object_get(j, "studies"), i, study)
    {
        if (is_wanted(t->opts, json_string_value(study)))
            return true;
    }
    return false;
}

static int take_run(void *ctx, const char *const *cells)
{
    struct taking *t = ctx;
    uint64_t id = hash_cells(cells, 1);
    if (t->opts->n_names > 0 && !hashes_have(&t->used, id) && !names_study(t, cells[RUN_CONFIG]))
        return 0;
    if (hashes_have(&t->ids, id) && !hashes_have(&t->starts, run_start(cells)))
        return err_set(t->err, ERR_EXISTS,
                       "there is another run '%s' already where it is to go, begun at another time",
                       cells[RUN_ID]);
    int rc = hashes_add(&t->runs, id, t->err);
    return rc < 0 ? rc : put(t, cells);
}

/* SQLite holds none to it that a result's run is there. */
static int take_result(void *ctx, const char *const *cells)
{
    struct taking *t = ctx;
    if (hashes_have(&t->runs, hash_cells(cells, 1)))
        return put(t, cells);
    leave(t, 1, "their run is not in finetune_runs");
    return 0;
}

static int take_training(void *ctx, const char *const *cells)
{
    struct taking *t = ctx;
    if (!has_key(cells) && hashes_have(&t->loose, loose_hash(cells)))
        return 0;
    return put(t, cells);
}

/* Of all studies, or of each that is copied. */
static int take(struct taking *t, enum store_table table, int (*fn)(void *, const char *const *))
{
    t->table = table;
    int rc = t->opts->n_names == 0 ? store_rows_each(t->src, table, NULL, fn, t, t->err) : 0;
    for (size_t i = 0; i < t->opts->n_names && rc == 0; i++)
        rc = store_rows_each(t->src, table, t->opts->names[i], fn, t, t->err);
    return rc;
}

static int take_rows(struct taking *t)
{
    t->table = STORE_RUNS;
    int rc = store_rows_each(t->src, STORE_RUNS, NULL, take_run, t, t->err);
    hashes_sort(&t->runs);
    if (rc == 0)
        rc = take(t, STORE_RESULTS, take_result);
    return rc == 0 ? take(t, STORE_TRAININGS, take_training) : rc;
}

/* --- ftf_config, which is the whole store's
 * --------------------------------------------------------------------------------------------- */

static int note_config(void *ctx, const char *const *cells)
{
    struct taking *t = ctx;
    (void)snprintf(t->version, sizeof(t->version), "%s", cells[CONFIG_VERSION]);
    (void)snprintf(t->changed, sizeof(t->changed), "%s", cells[CONFIG_CHANGED]);
    return 0;
}

/* Its version and time; "" when there is none. */
static int look_config(struct taking *t, struct store *s)
{
    t->version[0] = t->changed[0] = '\0';
    return store_rows_each(s, STORE_CONFIG, NULL, note_config, t, t->err);
}

/* There is none, or nobody has changed the first values. */
static bool is_first(const struct taking *t)
{
    return t->version[0] == '\0' || strcmp(t->version, "1") == 0;
}

static int take_row(void *ctx, const char *const *cells)
{
    return put(ctx, cells);
}

static int replace(struct taking *t, enum store_table table)
{
    t->table = table;
    int rc = store_keeps_tables(t->dst) ? store_rows_clear(t->dst, table, t->err) : 0;
    return rc == 0 ? store_rows_each(t->src, table, NULL, take_row, t, t->err) : rc;
}

static int take_config(struct taking *t)
{
    t->table = STORE_CONFIG;
    int rc = look_config(t, t->src);
    if (rc < 0 || is_first(t))
        return rc;
    if (t->opts->n_names > 0) {
        leave(t, 1, "it is the whole store's, and goes with all of its studies");
        return 0;
    }
    struct taking there = {.err = t->err};
    rc = store_keeps_tables(t->dst) ? look_config(&there, t->dst) : 0;
    if (rc < 0 ||
        (strcmp(there.version, t->version) == 0 && strcmp(there.changed, t->changed) == 0))
        return rc;
    if (!is_first(&there)) {
        leave(t, 1, "there is another one where it is to go");
        return 0;
    }
    rc = replace(t, STORE_CONFIG);
    return rc == 0 ? replace(t, STORE_CONFIG_HISTORY) : rc;
}

int copy_tables(struct store *dst, struct store *src, const struct store_copy_opts *opts,
                struct store_copied *out, struct err *err)
{
    AUTO(taking_free)
    struct taking t = {.dst = dst, .src = src, .opts = opts, .out = out, .err = err};
    if (!store_keeps_tables(src)) {
        for (t.table = 0; t.table < STORE_TABLES && store_keeps_tables(dst); t.table++)
            leave(&t, 0, "a store behind a proxy does not show it");
        return 0;
    }
    int rc = look(&t);
    if (rc == 0)
        rc = take_rows(&t);
    return rc == 0 ? take_config(&t) : rc;
}
