#include <stdlib.h>
#include <string.h>

#include "storage/sqlite/index.h"
#include "storage/sqlite/sqlite.h"

#define SELF(s) CONTAINER_OF(s, struct store_sqlite, base)

static int find(struct store_sqlite *q, const char *name, int64_t *study, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_STUDY_FIND, &st, err);
    if (rc < 0)
        return rc;
    sql_bind_text(st, 1, name);
    rc = sql_int(q, st, study, err);
    if (rc == 0)
        return err_set(err, ERR_NOTFOUND, "there is no study '%s' in %s", name, q->path);
    return rc < 0 ? rc : 0;
}

int sqlite_study_find(struct store *s, const char *name, int64_t *study, struct err *err)
{
    return find(SELF(s), name, study, err);
}

int study_insert(struct store_sqlite *q, const char *name, const enum direction *directions,
                 size_t n_directions, int64_t *study, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int64_t id;
    int rc = find(q, name, &id, NULL);
    if (rc == 0)
        return err_set(err, ERR_EXISTS, "there is already a study '%s' in %s", name, q->path);
    if (rc == -ERR_NOTFOUND)
        rc = sql_get(q, SQL_STUDY_INSERT, &st, err);
    if (rc < 0)
        return rc;
    sql_bind_text(st, 1, name);
    if (*study != 0)
        (void)sqlite3_bind_int64(st, 2, *study);
    rc = sql_step(q, st, err);
    id = sqlite3_last_insert_rowid(q->db);
    for (size_t i = 0; i < n_directions && rc == 0; i++) {
        AUTO_RESET sqlite3_stmt *row = NULL;
        rc = sql_get(q, SQL_STUDY_DIRECTION_INSERT, &row, err);
        if (rc < 0)
            return rc;
        sql_bind_text(row, 1, directions[i] == DIRECTION_MAXIMIZE ? "MAXIMIZE" : "MINIMIZE");
        (void)sqlite3_bind_int64(row, 2, id);
        (void)sqlite3_bind_int64(row, 3, (int64_t)i);
        rc = sql_step(q, row, err);
    }
    if (rc == 0)
        *study = id;
    return rc;
}

int sqlite_study_create(struct store *s, const char *name, const enum direction *directions,
                        size_t n_directions, int64_t *study, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int64_t id = 0;
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    rc = tx_leave(q, study_insert(q, name, directions, n_directions, &id, err), err);
    if (rc == 0)
        *study = id;
    return rc;
}

int sqlite_study_directions(struct store *s, int64_t study, enum direction *directions,
                            size_t *n_directions, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    AUTO_RESET sqlite3_stmt *st = NULL;
    size_t n = 0;
    int rc = sql_get(q, SQL_STUDY_DIRECTIONS, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, study);
    for (; (rc = sql_step(q, st, err)) == 1; n++) {
        bool up = strcmp(sql_text(st, 0), "MAXIMIZE") == 0;
        if (n < *n_directions)
            directions[n] = up ? DIRECTION_MAXIMIZE : DIRECTION_MINIMIZE;
    }
    if (rc == 0)
        *n_directions = n;
    return rc;
}

static int no_study(int64_t study, struct err *err)
{
    return err_set(err, ERR_NOTFOUND, "there is no study with id %lld", (long long)study);
}

int study_check(struct store_sqlite *q, int64_t study, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_STUDY_NAME, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, study);
    rc = sql_step(q, st, err);
    return rc == 0 ? no_study(study, err) : rc < 0 ? rc : 0;
}

static int summarise(struct store_sqlite *q, struct study_info *info, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_STUDY_SUMMARY, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, info->id);
    while ((rc = sql_step(q, st, err)) == 1) {
        enum trial_state state;
        int64_t first = 0;
        int64_t last = 0;
        if (!trial_state_from_name(sql_text(st, 0), &state) || !sql_time(st, 2, &first) ||
            !sql_time(st, 3, &last))
            return err_set(err, ERR_CORRUPT,
                           "%s: study '%s' has a trial with state '%.20s', start "
                           "'%.40s' and end '%.40s'",
                           q->path, info->name, sql_text(st, 0), sql_text(st, 2), sql_text(st, 3));
        info->counts[state] = sqlite3_column_int64(st, 1);
        if (first != 0 && (info->first_start_us == 0 || first < info->first_start_us))
            info->first_start_us = first;
        if (last > info->last_complete_us)
            info->last_complete_us = last;
    }
    return rc;
}

/* Memory for the directions of one study. */
struct directions {
    enum direction *data;
    size_t cap;
};

static void directions_free(struct directions *d)
{
    free(d->data);
}

static int read_directions(struct store_sqlite *q, struct study_info *info, struct directions *d,
                           struct err *err)
{
    size_t n = d->cap;
    int rc = sqlite_study_directions(&q->base, info->id, d->data, &n, err);
    if (rc == 0 && n > d->cap) {
        enum direction *grown = realloc(d->data, n * sizeof(*grown));
        if (grown == NULL)
            return err_set(err, ERR_NOMEM, "directions of study '%s'", info->name);
        *d = (struct directions){.data = grown, .cap = n};
        rc = sqlite_study_directions(&q->base, info->id, d->data, &n, err);
    }
    info->directions = d->data;
    info->n_directions = n;
    return rc;
}

/* Calls fn for each study that the statement gives; *any: there was one. */
static int each_study(struct store_sqlite *q, sqlite3_stmt *st, bool counts, store_study_fn *fn,
                      void *ctx, bool *any, struct err *err)
{
    AUTO(directions_free) struct directions d = {0};
    int rc;
    while ((rc = sql_step(q, st, err)) == 1) {
        struct study_info info = {.id = sqlite3_column_int64(st, 0), .name = sql_text(st, 1)};
        *any = true;
        rc = read_directions(q, &info, &d, err);
        if (rc == 0 && counts)
            rc = summarise(q, &info, err);
        if (rc == 0)
            rc = fn(ctx, &info);
        if (rc != 0)
            return rc;
    }
    return rc;
}

static int all_studies(struct store_sqlite *q, bool counts, store_study_fn *fn, void *ctx,
                       struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    bool any;
    int rc = sql_get(q, SQL_STUDIES, &st, err);
    return rc < 0 ? rc : each_study(q, st, counts, fn, ctx, &any, err);
}

static int one_study(struct store_sqlite *q, int64_t study, store_study_fn *fn, void *ctx,
                     struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    bool any = false;
    int rc = sql_get(q, SQL_STUDY_ONE, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, study);
    rc = each_study(q, st, false, fn, ctx, &any, err);
    return rc == 0 && !any ? no_study(study, err) : rc;
}

int sqlite_studies_each(struct store *s, store_study_fn *fn, void *ctx, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter_read(q, err);
    return rc < 0 ? rc : tx_leave_read(q, all_studies(q, true, fn, ctx, err));
}

int sqlite_study_look(struct store *s, const int64_t *study, store_study_fn *fn, void *ctx,
                      struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = study == NULL ? all_studies(q, false, fn, ctx, err) : one_study(q, *study, fn, ctx, err);
    return tx_leave_read(q, rc);
}

static int delete (struct store_sqlite *q, int64_t study, struct err *err)
{
    int rc = study_check(q, study, err);
    for (int id = SQL_DELETE_HEARTBEATS; id <= SQL_DELETE_STUDY && rc == 0; id++) {
        AUTO_RESET sqlite3_stmt *st = NULL;
        rc = sql_get(q, (enum sql)id, &st, err);
        if (rc < 0)
            return rc;
        (void)sqlite3_bind_int64(st, 1, study);
        rc = sql_step(q, st, err);
    }
    if (rc == 0)
        index_deleted(q, study);
    return rc;
}

int sqlite_study_delete(struct store *s, int64_t study, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, delete (q, study, err), err);
}

static int set_attr(struct store_sqlite *q, enum sql id, int64_t study, const char *key,
                    const char *json, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = study_check(q, study, err);
    if (rc == 0)
        rc = sql_get(q, id, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, study);
    sql_bind_text(st, 2, key);
    sql_bind_text(st, 3, json);
    return sql_step(q, st, err);
}

int sqlite_study_attr_set(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                          const char *json, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    enum sql id = kind == ATTR_USER ? SQL_STUDY_USER_ATTR_SET : SQL_STUDY_SYSTEM_ATTR_SET;
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, set_attr(q, id, study, key, json, err), err);
}

int sqlite_study_attr_get(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                          char **json, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, kind == ATTR_USER ? SQL_STUDY_USER_ATTR_GET : SQL_STUDY_SYSTEM_ATTR_GET,
                     &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, study);
    sql_bind_text(st, 2, key);
    rc = sql_step(q, st, err);
    if (rc == 0)
        return err_set(err, ERR_NOTFOUND, "the study has no attribute '%s'", key);
    if (rc < 0)
        return rc;
    char *copy = strdup(sql_text(st, 0));
    if (copy == NULL)
        return err_set(err, ERR_NOMEM, "attribute '%s'", key);
    *json = copy;
    return 0;
}

static int each_attr(struct store_sqlite *q, enum sql id, int64_t study, store_attr_fn *fn,
                     void *ctx, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = study_check(q, study, err);
    if (rc == 0)
        rc = sql_get(q, id, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, study);
    while ((rc = sql_step(q, st, err)) == 1) {
        const struct trial_attr attr = {.key = sql_text(st, 0), .json = sql_text(st, 1)};
        rc = fn(ctx, &attr);
        if (rc != 0)
            return rc;
    }
    return rc;
}

int sqlite_study_attrs_each(struct store *s, int64_t study, enum attr_kind kind, store_attr_fn *fn,
                            void *ctx, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    enum sql id = kind == ATTR_USER ? SQL_STUDY_USER_ATTRS : SQL_STUDY_SYSTEM_ATTRS;
    int rc = tx_enter_read(q, err);
    return rc < 0 ? rc : tx_leave_read(q, each_attr(q, id, study, fn, ctx, err));
}

int sqlite_study_counts(struct store *s, int64_t study, int64_t counts[static TRIAL_STATES],
                        struct err *err)
{
    struct store_sqlite *q = SELF(s);
    struct trial_index *ix;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = index_get(q, study, &ix, err);
    if (rc == 0)
        memcpy(counts, ix->tally.counts, sizeof(ix->tally.counts));
    return tx_leave_read(q, rc);
}
