/* ftf_config: the one row that new runs start from, and the history of its changes. */
#include <stdlib.h>
#include <string.h>

#include "storage/config.h"
#include "storage/sqlite/sqlite.h"

#define SELF(s) CONTAINER_OF(s, struct store_sqlite, base)

const struct store_ftf_ops sqlite_ftf_ops = {
    .training_put = sqlite_training_put,
    .trainings_each = sqlite_trainings_each,
    .results_each = sqlite_results_each,
    .config_get = sqlite_config_get,
    .config_set = sqlite_config_set,
    .config_history = sqlite_config_history,
};

/* 1 = the row is there, 0 = it is not. */
static int read_row(struct store_sqlite *q, struct store_config *out, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_CONFIG_GET, &st, err);
    if (rc == 0)
        rc = sql_step(q, st, err);
    if (rc <= 0)
        return rc;
    struct store_config c = {.version = sqlite3_column_int64(st, 1)};
    if (!sql_time(st, 2, &c.changed_us))
        return err_set(err, ERR_CORRUPT, "%s: ftf_config has a bad changed_at: %.40s", q->path,
                       sql_text(st, 2));
    c.base_env = strdup(sql_text(st, 0));
    if (c.base_env == NULL)
        return err_set(err, ERR_NOMEM, "ftf_config");
    *out = c;
    return 1;
}

int sqlite_config_get(struct store *s, struct store_config *out, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    bool has = false;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = migrate_has(q, TABLES_FTF, &has, err);
    if (rc == 0 && has)
        rc = read_row(q, out, err);
    rc = tx_leave_read(q, rc);
    if (rc == 0)
        return err_set(err, ERR_NOTFOUND, "%s has no ftf_config yet: forkless config set makes it",
                       q->path);
    return rc < 0 ? rc : 0;
}

static int write_row(struct store_sqlite *q, bool exists, const struct store_config_change *c,
                     int64_t version, const char *now, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, exists ? SQL_CONFIG_SET : SQL_CONFIG_INSERT, &st, err);
    if (rc < 0)
        return rc;
    sql_bind_text(st, 1, c->base_env);
    (void)sqlite3_bind_int64(st, 2, version);
    sql_bind_text(st, 3, now);
    return sql_step(q, st, err);
}

static int write_event(struct store_sqlite *q, const struct store_config_change *c, int64_t version,
                       const char *old_env, const char *now, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_CONFIG_EVENT_PUT, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, version);
    sql_bind_text(st, 2, now);
    sql_bind_text(st, 3, c->who);
    sql_bind_text(st, 4, c->why);
    sql_bind_text(st, 5, old_env);
    sql_bind_text(st, 6, c->base_env);
    return sql_step(q, st, err);
}

/* The last version that the history knows: a row that was deleted begins after it. */
static int last_version(struct store_sqlite *q, int64_t *version, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    *version = 0;
    int rc = sql_get(q, SQL_CONFIG_EVENTS, &st, err);
    if (rc == 0)
        rc = sql_int(q, st, version, err);
    return rc < 0 ? rc : 0;
}

static int set(struct store_sqlite *q, const struct store_config_change *c, int64_t *version,
               struct err *err)
{
    AUTO_STORE_CONFIG struct store_config old = {0};
    char now[CLOCK_TEXT_MAX];
    int rc = migrate_tables(q, err);
    if (rc == 0)
        rc = read_row(q, &old, err);
    bool exists = rc == 1;
    if (rc >= 0)
        rc = exists ? config_check(&old, c->expected, err) : last_version(q, &old.version, err);
    if (rc < 0)
        return rc;
    (void)clock_sql(clock_utc_us(), now);
    rc = write_row(q, exists, c, old.version + 1, now, err);
    if (rc == 0)
        rc = write_event(q, c, old.version + 1, old.base_env, now, err);
    if (rc == 0)
        *version = old.version + 1;
    return rc;
}

int sqlite_config_set(struct store *s, const struct store_config_change *c, int64_t *version,
                      struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, set(q, c, version, err), err);
}

static int each(struct store_sqlite *q, store_config_event_fn *fn, void *ctx, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_CONFIG_EVENTS, &st, err);
    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, st, err)) == 1) {
        struct store_config_event e = {.version = sqlite3_column_int64(st, 0),
                                       .who = sql_text(st, 2),
                                       .why = sql_text_or_null(st, 3),
                                       .old_env = sql_text_or_null(st, 4),
                                       .new_env = sql_text(st, 5)};
        if (!sql_time(st, 1, &e.changed_us))
            return err_set(err, ERR_CORRUPT, "%s: ftf_config_history has a bad changed_at: %.40s",
                           q->path, sql_text(st, 1));
        rc = fn(ctx, &e);
        if (rc != 0)
            return rc;
    }
    return rc;
}

int sqlite_config_history(struct store *s, store_config_event_fn *fn, void *ctx, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    bool has = false;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = migrate_has(q, TABLES_FTF, &has, err);
    if (rc == 0 && has)
        rc = each(q, fn, ctx, err);
    return tx_leave_read(q, rc);
}
