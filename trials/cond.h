/* Conditions of parameters (`when: booster == "dart" and max_depth > 3`): comparisons of a name
 * with a literal or a name, joined by `and`, `or`, `not` and parentheses; `in [a, b]`, `not in [a,
 * b]`; a name alone holds when it is true. Literals: 1, 1e-3, "text", 'text', true, false, null. No
 * calls, no side effects. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct cond;
struct value;

/* What a name stands for: fills *out (text is borrowed for the evaluation) and returns true; false
 * when the name is unknown or its parameter inactive, which makes any comparison with it false. */
typedef bool cond_lookup(void *ctx, const char *name, struct value *out);

/* On success *out is the caller's. Errors: ERR_INVALID; the message names the column within text.
 */
int cond_parse(struct cond **out, const char *text, struct err *err);
void cond_destroy(struct cond *c);
bool cond_eval(const struct cond *c, cond_lookup *lookup, void *ctx);
/* Calls visit for each name used. */
void cond_names(const struct cond *c, void (*visit)(void *ctx, const char *name), void *ctx);

/* A name compared with a literal, for checks against what the name can be. */
struct cond_comparison {
    const char *name;
    bool ordered; /* by < <= > >=; else by == != in */
    const struct value *literal;
};
void cond_comparisons(const struct cond *c,
                      void (*visit)(void *ctx, const struct cond_comparison *what), void *ctx);

enum cond_truth { COND_FALSE, COND_TRUE, COND_OPEN };

/* Whether the name stands for a parameter that is never active. */
typedef bool cond_absent(void *ctx, const char *name);

/* Puts the values of the names that lookup knows into c, for good, and takes out those that are
 * absent (NULL: none is). *out says what is settled by that: COND_OPEN when the outcome still
 * depends on other names. Errors: ERR_NOMEM. */
int cond_bind(struct cond *c, cond_lookup *lookup, cond_absent *absent, void *ctx,
              enum cond_truth *out, struct err *err);
