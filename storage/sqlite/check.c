/* Looks for damage: the file, the rows against each other, and what each row says. */
#include <math.h>
#include <string.h>

#include "storage/rules.h"
#include "storage/sqlite/care.h"

struct checking {
    struct store_sqlite *q;
    store_problem_fn *fn;
    void *ctx;
    struct err *err;
};

static void finalize(sqlite3_stmt **st)
{
    (void)sqlite3_finalize(*st); /* repeats the error of the last step */
}
#define AUTO_STMT AUTO(finalize)

static int check_rule(const struct checking *c, const struct check_rule *rule)
{
    AUTO_STMT sqlite3_stmt *st = NULL;
    int step = SQLITE_DONE, rc = 0;
    if (sqlite3_prepare_v2(c->q->db, rule->sql, -1, &st, NULL) != SQLITE_OK)
        return sql_fail(c->q, c->err);
    bool number = sqlite3_column_count(st) > 4;
    while (rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
        int type = sqlite3_column_type(st, 3); /* before it is read as text */
        const struct check_row row = {.row = sqlite3_column_int64(st, 0),
                                      .study = sqlite3_column_int64(st, 1),
                                      .trial = sqlite3_column_int64(st, 2),
                                      .text = sql_text_or_null(st, 3),
                                      .n = (size_t)sqlite3_column_bytes(st, 3),
                                      .is_text = type == SQLITE_TEXT,
                                      .number = number && sqlite3_column_type(st, 4) != SQLITE_NULL
                                                    ? sqlite3_column_double(st, 4)
                                                    : NAN};
        rc = check_tell(rule, &row, c->fn, c->ctx);
    }
    return rc != 0 || step == SQLITE_DONE ? rc : sql_fail(c->q, c->err);
}

/* --- the file
 * ------------------------------------------------------------------------------------------ */

/* What SQLite finds. A page that cannot be read at all ends it with an error, told as a problem. */
static int check_file(const struct checking *c, bool quick, bool *sound)
{
    AUTO_STMT sqlite3_stmt *st = NULL;
    int rc;
    *sound = true;
    if (sqlite3_prepare_v2(c->q->db, quick ? "PRAGMA quick_check" : "PRAGMA integrity_check", -1,
                           &st, NULL) != SQLITE_OK)
        return sql_fail(c->q, c->err);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        const struct store_problem p = {
            .severity = STORE_BROKEN, .table = "", .column = "", .text = sql_text(st, 0)};
        if (strcmp(p.text, "ok") == 0)
            continue;
        *sound = false;
        int told = c->fn(c->ctx, &p);
        if (told != 0)
            return told;
    }
    return rc == SQLITE_DONE ? 0 : sql_fail(c->q, c->err);
}

static int check_all(const struct checking *c, bool quick)
{
    bool sound;
    int rc = check_file(c, quick, &sound);
    if (rc != 0 || !sound) /* what a damaged file says of its rows is noise */
        return rc;
    for (size_t i = 0; i < check_rules_n && rc == 0; i++)
        rc = check_rule(c, &check_rules[i]);
    return rc;
}

int sqlite_check(struct store *s, bool quick, store_problem_fn *fn, void *ctx, struct err *err)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    const struct checking c = {.q = q, .fn = fn, .ctx = ctx, .err = err};
    int rc = tx_enter_read(q, err);
    return rc < 0 ? rc : tx_leave_read(q, check_all(&c, quick));
}
