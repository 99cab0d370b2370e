/* ftf_config: the one row that new runs start from, and the history of its changes. */
#include <string.h>

#include "storage/config.h"
#include "storage/postgres/ops.h"

#define SELF(s) CONTAINER_OF(s, struct store_pg, base)

const struct store_ftf_ops pg_ftf_ops = {
    .training_put = pg_training_put,
    .trainings_each = pg_trainings_each,
    .results_each = pg_results_each,
    .config_get = pg_config_get,
    .config_set = pg_config_set,
    .config_history = pg_config_history,
};

/* 1 = the row is there, 0 = it is not. */
static int read_row(struct store_pg *q, struct store_config *out, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    int rc = pipe_run(q, SQL_CONFIG_GET, ARGS_NONE, &r, err);
    if (rc < 0 || PQntuples(r) == 0)
        return rc;
    struct store_config c = {.version = field_int(r, 0, 1)};
    if (!field_time(r, 0, 2, &c.changed_us))
        return err_set(err, ERR_CORRUPT, "%s: ftf_config has a bad changed_at: %.40s", q->name,
                       field(r, 0, 2));
    c.base_env = strdup(field(r, 0, 0));
    if (c.base_env == NULL)
        return err_set(err, ERR_NOMEM, "ftf_config");
    *out = c;
    return 1;
}

int pg_config_get(struct store *s, struct store_config *out, struct err *err)
{
    struct store_pg *q = SELF(s);
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
                       q->name);
    return rc < 0 ? rc : 0;
}

/* The last version that the history knows: a row that was deleted begins after it. */
static int last_version(struct store_pg *q, int64_t *version, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    int rc = pipe_run(q, SQL_CONFIG_EVENTS, ARGS_NONE, &r, err);
    if (rc == 0)
        *version = PQntuples(r) > 0 ? field_int(r, 0, 0) : 0;
    return rc;
}

static int write_change(struct store_pg *q, bool exists, const struct store_config *old,
                        const struct store_config_change *c, struct err *err)
{
    struct args row = {0}, event = {0};
    int64_t now = clock_utc_us();
    arg_text(&row, c->base_env);
    arg_int(&row, old->version + 1);
    arg_time(&row, now);
    arg_int(&event, old->version + 1);
    arg_time(&event, now);
    arg_text(&event, c->who);
    arg_text(&event, c->why);
    arg_text(&event, old->base_env);
    arg_text(&event, c->base_env);
    int rc = pipe_queue(q, exists ? SQL_CONFIG_SET : SQL_CONFIG_INSERT, &row, NULL, err);
    return rc < 0 ? rc : pipe_queue(q, SQL_CONFIG_EVENT_PUT, &event, NULL, err);
}

static int set(struct store_pg *q, const struct store_config_change *c, int64_t *version,
               struct err *err)
{
    AUTO_STORE_CONFIG struct store_config old = {0};
    int rc = migrate_tables(q, err);
    if (rc == 0)
        rc = pipe_queue(q, SQL_CONFIG_LOCK, ARGS_NONE, NULL, err);
    if (rc == 0)
        rc = read_row(q, &old, err);
    bool exists = rc == 1;
    if (rc >= 0)
        rc = exists ? config_check(&old, c->expected, err) : last_version(q, &old.version, err);
    if (rc < 0)
        return rc;
    rc = write_change(q, exists, &old, c, err);
    if (rc == 0)
        *version = old.version + 1;
    return rc;
}

int pg_config_set(struct store *s, const struct store_config_change *c, int64_t *version,
                  struct err *err)
{
    struct store_pg *q = SELF(s);
    int64_t made = 0;
    int rc = tx_enter(q, err);
    if (rc == 0)
        rc = tx_leave(q, set(q, c, &made, err), err);
    if (rc == 0)
        *version = made;
    return rc;
}

static int each(struct store_pg *q, store_config_event_fn *fn, void *ctx, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    int rc = pipe_run(q, SQL_CONFIG_EVENTS, ARGS_NONE, &r, err);
    for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
        struct store_config_event e = {.version = field_int(r, i, 0),
                                       .who = field(r, i, 2),
                                       .why = field_or_null(r, i, 3),
                                       .old_env = field_or_null(r, i, 4),
                                       .new_env = field(r, i, 5)};
        if (!field_time(r, i, 1, &e.changed_us))
            return err_set(err, ERR_CORRUPT, "%s: ftf_config_history has a bad changed_at: %.40s",
                           q->name, field(r, i, 1));
        rc = fn(ctx, &e);
    }
    return rc;
}

int pg_config_history(struct store *s, store_config_event_fn *fn, void *ctx, struct err *err)
{
    struct store_pg *q = SELF(s);
    bool has = false;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = migrate_has(q, TABLES_FTF, &has, err);
    if (rc == 0 && has)
        rc = each(q, fn, ctx, err);
    return tx_leave_read(q, rc);
}
