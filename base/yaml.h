/* YAML 1.2 (core schema) as a tree that knows where each node was written; JSON is read as well.
 * 1e-4 is a number, `yes` is text, 0o14 is 12, 1:30 is text. Refused: duplicate keys, more than one
 * document, keys that are no scalars, aliases that would unfold to an absurd size, input above 1
 * MiB. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"

enum yaml_kind { YAML_NULL, YAML_BOOL, YAML_INT, YAML_REAL, YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml_pair;

struct yaml_node {
    enum yaml_kind kind;
    bool plain;            /* a scalar without quotes or tag: its kind was guessed from its look */
    unsigned line, column; /* from 1; 0: the node has no place in a file */
    const char *origin;    /* file name, or what else the node came from */
    const char *text;      /* scalars: as written, quotes and escapes undone */
    union {
        bool b;
        int64_t i;
        double d; /* may be infinite or NaN: .inf, .nan */
        struct yaml_node **items;
        struct yaml_pair *pairs; /* in the order of the text */
    };
    size_t n; /* of items or pairs */
};

struct yaml_pair {
    const char *key;
    unsigned line, column; /* of the key */
    struct yaml_node *value;
};

/* Parses n bytes; nodes live in the pool. Errors: ERR_INVALID "origin:line:column: …", ERR_NOMEM.
 */
int yaml_parse(struct yaml_node **out, struct pool *pool, const char *origin, const char *text,
               size_t n, struct err *err);
/* Reads a file ("-": stdin). Errors: as yaml_parse, and ERR_IO, ERR_NOTFOUND. */
int yaml_read(struct yaml_node **out, struct pool *pool, const char *path, struct err *err);

/* The scalar that the text is when it stands alone without quotes. NULL when out of memory. */
struct yaml_node *yaml_scalar(struct pool *pool, const char *origin, const char *text);
/* An empty list or mapping. NULL when out of memory. */
struct yaml_node *yaml_container(struct pool *pool, const char *origin, enum yaml_kind kind);
/* A node with the same children, in an array of its own. NULL when out of memory. */
struct yaml_node *yaml_shallow_copy(struct pool *pool, const struct yaml_node *from);
/* Appends to a list, or sets or replaces a key of a mapping (key is copied). False when out of
 * memory. */
bool yaml_append(struct pool *pool, struct yaml_node *list, struct yaml_node *item);
bool yaml_set(struct pool *pool, struct yaml_node *map, const char *key, struct yaml_node *value);

/* Takes a key out of a mapping, if it is there. */
void yaml_remove(struct yaml_node *map, const char *key);
/* The value of a key, or NULL; map may be of any kind. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
struct yaml_pair *yaml_find(const struct yaml_node *map, const char *key);

/* "file:12:9", or the origin alone. Returns out. */
#define YAML_WHERE_MAX 300
char *yaml_where(const char *origin, unsigned line, unsigned column,
                 char out[static YAML_WHERE_MAX]);
/* "a list", "the text 'x'", "the number 3": what was found, for errors. Returns out. */
#define YAML_FOUND_MAX 80
char *yaml_found(const struct yaml_node *n, char out[static YAML_FOUND_MAX]);
