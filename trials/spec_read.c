/* From a cell's tree to struct spec, by the table of keys. */
#include "trials/spec_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "trials/spec_keys.h"

#define CHILDREN_MAX 64
#define RANGE_MAX 160

bool spec_is_scalar(const struct yaml_node *n)
{
    return n->kind != YAML_LIST && n->kind != YAML_MAP;
}

struct value spec_value(const struct yaml_node *n)
{
    switch (n->kind) {
    case YAML_BOOL:
        return (struct value){.kind = VALUE_BOOL, .b = n->b};
    case YAML_INT:
        return (struct value){.kind = VALUE_INT, .i = n->i};
    case YAML_REAL:
        return (struct value){.kind = VALUE_REAL, .d = n->d};
    case YAML_TEXT:
        /* struct value owns its text elsewhere; here the pool does */
        return (struct value){.kind = VALUE_TEXT, .s = (char *)n->text};
    default:
        return (struct value){.kind = VALUE_NULL};
    }
}

static void expected(struct spec_reader *r, const struct yaml_node *n, const struct spec_key *k,
                     const char *what)
{
    char found[YAML_FOUND_MAX];
    problem_at(r->problems, n, k->path, "expected %s%s%s%s, found %s", what,
               k->zero != NULL ? ", or '" : "", k->zero != NULL ? k->zero : "",
               k->zero != NULL ? "'" : "", yaml_found(n, found));
}

static bool is_zero_word(const struct spec_key *k, const struct yaml_node *n)
{
    return k->zero != NULL && (n->kind == YAML_TEXT || n->kind == YAML_BOOL) &&
           (strcmp(n->text, k->zero) == 0 ||
            (strcmp(k->zero, "off") == 0 && n->kind == YAML_BOOL && !n->b));
}

static void range_text(const struct spec_key *k, const char *what, char out[static RANGE_MAX])
{
    char low[TEXT_DOUBLE_MAX], high[TEXT_DOUBLE_MAX];
    text_from_double(k->min, low);
    text_from_double(k->max, high);
    /* whole numbers read better without their .0 */
    if (strcmp(low + strlen(low) - 2, ".0") == 0)
        low[strlen(low) - 2] = '\0';
    if (strcmp(high + strlen(high) - 2, ".0") == 0)
        high[strlen(high) - 2] = '\0';
    if (k->max >= 1e6)
        (void)snprintf(out, RANGE_MAX, "%s, at least %s", what, low);
    else
        (void)snprintf(out, RANGE_MAX, "%s in %s … %s", what, low, high);
}

static bool read_number(struct spec_reader *r, const struct spec_key *k, const struct yaml_node *n,
                        double *out)
{
    char what[RANGE_MAX];
    *out = 0;
    if (is_zero_word(k, n))
        return true;
    bool is_number = n->kind == YAML_INT || n->kind == YAML_REAL;
    if (is_number)
        *out = n->kind == YAML_INT ? (double)n->i : n->d;
    bool is_whole = is_number && *out == floor(*out); /* 1e3 is one */
    if (is_number && (is_whole || k->type == KEY_REAL) && *out >= k->min && *out <= k->max)
        return true;
    range_text(k, k->type == KEY_REAL ? "a number" : "a whole number", what);
    expected(r, n, k, what);
    return false;
}

static void *field(struct spec_reader *r, const struct spec_key *k)
{
    return (char *)r->spec + k->offset;
}

static void read_quantity(struct spec_reader *r, const struct spec_key *k,
                          const struct yaml_node *n)
{
    uint64_t v = 0;
    bool is_time = k->type == KEY_DURATION;
    if (!is_zero_word(k, n)) {
        bool ok = spec_is_scalar(n) && n->kind != YAML_NULL &&
                  (is_time ? text_duration_ms(n->text, &v) : text_size_bytes(n->text, &v));
        if (!ok || (double)v < k->min) {
            expected(r, n, k,
                     is_time ? "a duration like 90s, 5m or 2h (a bare number is seconds)"
                             : "a size like 512MiB or 8GiB (at least 1MiB)");
            return;
        }
    }
    *(uint64_t *)field(r, k) = v;
}

static void read_words(struct spec_reader *r, const struct spec_key *k, const struct yaml_node *n)
{
    size_t n_words = 0;
    char list[120] = "";
    for (; k->words[n_words] != NULL; n_words++) {
        if (n->kind == YAML_TEXT && strcmp(n->text, k->words[n_words]) == 0) {
            if (k->type == KEY_WORD)
                *(int *)field(r, k) = (int)n_words + 1;
            else if (k->offset != NO_FIELD)
                *(const char **)field(r, k) = n->text;
            return;
        }
        size_t at = strlen(list);
        (void)snprintf(list + at, sizeof(list) - at, "%s'%s'", at > 0 ? " or " : "",
                       k->words[n_words]);
    }
    const char *near = n->kind == YAML_TEXT ? text_nearest(n->text, k->words, n_words) : NULL;
    if (near != NULL)
        problem_at(r->problems, n, k->path, "'%.60s': did you mean '%s'?", n->text, near);
    else
        expected(r, n, k, list);
}

static void read_text(struct spec_reader *r, const struct spec_key *k, const struct yaml_node *n)
{
    if (k->words != NULL) {
        read_words(r, k, n);
    } else if (!spec_is_scalar(n) || n->kind == YAML_NULL || *n->text == '\0') {
        expected(r, n, k, "text");
    } else if (k->offset != NO_FIELD) {
        *(const char **)field(r, k) = n->text;
    }
}

static void read_path(struct spec_reader *r, const struct spec_key *k, const struct yaml_node *n)
{
    if (n->kind == YAML_BOOL)
        *(const char **)field(r, k) = n->b ? k->when_true : NULL;
    else if (n->kind == YAML_TEXT && *n->text != '\0')
        *(const char **)field(r, k) = n->text;
    else
        expected(r, n, k, "a path, true or false");
}

static void check_texts(struct spec_reader *r, const struct spec_key *k, const struct yaml_node *n)
{
    if (n->kind == YAML_TEXT)
        return;
    bool ok = n->kind == YAML_LIST;
    for (size_t i = 0; ok && i < n->n; i++)
        ok = spec_is_scalar(n->items[i]);
    if (!ok)
        expected(r, n, k, "a list of texts");
}

static void check_map(struct spec_reader *r, const struct spec_key *k, const struct yaml_node *n)
{
    if (n->kind != YAML_MAP) {
        expected(r, n, k, "a mapping");
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        if (n->pairs[i].value->kind == YAML_MAP || n->pairs[i].value->kind == YAML_NULL)
            problem_key(r->problems, &n->pairs[i], k->path, "'%.60s': expected a value",
                        n->pairs[i].key);
    }
}

static void refuse_later(struct spec_reader *r, const struct spec_key *k, const struct yaml_node *n)
{
    if (n->kind == YAML_NULL || (n->kind == YAML_TEXT && strcmp(n->text, "off") == 0) ||
        (n->kind == YAML_BOOL && !n->b))
        return;
    problem_at(r->problems, n, k->path, "not supported in this version: %s; leave the key out",
               k->doc);
}

static void read_key(struct spec_reader *r, const struct spec_key *k, const struct yaml_node *n)
{
    double v;
    switch (k->type) {
    case KEY_TEXT:
        read_text(r, k, n);
        break;
    case KEY_WORD:
        read_words(r, k, n);
        break;
    case KEY_FLAG:
        if (n->kind != YAML_BOOL)
            expected(r, n, k, "true or false");
        else if (k->offset != NO_FIELD)
            *(bool *)field(r, k) = n->b;
        break;
    case KEY_INT:
        if (read_number(r, k, n, &v))
            *(int64_t *)field(r, k) = (int64_t)v;
        break;
    case KEY_COUNT:
        if (read_number(r, k, n, &v) && k->offset != NO_FIELD)
            *(unsigned *)field(r, k) = (unsigned)v;
        break;
    case KEY_REAL:
        if (read_number(r, k, n, &v) && k->offset != NO_FIELD)
            *(double *)field(r, k) = v;
        break;
    case KEY_DURATION:
    case KEY_SIZE:
        read_quantity(r, k, n);
        break;
    case KEY_PATH:
        read_path(r, k, n);
        break;
    case KEY_TEXTS:
        check_texts(r, k, n);
        break;
    case KEY_MAP:
        check_map(r, k, n);
        break;
    case KEY_OWN:
        if (k->read != NULL)
            k->read(r, n, k->path);
        break;
    case KEY_LATER:
        refuse_later(r, k, n);
        break;
    case KEY_SECTION:
        break;
    }
}

static void read_section(struct spec_reader *r, const struct yaml_node *map, const char *section);

static void read_pair(struct spec_reader *r, const struct yaml_pair *p, const char *section)
{
    const char *names[CHILDREN_MAX];
    char path[100];
    (void)snprintf(path, sizeof(path), "%s%s%s", section, *section != '\0' ? "." : "", p->key);
    const struct spec_key *k = spec_key_find(path);
    if (k != NULL && strchr(p->key, '.') != NULL) {
        const char *dot = strchr(p->key, '.');
        problem_key(r->problems, p, k->path, "write it nested: %.*s: {%s: …}", (int)(dot - p->key),
                    p->key, dot + 1);
    } else if (k == NULL) {
        char full[200];
        (void)snprintf(full, sizeof(full), "%s%s%.100s", section, *section != '\0' ? "." : "",
                       p->key);
        problem_unknown(r->problems, p, full, names,
                        spec_key_children(section, names, CHILDREN_MAX));
    } else if (k->type == KEY_SECTION) {
        read_section(r, p->value, k->path);
    } else {
        read_key(r, k, p->value);
    }
}

static void read_section(struct spec_reader *r, const struct yaml_node *map, const char *section)
{
    if (map->kind == YAML_NULL)
        return;
    if (strcmp(section, "run") == 0 && map->kind == YAML_LIST) {
        spec_read_command(r, map, "run");
        return;
    }
    if (map->kind != YAML_MAP) {
        char found[YAML_FOUND_MAX];
        problem_at(r->problems, map, section, "expected a mapping of keys%s, found %s",
                   strcmp(section, "run") == 0 ? " or a list of texts, the command" : "",
                   yaml_found(map, found));
        return;
    }
    for (size_t i = 0; i < map->n; i++)
        read_pair(r, &map->pairs[i], section);
}

static int set_presets(struct spec_reader *r)
{
    for (size_t i = 0; i < n_spec_keys; i++) {
        const struct spec_key *k = &spec_keys[i];
        if (k->preset == NULL)
            continue;
        bool given = r->doc->storage != NULL && strcmp(k->path, "study.storage") == 0;
        const struct yaml_node *n =
            yaml_scalar(r->pool, "default", given ? r->doc->storage : k->preset);
        if (n == NULL)
            return -ERR_NOMEM;
        read_key(r, k, n);
    }
    return 0;
}

int spec_read(struct spec_reader *r)
{
    int rc = set_presets(r);
    if (rc < 0)
        return rc;
    r->root = spec_substitute(r);
    if (r->root == NULL)
        return -ERR_NOMEM;
    /* parameters first: commands and conditions name them */
    const struct yaml_node *space = yaml_get(r->root, "space");
    if (space != NULL)
        spec_read_space(r, space, "space");
    for (size_t i = 0; i < r->root->n; i++) {
        if (strcmp(r->root->pairs[i].key, "space") != 0)
            read_pair(r, &r->root->pairs[i], "");
    }
    spec_finish(r);
    return r->no_memory || pool_failed(r->pool) || r->problems->text.failed ? -ERR_NOMEM : 0;
}
