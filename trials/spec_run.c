/* run: the command of a trial, or the settings of the XGBoost worker. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "trials/fallback.h"
#include "trials/spec_keys.h"
#include "trials/spec_read.h"

/* Of parameters in one note. */
#define NAMED_MAX 4

void spec_read_command(struct spec_reader *r, const struct yaml_node *node, const char *path)
{
    char found[YAML_FOUND_MAX];
    if (node->kind != YAML_LIST || node->n == 0) {
        problem_at(
            r->problems, node, path,
            "expected a list like [python, train.py, \"--lr=${lr}\"] (no shell reads it), found %s",
            node->kind == YAML_LIST ? "an empty one" : yaml_found(node, found));
        return;
    }
    for (size_t i = 0; i < node->n; i++) {
        const struct yaml_node *item = node->items[i];
        if (!spec_is_scalar(item) || item->kind == YAML_NULL || (i == 0 && *item->text == '\0')) {
            problem_at(r->problems, item, path, "expected text, found %s", yaml_found(item, found));
            return;
        }
    }
    r->spec->run.command = spec_template_argv(r, node, path);
}

static void check_variable(struct spec_reader *r, const struct yaml_pair *p, const char *path)
{
    char found[YAML_FOUND_MAX];
    if (*p->key == '\0' || strchr(p->key, '=') != NULL)
        problem_key(r->problems, p, path, "'%.60s' cannot be the name of a variable", p->key);
    else if (strncmp(p->key, "FORKLESS_", 9) == 0)
        problem_key(r->problems, p, path,
                    "%.60s: names that start with FORKLESS_ are set by forkless", p->key);
    else if (!spec_is_scalar(p->value) || p->value->kind == YAML_NULL)
        problem_at(r->problems, p->value, path, "%.60s: expected text, found %s", p->key,
                   yaml_found(p->value, found));
}

void spec_read_env(struct spec_reader *r, const struct yaml_node *node, const char *path)
{
    char found[YAML_FOUND_MAX];
    if (node->kind == YAML_NULL)
        return;
    if (node->kind != YAML_MAP) {
        problem_at(r->problems, node, path, "expected a mapping like {NAME: value}, found %s",
                   yaml_found(node, found));
        return;
    }
    unsigned before = r->problems->n;
    for (size_t i = 0; i < node->n; i++)
        check_variable(r, &node->pairs[i], path);
    if (r->problems->n == before)
        r->spec->run.env = spec_template_env(r, node, path);
}

/* ---- paths ---- */

/* A relative path that stands in the spec file begins at the file's folder, so that a spec and what
 * belongs to it can lie anywhere. One from the command line is the shell's: it stays. */
static const char *at_file(const struct spec_reader *r, const struct yaml_node *n)
{
    const char *file = r->doc->origin, *slash = strrchr(file, '/');
    if (n->text[0] == '/' || slash == NULL || strcmp(n->origin, file) != 0)
        return n->text;
    const char *path = pool_printf(r->pool, "%.*s%s", (int)(slash + 1 - file), file, n->text);
    return path != NULL ? path : n->text;
}

/* ---- the XGBoost worker's settings ---- */

static void put_node_json(struct buf *b, const struct yaml_node *n)
{
    switch (n->kind) {
    case YAML_NULL:
        buf_puts(b, "null");
        break;
    case YAML_BOOL:
        buf_puts(b, n->b ? "true" : "false");
        break;
    case YAML_INT:
        buf_printf(b, "%lld", (long long)n->i);
        break;
    case YAML_REAL:
        json_put_double(b, n->d);
        break;
    case YAML_TEXT:
        json_put_string(b, n->text);
        break;
    case YAML_LIST:
        for (size_t i = 0; i < n->n; i++) {
            buf_putc(b, i > 0 ? ',' : '[');
            put_node_json(b, n->items[i]);
        }
        buf_puts(b, n->n > 0 ? "]" : "[]");
        break;
    case YAML_MAP:
        for (size_t i = 0; i < n->n; i++) {
            buf_putc(b, i > 0 ? ',' : '{');
            json_put_string(b, n->pairs[i].key);
            buf_putc(b, ':');
            put_node_json(b, n->pairs[i].value);
        }
        buf_puts(b, n->n > 0 ? "}" : "{}");
    }
}

static void put_setting(struct buf *b, const struct spec_reader *r, const struct spec_key *k,
                        const struct yaml_node *n)
{
    if (strcmp(k->path, "run.data") == 0 && r->spec->run.cwd == NULL) {
        json_put_string(b, at_file(r, n));
        return;
    }
    bool single = k->type == KEY_TEXTS && n->kind == YAML_TEXT;
    if (k->type == KEY_COUNT && n->kind != YAML_INT) {
        buf_printf(b, "%.0f", n->kind == YAML_REAL ? n->d : 0); /* 1e3, or the word for zero */
        return;
    }
    buf_puts(b, single ? "[" : "");
    if (k->type == KEY_TEXT)
        json_put_string(b, n->text); /* a column called 1 is text */
    else
        put_node_json(b, n);
    buf_puts(b, single ? "]" : "");
}

static void put_choice(struct buf *b, const struct value *v)
{
    if (v->kind == VALUE_TEXT)
        json_put_string(b, v->s);
    else if (v->kind == VALUE_INT)
        buf_printf(b, "%lld", (long long)v->i);
    else if (v->kind == VALUE_REAL)
        json_put_double(b, v->d);
    else
        buf_puts(b, v->kind == VALUE_NULL ? "null" : v->b ? "true" : "false");
}

/* The other values that the fallback ladder may give a name, in its order. */
static void put_fallback_values(struct buf *b, const struct spec *s, const char *name)
{
    for (size_t i = 0; i < s->n_fallback; i++) {
        for (size_t k = 0; k < s->fallback[i].n_changes; k++) {
            const struct spec_change *c = &s->fallback[i].changes[k];
            if ((c->what != CHANGE_FIXED && c->what != CHANGE_EXTRA) || c->relative ||
                strcmp(c->name, name) != 0)
                continue;
            buf_putc(b, ',');
            put_choice(b, &c->value);
        }
    }
}

/* Names that only the fallback ladder gives a value. */
static void put_fallback_names(struct buf *b, const struct spec *s, const char *comma)
{
    const char *put[FALLBACK_RUNGS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < s->n_fallback; i++) {
        for (size_t k = 0; k < s->fallback[i].n_changes; k++) {
            const struct spec_change *c = &s->fallback[i].changes[k];
            bool known = c->what != CHANGE_EXTRA || n == ARRAY_LEN(put);
            for (size_t m = 0; m < n; m++)
                known = known || strcmp(put[m], c->name) == 0;
            if (known)
                continue;
            put[n++] = c->name;
            buf_puts(b, comma);
            json_put_string(b, c->name);
            buf_puts(b, ":[null");
            put_fallback_values(b, s, c->name);
            buf_putc(b, ']');
            comma = ",";
        }
    }
}

/* What trials may be given, so that the worker checks all of it before the first one: by name the
 * choices where there are some, null among them when some trials do not have the parameter. */
static void put_space(struct buf *b, const struct spec *s)
{
    buf_puts(b, ",\"space\":{");
    for (size_t i = 0; i < s->space.n; i++) {
        const struct param *p = &s->space.params[i];
        buf_puts(b, i > 0 ? "," : "");
        json_put_string(b, p->name);
        buf_puts(b, p->when != NULL ? ":[null" : ":[");
        for (size_t k = 0; k < p->dist.n_choices; k++) {
            buf_puts(b, p->when != NULL || k > 0 ? "," : "");
            put_choice(b, &p->dist.choices[k]);
        }
        buf_putc(b, ']');
    }
    for (size_t i = 0; i < s->n_fixed; i++) {
        buf_puts(b, s->space.n + i > 0 ? "," : "");
        json_put_string(b, s->fixed[i].name);
        buf_puts(b, ":[");
        put_choice(b, &s->fixed[i].value);
        put_fallback_values(b, s, s->fixed[i].name);
        buf_putc(b, ']');
    }
    put_fallback_names(b, s, s->space.n + s->n_fixed > 0 ? "," : "");
    buf_putc(b, '}');
}

static const char *make_config(struct spec_reader *r, const struct yaml_node *run)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    buf_puts(&b, "{\"builtin\":\"xgboost\",\"metric\":");
    json_put_string(&b, r->spec->study.metric);
    for (size_t i = 0; i < run->n; i++) {
        char path[100];
        (void)snprintf(path, sizeof(path), "run.%s", run->pairs[i].key);
        const struct spec_key *k = spec_key_find(path);
        if (k == NULL || k->group != XGBOOST_ONLY || run->pairs[i].value->kind == YAML_NULL)
            continue;
        buf_putc(&b, ',');
        json_put_string(&b, run->pairs[i].key);
        buf_putc(&b, ':');
        put_setting(&b, r, k, run->pairs[i].value);
    }
    put_space(&b, r->spec);
    buf_putc(&b, '}');
    return b.failed ? NULL : pool_strdup(r->pool, buf_str(&b));
}

static void require(struct spec_reader *r, const struct yaml_node *run, const char *key,
                    const char *what)
{
    if (yaml_get(run, key) == NULL)
        problem_at(r->problems, run, "run", "'%s' is missing: %s", key, what);
}

static void finish_xgboost(struct spec_reader *r, const struct yaml_node *run)
{
    require(r, run, "data", "the CSV file to learn from");
    if (yaml_get(run, "prices") == NULL)
        require(r, run, "label", "the column to predict");
    if (yaml_get(run, "features") != NULL && yaml_get(run, "drop") != NULL)
        problem_key(r->problems, yaml_find(run, "drop"), "run.drop",
                    "features and drop: choose one");
    if (yaml_find(run, "command") != NULL)
        problem_key(r->problems, yaml_find(run, "command"), "run.command",
                    "command and builtin: choose one");
    const struct yaml_pair *sampled = yaml_find(yaml_get(r->root, "space"), "eval_metric");
    if (sampled != NULL)
        problem_key(r->problems, sampled, "space.eval_metric",
                    "it says what is recorded, the same for all trials: set run.fixed.eval_metric");
    if (r->problems->n == 0) /* every setting has the type that it should have */
        r->spec->run.config = make_config(r, run);
}

/* ---- commands ---- */

struct name_search {
    const char *name;
    bool found;
};

static void look_for_name(void *ctx, const char *name)
{
    struct name_search *s = ctx;
    s->found = s->found || strcmp(s->name, name) == 0;
}

/* Whether a trial's command depends on the parameter, through a condition too. */
static bool is_used(const struct spec *s, size_t param)
{
    struct name_search search = {.name = s->space.params[param].name};
    for (size_t i = 0; i < s->space.n; i++) {
        if (s->space.params[i].when != NULL)
            cond_names(s->space.params[i].when, look_for_name, &search);
    }
    return search.found || spec_template_uses(s->run.command, param) ||
           spec_template_uses(s->run.env, param);
}

/* A forgotten ${lr} makes a search of noise. A note and no mistake: what reads the parameters' file
 * needs none. */
static void note_unused(struct spec_reader *r)
{
    const struct spec *s = r->spec;
    const char *first = NULL;
    size_t n = 0;
    AUTO(buf_free) struct buf b = BUF_INIT;
    for (size_t i = 0; i < s->space.n && s->run.trials_per_worker <= 1; i++) {
        if (is_used(s, i))
            continue;
        first = n == 0 ? s->space.params[i].name : first;
        if (n++ < NAMED_MAX)
            buf_printf(&b, "%s${%.40s}", n == 1 ? "the command has no " : ", ",
                       s->space.params[i].name);
    }
    if (n == 0)
        return;
    if (n > NAMED_MAX)
        buf_printf(&b, " and %zu more", n - NAMED_MAX);
    buf_printf(&b, ": only a worker that reads the file FORKLESS_PARAMS gets %s",
               n > 1 ? "them" : "it");
    const char *path = pool_printf(r->pool, "space.%s", first);
    if (path != NULL)
        spec_note(r, yaml_get(yaml_get(r->root, "space"), first), path, buf_str(&b));
}

static void finish_command(struct spec_reader *r, const struct yaml_node *run)
{
    for (size_t i = 0; run->kind == YAML_MAP && i < run->n; i++) {
        const struct spec_key *k = spec_key_find(pool_printf(r->pool, "run.%s", run->pairs[i].key));
        if (k != NULL && k->group == XGBOOST_ONLY)
            problem_key(r->problems, &run->pairs[i], k->path, "this key needs builtin: xgboost");
    }
    if (run->kind == YAML_MAP && yaml_get(run, "command") == NULL)
        problem_at(r->problems, run, "run",
                   "expected command: [program, argument, …] or builtin: xgboost");
    if (r->problems->n == 0)
        note_unused(r);
}

void spec_finish_run(struct spec_reader *r)
{
    const struct yaml_node *run = yaml_get(r->root, "run");
    if (run == NULL || run->kind == YAML_NULL) {
        problem_at(r->problems, r->root, "run",
                   r->doc->from_file
                       ? "missing: expected {command: [program, argument, …]} or {builtin: "
                         "xgboost, …}"
                       : "missing: expected the command after --, like -- python train.py "
                         "--lr='${lr}'");
        return;
    }
    const struct yaml_node *builtin = yaml_get(run, "builtin"), *cwd = yaml_get(run, "cwd");
    if (r->spec->run.cwd != NULL)
        r->spec->run.cwd = at_file(r, cwd);
    r->spec->run.runner = builtin != NULL && builtin->kind != YAML_NULL ? RUN_XGBOOST : RUN_COMMAND;
    if (r->spec->run.runner == RUN_XGBOOST)
        finish_xgboost(r, run);
    else
        finish_command(r, run);
}
