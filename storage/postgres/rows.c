/* Rows of the tables beside Optuna's, as they stand. */
#include <string.h>

#include "base/text.h"
#include "storage/postgres/ops.h"
#include "storage/tables.h"
#include "storage/times.h"

#define SELF(s) CONTAINER_OF(s, struct store_pg, base)

#define FETCH "FETCH 500 FROM forkless_rows"
enum { QUEUED_MAX = 500 }; /* statements, before the server is waited for */

struct row {
    const char *cells[TABLE_COLUMNS_MAX];
    char text[TABLE_COLUMNS_MAX][TEXT_DOUBLE_MAX]; /* of those that are written anew */
};

static int read_cell(struct store_pg *q, const struct table_form *form, const PGresult *r, int at,
                     int i, struct row *row, struct err *err)
{
    enum cell_kind kind = form->columns[i].kind;
    int64_t us;
    row->cells[i] = field_or_null(r, at, i);
    if (row->cells[i] != NULL && kind == CELL_REAL) /* here it is "Infinity" */
        row->cells[i] = text_from_double(field_real(r, at, i), row->text[i]);
    if (row->cells[i] == NULL || (kind != CELL_TIME && kind != CELL_UTC_TIME))
        return 0;
    if (!field_time(r, at, i, &us))
        return err_set(err, ERR_CORRUPT, "%s: %s has a bad %s: %.40s", q->name, form->name,
                       form->columns[i].name, row->cells[i]);
    row->cells[i] = clock_sql(us, row->text[i]);
    return 0;
}

static int tell(struct store_pg *q, const struct table_form *form, const PGresult *r,
                store_row_fn *fn, void *ctx, struct err *err)
{
    struct row row;
    int rc = 0;
    for (int at = 0; at < PQntuples(r) && rc == 0; at++) {
        for (int i = 0; i < (int)form->n && rc == 0; i++)
            rc = read_cell(q, form, r, at, i, &row, err);
        if (rc == 0)
            rc = fn(ctx, row.cells);
    }
    return rc;
}

static int open_cursor(struct store_pg *q, const struct table_form *form, const char *study,
                       struct err *err)
{
    AUTO(buf_free) struct buf sql = BUF_INIT;
    struct args a = {0};
    buf_puts(&sql, "DECLARE forkless_rows NO SCROLL CURSOR FOR SELECT ");
    for (size_t i = 0; i < form->n; i++)
        buf_printf(&sql, "%s%s%s", i > 0 ? ", " : "", form->columns[i].name,
                   form->columns[i].kind == CELL_TIME ? " AT TIME ZONE 'UTC'" : "");
    buf_printf(&sql, " FROM %s%s ORDER BY %s", form->name, study != NULL ? " WHERE study=$1" : "",
               form->order);
    if (study != NULL)
        arg_text(&a, study);
    if (sql.failed)
        return err_set(err, ERR_NOMEM, "rows");
    return pipe_queue_text(q, buf_str(&sql), &a, NULL, err);
}

static int each(struct store_pg *q, const struct table_form *form, const char *study,
                store_row_fn *fn, void *ctx, struct err *err)
{
    int rc = open_cursor(q, form, study, err);
    for (bool more = true; rc == 0 && more;) {
        AUTO_RESULT PGresult *r = NULL;
        rc = pipe_text(q, FETCH, &r, err);
        more = rc == 0 && PQntuples(r) > 0;
        if (more)
            rc = tell(q, form, r, fn, ctx, err);
    }
    return rc == 0 ? pipe_queue_text(q, "CLOSE forkless_rows", ARGS_NONE, NULL, err) : rc;
}

int pg_rows_each(struct store *s, enum store_table table, const char *study, store_row_fn *fn,
                 void *ctx, struct err *err)
{
    struct store_pg *q = SELF(s);
    const struct table_form *form = &table_forms[table];
    bool has = false;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = migrate_has(q, form->version, &has, err);
    if (rc == 0 && has)
        rc = each(q, form, study, fn, ctx, err);
    return tx_leave_read(q, rc);
}

static void put_statement(struct buf *sql, const struct table_form *form)
{
    buf_printf(sql, "INSERT INTO %s(", form->name);
    table_put_columns(sql, form);
    buf_puts(sql, ") VALUES(");
    for (size_t i = 0; i < form->n; i++)
        buf_printf(sql, "%s$%zu%s", i > 0 ? ", " : "", i + 1,
                   form->columns[i].kind == CELL_TIME ? "::timestamp AT TIME ZONE 'UTC'" : "");
    buf_putc(sql, ')');
    table_put_conflict(sql, form);
}

static int put(struct store_pg *q, const struct table_form *form, const char *const *cells,
               struct err *err)
{
    AUTO(buf_free) struct buf sql = BUF_INIT;
    struct buf json[TABLE_COLUMNS_MAX] = {0};
    struct args a = {0};
    put_statement(&sql, form);
    bool failed = sql.failed;
    for (size_t i = 0; i < form->n; i++) {
        bool strict = cells[i] != NULL && form->columns[i].kind == CELL_JSON;
        if (strict)
            put_strict(&json[i], cells[i]);
        failed = failed || json[i].failed;
        arg_text(&a, strict ? buf_str(&json[i]) : cells[i]);
    }
    int rc = failed ? err_set(err, ERR_NOMEM, "a row of %s", form->name)
                    : pipe_queue_text(q, buf_str(&sql), &a, NULL, err);
    for (size_t i = 0; i < form->n; i++)
        buf_free(&json[i]);
    return rc == 0 && q->n_waits >= QUEUED_MAX ? pipe_round(q, err) : rc;
}

int pg_row_put(struct store *s, enum store_table table, const char *const *cells, struct err *err)
{
    struct store_pg *q = SELF(s);
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    rc = q->results_made ? 0 : migrate_tables(q, err);
    if (rc == 0)
        rc = put(q, &table_forms[table], cells, err);
    return tx_leave(q, rc, err);
}

int pg_rows_clear(struct store *s, enum store_table table, struct err *err)
{
    char sql[64];
    struct store_pg *q = SELF(s);
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    (void)snprintf(sql, sizeof(sql), "DELETE FROM %s", table_forms[table].name);
    rc = q->results_made ? 0 : migrate_tables(q, err);
    return tx_leave(q, rc < 0 ? rc : pipe_queue_text(q, sql, ARGS_NONE, NULL, err), err);
}
