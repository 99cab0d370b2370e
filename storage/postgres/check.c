/* Looks for damage in the rows; the server looks after its files itself. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "storage/postgres/ops.h"
#include "storage/rules.h"

#define SELF(s) CONTAINER_OF(s, struct store_pg, base)

struct checking {
    struct store_pg *q;
    store_problem_fn *fn;
    void *ctx;
    struct err *err;
};

static int check_rows(const struct checking *c, const struct check_rule *rule, const PGresult *r)
{
    int rc = 0;
    bool number = PQnfields(r) > 4;
    for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
        const struct check_row row = {
            .row = atoll(field(r, i, 0)),
            .study = atoll(field(r, i, 1)),
            .trial = atoll(field(r, i, 2)),
            .text = field_or_null(r, i, 3),
            .n = (size_t)PQgetlength(r, i, 3),
            .is_text = true, /* the column's type holds nothing else */
            .number = number && !PQgetisnull(r, i, 4) ? strtod(field(r, i, 4), NULL) : NAN};
        rc = check_tell(rule, &row, c->fn, c->ctx);
    }
    return rc;
}

/* A cursor's rows, so many at a time: a table may be larger than memory. */
static int check_rule(const struct checking *c, const struct check_rule *rule)
{
    AUTO_FREE char *declare = NULL;
    int rows, rc;
    if (asprintf(&declare, "DECLARE forkless_check NO SCROLL CURSOR FOR %s", rule->sql) < 0) {
        declare = NULL;
        return err_set(c->err, ERR_NOMEM, "check");
    }
    rc = pipe_text(c->q, declare, NULL, c->err);
    do {
        AUTO_RESULT PGresult *r = NULL;
        if (rc == 0)
            rc = pipe_text(c->q, "FETCH 1000 FROM forkless_check", &r, c->err);
        rows = rc == 0 ? PQntuples(r) : 0;
        if (rc == 0)
            rc = check_rows(c, rule, r);
    } while (rc == 0 && rows > 0);
    return rc == 0 ? pipe_text(c->q, "CLOSE forkless_check", NULL, c->err) : rc;
}

int pg_check(struct store *s, bool quick, store_problem_fn *fn, void *ctx, struct err *err)
{
    struct store_pg *q = SELF(s);
    const struct checking c = {.q = q, .fn = fn, .ctx = ctx, .err = err};
    int rc = tx_enter_read(q, err);
    (void)quick; /* nothing here is slow */
    for (size_t i = 0; rc == 0 && i < check_rules_n; i++)
        rc = check_rule(&c, &check_rules[i]);
    return tx_leave_read(q, rc);
}
