/* Collecting mistakes, so that a user can mend several at once. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "trials/spec_read.h"

__attribute__((format(printf, 4, 0))) static void add(struct problems *p, const char *where,
                                                      const char *path, const char *fmt, va_list ap)
{
    char what[sizeof(p->first.msg)], line[sizeof(what) + YAML_WHERE_MAX + 200];
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    (void)snprintf(line, sizeof(line), "%s: %.150s%s%s\n", where, path, *path != '\0' ? ": " : "",
                   what);
    if (strstr(buf_str(&p->text), line) != NULL)
        return;
    if (p->n == 0)
        (void)err_set(&p->first, ERR_INVALID, "%.*s", (int)strlen(line) - 1, line);
    if (p->n++ < PROBLEMS_MAX)
        buf_puts(&p->text, line);
}

void problem_at(struct problems *p, const struct yaml_node *at, const char *path, const char *fmt,
                ...)
{
    char where[YAML_WHERE_MAX];
    va_list ap;
    va_start(ap, fmt);
    add(p, yaml_where(at->origin, at->line, at->column, where), path, fmt, ap);
    va_end(ap);
}

void problem_key(struct problems *p, const struct yaml_pair *at, const char *path, const char *fmt,
                 ...)
{
    char where[YAML_WHERE_MAX];
    va_list ap;
    va_start(ap, fmt);
    add(p, yaml_where(at->value->origin, at->line, at->column, where), path, fmt, ap);
    va_end(ap);
}

/* What other tools call it. */
static const char *synonym(const char *word)
{
    static const char *const pairs[][2] = {
        {"categorical", "choice"},
        {"choices", "choice"},
        {"values", "choice"},
        {"options", "choice"},
        {"uniform", "float"},
        {"loguniform", "float"},
        {"log_uniform", "float"},
        {"double", "float"},
        {"real", "float"},
        {"integer", "int"},
        {"condition", "when"},
        {"if", "when"},
        {"q", "step"},
        {"n_trials", "trials"},
        {"n_jobs", "jobs"},
        {"workers", "jobs"},
        {"parallel", "jobs"},
        {"timeout", "wall"},
        {"program", "command"},
        {"cmd", "command"},
        {"parameters", "space"},
        {"params", "space"},
        {"url", "storage"},
        {"goal", "direction"},
        {"reduction_factor", "eta"},
        {"min_resource", "min"},
        {"n_startup_trials", "startup"},
        {"n_ei_candidates", "candidates"},
        {"retries", "retry"},
        {"execution", "slots"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (strcmp(word, pairs[i][0]) == 0)
            return pairs[i][1];
    }
    return NULL;
}

static bool among(const char *word, const char *const *known, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(word, known[i]) == 0)
            return true;
    }
    return false;
}

const char *spec_meant(const char *word, const char *const *known, size_t n_known)
{
    const char *near = text_nearest(word, known, n_known);
    const char *same = synonym(word);
    return near == NULL && same != NULL && among(same, known, n_known) ? same : near;
}

void problem_unknown(struct problems *p, const struct yaml_pair *at, const char *path,
                     const char *const *known, size_t n_known)
{
    const char *near = spec_meant(at->key, known, n_known);
    if (near != NULL) {
        problem_key(p, at, path, "unknown key '%.60s', did you mean '%s'?", at->key, near);
        return;
    }
    char list[300] = "";
    size_t n = 0;
    for (size_t i = 0; i < n_known && n < sizeof(list) - 60; i++)
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%.50s", i > 0 ? ", " : "", known[i]);
    problem_key(p, at, path, "unknown key '%.60s': expected %s", at->key, list);
}
