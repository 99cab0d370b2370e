/* What the command line adds to the document: settings, options, the command. */
#include <string.h>

#include "base/cleanup.h"
#include "trials/spec_keys.h"
#include "trials/spec_read.h"

bool spec_is_param_text(const char *text)
{
    return strncmp(text, "float:", 6) == 0 || strncmp(text, "int:", 4) == 0 ||
           strncmp(text, "choice:", 7) == 0;
}

bool spec_lacks_equals(const char *argument)
{
    size_t n = strcspn(argument, ":=/");
    return n > 0 && argument[n] == ':' &&
           (spec_is_param_text(argument + n + 1) || spec_is_mistyped_param(argument + n + 1));
}

/* When something is set below it, `sampler: tpe` becomes `sampler: {tpe: {}}`, and `run: [x]`
 * becomes `run: {command: [x]}`. */
static bool widen(struct spec_doc *doc, struct yaml_node *node)
{
    struct yaml_node *outer = yaml_container(doc->pool, node->origin, YAML_MAP);
    struct yaml_node *inner = node->kind == YAML_LIST
                                  ? pool_copy(doc->pool, node, sizeof(*node))
                                  : yaml_container(doc->pool, node->origin, YAML_MAP);
    if (inner == NULL || outer == NULL ||
        !yaml_set(doc->pool, outer, node->kind == YAML_LIST ? "command" : node->text, inner))
        return false;
    outer->line = node->line;
    outer->column = node->column;
    *node = *outer;
    return true;
}

static bool can_widen(const char *key, const struct yaml_node *node)
{
    if (strcmp(key, "run") == 0)
        return node->kind == YAML_LIST;
    return node->kind == YAML_TEXT && (strcmp(key, "sampler") == 0 || strcmp(key, "pruner") == 0);
}

/* How much of the path the mapping's own key takes: keys may hold dots (optimizer.lr). */
static size_t key_length(const struct yaml_node *map, const char *path)
{
    size_t best = strcspn(path, ".");
    for (size_t i = 0; i < map->n; i++) {
        size_t n = strlen(map->pairs[i].key);
        if (n > best && strncmp(path, map->pairs[i].key, n) == 0 &&
            (path[n] == '.' || path[n] == '\0'))
            best = n;
    }
    return best;
}

static int no_memory(const struct spec_doc *doc, struct problems *p)
{
    return err_set(&p->first, ERR_NOMEM, "%s", doc->origin);
}

/* A target replaces the other kind of target, and another sampler keeps the seed. */
static bool set_key(struct spec_doc *doc, struct yaml_node *map, const char *path, const char *key,
                    struct yaml_node *value)
{
    struct yaml_node *seed = yaml_get(yaml_get(map, key), "seed");
    if (strcmp(path, "budget.trials") == 0)
        yaml_remove(map, "complete");
    else if (strcmp(path, "budget.complete") == 0)
        yaml_remove(map, "trials");
    if (strcmp(path, "sampler") == 0 && value->kind == YAML_TEXT && seed != NULL &&
        (!widen(doc, value) || !yaml_set(doc->pool, value, "seed", seed)))
        return false;
    return yaml_set(doc->pool, map, key, value);
}

static int set_path(struct spec_doc *doc, const char *path, struct yaml_node *value,
                    struct problems *p)
{
    struct yaml_node *map = doc->root;
    for (const char *at = path;;) {
        size_t n = key_length(map, at);
        AUTO_FREE char *key = strndup(at, n);
        if (key == NULL)
            return no_memory(doc, p);
        if (n == 0) {
            problem_at(p, value, "", "an empty name in the path '%.60s'", path);
            return 0;
        }
        if (at[n] == '\0')
            return set_key(doc, map, path, key, value) ? 0 : no_memory(doc, p);
        struct yaml_node *below = yaml_get(map, key);
        if (below == NULL || below->kind == YAML_NULL) {
            below = yaml_container(doc->pool, value->origin, YAML_MAP);
            if (below == NULL || !yaml_set(doc->pool, map, key, below))
                return no_memory(doc, p);
        } else if (map == doc->root && can_widen(key, below) && !widen(doc, below)) {
            return no_memory(doc, p);
        }
        if (below->kind != YAML_MAP) {
            problem_at(p, value, "", "'%.*s' is not a mapping, so nothing can be set in it",
                       (int)(at + n - path), path);
            return 0;
        }
        map = below;
        at += n + 1;
    }
}

/* An argument has one line: positions in it say nothing. */
static void forget_places(struct yaml_node *n)
{
    n->line = n->column = 0;
    for (size_t i = 0; n->kind == YAML_LIST && i < n->n; i++)
        forget_places(n->items[i]);
    for (size_t i = 0; n->kind == YAML_MAP && i < n->n; i++) {
        n->pairs[i].line = n->pairs[i].column = 0;
        forget_places(n->pairs[i].value);
    }
}

/* The value is YAML where it starts like a list, a mapping or a quoted text, else one plain scalar.
 */
static int parse_value(struct spec_doc *doc, const char *origin, const char *text,
                       struct yaml_node **out, struct problems *p)
{
    *out = NULL;
    if (*text != '\0' && strchr("[{\"'", *text) != NULL) {
        struct err err;
        int rc = yaml_parse(out, doc->pool, origin, text, strlen(text), &err);
        if (rc == -ERR_NOMEM)
            return no_memory(doc, p);
        if (rc < 0) {
            struct yaml_node at = {.origin = origin};
            const char *what = strchr(err.msg + strlen(origin), ' ');
            problem_at(p, &at, "", "%s", what != NULL ? what + 1 : err.msg);
        } else {
            forget_places(*out);
        }
        return 0;
    }
    *out = yaml_scalar(doc->pool, origin, text);
    return *out == NULL ? no_memory(doc, p) : 0;
}

/* Whether a name with a dot is a misspelt key: the reader then says what was meant. */
static bool is_misspelt_path(struct spec_doc *doc, const char *name)
{
    const char *sections[32];
    size_t n = strcspn(name, ".");
    const char *first = name[n] == '.' ? pool_strndup(doc->pool, name, n) : NULL;
    return first != NULL &&
           spec_meant(first, sections, spec_key_children("", sections, ARRAY_LEN(sections))) !=
               NULL;
}

/* Whether the setting names a key of the document rather than a parameter. */
static bool is_document_path(struct spec_doc *doc, const char *name, const char *value, bool file)
{
    size_t n = strcspn(name, ".");
    for (size_t i = 0; i < n_spec_keys; i++) {
        if (strncmp(spec_keys[i].path, name, n) == 0 && spec_keys[i].path[n] == '\0')
            return true;
    }
    if (is_misspelt_path(doc, name))
        return true;
    const struct yaml_node *space = yaml_get(doc->root, "space");
    return !spec_is_param_text(value) && !spec_is_mistyped_param(value) && file &&
           yaml_get(space, name) == NULL;
}

static int set_param(struct spec_doc *doc, const char *name, struct yaml_node *value,
                     struct problems *p)
{
    struct yaml_node *space = yaml_get(doc->root, "space");
    if (space == NULL || space->kind == YAML_NULL) {
        space = yaml_container(doc->pool, value->origin, YAML_MAP);
        if (space == NULL || !yaml_set(doc->pool, doc->root, "space", space))
            return no_memory(doc, p);
    }
    if (space->kind != YAML_MAP)
        return 0; /* the reader will say so */
    return yaml_set(doc->pool, space, name, value) ? 0 : no_memory(doc, p);
}

static int apply_setting(struct spec_doc *doc, const char *setting, bool file, struct problems *p)
{
    const char *origin = pool_printf(doc->pool, "argument '%.100s'", setting);
    size_t n = strcspn(setting, "=");
    const char *name = pool_strndup(doc->pool, setting, n);
    if (origin == NULL || name == NULL)
        return no_memory(doc, p);
    struct yaml_node at = {.origin = origin};
    if (spec_lacks_equals(setting)) {
        size_t colon = strcspn(setting, ":");
        problem_at(p, &at, "", "did you mean '%.*s=%.60s'?", (int)colon, setting,
                   setting + colon + 1);
        return 0;
    }
    if (n == 0 || setting[n] == '\0') {
        problem_at(p, &at, "", "expected key=value%s",
                   !file                          ? " (a command stands after --)"
                   : strchr(setting, '.') != NULL ? " (one spec file at a time)"
                                                  : "");
        return 0;
    }
    struct yaml_node *value;
    int rc = parse_value(doc, origin, setting + n + 1, &value, p);
    if (rc < 0 || value == NULL)
        return rc;
    return is_document_path(doc, name, setting + n + 1, file) ? set_path(doc, name, value, p)
                                                              : set_param(doc, name, value, p);
}

static int apply_command(struct spec_doc *doc, const struct spec_source *src, struct problems *p)
{
    const char *origin = "the command after --";
    struct yaml_node *list = yaml_container(doc->pool, origin, YAML_LIST);
    if (list == NULL)
        return no_memory(doc, p);
    for (size_t i = 0; i < src->n_command; i++) {
        struct yaml_node *item = yaml_scalar(doc->pool, origin, src->command[i]);
        if (item == NULL || !yaml_append(doc->pool, list, item))
            return no_memory(doc, p);
        item->kind = YAML_TEXT;
    }
    return set_path(doc, "run.command", list, p);
}

/* Whether a setting before this one has its name: which of the two was meant nobody can know. */
static bool is_set_twice(const struct spec_source *src, size_t i)
{
    size_t n = strcspn(src->settings[i], "=");
    for (size_t k = 0; k < i; k++) {
        if (strcspn(src->settings[k], "=") == n &&
            strncmp(src->settings[k], src->settings[i], n) == 0)
            return true;
    }
    return false;
}

static int refuse_twice(struct spec_doc *doc, const char *setting, struct problems *p)
{
    const char *origin = pool_printf(doc->pool, "argument '%.100s'", setting);
    if (origin == NULL)
        return no_memory(doc, p);
    struct yaml_node at = {.origin = origin};
    problem_at(p, &at, "", "'%.*s' is given twice", (int)strcspn(setting, "="), setting);
    return 0;
}

int spec_apply(struct spec_doc *doc, const struct spec_source *src, struct problems *p)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < src->n_settings; i++)
        rc = is_set_twice(src, i) ? refuse_twice(doc, src->settings[i], p)
                                  : apply_setting(doc, src->settings[i], src->path != NULL, p);
    for (size_t i = 0; rc == 0 && i < src->n_options; i++) {
        const struct spec_option *o = &src->options[i];
        const char *origin = pool_printf(doc->pool, "option %s", o->option);
        struct yaml_node *value = origin == NULL ? NULL : yaml_scalar(doc->pool, origin, o->value);
        rc = value == NULL ? no_memory(doc, p) : set_path(doc, o->path, value, p);
    }
    if (rc == 0 && src->command != NULL && src->n_command > 0)
        rc = apply_command(doc, src, p);
    return rc;
}
