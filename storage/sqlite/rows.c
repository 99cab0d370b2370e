/* Rows of the tables beside Optuna's, as they stand. */
#include <stdlib.h>

#include "base/text.h"
#include "storage/sqlite/care.h"
#include "storage/tables.h"

#define SELF(s) CONTAINER_OF(s, struct store_sqlite, base)

static void finalize_p(sqlite3_stmt **st)
{
    (void)sqlite3_finalize(*st); /* repeats an error of its last step */
}
#define AUTO_STATEMENT AUTO(finalize_p)

/* A statement that is used for one table. */
static int prepare(struct store_sqlite *q, struct buf *sql, sqlite3_stmt **out, struct err *err)
{
    if (sql->failed)
        return err_set(err, ERR_NOMEM, "rows");
    return sqlite3_prepare_v2(q->db, buf_str(sql), -1, out, NULL) == SQLITE_OK ? 0
                                                                               : sql_fail(q, err);
}

/* A row's cells, and the memory of those that are written anew. */
struct row {
    const char *cells[TABLE_COLUMNS_MAX];
    char text[TABLE_COLUMNS_MAX][TEXT_DOUBLE_MAX];
};

static int read_cell(struct store_sqlite *q, const struct table_form *form, sqlite3_stmt *st, int i,
                     struct row *row, struct err *err)
{
    enum cell_kind kind = form->columns[i].kind;
    int64_t us;
    row->cells[i] = (const char *)sqlite3_column_text(st, i);
    if (row->cells[i] == NULL)
        return 0;
    if (kind == CELL_REAL) {
        row->cells[i] = text_from_double(sqlite3_column_double(st, i), row->text[i]);
    } else if (kind == CELL_TIME || kind == CELL_UTC_TIME) {
        if (!decode_time(row->cells[i], &us))
            return err_set(err, ERR_CORRUPT, "%s: %s has a bad %s: %.40s", q->path, form->name,
                           form->columns[i].name, row->cells[i]);
        row->cells[i] = clock_sql(us, row->text[i]);
    }
    return 0;
}

static int each(struct store_sqlite *q, const struct table_form *form, const char *study,
                store_row_fn *fn, void *ctx, struct err *err)
{
    AUTO(buf_free) struct buf sql = BUF_INIT;
    AUTO_STATEMENT sqlite3_stmt *st = NULL;
    struct row row;
    buf_puts(&sql, "SELECT ");
    table_put_columns(&sql, form);
    buf_printf(&sql, " FROM %s%s ORDER BY %s", form->name, study != NULL ? " WHERE study=?1" : "",
               form->order);
    int rc = prepare(q, &sql, &st, err);
    if (rc == 0 && study != NULL)
        sql_bind_text(st, 1, study);
    while (rc == 0 && (rc = sql_step(q, st, err)) == 1) {
        rc = 0;
        for (int i = 0; i < (int)form->n && rc == 0; i++)
            rc = read_cell(q, form, st, i, &row, err);
        if (rc == 0)
            rc = fn(ctx, row.cells);
        if (rc != 0)
            return rc;
    }
    return rc;
}

int sqlite_rows_each(struct store *s, enum store_table table, const char *study, store_row_fn *fn,
                     void *ctx, struct err *err)
{
    struct store_sqlite *q = SELF(s);
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

static void bind_cell(sqlite3_stmt *st, int i, enum cell_kind kind, const char *cell)
{
    if (cell == NULL)
        return; /* as it is NULL without */
    if (kind == CELL_INT)
        (void)sqlite3_bind_int64(st, i, strtoll(cell, NULL, 10));
    else if (kind == CELL_REAL)
        (void)sqlite3_bind_double(st, i, strtod(cell, NULL));
    else if (kind == CELL_BOOL)
        (void)sqlite3_bind_int(st, i, cell[0] == 't' || cell[0] == '1');
    else
        sql_bind_text(st, i, cell);
}

static int put(struct store_sqlite *q, const struct table_form *form, const char *const *cells,
               struct err *err)
{
    AUTO(buf_free) struct buf sql = BUF_INIT;
    AUTO_STATEMENT sqlite3_stmt *st = NULL;
    buf_printf(&sql, "INSERT INTO %s(", form->name);
    table_put_columns(&sql, form);
    for (size_t i = 0; i < form->n; i++)
        buf_puts(&sql, i > 0 ? ", ?" : ") VALUES(?");
    buf_putc(&sql, ')');
    table_put_conflict(&sql, form);
    int rc = migrate_tables(q, err);
    if (rc == 0)
        rc = prepare(q, &sql, &st, err);
    for (size_t i = 0; i < form->n && rc == 0; i++)
        bind_cell(st, (int)i + 1, form->columns[i].kind, cells[i]);
    return rc < 0 ? rc : sql_step(q, st, err);
}

int sqlite_row_put(struct store *s, enum store_table table, const char *const *cells,
                   struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, put(q, &table_forms[table], cells, err), err);
}

int sqlite_rows_clear(struct store *s, enum store_table table, struct err *err)
{
    char sql[64];
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    (void)snprintf(sql, sizeof(sql), "DELETE FROM %s", table_forms[table].name);
    rc = migrate_tables(q, err);
    return tx_leave(q, rc < 0 ? rc : sql_exec(q, sql, err), err);
}
