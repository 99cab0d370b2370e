/* The tables beside Optuna's, column by column: for who moves their rows from one backend to
 * another. */
#pragma once

#include "base/buf.h"
#include "storage/care.h"

/* What a column holds, and the text that a row's cell has for it; NULL is NULL. */
enum cell_kind {
    CELL_TEXT,
    CELL_JSON,
    CELL_INT,
    CELL_REAL,     /* shortest form that reads back as the same */
    CELL_BOOL,     /* begins with 't' or '1': yes */
    CELL_TIME,     /* UTC, as clock_sql writes it; PostgreSQL keeps it with its zone */
    CELL_UTC_TIME, /* the same, kept without one */
};

struct table_column {
    const char *name;
    enum cell_kind kind;
};

struct table_form {
    const char *name;
    const struct table_column *columns; /* [n], those of store_row */
    size_t n;
    const char *order; /* in which rows are read */
    const char *key;   /* columns of which no two rows have the same; NULL: there is no other row */
    bool stays;        /* a row that is there with this key stays; else it gets the new values */
    int version;       /* of the tables, from which it is there */
};

#define TABLE_COLUMNS_MAX 16

extern const struct table_form table_forms[STORE_TABLES];

/* Appends "a, b, c"; " ON CONFLICT …" as the form has it, or nothing. */
void table_put_columns(struct buf *sql, const struct table_form *form);
void table_put_conflict(struct buf *sql, const struct table_form *form);
