/* The document as a whole: loading, its matrix, its cells. */
#include "trials/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "trials/spec_read.h"

#define CELLS_MAX 4096

void spec_note(struct spec_reader *r, const struct yaml_node *at, const char *path,
               const char *what)
{
    char where[YAML_WHERE_MAX], line[800];
    if (r->notes == NULL)
        return;
    (void)snprintf(line, sizeof(line), "%s: %.100s: %.300s\n",
                   yaml_where(at->origin, at->line, at->column, where), path, what);
    if (strstr(buf_str(r->notes), line) == NULL)
        buf_puts(r->notes, line);
}

/* ---- env: and matrix: ---- */

static void declare(struct spec_doc *doc, const struct yaml_node *at, const char *name,
                    const struct yaml_node *preset, struct problems *p)
{
    const char *value = getenv(name);
    if (*name == '\0' || strchr(name, '=') != NULL || strncmp(name, "matrix.", 7) == 0) {
        problem_at(p, at, "env", "'%.60s' cannot be the name of a variable", name);
        return;
    }
    if (value == NULL && preset != NULL && preset->kind != YAML_NULL)
        value = preset->text;
    if (value == NULL) {
        problem_at(p, at, "env", "%.60s is not set; to give it a default: env: {%.60s: value}",
                   name, name);
        value = "";
    }
    doc->env[doc->n_env++] = (struct env_var){name, pool_strdup(doc->pool, value)};
}

static int read_env(struct spec_doc *doc, struct problems *p)
{
    char found[YAML_FOUND_MAX];
    const struct yaml_node *n = yaml_get(doc->root, "env");
    if (n == NULL || n->kind == YAML_NULL)
        return 0;
    if (n->kind != YAML_LIST && n->kind != YAML_MAP) {
        problem_at(p, n, "env", "expected a list of names or {NAME: default}, found %s",
                   yaml_found(n, found));
        return 0;
    }
    doc->env = pool_alloc(doc->pool, n->n * sizeof(*doc->env));
    if (doc->env == NULL)
        return -ERR_NOMEM;
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_node *item = n->kind == YAML_LIST ? n->items[i] : n->pairs[i].value;
        if (!spec_is_scalar(item) || (n->kind == YAML_LIST && item->kind != YAML_TEXT))
            problem_at(p, item, "env", "expected text, found %s", yaml_found(item, found));
        else
            declare(doc, item, n->kind == YAML_LIST ? item->text : n->pairs[i].key,
                    n->kind == YAML_LIST ? NULL : item, p);
    }
    return 0;
}

static bool check_values(const struct yaml_pair *p, const char *path, struct problems *problems)
{
    char found[YAML_FOUND_MAX];
    const struct yaml_node *list = p->value;
    if (list->kind != YAML_LIST || list->n == 0) {
        problem_at(problems, list, path, "expected a list of values, found %s",
                   list->kind == YAML_LIST ? "an empty one" : yaml_found(list, found));
        return false;
    }
    for (size_t i = 0; i < list->n; i++) {
        if (!spec_is_scalar(list->items[i]) || list->items[i]->kind == YAML_NULL) {
            problem_at(problems, list->items[i], path,
                       "expected a text, number, true or false, found %s",
                       yaml_found(list->items[i], found));
            return false;
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(list->items[i]->text, list->items[k]->text) == 0) {
                problem_at(problems, list->items[i], path, "%s stands there twice",
                           yaml_found(list->items[i], found));
                return false;
            }
        }
    }
    return true;
}

static int read_matrix(struct spec_doc *doc, struct problems *p)
{
    char found[YAML_FOUND_MAX];
    doc->n_cells = 1;
    const struct yaml_node *n = yaml_get(doc->root, "matrix");
    if (n == NULL || n->kind == YAML_NULL)
        return 0;
    if (n->kind != YAML_MAP) {
        problem_at(p, n, "matrix", "expected a mapping of lists, found %s", yaml_found(n, found));
        return 0;
    }
    doc->matrix = pool_alloc(doc->pool, n->n * sizeof(*doc->matrix));
    if (doc->matrix == NULL)
        return -ERR_NOMEM;
    for (size_t i = 0; i < n->n; i++) {
        struct yaml_pair *pair = &n->pairs[i];
        const char *path = pool_printf(doc->pool, "matrix.%s", pair->key);
        if (path == NULL)
            return -ERR_NOMEM;
        if (!check_values(pair, path, p))
            continue;
        doc->matrix[doc->n_matrix++] =
            (struct matrix_key){pair->key, pair->value->items, pair->value->n};
        doc->n_cells *= pair->value->n;
        if (doc->n_cells > CELLS_MAX) {
            problem_key(p, pair, path, "more than %d combinations", CELLS_MAX);
            doc->n_cells = 1;
            return 0;
        }
    }
    return 0;
}

/* ---- cells ---- */

static int choose_cell(const struct spec_doc *doc, size_t i, struct spec_reader *r)
{
    r->cell = pool_alloc(r->pool, doc->n_matrix * sizeof(*r->cell));
    r->spec->cell = pool_alloc(r->pool, doc->n_matrix * sizeof(*r->spec->cell));
    if (r->cell == NULL || r->spec->cell == NULL)
        return -ERR_NOMEM;
    r->spec->n_cell = doc->n_matrix;
    for (size_t k = doc->n_matrix; k-- > 0;) {
        const struct matrix_key *m = &doc->matrix[k];
        r->cell[k] = m->values[i % m->n];
        r->spec->cell[k] = (struct spec_pair){pool_strdup(r->pool, m->name),
                                              pool_strdup(r->pool, r->cell[k]->text)};
        i /= m->n;
    }
    return pool_failed(r->pool) ? -ERR_NOMEM : 0;
}

static void set_defaults(struct spec *s)
{
    s->sampler = SAMPLER_CONF_DEFAULT;
    s->pruner = PRUNER_CONF_DEFAULT;
    for (int c = 0; c < FAIL_CLASSES; c++)
        s->retry[c] = (struct spec_retry){.backoff_ms = 1000, .memory_factor = 1};
    s->retry[FAIL_LOST].times = 3;
    s->retry[FAIL_STALLED].times = 1;
    s->retry[FAIL_FORK_DEADLOCK].times = 1;      /* a hang too, with its cause known */
    s->retry[FAIL_FORK_DEADLOCK].backoff_ms = 0; /* nothing has to recover first */
    s->retry[FAIL_PREEMPTED].times = SPEC_UNLIMITED;
}

static int read_cell(const struct spec_doc *doc, size_t i, struct spec *out, struct problems *p,
                     struct buf *notes)
{
    *out = (struct spec){.pool = pool_create()};
    if (out->pool == NULL)
        return -ERR_NOMEM;
    struct spec_reader r = {
        .doc = doc, .pool = out->pool, .problems = p, .notes = notes, .spec = out};
    set_defaults(out);
    out->file = pool_strdup(out->pool, doc->origin);
    int rc = choose_cell(doc, i, &r);
    if (rc == 0)
        rc = spec_read(&r);
    out->sampler.space = &out->space;
    return rc;
}

void spec_free(struct spec *s)
{
    space_free(&s->space);
    pool_destroy(s->pool);
    *s = (struct spec){0};
}

int spec_cell(const struct spec_doc *doc, size_t i, struct spec *out, struct err *err)
{
    if (i >= doc->n_cells)
        return err_set(err, ERR_NOTFOUND, "%s: there is no cell %zu, only %zu", doc->origin, i,
                       doc->n_cells);
    struct problems p = {0};
    int rc = read_cell(doc, i, out, &p, NULL);
    if (rc < 0)
        (void)err_set(err, ERR_NOMEM, "%s", doc->origin);
    else if (p.n > 0)
        rc = p.first.code == ERR_NONE ? 0 : -(int)p.first.code;
    if (rc < 0 && p.n > 0 && err != NULL)
        *err = p.first;
    buf_free(&p.text);
    if (rc < 0)
        spec_free(out);
    return rc;
}

static const char *cell_text(const struct spec_doc *doc, const struct spec *s)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    for (size_t i = 0; i < s->n_cell; i++)
        buf_printf(&b, "%s%s=%s", i > 0 ? ", " : " (where ", s->cell[i].name, s->cell[i].value);
    buf_puts(&b, s->n_cell > 0 ? ")" : "");
    const char *text = pool_strdup(doc->pool, buf_str(&b));
    return text != NULL ? text : "";
}

/* Two cells with one study would overwrite each other. */
static void check_names(const struct spec_doc *doc, char *const *names, size_t n,
                        struct problems *p)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(names[i], names[k]) != 0)
                continue;
            const struct yaml_node *at = yaml_get(yaml_get(doc->root, "study"), "name");
            problem_at(p, at != NULL ? at : doc->root, "study.name",
                       "cells %zu and %zu of the matrix would share the study '%.60s': use every "
                       "key, like ${matrix.%s}",
                       k, i, names[i], doc->matrix[doc->n_matrix - 1].name);
            return;
        }
    }
}

/* Reads each cell; stops at the first that has mistakes. */
static int check_cells(struct spec_doc *doc, struct problems *p)
{
    char **names = pool_alloc(doc->pool, doc->n_cells * sizeof(*names));
    if (names == NULL)
        return -ERR_NOMEM;
    for (size_t i = 0; i < doc->n_cells && p->n == 0; i++) {
        struct spec s;
        int rc = read_cell(doc, i, &s, p, &doc->notes);
        if (rc == 0 && s.study.name != NULL)
            names[i] = pool_strdup(doc->pool, s.study.name);
        if (p->n > 0 && i > 0) /* the first cell's mistakes are nearly always those of all */
            buf_printf(&p->text, "%s: cell %zu%s\n", doc->origin, i, cell_text(doc, &s));
        spec_free(&s);
        if (rc < 0 || (p->n == 0 && names[i] == NULL))
            return -ERR_NOMEM;
    }
    if (p->n == 0)
        check_names(doc, names, doc->n_cells, p);
    return 0;
}

/* ---- loading ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* sweeps/demo.yaml gives demo; `python train.py` gives train. */
static const char *make_stem(struct spec_doc *doc, const struct spec_source *src)
{
    const char *name = src->path != NULL ? src->path : src->n_command > 0 ? src->command[0] : "";
    for (size_t i = 1; src->path == NULL && i < src->n_command && name == src->command[0]; i++) {
        const char *base = base_name(src->command[i]);
        const char *dot = strrchr(base, '.');
        if (base[0] != '-' && strpbrk(base, "=$ ") == NULL && dot != NULL && dot != base)
            name = src->command[i];
    }
    name = base_name(name);
    const char *dot = strrchr(name, '.');
    size_t n = dot != NULL && dot != name ? (size_t)(dot - name) : strlen(name);
    return n == 0 || *name == '-' || *name == '.' ? "sweep" : pool_strndup(doc->pool, name, n);
}

static int read_document(struct spec_doc *doc, const struct spec_source *src, struct problems *p)
{
    struct err err;
    int rc = 0;
    if (src->path != NULL)
        rc = yaml_read(&doc->root, doc->pool, src->path, &err);
    else
        doc->root = yaml_container(doc->pool, doc->origin, YAML_MAP);
    if (rc < 0) {
        p->first = err;
        p->n++;
        buf_printf(&p->text, "%s\n", err.msg);
        return rc;
    }
    if (doc->root == NULL)
        return -ERR_NOMEM;
    if (doc->root->kind != YAML_MAP) {
        problem_at(p, doc->root, "", "expected a mapping with the keys run, space, budget …");
        return 0;
    }
    rc = spec_apply(doc, src, p);
    if (rc == 0 && p->n == 0)
        rc = read_env(doc, p);
    if (rc == 0 && p->n == 0)
        rc = read_matrix(doc, p);
    if (rc == 0 && p->n == 0)
        rc = check_cells(doc, p);
    return rc;
}

void spec_doc_destroy(struct spec_doc *doc)
{
    if (doc == NULL)
        return;
    buf_free(&doc->notes);
    pool_destroy(doc->pool);
    free(doc);
}

static void doc_destroy_p(struct spec_doc **doc)
{
    spec_doc_destroy(*doc);
}

int spec_load(struct spec_doc **out, const struct spec_source *src, struct buf *problems,
              struct err *err)
{
    AUTO(doc_destroy_p) struct spec_doc *doc = calloc(1, sizeof(*doc));
    if (doc == NULL || (doc->pool = pool_create()) == NULL)
        return err_set(err, ERR_NOMEM, "spec");
    const char *origin = src->path == NULL             ? "command line"
                         : strcmp(src->path, "-") == 0 ? "stdin"
                                                       : src->path;
    doc->origin = pool_strdup(doc->pool, origin);
    doc->from_file = src->path != NULL;
    doc->stem = make_stem(doc, src);
    doc->storage = src->storage != NULL ? pool_strdup(doc->pool, src->storage) : NULL;
    struct problems p = {0};
    int rc = doc->origin == NULL || doc->stem == NULL || pool_failed(doc->pool)
                 ? -ERR_NOMEM
                 : read_document(doc, src, &p);
    if (rc == 0 && (p.text.failed || doc->notes.failed))
        rc = -ERR_NOMEM;
    if (rc == 0 && p.n > 0)
        rc = -(int)p.first.code;
    if (rc == -ERR_NOMEM)
        (void)err_set(&p.first, ERR_NOMEM, "%s", origin);
    if (p.n > PROBLEMS_MAX)
        buf_printf(&p.text, "%s: and %u more\n", origin, p.n - PROBLEMS_MAX);
    if (rc < 0 && err != NULL)
        *err = p.first;
    if (rc < 0 && problems != NULL)
        buf_puts(problems, buf_str(&p.text));
    buf_free(&p.text);
    if (rc == 0)
        *out = TAKE(doc);
    return rc;
}

size_t spec_cells(const struct spec_doc *doc)
{
    return doc->n_cells;
}

const char *spec_notes(const struct spec_doc *doc)
{
    return buf_str(&doc->notes);
}
