/* The tree itself: building, finding, describing. */
#include <stdio.h>
#include <string.h>

#include "base/yaml.h"
#include "base/yaml_scalar.h"

struct yaml_node *yaml_container(struct pool *pool, const char *origin, enum yaml_kind kind)
{
    struct yaml_node *n = pool_alloc(pool, sizeof(*n));
    if (n != NULL) {
        n->kind = kind;
        n->origin = origin;
    }
    return n;
}

struct yaml_node *yaml_scalar(struct pool *pool, const char *origin, const char *text)
{
    struct yaml_node *n = yaml_container(pool, origin, YAML_TEXT);
    if (n == NULL)
        return NULL;
    n->text = pool_strdup(pool, text);
    n->plain = true;
    if (n->text == NULL)
        return NULL;
    yaml_scalar_resolve(n);
    return n;
}

/* Room for one more of `size` bytes in an array of n: it doubles at powers of two. */
static void *grow(struct pool *pool, void *array, size_t n, size_t size)
{
    if (n > 0 && (n & (n - 1)) != 0)
        return array;
    void *grown = pool_alloc(pool, (n == 0 ? 1 : 2 * n) * size);
    if (grown != NULL && n > 0)
        memcpy(grown, array, n * size);
    return grown;
}

struct yaml_node *yaml_shallow_copy(struct pool *pool, const struct yaml_node *from)
{
    struct yaml_node *to = pool_copy(pool, from, sizeof(*from));
    size_t cap = 1;
    while (cap < from->n)
        cap *= 2; /* as grow expects */
    if (to == NULL || from->n == 0)
        return to;
    size_t size = from->kind == YAML_LIST ? sizeof(*to->items) : sizeof(*to->pairs);
    void *children = pool_alloc(pool, cap * size);
    if (children == NULL)
        return NULL;
    if (from->kind == YAML_LIST)
        to->items = memcpy(children, from->items, from->n * size);
    else
        to->pairs = memcpy(children, from->pairs, from->n * size);
    return to;
}

bool yaml_append(struct pool *pool, struct yaml_node *list, struct yaml_node *item)
{
    void *items = grow(pool, list->items, list->n, sizeof(*list->items));
    if (items == NULL)
        return false;
    list->items = items;
    list->items[list->n++] = item;
    return true;
}

bool yaml_set(struct pool *pool, struct yaml_node *map, const char *key, struct yaml_node *value)
{
    struct yaml_pair *old = yaml_find(map, key);
    if (old != NULL) {
        old->value = value;
        old->line = value->line;
        old->column = value->column;
        return true;
    }
    void *pairs = grow(pool, map->pairs, map->n, sizeof(*map->pairs));
    if (pairs == NULL)
        return false;
    map->pairs = pairs;
    key = pool_strdup(pool, key);
    if (key == NULL)
        return false;
    map->pairs[map->n++] = (struct yaml_pair){key, value->line, value->column, value};
    return true;
}

void yaml_remove(struct yaml_node *map, const char *key)
{
    struct yaml_pair *p = yaml_find(map, key);
    if (p == NULL)
        return;
    size_t after = (size_t)(map->pairs + map->n - p) - 1;
    memmove(p, p + 1, after * sizeof(*p));
    map->n--;
}

struct yaml_pair *yaml_find(const struct yaml_node *map, const char *key)
{
    if (map == NULL || map->kind != YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->n; i++) {
        if (strcmp(map->pairs[i].key, key) == 0)
            return &map->pairs[i];
    }
    return NULL;
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    const struct yaml_pair *p = yaml_find(map, key);
    return p == NULL ? NULL : p->value;
}

char *yaml_where(const char *origin, unsigned line, unsigned column,
                 char out[static YAML_WHERE_MAX])
{
    if (line == 0)
        (void)snprintf(out, YAML_WHERE_MAX, "%.200s", origin);
    else
        (void)snprintf(out, YAML_WHERE_MAX, "%.200s:%u:%u", origin, line, column);
    return out;
}

char *yaml_found(const struct yaml_node *n, char out[static YAML_FOUND_MAX])
{
    switch (n->kind) {
    case YAML_NULL:
        return strcpy(out, "nothing");
    case YAML_LIST:
        return strcpy(out, "a list");
    case YAML_MAP:
        return strcpy(out, "a mapping");
    case YAML_TEXT:
        (void)snprintf(out, YAML_FOUND_MAX, "'%.60s'", n->text);
        return out;
    default:
        (void)snprintf(out, YAML_FOUND_MAX, "%.60s", n->text);
        return out;
    }
}
