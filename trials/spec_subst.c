/* ${matrix.KEY} and ${VAR} in the texts of a document. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "trials/spec_read.h"

static const struct yaml_node *matrix_node(const struct spec_reader *r, const char *name)
{
    if (strncmp(name, "matrix.", 7) != 0)
        return NULL;
    for (size_t i = 0; i < r->doc->n_matrix; i++) {
        if (strcmp(r->doc->matrix[i].name, name + 7) == 0)
            return r->cell[i];
    }
    return NULL;
}

const char *spec_reference(const struct spec_reader *r, const char *name)
{
    const struct yaml_node *m = matrix_node(r, name);
    if (m != NULL)
        return m->text;
    for (size_t i = 0; i < r->doc->n_env; i++) {
        if (strcmp(r->doc->env[i].name, name) == 0)
            return r->doc->env[i].value;
    }
    return NULL;
}

const char *spec_reference_hint(const struct spec_reader *r, const char *name)
{
    const char *known[64];
    size_t n = 0;
    for (size_t i = 0; i < r->doc->n_matrix && n < 32; i++) {
        const char *full = pool_printf(r->pool, "matrix.%s", r->doc->matrix[i].name);
        if (full != NULL)
            known[n++] = full;
    }
    for (size_t i = 0; i < r->doc->n_env && n < 64; i++)
        known[n++] = r->doc->env[i].name;
    const char *hint = NULL;
    const char *near = text_nearest(name, known, n);
    if (near != NULL)
        hint = pool_printf(r->pool, "did you mean ${%s}?", near);
    else if (strncmp(name, "matrix.", 7) == 0)
        hint = "matrix has no such key";
    else
        hint = pool_printf(r->pool,
                           "to use an environment variable, declare it: env: [%.60s]; to mean the "
                           "text itself, write $${%.60s}",
                           name, name);
    return hint != NULL ? hint : "";
}

/* The node for a text that is one reference and nothing else: it has the type of what it stands
 * for. */
static struct yaml_node *whole(struct spec_reader *r, const struct yaml_node *n)
{
    size_t len = strlen(n->text);
    if (len < 4 || strncmp(n->text, "${", 2) != 0 || strchr(n->text, '}') != n->text + len - 1)
        return NULL;
    const char *name = pool_strndup(r->pool, n->text + 2, len - 3);
    if (name == NULL)
        return NULL;
    const struct yaml_node *m = matrix_node(r, name);
    const char *value = spec_reference(r, name);
    if (value == NULL)
        return NULL;
    struct yaml_node *to =
        m != NULL ? pool_copy(r->pool, m, sizeof(*m)) : yaml_scalar(r->pool, n->origin, value);
    if (to != NULL) {
        to->text = pool_strdup(r->pool, to->text);
        to->origin = n->origin;
        to->line = n->line;
        to->column = n->column;
    }
    return to == NULL || to->text == NULL ? NULL : to;
}

static void replace(struct spec_reader *r, struct yaml_node *n, const char *path)
{
    struct buf b = BUF_INIT;
    for (const char *at = n->text; *at != '\0';) {
        const char *end;
        if (strncmp(at, "$${", 3) == 0) {
            buf_puts(&b, "${");
            at += 3;
        } else if (strncmp(at, "${", 2) == 0 && (end = strchr(at, '}')) != NULL) {
            const char *name = pool_strndup(r->pool, at + 2, (size_t)(end - at) - 2);
            const char *value = name == NULL ? NULL : spec_reference(r, name);
            if (value == NULL && name != NULL)
                problem_at(r->problems, n, path, "unknown ${%.60s}: %s", name,
                           spec_reference_hint(r, name));
            if (value != NULL)
                buf_puts(&b, value);
            else
                buf_add(&b, at, (size_t)(end - at) + 1);
            at = end + 1;
        } else {
            buf_putc(&b, *at++);
        }
    }
    n->text = b.failed ? NULL : pool_strdup(r->pool, buf_str(&b));
    if (n->text == NULL)
        n->text = "";
    buf_free(&b);
}

/* Not replaced here: what is a template of each trial, and where references make no sense. */
static bool is_left_alone(const char *path, const struct yaml_node *n)
{
    return strcmp(path, "run.command") == 0 || strcmp(path, "run.env") == 0 ||
           (strcmp(path, "run") == 0 && n->kind == YAML_LIST) || strcmp(path, "matrix") == 0 ||
           strcmp(path, "env") == 0;
}

static struct yaml_node *copy(struct spec_reader *r, struct yaml_node *from, const char *path)
{
    if (is_left_alone(path, from))
        return from;
    if (from->kind == YAML_TEXT && strstr(from->text, "${") != NULL) {
        struct yaml_node *n = whole(r, from);
        if (n != NULL)
            return n;
        n = pool_copy(r->pool, from, sizeof(*from));
        if (n != NULL)
            replace(r, n, path);
        return n;
    }
    struct yaml_node *to = yaml_shallow_copy(r->pool, from);
    if (to != NULL && spec_is_scalar(to))
        to->text = pool_strdup(r->pool, to->text); /* the spec outlives the document */
    for (size_t i = 0; to != NULL && i < from->n; i++) {
        struct yaml_node **child = from->kind == YAML_LIST ? &to->items[i] : &to->pairs[i].value;
        const char *below = from->kind == YAML_LIST
                                ? pool_printf(r->pool, "%s[%zu]", path, i)
                                : pool_printf(r->pool, "%s%s%s", path, *path != '\0' ? "." : "",
                                              from->pairs[i].key);
        *child = below == NULL ? NULL : copy(r, *child, below);
        if (*child == NULL)
            return NULL;
    }
    return to;
}

struct yaml_node *spec_substitute(struct spec_reader *r)
{
    return copy(r, r->doc->root, "");
}
