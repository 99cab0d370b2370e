/* Commands and environments with ${name} in them: compiled once a cell, expanded once a trial. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "trials/spec_read.h"

enum piece_kind {
    PIECE_TEXT,
    PIECE_PARAM, /* of the space */
    PIECE_FIXED,
    PIECE_NEVER, /* a parameter that is never active in this cell */
    PIECE_TRIAL,
    PIECE_TRIAL_DIR,
    PIECE_SEED,
    PIECE_STUDY,
    PIECE_ARGS,      /* alone in its item: --name=value for each parameter */
    PIECE_OVERRIDES, /* alone in its item: name=value for each */
};

struct piece {
    enum piece_kind kind;
    size_t index;     /* of the parameter or fixed value */
    const char *text; /* PIECE_TEXT */
};

struct item {
    struct piece *pieces;
    size_t n;
    const char *name; /* of an environment variable; NULL in an argv */
};

struct spec_template {
    struct item *items;
    size_t n;
};

/* ---- compiling ---- */

static const struct {
    const char *name;
    enum piece_kind kind;
} builtins[] = {
    {"trial", PIECE_TRIAL}, {"trial_dir", PIECE_TRIAL_DIR}, {"seed", PIECE_SEED},
    {"study", PIECE_STUDY}, {"args", PIECE_ARGS},           {"overrides", PIECE_OVERRIDES},
};

/* Parameters come first: a parameter called seed hides the trial's seed. */
static bool resolve(const struct spec_reader *r, const char *name, struct piece *out)
{
    if (strncmp(name, "trialParameters.", 16) == 0)
        name += 16; /* Katib's form */
    int i = space_find(&r->spec->space, name);
    if (i >= 0) {
        *out = (struct piece){PIECE_PARAM, (size_t)i, NULL};
        return true;
    }
    for (size_t k = 0; k < r->spec->n_fixed; k++) {
        if (strcmp(r->spec->fixed[k].name, name) == 0) {
            *out = (struct piece){PIECE_FIXED, k, NULL};
            return true;
        }
    }
    for (size_t k = 0; k < r->n_never; k++) {
        if (strcmp(r->never[k], name) == 0) {
            *out = (struct piece){PIECE_NEVER, k, NULL};
            return true;
        }
    }
    for (size_t k = 0; k < ARRAY_LEN(builtins); k++) {
        if (strcmp(builtins[k].name, name) == 0) {
            *out = (struct piece){builtins[k].kind, 0, NULL};
            return true;
        }
    }
    const char *text = spec_reference(r, name);
    *out = (struct piece){PIECE_TEXT, 0, text == NULL ? NULL : pool_strdup(r->pool, text)};
    return text != NULL;
}

static void unknown_name(struct spec_reader *r, const struct yaml_node *at, const char *path,
                         const char *name)
{
    const char *known[200];
    size_t n = 0;
    if (yaml_get(yaml_get(r->root, "space"), name) != NULL)
        return; /* a parameter with a mistake of its own, which was told */
    for (size_t i = 0; i < r->spec->space.n && n < 100; i++)
        known[n++] = r->spec->space.params[i].name;
    for (size_t i = 0; i < r->spec->n_fixed && n < 150; i++)
        known[n++] = r->spec->fixed[i].name;
    for (size_t i = 0; i < r->n_never && n < 180; i++)
        known[n++] = r->never[i];
    for (size_t i = 0; i < ARRAY_LEN(builtins); i++)
        known[n++] = builtins[i].name;
    const char *near = text_nearest(name, known, n);
    if (near != NULL)
        problem_at(r->problems, at, path, "unknown ${%.60s}: did you mean ${%s}?", name, near);
    else
        problem_at(r->problems, at, path, "unknown ${%.60s}: no parameter of this name; %s", name,
                   spec_reference_hint(r, name));
}

static bool add_piece(struct spec_reader *r, struct item *item, struct piece piece)
{
    /* n pieces of a text of length len: the caller made room for len + 1 */
    if (piece.kind == PIECE_TEXT && (piece.text == NULL || *piece.text == '\0'))
        return !pool_failed(r->pool);
    item->pieces[item->n++] = piece;
    return true;
}

static bool compile_item(struct spec_reader *r, const struct yaml_node *node, const char *path,
                         struct item *item)
{
    size_t most = 1;
    for (const char *d = node->text; (d = strchr(d, '$')) != NULL; d++)
        most += 2;
    item->pieces = pool_alloc(r->pool, most * sizeof(*item->pieces));
    if (item->pieces == NULL)
        return false;
    for (const char *at = node->text, *text = at;; at++) {
        bool escape = strncmp(at, "$${", 3) == 0;
        bool reference = strncmp(at, "${", 2) == 0;
        if (*at != '\0' && !escape && !reference)
            continue;
        if (!add_piece(r, item,
                       (struct piece){.text = pool_strndup(r->pool, text, (size_t)(at - text))}))
            return false;
        if (*at == '\0')
            return true;
        if (escape) {
            text = ++at; /* drops one $ */
            at++;
            continue;
        }
        const char *end = strchr(at, '}');
        if (end == NULL) {
            problem_at(r->problems, node, path,
                       "'%.60s' has no closing }; to mean the text, write $${", at);
            return false;
        }
        struct piece piece;
        const char *name = pool_strndup(r->pool, at + 2, (size_t)(end - at) - 2);
        if (name == NULL)
            return false;
        if (resolve(r, name, &piece))
            (void)add_piece(r, item, piece);
        else
            unknown_name(r, node, path, name);
        at = end;
        text = end + 1;
    }
}

static bool is_list_piece(const struct piece *p)
{
    return p->kind == PIECE_ARGS || p->kind == PIECE_OVERRIDES;
}

static bool is_conditional(const struct spec_reader *r, const struct piece *p)
{
    return p->kind == PIECE_NEVER ||
           (p->kind == PIECE_PARAM && r->spec->space.params[p->index].when != NULL);
}

/* Mistakes in how an item stands in its list. */
static void check_item(struct spec_reader *r, const struct yaml_node *list, size_t i,
                       const char *path, const struct item *item)
{
    for (size_t k = 0; k < item->n; k++) {
        if (is_list_piece(&item->pieces[k]) && (item->n != 1 || item->name != NULL))
            problem_at(r->problems, list->items[i], path,
                       "${%s} becomes several items: write it as an item of its own",
                       item->pieces[k].kind == PIECE_ARGS ? "args" : "overrides");
    }
    if (item->n != 1 || !is_conditional(r, &item->pieces[0]) || i == 0)
        return;
    const char *before = list->items[i - 1]->text;
    if (before[0] == '-' && strchr(before, '=') == NULL && strstr(before, "${") == NULL)
        problem_at(r->problems, list->items[i], path,
                   "'%.40s' would stand alone where the parameter is inactive: write %.40s=%.60s "
                   "as one item",
                   before, before, list->items[i]->text);
}

struct spec_template *spec_template_argv(struct spec_reader *r, const struct yaml_node *list,
                                         const char *path)
{
    struct spec_template *t = pool_alloc(r->pool, sizeof(*t));
    struct item *items = pool_alloc(r->pool, (list->n + 1) * sizeof(*items));
    if (t == NULL || items == NULL)
        return NULL;
    t->items = items;
    t->n = list->n;
    for (size_t i = 0; i < list->n; i++) {
        if (compile_item(r, list->items[i], path, &items[i]))
            check_item(r, list, i, path, &items[i]);
    }
    return t;
}

struct spec_template *spec_template_env(struct spec_reader *r, const struct yaml_node *map,
                                        const char *path)
{
    struct spec_template *t = pool_alloc(r->pool, sizeof(*t));
    struct item *items = pool_alloc(r->pool, (map->n + 1) * sizeof(*items));
    if (t == NULL || items == NULL)
        return NULL;
    t->items = items;
    t->n = map->n;
    for (size_t i = 0; i < map->n; i++) {
        const char *full = pool_printf(r->pool, "%s.%s", path, map->pairs[i].key);
        if (full == NULL || !compile_item(r, map->pairs[i].value, full, &items[i]))
            continue;
        items[i].name = pool_strdup(r->pool, map->pairs[i].key);
        for (size_t k = 0; k < items[i].n; k++) {
            if (is_list_piece(&items[i].pieces[k]))
                problem_at(r->problems, map->pairs[i].value, full,
                           "${args} and ${overrides} stand for items of a command, not for a text");
        }
    }
    return t;
}

bool spec_template_uses(const struct spec_template *t, size_t param)
{
    for (size_t i = 0; t != NULL && i < t->n; i++) {
        for (size_t k = 0; k < t->items[i].n; k++) {
            const struct piece *p = &t->items[i].pieces[k];
            if (is_list_piece(p) || (p->kind == PIECE_PARAM && p->index == param))
                return true;
        }
    }
    return false;
}

/* ---- expanding ---- */

static void put_fixed(struct buf *b, const struct spec *s, const struct spec_trial *t, size_t i)
{
    struct value *v = (struct value *)spec_fixed_value(s, t, i);
    dist_put_value_text(b, &(struct dist){.kind = DIST_CHOICE, .choices = v, .n_choices = 1}, 0);
}

static void put_piece(struct buf *b, const struct spec *s, const struct spec_trial *t,
                      const struct piece *p)
{
    switch (p->kind) {
    case PIECE_TEXT:
        buf_puts(b, p->text);
        break;
    case PIECE_PARAM:
        dist_put_value_text(b, &s->space.params[p->index].dist, t->values[p->index]);
        break;
    case PIECE_FIXED:
        put_fixed(b, s, t, p->index);
        break;
    case PIECE_TRIAL:
        buf_printf(b, "%lld", (long long)t->number);
        break;
    case PIECE_TRIAL_DIR:
        buf_puts(b, t->dir);
        break;
    case PIECE_SEED:
        buf_printf(b, "%u", t->seed);
        break;
    case PIECE_STUDY:
        buf_puts(b, s->study.name);
        break;
    case PIECE_NEVER:
    case PIECE_ARGS:
    case PIECE_OVERRIDES:
        break;
    }
}

static bool is_left_out(const struct item *item, const struct spec_trial *t)
{
    for (size_t i = 0; i < item->n; i++) {
        const struct piece *p = &item->pieces[i];
        if (p->kind == PIECE_NEVER || (p->kind == PIECE_PARAM && !t->active[p->index]))
            return true;
    }
    return false;
}

/* Every parameter as an item of its own; returns how many. */
static size_t put_all(struct buf *b, const struct spec *s, const struct spec_trial *t,
                      const char *prefix)
{
    size_t n = 0;
    for (size_t i = 0; i < s->space.n; i++) {
        if (!t->active[i])
            continue;
        buf_printf(b, "%s%s=", prefix, s->space.params[i].name);
        dist_put_value_text(b, &s->space.params[i].dist, t->values[i]);
        buf_putc(b, '\0');
        n++;
    }
    for (size_t i = 0; i < s->n_fixed; i++, n++) {
        buf_printf(b, "%s%s=", prefix, s->fixed[i].name);
        put_fixed(b, s, t, i);
        buf_putc(b, '\0');
    }
    return n;
}

static int to_strings(struct buf *b, size_t n, struct spec_strings *out, struct err *err)
{
    size_t head = (n + 1) * sizeof(char *);
    char **v = b->failed ? NULL : malloc(head + b->len);
    if (v == NULL)
        return err_set(err, ERR_NOMEM, "command");
    char *text = (char *)v + head;
    if (b->len > 0)
        memcpy(text, b->data, b->len);
    for (size_t i = 0; i < n; i++) {
        v[i] = text;
        text += strlen(text) + 1;
    }
    v[n] = NULL;
    *out = (struct spec_strings){.v = v, .n = n};
    return 0;
}

static int expand(const struct spec_template *t, const struct spec *s,
                  const struct spec_trial *trial, struct spec_strings *out, struct err *err)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    size_t n = 0;
    for (size_t i = 0; t != NULL && i < t->n; i++) {
        const struct item *item = &t->items[i];
        if (item->n == 1 && is_list_piece(&item->pieces[0])) {
            n += put_all(&b, s, trial, item->pieces[0].kind == PIECE_ARGS ? "--" : "");
            continue;
        }
        if (is_left_out(item, trial))
            continue;
        if (item->name != NULL)
            buf_printf(&b, "%s=", item->name);
        for (size_t k = 0; k < item->n; k++)
            put_piece(&b, s, trial, &item->pieces[k]);
        buf_putc(&b, '\0');
        n++;
    }
    return to_strings(&b, n, out, err);
}

const char *spec_program(const struct spec *s)
{
    const struct spec_template *t = s->run.command;
    bool plain =
        t != NULL && t->n > 0 && t->items[0].n == 1 && t->items[0].pieces[0].kind == PIECE_TEXT;
    return plain ? t->items[0].pieces[0].text : NULL;
}

int spec_argv(const struct spec *s, const struct spec_trial *t, struct spec_strings *out,
              struct err *err)
{
    return expand(s->run.command, s, t, out, err);
}

int spec_env(const struct spec *s, const struct spec_trial *t, struct spec_strings *out,
             struct err *err)
{
    return expand(s->run.env, s, t, out, err);
}

bool spec_env_has(const struct spec *s, const char *name)
{
    const struct spec_template *t = s->run.env;
    for (size_t i = 0; t != NULL && i < t->n; i++) {
        if (t->items[i].name != NULL && strcmp(t->items[i].name, name) == 0)
            return true;
    }
    return false;
}
