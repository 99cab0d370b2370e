#include <inttypes.h>
#include <string.h>

#include "storage/postgres/add.h"
#include "storage/postgres/index.h"
#include "storage/postgres/ops.h"

#define SELF(s) CONTAINER_OF(s, struct store_pg, base)

int study_check(struct store_pg *q, int64_t study, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    struct args a = {0};
    if (!id_fits(study))
        return no_study(study, err);
    arg_int(&a, study);
    int rc = pipe_run(q, SQL_STUDY_EXISTS, &a, &r, err);
    return rc == 0 && PQntuples(r) == 0 ? no_study(study, err) : rc;
}

static int find(struct store_pg *q, const char *name, int64_t *study, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    struct args a = {0};
    arg_text(&a, name);
    int rc = look(q, SQL_STUDY_FIND, &a, &r, err);
    if (rc == 0 && PQntuples(r) == 0)
        return err_set(err, ERR_NOTFOUND, "there is no study '%s' in %s", name, q->name);
    if (rc == 0)
        *study = field_int(r, 0, 0);
    return rc;
}

int pg_study_find(struct store *s, const char *name, int64_t *study, struct err *err)
{
    return find(SELF(s), name, study, err);
}

/* The name is taken: by us, before a commit was lost? */
static int taken(struct store_pg *q, const char *name, const struct effect *want, int64_t *study,
                 struct err *err)
{
    int64_t id = 0;
    const struct effect *e = again_find(q, EFFECT_STUDY, 0, want->what);
    int rc = e != NULL ? find(q, name, &id, err) : 0;
    if (rc < 0)
        return rc;
    if (e == NULL || e->id != id)
        return err_set(err, ERR_EXISTS, "there is already a study '%s' in %s", name, q->name);
    again_note(q, e);
    *study = id;
    return 0;
}

int study_put_directions(struct store_pg *q, int64_t study, const enum direction *directions,
                         size_t n, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct args row = {0};
        arg_text(&row, directions[i] == DIRECTION_MAXIMIZE ? "MAXIMIZE" : "MINIMIZE");
        arg_int(&row, study);
        arg_int(&row, (int64_t)i);
        rc = pipe_queue(q, SQL_STUDY_DIRECTION_INSERT, &row, NULL, err);
    }
    return rc;
}

static int insert(struct store_pg *q, const char *name, const enum direction *directions,
                  size_t n_directions, int64_t *study, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    struct args a = {0};
    struct effect made = {.kind = EFFECT_STUDY, .what = again_hash(0, name, strlen(name))};
    made.what = again_hash(made.what, directions, n_directions * sizeof(*directions));
    arg_text(&a, name);
    int rc = pipe_run(q, SQL_STUDY_INSERT, &a, &r, err);
    if (rc < 0)
        return rc;
    if (PQntuples(r) == 0)
        return taken(q, name, &made, study, err);
    made.id = field_int(r, 0, 0);
    rc = study_put_directions(q, made.id, directions, n_directions, err);
    if (rc == 0) {
        again_note(q, &made);
        *study = made.id;
    }
    return rc;
}

int pg_study_create(struct store *s, const char *name, const enum direction *directions,
                    size_t n_directions, int64_t *study, struct err *err)
{
    struct store_pg *q = SELF(s);
    int64_t id = 0;
    int rc = tx_enter(q, err);
    if (rc == 0)
        rc = tx_leave(q, insert(q, name, directions, n_directions, &id, err), err);
    if (rc == 0)
        *study = id;
    return rc;
}

static enum direction direction_of(const char *name)
{
    return strcmp(name, "MAXIMIZE") == 0 ? DIRECTION_MAXIMIZE : DIRECTION_MINIMIZE;
}

int pg_study_directions(struct store *s, int64_t study, enum direction *directions,
                        size_t *n_directions, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    struct args a = {0};
    arg_int(&a, study);
    int rc = look(SELF(s), SQL_STUDY_DIRECTIONS, &a, &r, err);
    if (rc < 0)
        return rc;
    for (int i = 0; i < PQntuples(r) && (size_t)i < *n_directions; i++)
        directions[i] = direction_of(field(r, i, 0));
    *n_directions = (size_t)PQntuples(r);
    return 0;
}

/* Takes the counts and times of the study out of the rows, which are in the order of studies. */
static int summarise(struct store_pg *q, const PGresult *rows, int *at, struct study_info *info,
                     struct err *err)
{
    for (; *at < PQntuples(rows) && field_int(rows, *at, 0) <= info->id; (*at)++) {
        enum trial_state state;
        int64_t first, last;
        if (field_int(rows, *at, 0) < info->id)
            continue;
        if (!trial_state_from_name(field(rows, *at, 1), &state) ||
            !field_time(rows, *at, 3, &first) || !field_time(rows, *at, 4, &last))
            return err_set(err, ERR_CORRUPT,
                           "%s: study '%s' has a trial with state '%.20s', start '%.40s' and end "
                           "'%.40s'",
                           q->name, info->name, field(rows, *at, 1), field(rows, *at, 3),
                           field(rows, *at, 4));
        info->counts[state] = field_int(rows, *at, 2);
        if (first != 0 && (info->first_start_us == 0 || first < info->first_start_us))
            info->first_start_us = first;
        if (last > info->last_complete_us)
            info->last_complete_us = last;
    }
    return 0;
}

/* Calls fn for each study of the rows of SQL_STUDIES; sums may be NULL. */
static int tell(struct store_pg *q, const PGresult *rows, const PGresult *sums, store_study_fn *fn,
                void *ctx, struct err *err)
{
    int at = 0, rc = 0;
    AUTO_FREE enum direction *directions = calloc((size_t)PQntuples(rows) + 1, sizeof(*directions));
    if (directions == NULL)
        return err_set(err, ERR_NOMEM, "studies");
    for (int i = 0; i < PQntuples(rows) && rc == 0;) {
        struct study_info info = {
            .id = field_int(rows, i, 0), .name = field(rows, i, 1), .directions = directions};
        for (; i < PQntuples(rows) && field_int(rows, i, 0) == info.id; i++) {
            if (!PQgetisnull(rows, i, 2))
                directions[info.n_directions++] = direction_of(field(rows, i, 2));
        }
        if (sums != NULL)
            rc = summarise(q, sums, &at, &info, err);
        if (rc == 0)
            rc = fn(ctx, &info);
    }
    return rc;
}

int pg_studies_each(struct store *s, store_study_fn *fn, void *ctx, struct err *err)
{
    struct store_pg *q = SELF(s);
    AUTO_RESULT PGresult *rows = NULL;
    AUTO_RESULT PGresult *sums = NULL;
    struct args all = {0};
    arg_text(&all, NULL);
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = pipe_queue(q, SQL_STUDIES, &all, &rows, err);
    if (rc == 0)
        rc = pipe_run(q, SQL_STUDY_SUMMARIES, ARGS_NONE, &sums, err);
    if (rc == 0)
        rc = tell(q, rows, sums, fn, ctx, err);
    return tx_leave_read(q, rc);
}

int pg_study_look(struct store *s, const int64_t *study, store_study_fn *fn, void *ctx,
                  struct err *err)
{
    struct store_pg *q = SELF(s);
    AUTO_RESULT PGresult *rows = NULL;
    struct args a = {0};
    if (study != NULL && !id_fits(*study))
        return no_study(*study, err);
    if (study != NULL)
        arg_int(&a, *study);
    else
        arg_text(&a, NULL);
    int rc = look(q, SQL_STUDIES, &a, &rows, err);
    if (rc == 0 && study != NULL && PQntuples(rows) == 0)
        return no_study(*study, err);
    return rc < 0 ? rc : tell(q, rows, NULL, fn, ctx, err);
}

static int delete (struct store_pg *q, int64_t study, struct err *err)
{
    AUTO_RESULT PGresult *lock = NULL;
    struct args a = {0};
    if (!id_fits(study))
        return no_study(study, err);
    arg_int(&a, study);
    int rc = pipe_run(q, SQL_STUDY_LOCK, &a, &lock, err);
    if (rc == 0 && PQntuples(lock) == 0)
        return no_study(study, err);
    if (rc == 0)
        rc = pipe_run(q, SQL_STUDY_DELETE, &a, NULL, err);
    if (rc == 0)
        index_deleted(q, study);
    return rc;
}

int pg_study_delete(struct store *s, int64_t study, struct err *err)
{
    struct store_pg *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, delete (q, study, err), err);
}

static int set_attr(struct store_pg *q, enum sql id, int64_t study, const char *key,
                    const char *json, struct err *err)
{
    struct args a = {0};
    int rc = study_check(q, study, err);
    arg_int(&a, study);
    arg_text(&a, key);
    arg_text(&a, json);
    return rc < 0 ? rc : pipe_queue(q, id, &a, NULL, err);
}

int pg_study_attr_set(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                      const char *json, struct err *err)
{
    struct store_pg *q = SELF(s);
    enum sql id = kind == ATTR_USER ? SQL_STUDY_USER_ATTR_SET : SQL_STUDY_SYSTEM_ATTR_SET;
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, set_attr(q, id, study, key, json, err), err);
}

/* key NULL: all of them. */
static int read_attrs(struct store_pg *q, int64_t study, enum attr_kind kind, const char *key,
                      PGresult **out, struct err *err)
{
    struct args a = {0};
    if (!id_fits(study))
        return no_study(study, err);
    arg_int(&a, study);
    arg_text(&a, key);
    return look(q, kind == ATTR_USER ? SQL_STUDY_USER_ATTRS : SQL_STUDY_SYSTEM_ATTRS, &a, out, err);
}

int pg_study_attr_get(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                      char **json, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    int rc = read_attrs(SELF(s), study, kind, key, &r, err);
    if (rc < 0)
        return rc;
    if (PQntuples(r) == 0)
        return err_set(err, ERR_NOTFOUND, "the study has no attribute '%s'", key);
    char *copy = strdup(field(r, 0, 1));
    if (copy == NULL)
        return err_set(err, ERR_NOMEM, "attribute '%s'", key);
    *json = copy;
    return 0;
}

int pg_study_attrs_each(struct store *s, int64_t study, enum attr_kind kind, store_attr_fn *fn,
                        void *ctx, struct err *err)
{
    struct store_pg *q = SELF(s);
    AUTO_RESULT PGresult *r = NULL;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = study_check(q, study, err);
    if (rc == 0)
        rc = read_attrs(q, study, kind, NULL, &r, err);
    for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
        const struct trial_attr attr = {.key = field(r, i, 0), .json = field(r, i, 1)};
        rc = fn(ctx, &attr);
    }
    return tx_leave_read(q, rc);
}

int pg_study_counts(struct store *s, int64_t study, int64_t counts[static TRIAL_STATES],
                    struct err *err)
{
    struct store_pg *q = SELF(s);
    struct trial_index *ix;
    int rc = q->in_batch ? tx_enter(q, err) : conn_ensure(q, false, err);
    if (rc == 0)
        rc = index_landed(q, study, &ix, err);
    if (rc < 0)
        return rc;
    memcpy(counts, ix->tally.counts, sizeof(ix->tally.counts));
    add_count(q, study, counts);
    return 0;
}
