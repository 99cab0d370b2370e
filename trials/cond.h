/* Conditions of parameters (`when: booster == "dart" and max_depth > 3`): comparisons of a name with a
 * literal or a name, joined by `and`, `or`, `not` and parentheses; `in [a, b]`. No calls, no side effects. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct cond;
struct value;

/* What a name stands for: fills *out (text is borrowed for the evaluation) and returns true; false when
 * the name is unknown or its parameter inactive, which makes any comparison with it false. */
typedef bool cond_lookup(void *ctx, const char *name, struct value *out);

/* On success *out is the caller's. Errors: ERR_INVALID; the message names the column within text. */
int cond_parse(struct cond **out, const char *text, struct err *err);
void cond_destroy(struct cond *c);
/* Whether the condition holds. */
bool cond_eval(const struct cond *c, cond_lookup *lookup, void *ctx);
/* Calls visit for each name used. */
void cond_names(const struct cond *c, void (*visit)(void *ctx, const char *name), void *ctx);
