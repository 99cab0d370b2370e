/* What `forkless db check` looks for in Optuna's tables, for the backends that speak SQL. */
#pragma once

#include "storage/care.h"

/* A row that a rule selected. */
struct check_row {
    int64_t row, study, trial; /* ids; 0 = none */
    const char *text;          /* the fourth column; NULL */
    size_t n;                  /* its bytes */
    bool is_text;              /* of that type */
    double number;             /* the fifth column; NaN: NULL, or there is none */
};

/* Whether the row is sound; else says what is wrong in out. */
typedef bool check_judge_fn(const struct check_row *row, char *out, size_t size);

/* The SQL selects row id, study, trial and a text, and perhaps a number: what is wrong, or, with a
 * judge, what has to be read. It is of both dialects. */
struct check_rule {
    enum store_severity severity;
    const char *table, *column;
    const char *text; /* what is wrong; the fourth column is added to it. NULL: the judge says it */
    const char *sql;
    check_judge_fn *judge; /* NULL: each row is a problem */
};

extern const struct check_rule check_rules[];
extern const size_t check_rules_n;

/* Tells the row's problem, if it has one. Returns what fn returns, else 0. */
int check_tell(const struct check_rule *rule, const struct check_row *row,
               int (*fn)(void *ctx, const struct store_problem *p), void *ctx);
