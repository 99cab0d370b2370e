#include "base/yaml_scalar.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

static bool one_of(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

/* 0o17 and 0xff; no sign, as the schema says. */
static bool resolve_based(struct yaml_node *n)
{
    int base = n->text[0] != '0' ? 0 : n->text[1] == 'o' ? 8 : n->text[1] == 'x' ? 16 : 0;
    const char *digits = n->text + 2;
    if (base == 0 || *digits == '\0' ||
        digits[strspn(digits, base == 8 ? "01234567" : "0123456789abcdefABCDEF")] != '\0')
        return false;
    errno = 0;
    long long v = strtoll(digits, NULL, base);
    if (errno != 0)
        return false;
    n->kind = YAML_INT;
    n->i = v;
    return true;
}

/* [-+]? ( \.digits | digits ( \.digits* )? ) ( [eE] [-+]? digits )? */
static bool looks_like_number(const char *s)
{
    static const char digits[] = "0123456789";
    s += *s == '+' || *s == '-';
    size_t whole = strspn(s, digits);
    s += whole;
    if (*s == '.') {
        s++;
        size_t part = strspn(s, digits);
        if (whole + part == 0)
            return false;
        s += part;
    } else if (whole == 0) {
        return false;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-';
        size_t exponent = strspn(s, digits);
        if (exponent == 0)
            return false;
        s += exponent;
    }
    return *s == '\0';
}

static bool resolve_special(struct yaml_node *n)
{
    static const char *const infinities[] = {".inf", ".Inf", ".INF"};
    static const char *const nans[] = {".nan", ".NaN", ".NAN"};
    const char *bare = n->text + (n->text[0] == '+' || n->text[0] == '-');
    if (one_of(bare, infinities, ARRAY_LEN(infinities)))
        n->d = n->text[0] == '-' ? -INFINITY : INFINITY;
    else if (one_of(n->text, nans, ARRAY_LEN(nans)))
        n->d = NAN;
    else
        return false;
    n->kind = YAML_REAL;
    return true;
}

static bool resolve_number(struct yaml_node *n)
{
    if (resolve_based(n) || resolve_special(n))
        return true;
    if (!looks_like_number(n->text))
        return false;
    if (text_int(n->text, &n->i)) {
        n->kind = YAML_INT;
        return true;
    }
    n->kind = YAML_REAL;
    return text_double(n->text, &n->d);
}

void yaml_scalar_resolve(struct yaml_node *n)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const trues[] = {"true", "True", "TRUE"};
    static const char *const falses[] = {"false", "False", "FALSE"};
    n->kind = YAML_TEXT;
    if (one_of(n->text, nulls, ARRAY_LEN(nulls))) {
        n->kind = YAML_NULL;
    } else if (one_of(n->text, trues, ARRAY_LEN(trues)) ||
               one_of(n->text, falses, ARRAY_LEN(falses))) {
        n->kind = YAML_BOOL;
        n->b = n->text[0] == 't' || n->text[0] == 'T';
    } else if (!resolve_number(n)) {
        n->kind = YAML_TEXT;
    }
}

bool yaml_scalar_tag(struct yaml_node *n, const char *tag)
{
    static const char core[] = "tag:yaml.org,2002:";
    n->plain = false;
    n->kind = YAML_TEXT;
    if (strcmp(tag, "!") == 0 || strcmp(tag, "tag:yaml.org,2002:str") == 0)
        return true;
    if (strncmp(tag, core, sizeof(core) - 1) != 0)
        return false;
    yaml_scalar_resolve(n);
    tag += sizeof(core) - 1;
    if (strcmp(tag, "float") == 0 && n->kind == YAML_INT) {
        n->d = (double)n->i;
        n->kind = YAML_REAL;
    }
    return (strcmp(tag, "int") == 0 && n->kind == YAML_INT) ||
           (strcmp(tag, "float") == 0 && n->kind == YAML_REAL) ||
           (strcmp(tag, "bool") == 0 && n->kind == YAML_BOOL) ||
           (strcmp(tag, "null") == 0 && n->kind == YAML_NULL);
}
