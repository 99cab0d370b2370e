#include "trials/cond.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "trials/cond_node.h"

void cond_node_free(struct cond_node *n)
{
    for (size_t i = 0; i < n->n_operands; i++) {
        free(n->operands[i].name);
        if (n->operands[i].value.kind == VALUE_TEXT)
            free(n->operands[i].value.s);
    }
    free(n->operands);
}

void cond_destroy(struct cond *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n; i++)
        cond_node_free(&c->nodes[i]);
    free(c->nodes);
    free(c);
}

static bool is_number(const struct value *v)
{
    return v->kind == VALUE_INT || v->kind == VALUE_REAL || v->kind == VALUE_BOOL;
}

static double number(const struct value *v)
{
    return v->kind == VALUE_INT ? (double)v->i : v->kind == VALUE_BOOL ? v->b : v->d;
}

/* Values of different sorts have no order: every ordered comparison of them is false. */
static bool compare(enum cond_op op, const struct value *l, const struct value *r)
{
    if (op == OP_EQ || op == OP_NE)
        return value_equal(l, r) == (op == OP_EQ);
    double a, b;
    if (is_number(l) && is_number(r)) {
        a = number(l);
        b = number(r);
    } else if (l->kind == VALUE_TEXT && r->kind == VALUE_TEXT) {
        a = strcmp(l->s, r->s);
        b = 0;
    } else {
        return false;
    }
    switch (op) {
    case OP_LT:
        return a < b;
    case OP_LE:
        return a <= b;
    case OP_GT:
        return a > b;
    default:
        return a >= b;
    }
}

static bool operand_value(const struct cond_operand *o, cond_lookup *lookup, void *ctx,
                          struct value *out)
{
    if (o->absent)
        return false;
    if (o->name != NULL)
        return lookup(ctx, o->name, out);
    *out = o->value;
    return true;
}

static bool holds(const struct cond_node *n, cond_lookup *lookup, void *ctx)
{
    struct value left, right;
    if (!operand_value(&n->operands[0], lookup, ctx, &left))
        return false;
    if (n->kind == COND_IS)
        return left.kind == VALUE_BOOL && left.b;
    for (size_t i = 1; i < n->n_operands; i++) {
        if (operand_value(&n->operands[i], lookup, ctx, &right) && compare(n->op, &left, &right))
            return true;
    }
    return false;
}

static bool eval(const struct cond *c, size_t i, cond_lookup *lookup, void *ctx)
{
    const struct cond_node *n = &c->nodes[i];
    switch (n->kind) {
    case COND_OR:
        return eval(c, n->a, lookup, ctx) || eval(c, n->b, lookup, ctx);
    case COND_AND:
        return eval(c, n->a, lookup, ctx) && eval(c, n->b, lookup, ctx);
    case COND_NOT:
        return !eval(c, n->a, lookup, ctx);
    default:
        return holds(n, lookup, ctx);
    }
}

bool cond_eval(const struct cond *c, cond_lookup *lookup, void *ctx)
{
    return eval(c, c->n - 1, lookup, ctx);
}

void cond_names(const struct cond *c, void (*visit)(void *ctx, const char *name), void *ctx)
{
    for (size_t i = 0; i < c->n; i++) {
        for (size_t k = 0; k < c->nodes[i].n_operands; k++) {
            if (c->nodes[i].operands[k].name != NULL)
                visit(ctx, c->nodes[i].operands[k].name);
        }
    }
}

void cond_comparisons(const struct cond *c,
                      void (*visit)(void *ctx, const struct cond_comparison *what), void *ctx)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct cond_node *n = &c->nodes[i];
        for (size_t k = 1; k < n->n_operands; k++) {
            const struct cond_operand *l = &n->operands[0], *r = &n->operands[k];
            if ((l->name == NULL) == (r->name == NULL))
                continue;
            visit(ctx, &(struct cond_comparison){
                           .name = l->name != NULL ? l->name : r->name,
                           .ordered = n->op != OP_EQ && n->op != OP_NE,
                           .literal = l->name != NULL ? &r->value : &l->value,
                       });
        }
    }
}

static enum cond_truth truth_of(bool b)
{
    return b ? COND_TRUE : COND_FALSE;
}

static bool no_lookup(void *ctx, const char *name, struct value *out)
{
    (void)ctx, (void)name, (void)out;
    return false;
}

/* Whether something is left on both sides of a comparison. */
static bool can_hold(const struct cond_node *n)
{
    bool right = n->kind == COND_IS;
    for (size_t k = 1; k < n->n_operands; k++)
        right |= !n->operands[k].absent;
    return right && !n->operands[0].absent;
}

/* What is known of node i when names are still open. */
static enum cond_truth settle(const struct cond *c, size_t i)
{
    const struct cond_node *n = &c->nodes[i];
    if (n->kind == COND_NOT) {
        enum cond_truth a = settle(c, n->a);
        return a == COND_OPEN ? COND_OPEN : truth_of(a == COND_FALSE);
    }
    if (n->kind == COND_OR || n->kind == COND_AND) {
        enum cond_truth decisive = truth_of(n->kind == COND_OR);
        enum cond_truth a = settle(c, n->a), b = settle(c, n->b);
        if (a == decisive || b == decisive)
            return decisive;
        return a == COND_OPEN || b == COND_OPEN ? COND_OPEN : truth_of(n->kind == COND_AND);
    }
    if (!can_hold(n))
        return COND_FALSE;
    for (size_t k = 0; k < n->n_operands; k++) {
        if (n->operands[k].name != NULL)
            return COND_OPEN;
    }
    return truth_of(holds(n, no_lookup, NULL));
}

static int bind_operand(struct cond_operand *o, cond_lookup *lookup, cond_absent *absent, void *ctx,
                        struct err *err)
{
    struct value v = {0};
    if (o->name == NULL)
        return 0;
    if (absent != NULL && absent(ctx, o->name))
        o->absent = true;
    else if (!lookup(ctx, o->name, &v))
        return 0;
    if (v.kind == VALUE_TEXT) {
        v.s = strdup(v.s);
        if (v.s == NULL)
            return err_set(err, ERR_NOMEM, "condition");
    }
    free(o->name);
    o->name = NULL;
    o->value = v;
    return 0;
}

int cond_bind(struct cond *c, cond_lookup *lookup, cond_absent *absent, void *ctx,
              enum cond_truth *out, struct err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        for (size_t k = 0; k < c->nodes[i].n_operands; k++) {
            int rc = bind_operand(&c->nodes[i].operands[k], lookup, absent, ctx, err);
            if (rc < 0)
                return rc;
        }
    }
    *out = settle(c, c->n - 1);
    return 0;
}
