/* One distribution: a mapping ({float: [1e-3, 0.3], log: true}) or a compact text
 * (float:1e-3..0.3:log). */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "trials/spec_read.h"

#define CHOICES_MAX 10000

/* The first ones in the order of enum dist_kind. */
static const char *const param_keys[] = {"float", "int", "choice", "log", "step", "when", "value"};

static bool number(const struct yaml_node *n, double *out)
{
    if (n->kind != YAML_INT && n->kind != YAML_REAL)
        return false;
    *out = n->kind == YAML_INT ? (double)n->i : n->d;
    return isfinite(*out);
}

static bool read_range(struct spec_reader *r, const struct yaml_node *n, const char *path,
                       struct dist *d)
{
    char found[YAML_FOUND_MAX];
    if (n->kind == YAML_LIST && n->n == 2 && number(n->items[0], &d->low) &&
        number(n->items[1], &d->high)) {
        if (d->kind == DIST_FLOAT || (floor(d->low) == d->low && floor(d->high) == d->high))
            return true;
        problem_at(r->problems, n, path, "the bounds of an int must be whole numbers");
        return false;
    }
    problem_at(r->problems, n, path, "expected [low, high], found %s",
               n->kind == YAML_LIST ? "a list of something else" : yaml_found(n, found));
    return false;
}

/* Takes the text over. */
static bool add_choice(struct dist *d, const struct yaml_node *n)
{
    struct value v = spec_value(n);
    struct value *grown = realloc(d->choices, (d->n_choices + 1) * sizeof(*grown));
    if (grown == NULL)
        return false;
    d->choices = grown;
    if (v.kind == VALUE_TEXT && (v.s = strdup(v.s)) == NULL)
        return false;
    grown[d->n_choices++] = v;
    return true;
}

static bool read_choices(struct spec_reader *r, const struct yaml_node *n, const char *path,
                         struct dist *d)
{
    char found[YAML_FOUND_MAX];
    if (n->kind != YAML_LIST || n->n == 0 || n->n > CHOICES_MAX) {
        problem_at(r->problems, n, path, "expected a list of values, found %s",
                   n->kind == YAML_LIST ? "an empty or endless one" : yaml_found(n, found));
        return false;
    }
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_node *item = n->items[i];
        if (!spec_is_scalar(item)) {
            problem_at(r->problems, item, path,
                       "a choice is a text, a number, true, false or null, not %s",
                       yaml_found(item, found));
            return false;
        }
        struct value v = spec_value(item);
        for (size_t k = 0; k < d->n_choices; k++) {
            char other[YAML_FOUND_MAX];
            if (value_equal(&d->choices[k], &v)) {
                problem_at(r->problems, item, path, "the choices %s and %s are equal",
                           yaml_found(n->items[k], other), yaml_found(item, found));
                return false;
            }
        }
        if (!add_choice(d, item)) {
            r->no_memory = true;
            return false;
        }
    }
    return true;
}

static bool read_modifiers(struct spec_reader *r, const struct yaml_node *map, const char *path,
                           struct dist *d)
{
    const struct yaml_pair *log = yaml_find(map, "log"), *step = yaml_find(map, "step");
    if (d->kind == DIST_CHOICE && (log != NULL || step != NULL)) {
        problem_key(r->problems, log != NULL ? log : step, path, "a choice has no '%s'",
                    log != NULL ? "log" : "step");
        return false;
    }
    if (log != NULL && log->value->kind != YAML_BOOL) {
        problem_at(r->problems, log->value, path, "log: expected true or false");
        return false;
    }
    d->log = log != NULL && log->value->b;
    if (step == NULL)
        return true;
    if (!number(step->value, &d->step) || d->step <= 0 ||
        (d->kind == DIST_INT && floor(d->step) != d->step)) {
        problem_at(r->problems, step->value, path, "step: expected a %s above 0",
                   d->kind == DIST_INT ? "whole number" : "number");
        return false;
    }
    return true;
}

static bool check_dist(struct spec_reader *r, const struct yaml_node *at, const char *path,
                       struct dist *d)
{
    struct err err;
    if (dist_check(d, &err) < 0) {
        problem_at(r->problems, at, path, "%s", err.msg);
        return false;
    }
    /* every draw would be the upper bound */
    if (d->kind == DIST_FLOAT && !isfinite((d->high - d->low) / (d->step > 0 ? d->step : 1))) {
        problem_at(r->problems, at, path, "from low to high are more %s than a number can tell",
                   d->step > 0 ? "steps" : "units");
        return false;
    }
    return true;
}

bool spec_read_dist(struct spec_reader *r, const struct yaml_node *map, const char *path,
                    struct dist *d)
{
    size_t n_kinds = 0, unknown = 0;
    const struct yaml_pair *kind = NULL;
    for (size_t i = 0; i < map->n; i++) {
        const struct yaml_pair *p = &map->pairs[i];
        size_t k = 0;
        while (k < ARRAY_LEN(param_keys) && strcmp(p->key, param_keys[k]) != 0)
            k++;
        if (k == ARRAY_LEN(param_keys)) {
            const char *full = pool_printf(r->pool, "%s.%s", path, p->key);
            problem_unknown(r->problems, p, full != NULL ? full : path, param_keys,
                            ARRAY_LEN(param_keys));
            unknown++;
        } else if (k <= DIST_CHOICE) {
            d->kind = (enum dist_kind)k;
            kind = p;
            n_kinds++;
        }
    }
    if (unknown > 0)
        return false;
    if (n_kinds != 1) {
        problem_at(r->problems, map, path,
                   "expected one of float: [low, high], int: [low, high], choice: […]");
        return false;
    }
    d->step = d->kind == DIST_INT ? 1 : 0;
    bool ok = d->kind == DIST_CHOICE ? read_choices(r, kind->value, path, d)
                                     : read_range(r, kind->value, path, d);
    return ok && read_modifiers(r, map, path, d) && check_dist(r, kind->value, path, d);
}

/* ---- float:LOW..HIGH[:log|:STEP]  int:LOW..HIGH[:log|:STEP]  choice:A,B,… ---- */

static bool read_compact_choices(struct spec_reader *r, const char *text,
                                 const struct yaml_node *at, const char *path, struct dist *d)
{
    struct yaml_node *list = yaml_container(r->pool, at->origin, YAML_LIST);
    while (list != NULL && text != NULL) {
        size_t n = strcspn(text, ",");
        const char *word = pool_strndup(r->pool, text, n);
        struct yaml_node *item = word == NULL ? NULL : yaml_scalar(r->pool, at->origin, word);
        if (item == NULL || !yaml_append(r->pool, list, item))
            return false;
        if (n == 0) {
            problem_at(r->problems, at, path, "an empty choice in '%.60s'", at->text);
            return false;
        }
        item->line = at->line;
        item->column = at->column;
        text = text[n] == ',' ? text + n + 1 : NULL;
    }
    return list != NULL && read_choices(r, list, path, d);
}

static bool read_compact_range(const char *text, struct dist *d)
{
    char low[64], high[64];
    const char *dots = strstr(text, "..");
    if (dots == NULL || (size_t)(dots - text) >= sizeof(low))
        return false;
    size_t n = strcspn(dots + 2, ":");
    if (n >= sizeof(high))
        return false;
    (void)snprintf(low, sizeof(low), "%.*s", (int)(dots - text), text);
    (void)snprintf(high, sizeof(high), "%.*s", (int)n, dots + 2);
    if (!text_double(low, &d->low) || !text_double(high, &d->high) || !isfinite(d->low) ||
        !isfinite(d->high))
        return false;
    bool is_int = d->kind == DIST_INT;
    if (is_int && (floor(d->low) != d->low || floor(d->high) != d->high))
        return false;
    d->step = is_int ? 1 : 0;
    const char *rest = dots + 2 + n;
    if (*rest == '\0')
        return true;
    if (strcmp(rest, ":log") == 0) {
        d->log = true;
        return true;
    }
    return text_double(rest + 1, &d->step) && d->step > 0 && isfinite(d->step) &&
           (!is_int || floor(d->step) == d->step);
}

bool spec_read_compact(struct spec_reader *r, const struct yaml_node *n, const char *path,
                       struct dist *d)
{
    const char *rest = strchr(n->text, ':') + 1;
    if (n->text[0] == 'c') {
        d->kind = DIST_CHOICE;
        return read_compact_choices(r, rest, n, path, d) && check_dist(r, n, path, d);
    }
    d->kind = n->text[0] == 'f' ? DIST_FLOAT : DIST_INT;
    if (!read_compact_range(rest, d)) {
        problem_at(r->problems, n, path, "expected %s, found '%.60s'",
                   d->kind == DIST_FLOAT
                       ? "float:LOW..HIGH, float:LOW..HIGH:log or float:LOW..HIGH:STEP"
                       : "int:LOW..HIGH, int:LOW..HIGH:log or int:LOW..HIGH:STEP in whole numbers",
                   n->text);
        return false;
    }
    return check_dist(r, n, path, d);
}

/* ---- what was meant to be one of these: as a constant it would spoil the sweep silently ---- */

static bool starts_number(const char *text)
{
    text += strchr("+-.", *text) != NULL && *text != '\0';
    return isdigit((unsigned char)*text);
}

/* Two dots between numbers, which no path has. */
static bool has_bounds(const char *text)
{
    for (const char *dots = text; (dots = strstr(dots, "..")) != NULL; dots++) {
        if (dots > text && isdigit((unsigned char)dots[-1]) && starts_number(dots + 2))
            return true;
    }
    return false;
}

/* What stands before the colon was meant to be this kind; NULL: none, or there is no colon. */
static const char *meant_kind(const char *text)
{
    char word[32];
    size_t n = strcspn(text, ":");
    if (text[n] == '\0' || n == 0 || n >= sizeof(word))
        return NULL;
    (void)snprintf(word, sizeof(word), "%.*s", (int)n, text);
    return strcmp(word, "log") == 0 ? "float" : spec_meant(word, param_keys, DIST_CHOICE + 1);
}

bool spec_is_mistyped_param(const char *text)
{
    if (spec_is_param_text(text))
        return false;
    if (has_bounds(text))
        return true;
    const char *kind = meant_kind(text);
    const char *rest = strchr(text, ':');
    return kind != NULL && (starts_number(rest + 1) || strchr(rest, ',') != NULL);
}

void spec_refuse_mistyped(struct spec_reader *r, const struct yaml_node *n, const char *path)
{
    const char *kind = meant_kind(n->text);
    if (kind == NULL && !starts_number(n->text)) {
        problem_at(r->problems, n, path,
                   "'%.60s' looks like a range: expected float:LOW..HIGH, int:LOW..HIGH or "
                   "choice:A,B; to mean the text, write {value: '…'}",
                   n->text);
        return;
    }
    const char *rest = kind != NULL ? strchr(n->text, ':') + 1 : n->text;
    bool log = strncmp(n->text, "log", 3) == 0;
    problem_at(r->problems, n, path,
               "'%.60s' looks like a range: did you mean '%s:%.60s%s'? To mean the text, write "
               "{value: '…'}",
               n->text, kind != NULL ? kind : "float", rest, log ? ":log" : "");
}
