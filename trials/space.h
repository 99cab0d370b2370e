/* The search space: distributions as Optuna defines them, parameters, and their conditions.
 *
 * A parameter's value travels in Optuna's internal representation, a double: a float is itself, an
 * int is that number, a choice is its index. Conversion to what users see happens at the edges
 * only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "trials/cond.h"

enum dist_kind {
    DIST_FLOAT,
    DIST_INT,
    DIST_CHOICE,
    DIST_OPAQUE, /* of others, beyond us: its JSON is the one choice; never sampled */
};

enum value_kind { VALUE_NULL, VALUE_BOOL, VALUE_INT, VALUE_REAL, VALUE_TEXT };

/* One categorical choice. Equality is Python's: 1 == 1.0 == true, NaN equals NaN. */
struct value {
    enum value_kind kind;
    union {
        bool b;
        int64_t i;
        double d; /* may be NaN or infinite */
        char *s;  /* owned */
    };
};

struct dist {
    enum dist_kind kind;
    bool log;              /* float and int: sample in log space; low > 0 (int: low >= 1) */
    double low, high;      /* inclusive; with a step, high is low + k * step */
    double step;           /* float: 0 = none; int: >= 1 */
    struct value *choices; /* choice only, owned */
    size_t n_choices;
};

struct param {
    char *name;        /* owned */
    struct dist dist;  /* owned */
    struct cond *when; /* NULL: always active; owned */
    const char *place; /* in the spec, "sweep.yaml:12:9"; borrowed; NULL: it has none */
};

/* In the order of the spec. A condition may name only parameters that stand before its own. */
struct space {
    struct param *params; /* owned */
    size_t n;
};

/* Checks bounds and adjusts high to the step grid, by decimal arithmetic on the shortest text forms
 * as Optuna does. Errors: ERR_INVALID with a sentence that names the bounds. */
int dist_check(struct dist *d, struct err *err);
void dist_free(struct dist *d);
int dist_copy(struct dist *out, const struct dist *d, struct err *err);

/* Optuna's JSON text, with its key order and Python's number forms ("1e-05", NaN). */
void dist_put_json(struct buf *b, const struct dist *d);
/* Reads Optuna's JSON text: current, deprecated (Uniform, LogUniform, DiscreteUniform, IntUniform,
 * IntLogUniform) and abbreviated forms, and the literals NaN and Infinity. The result is checked.
 */
int dist_read_json(struct dist *out, const char *text, size_t n, struct err *err);
/* The same of what others may have stored: JSON that is no distribution of ours (ints beyond 2^53,
 * lists as choices, an unknown class) becomes DIST_OPAQUE. */
int dist_read_stored(struct dist *out, const char *text, size_t n, struct err *err);

bool dist_contains(const struct dist *d, double internal);
/* Nothing to sample: one value only. */
bool dist_single(const struct dist *d);
/* Same kind and log, and for choices the same list: what Optuna demands of one name in a study.
 * Two opaque ones are taken to be. */
bool dist_compatible(const struct dist *a, const struct dist *b);
bool dist_equal(const struct dist *a, const struct dist *b);
bool value_equal(const struct value *a, const struct value *b);

/* For people: "float", "int", "choice"; for an opaque one that it is another program's. */
const char *dist_kind_name(enum dist_kind kind);
/* Appends what it may be: "0.001 … 0.1, log", or the first choices. */
void dist_put_range(struct buf *b, const struct dist *d);
/* Appends the kind and that: "float 0.001 … 0.1, log". */
void dist_put_words(struct buf *b, const struct dist *d);

/* The external value: as JSON (1, 0.5, "relu", null; NaN and infinities as Python writes them) … */
void dist_put_value_json(struct buf *b, const struct dist *d, double internal);
/* … and as bare text for argv and the environment (choices: text without quotes, true/false, null).
 */
void dist_put_value_text(struct buf *b, const struct dist *d, double internal);
/* The internal representation of an external JSON value. Errors: ERR_INVALID when it is of another
 * type or no choice; a number out of range is accepted, as Optuna accepts enqueued values. */
int dist_internal(const struct dist *d, const json_t *external, double *internal, struct err *err);

void space_free(struct space *s);
/* Index of the parameter, or -1. */
int space_find(const struct space *s, const char *name);
/* Whether parameter i is active, given values[0..i) and active[0..i). */
bool space_active(const struct space *s, size_t i, const double *values, const bool *active);
