/* The condition language: or < and < not < comparison, as in Python. Recursive descent over the
 * text. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "trials/cond.h"
#include "trials/cond_node.h"

#define DEPTH_MAX 64
#define NODES_MAX 1024
#define LIST_MAX 4096

struct parser {
    const char *text, *at;
    struct cond *cond;
    int depth;
    struct err *err;
};

static void cond_destroy_p(struct cond **c)
{
    cond_destroy(*c);
}

static int fail(struct parser *p, const char *at, const char *what)
{
    return err_set(p->err, ERR_INVALID, "column %zu: %s", (size_t)(at - p->text) + 1, what);
}

static void skip_space(struct parser *p)
{
    while (isspace((unsigned char)*p->at))
        p->at++;
}

static bool name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || (unsigned char)c >= 0x80;
}

static bool name_start(char c)
{
    return name_char(c) && !isdigit((unsigned char)c) && c != '.';
}

/* Takes the keyword or symbol if it stands next. */
static bool take(struct parser *p, const char *token)
{
    skip_space(p);
    size_t n = strlen(token);
    if (strncmp(p->at, token, n) != 0 || (name_start(token[0]) && name_char(p->at[n])))
        return false;
    p->at += n;
    return true;
}

/* Appends the node; its operands belong to the condition if that succeeds. */
static int add_node(struct parser *p, const struct cond_node *node, size_t *out)
{
    struct cond *c = p->cond;
    if (c->n >= NODES_MAX)
        return fail(p, p->at, "the condition is too long");
    struct cond_node *grown = realloc(c->nodes, (c->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return err_set(p->err, ERR_NOMEM, "condition");
    c->nodes = grown;
    c->nodes[c->n] = *node;
    *out = c->n++;
    return 0;
}

static int read_quoted(struct parser *p, struct cond_operand *out)
{
    char quote = *p->at;
    const char *start = p->at++;
    AUTO_FREE char *text = malloc(strlen(p->at) + 1);
    if (text == NULL)
        return err_set(p->err, ERR_NOMEM, "condition");
    size_t n = 0;
    while (*p->at != quote) {
        if (*p->at == '\\' && (p->at[1] == quote || p->at[1] == '\\'))
            p->at++;
        if (*p->at == '\0')
            return fail(p, start, "the text that starts here has no closing quote");
        text[n++] = *p->at++;
    }
    p->at++;
    text[n] = '\0';
    out->value = (struct value){.kind = VALUE_TEXT, .s = TAKE(text)};
    return 0;
}

static bool read_constant(const char *word, struct value *out)
{
    /* Python's spellings too: conditions look like Python */
    if (strcmp(word, "true") == 0 || strcmp(word, "True") == 0)
        *out = (struct value){.kind = VALUE_BOOL, .b = true};
    else if (strcmp(word, "false") == 0 || strcmp(word, "False") == 0)
        *out = (struct value){.kind = VALUE_BOOL, .b = false};
    else if (strcmp(word, "null") == 0 || strcmp(word, "None") == 0)
        *out = (struct value){.kind = VALUE_NULL};
    else
        return false;
    return true;
}

static int read_word(struct parser *p, struct cond_operand *out)
{
    const char *start = p->at;
    while (name_char(*p->at))
        p->at++;
    AUTO_FREE char *word = strndup(start, (size_t)(p->at - start));
    if (word == NULL)
        return err_set(p->err, ERR_NOMEM, "condition");
    if (strcmp(word, "and") == 0 || strcmp(word, "or") == 0 || strcmp(word, "in") == 0 ||
        strcmp(word, "not") == 0)
        return fail(p, start, "expected a name or a value before this word");
    if (!read_constant(word, &out->value))
        out->name = TAKE(word);
    return 0;
}

static int read_number(struct parser *p, struct cond_operand *out)
{
    const char *start = p->at;
    size_t n = strspn(start, "+-.0123456789eE");
    char number[64];
    if (n == 0 || n >= sizeof(number))
        return fail(p, start, "expected a name, a number or a quoted text");
    memcpy(number, start, n);
    number[n] = '\0';
    p->at += n;
    if (text_int(number, &out->value.i))
        out->value.kind = VALUE_INT;
    else if (text_double(number, &out->value.d))
        out->value.kind = VALUE_REAL;
    else
        return fail(p, start, "this is not a number");
    return 0;
}

static int read_operand(struct parser *p, struct cond_operand *out)
{
    skip_space(p);
    *out = (struct cond_operand){0};
    if (*p->at == '\0')
        return fail(p, p->at, "the condition ends too early");
    if (*p->at == '"' || *p->at == '\'')
        return read_quoted(p, out);
    return name_start(*p->at) ? read_word(p, out) : read_number(p, out);
}

/* Reads one more operand onto the node's list. */
static int push_operand(struct parser *p, struct cond_node *n)
{
    if (n->n_operands >= LIST_MAX)
        return fail(p, p->at, "the list is too long");
    struct cond_operand *grown = realloc(n->operands, (n->n_operands + 1) * sizeof(*grown));
    if (grown == NULL)
        return err_set(p->err, ERR_NOMEM, "condition");
    n->operands = grown;
    int rc = read_operand(p, &grown[n->n_operands]);
    if (rc < 0)
        return rc;
    n->n_operands++;
    return 0;
}

static int read_list(struct parser *p, struct cond_node *n)
{
    if (!take(p, "["))
        return fail(p, p->at, "expected a list after 'in': [a, b]");
    do {
        int rc = push_operand(p, n);
        if (rc < 0)
            return rc;
    } while (take(p, ","));
    return take(p, "]") ? 0 : fail(p, p->at, "expected ',' or ']'");
}

static bool take_op(struct parser *p, enum cond_op *op)
{
    /* the longer ones first */
    static const struct {
        const char *symbol;
        enum cond_op op;
    } ops[] = {{"==", OP_EQ}, {"!=", OP_NE}, {"<=", OP_LE},
               {">=", OP_GE}, {"<", OP_LT},  {">", OP_GT}};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (take(p, ops[i].symbol)) {
            *op = ops[i].op;
            return true;
        }
    }
    return false;
}

static int negate(struct parser *p, size_t *out)
{
    return add_node(p, &(struct cond_node){.kind = COND_NOT, .a = *out}, out);
}

/* What follows the left operand, which n already has. */
static int read_rest(struct parser *p, struct cond_node *n, bool *negated)
{
    skip_space(p);
    const char *at = p->at;
    *negated = take(p, "not");
    if (take(p, "in")) {
        n->kind = COND_IN;
        n->op = OP_EQ;
        return read_list(p, n);
    }
    if (*negated)
        return fail(p, at, "expected 'in' after 'not'");
    if (take_op(p, &n->op)) {
        n->kind = COND_COMPARE;
        int rc = push_operand(p, n);
        if (rc < 0)
            return rc;
        skip_space(p);
        at = p->at;
        enum cond_op op;
        return take_op(p, &op) ? fail(p, at, "join comparisons with 'and': a < b and b < c") : 0;
    }
    if (*at == '=')
        return fail(p, at, "write '==' to compare");
    n->kind = COND_IS;
    return n->operands[0].name != NULL || n->operands[0].value.kind == VALUE_BOOL
               ? 0
               : fail(p, at, "expected a comparison: == != < <= > >= in");
}

static int read_comparison(struct parser *p, size_t *out)
{
    AUTO(cond_node_free) struct cond_node n = {0};
    bool negated = false;
    int rc = push_operand(p, &n);
    if (rc == 0)
        rc = read_rest(p, &n, &negated);
    if (rc == 0)
        rc = add_node(p, &n, out);
    if (rc < 0)
        return rc;
    n = (struct cond_node){0};
    return negated ? negate(p, out) : 0;
}

static int read_or(struct parser *p, size_t *out);

static int read_not(struct parser *p, size_t *out)
{
    if (++p->depth > DEPTH_MAX)
        return fail(p, p->at, "the condition is nested too deeply");
    int rc;
    if (take(p, "not")) {
        rc = read_not(p, out);
        if (rc == 0)
            rc = negate(p, out);
    } else if (take(p, "(")) {
        rc = read_or(p, out);
        if (rc == 0 && !take(p, ")"))
            rc = fail(p, p->at, "expected ')'");
    } else {
        rc = read_comparison(p, out);
    }
    p->depth--;
    return rc;
}

/* A chain of `word`, whose links are read by `link`. */
static int read_chain(struct parser *p, const char *word, enum cond_kind kind,
                      int (*link)(struct parser *p, size_t *out), size_t *out)
{
    int rc = link(p, out);
    while (rc == 0 && take(p, word)) {
        struct cond_node n = {.kind = kind, .a = *out};
        rc = link(p, &n.b);
        if (rc == 0)
            rc = add_node(p, &n, out);
    }
    return rc;
}

static int read_and(struct parser *p, size_t *out)
{
    return read_chain(p, "and", COND_AND, read_not, out);
}

static int read_or(struct parser *p, size_t *out)
{
    return read_chain(p, "or", COND_OR, read_and, out);
}

static const char *leftover_hint(const char *at)
{
    switch (*at) {
    case '&':
        return "write 'and'";
    case '|':
        return "write 'or'";
    case '!':
        return "write 'not'";
    default:
        return "expected 'and', 'or' or the end";
    }
}

int cond_parse(struct cond **out, const char *text, struct err *err)
{
    AUTO(cond_destroy_p) struct cond *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return err_set(err, ERR_NOMEM, "condition");
    struct parser p = {.text = text, .at = text, .cond = c, .err = err};
    size_t root;
    int rc = read_or(&p, &root);
    if (rc < 0)
        return rc;
    skip_space(&p);
    if (*p.at != '\0')
        return fail(&p, p.at, leftover_hint(p.at));
    *out = TAKE(c);
    return 0;
}
