/* The parsed form of a condition, shared by its parser and its evaluation. */
#pragma once

#include "trials/cond.h"
#include "trials/space.h"

enum cond_op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE };

enum cond_kind {
    COND_OR,      /* nodes a, b */
    COND_AND,     /* nodes a, b */
    COND_NOT,     /* node a */
    COND_IS,      /* operands[0] is true */
    COND_COMPARE, /* operands[0] op operands[1] */
    COND_IN,      /* operands[0] equals one of operands[1 …] */
};

/* A name, or a literal when name is NULL. */
struct cond_operand {
    char *name;         /* owned */
    struct value value; /* text owned */
    bool absent;        /* no value ever: a comparison with it is false */
};

struct cond_node {
    enum cond_kind kind;
    enum cond_op op;
    size_t a, b;                   /* indices of child nodes */
    struct cond_operand *operands; /* owned */
    size_t n_operands;
};

/* Frees the operands. */
void cond_node_free(struct cond_node *n);

struct cond {
    struct cond_node *nodes; /* owned; children stand before their parent, the root is last */
    size_t n;
};
