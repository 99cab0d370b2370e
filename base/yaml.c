/* From libyaml's events to a tree. Scalars: yaml_scalar.c. */
#include "base/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/yaml_scalar.h"

#define BYTES_MAX ((size_t)1 << 20)
#define DEPTH_MAX 64
#define NODES_MAX 100000
#define KEYS_MAX 4096
#define ANCHORS_MAX 1000

static const char too_many_nodes[] = "too large: more than 100000 values (aliases count unfolded)";

struct anchor {
    struct anchor *next;
    const char *name;
    const struct yaml_node *node;
};

struct builder {
    yaml_parser_t parser;
    struct pool *pool;
    const char *origin, *text;
    size_t size;
    size_t n_nodes, n_anchors;
    struct anchor *anchors;
    int depth;
    struct err *err;
};

static int fail_at(struct builder *b, const yaml_mark_t *at, const char *what)
{
    char where[YAML_WHERE_MAX];
    return err_set(b->err, ERR_INVALID, "%s: %s",
                   yaml_where(b->origin, (unsigned)at->line + 1, (unsigned)at->column + 1, where),
                   what);
}

static int no_memory(struct builder *b)
{
    return err_set(b->err, ERR_NOMEM, "%s", b->origin);
}

/* ---- what libyaml could not read ---- */

/* The line (from 0) of the text. */
static const char *find_line(const struct builder *b, size_t line, size_t *n)
{
    const char *at = b->text, *end = b->text + b->size;
    for (; line > 0 && at != NULL; line--) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at == NULL ? NULL : at + 1;
    }
    if (at == NULL)
        return NULL;
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    *n = (size_t)((stop != NULL ? stop : end) - at);
    return at;
}

static const char *syntax_hint(const struct builder *b, const yaml_mark_t *at)
{
    size_t n;
    const char *line = find_line(b, at->line, &n);
    if (line == NULL)
        return "";
    size_t indent = 0;
    while (indent < n && (line[indent] == ' ' || line[indent] == '\t'))
        indent++;
    if (memchr(line, '\t', indent) != NULL)
        return " (a tab cannot indent YAML: use spaces)";
    if (memmem(line, n, "${", 2) != NULL)
        return " (inside { } or [ ], text with ${…} needs quotes: \"${…}\")";
    return "";
}

static int syntax_error(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(b);
    if (p->error == YAML_READER_ERROR)
        return err_set(b->err, ERR_INVALID, "%s: byte %zu: %s; the file must be UTF-8 text",
                       b->origin, p->problem_offset, p->problem);
    char what[300];
    (void)snprintf(what, sizeof(what), "%s%s%s%s", p->problem != NULL ? p->problem : "not YAML",
                   p->context != NULL ? " " : "", p->context != NULL ? p->context : "",
                   syntax_hint(b, &p->problem_mark));
    return fail_at(b, &p->problem_mark, what);
}

static int next_event(struct builder *b, yaml_event_t *e)
{
    return yaml_parser_parse(&b->parser, e) ? 0 : syntax_error(b);
}

/* ---- nodes ---- */

static int new_node(struct builder *b, const yaml_mark_t *at, enum yaml_kind kind,
                    struct yaml_node **out)
{
    if (++b->n_nodes > NODES_MAX)
        return fail_at(b, at, too_many_nodes);
    struct yaml_node *n = yaml_container(b->pool, b->origin, kind);
    if (n == NULL)
        return no_memory(b);
    n->line = (unsigned)at->line + 1;
    n->column = (unsigned)at->column + 1;
    *out = n;
    return 0;
}

/* An alias is unfolded, so that every node has one parent and may be changed. */
static int copy_node(struct builder *b, const yaml_mark_t *at, const struct yaml_node *from,
                     struct yaml_node **out)
{
    if (++b->n_nodes > NODES_MAX)
        return fail_at(b, at, too_many_nodes);
    struct yaml_node *to = yaml_shallow_copy(b->pool, from);
    if (to == NULL)
        return no_memory(b);
    *out = to;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < from->n; i++) {
        if (from->kind == YAML_LIST)
            rc = copy_node(b, at, from->items[i], &to->items[i]);
        else
            rc = copy_node(b, at, from->pairs[i].value, &to->pairs[i].value);
    }
    return rc;
}

static int remember(struct builder *b, const yaml_event_t *e, const yaml_char_t *name,
                    const struct yaml_node *node)
{
    if (name == NULL)
        return 0;
    if (++b->n_anchors > ANCHORS_MAX)
        return fail_at(b, &e->start_mark, "too many anchors");
    struct anchor *a = pool_alloc(b->pool, sizeof(*a));
    if (a == NULL)
        return no_memory(b);
    *a = (struct anchor){b->anchors, pool_strdup(b->pool, (const char *)name), node};
    b->anchors = a;
    return a->name == NULL ? no_memory(b) : 0;
}

static int read_alias(struct builder *b, const yaml_event_t *e, struct yaml_node **out)
{
    for (const struct anchor *a = b->anchors; a != NULL; a = a->next) {
        if (strcmp(a->name, (const char *)e->data.alias.anchor) == 0)
            return copy_node(b, &e->start_mark, a->node, out);
    }
    return fail_at(b, &e->start_mark, "no anchor of this name stands before this alias");
}

static int read_scalar(struct builder *b, const yaml_event_t *e, struct yaml_node **out)
{
    struct yaml_node *n;
    int rc = new_node(b, &e->start_mark, YAML_TEXT, &n);
    if (rc < 0)
        return rc;
    const char *text = (const char *)e->data.scalar.value;
    if (strlen(text) != e->data.scalar.length)
        return fail_at(b, &e->start_mark, "text with a NUL character");
    n->text = pool_strndup(b->pool, text, e->data.scalar.length);
    if (n->text == NULL)
        return no_memory(b);
    n->plain = e->data.scalar.plain_implicit;
    if (n->plain)
        yaml_scalar_resolve(n);
    const char *tag = (const char *)e->data.scalar.tag;
    if (tag != NULL && !yaml_scalar_tag(n, tag))
        return fail_at(b, &e->start_mark,
                       "a tag that this program does not know, or that does not fit");
    *out = n;
    return remember(b, e, e->data.scalar.anchor, n);
}

static int read_node(struct builder *b, const yaml_event_t *e, struct yaml_node **out);

static int read_list(struct builder *b, const yaml_event_t *start, struct yaml_node **out)
{
    struct yaml_node *list;
    int rc = new_node(b, &start->start_mark, YAML_LIST, &list);
    for (bool open = true; rc == 0 && open;) {
        AUTO(yaml_event_delete) yaml_event_t e = {0};
        struct yaml_node *item;
        rc = next_event(b, &e);
        open = rc == 0 && e.type != YAML_SEQUENCE_END_EVENT;
        if (open)
            rc = read_node(b, &e, &item);
        if (open && rc == 0 && !yaml_append(b->pool, list, item))
            rc = no_memory(b);
    }
    if (rc < 0)
        return rc;
    *out = list;
    return remember(b, start, start->data.sequence_start.anchor, list);
}

/* `<<: *base` or `<<: [*a, *b]`: keys that the mapping does not have itself; the first source wins.
 */
static int merge(struct builder *b, struct yaml_node *map, const struct yaml_node *from,
                 const yaml_mark_t *at)
{
    int rc = 0;
    if (from->kind == YAML_LIST) {
        for (size_t i = 0; rc == 0 && i < from->n; i++)
            rc = from->items[i]->kind == YAML_MAP
                     ? merge(b, map, from->items[i], at)
                     : fail_at(b, at, "expected mappings in the list after '<<'");
        return rc;
    }
    if (from->kind != YAML_MAP)
        return fail_at(b, at, "expected a mapping after '<<'");
    for (size_t i = 0; i < from->n; i++) {
        struct yaml_pair *p = &from->pairs[i];
        if (yaml_get(map, p->key) != NULL)
            continue;
        if (map->n >= KEYS_MAX)
            return fail_at(b, at, "too many keys in one mapping");
        if (!yaml_set(b->pool, map, p->key, p->value))
            return no_memory(b);
        map->pairs[map->n - 1].line = p->line;
        map->pairs[map->n - 1].column = p->column;
    }
    return 0;
}

static int add_pair(struct builder *b, struct yaml_node *map, const yaml_event_t *key,
                    const struct yaml_node *name, struct yaml_node *value)
{
    const struct yaml_pair *old = yaml_find(map, name->text);
    if (old != NULL) {
        char what[200];
        (void)snprintf(what, sizeof(what), "duplicate key '%.80s', first in line %u", name->text,
                       old->line);
        return fail_at(b, &key->start_mark, what);
    }
    if (map->n >= KEYS_MAX)
        return fail_at(b, &key->start_mark, "too many keys in one mapping");
    if (!yaml_set(b->pool, map, name->text, value))
        return no_memory(b);
    map->pairs[map->n - 1].line = name->line;
    map->pairs[map->n - 1].column = name->column;
    return 0;
}

static int read_pair(struct builder *b, struct yaml_node *map, struct yaml_node **merged,
                     const yaml_event_t *key)
{
    struct yaml_node *name, *value;
    if (key->type != YAML_SCALAR_EVENT)
        return fail_at(b, &key->start_mark, "a key must be a word or a quoted text");
    int rc = read_scalar(b, key, &name);
    if (rc < 0)
        return rc;
    AUTO(yaml_event_delete) yaml_event_t e = {0};
    rc = next_event(b, &e);
    if (rc == 0)
        rc = read_node(b, &e, &value);
    if (rc < 0)
        return rc;
    if (name->plain && strcmp(name->text, "<<") == 0 && *merged == NULL) {
        *merged = value;
        return 0;
    }
    return add_pair(b, map, key, name, value);
}

static int read_map(struct builder *b, const yaml_event_t *start, struct yaml_node **out)
{
    struct yaml_node *map, *merged = NULL;
    int rc = new_node(b, &start->start_mark, YAML_MAP, &map);
    for (bool open = true; rc == 0 && open;) {
        AUTO(yaml_event_delete) yaml_event_t e = {0};
        rc = next_event(b, &e);
        open = rc == 0 && e.type != YAML_MAPPING_END_EVENT;
        if (open)
            rc = read_pair(b, map, &merged, &e);
    }
    if (rc == 0 && merged != NULL)
        rc = merge(b, map, merged, &start->start_mark);
    if (rc < 0)
        return rc;
    *out = map;
    return remember(b, start, start->data.mapping_start.anchor, map);
}

static int read_node(struct builder *b, const yaml_event_t *e, struct yaml_node **out)
{
    if (++b->depth > DEPTH_MAX)
        return fail_at(b, &e->start_mark, "nested too deeply");
    int rc;
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        rc = read_scalar(b, e, out);
        break;
    case YAML_SEQUENCE_START_EVENT:
        rc = read_list(b, e, out);
        break;
    case YAML_MAPPING_START_EVENT:
        rc = read_map(b, e, out);
        break;
    default:
        rc = read_alias(b, e, out);
    }
    b->depth--;
    return rc;
}

/* The events around the one document that is allowed. */
static int read_stream(struct builder *b, struct yaml_node **out)
{
    for (bool read = false;;) {
        AUTO(yaml_event_delete) yaml_event_t e = {0};
        int rc = next_event(b, &e);
        if (rc < 0)
            return rc;
        switch (e.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_DOCUMENT_START_EVENT:
            if (read)
                return fail_at(b, &e.start_mark, "a second document begins here: one is expected");
            break;
        case YAML_STREAM_END_EVENT:
            return read ? 0 : err_set(b->err, ERR_INVALID, "%s: empty", b->origin);
        default:
            rc = read_node(b, &e, out);
            if (rc < 0)
                return rc;
            read = true;
        }
    }
}

int yaml_parse(struct yaml_node **out, struct pool *pool, const char *origin, const char *text,
               size_t n, struct err *err)
{
    /* some editors begin a file with a byte order mark */
    size_t mark = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    text += mark;
    n -= mark;
    struct builder b = {.pool = pool, .text = text, .size = n, .err = err};
    b.origin = pool_strdup(pool, origin);
    if (b.origin == NULL)
        return err_set(err, ERR_NOMEM, "%s", origin);
    if (n > BYTES_MAX)
        return err_set(err, ERR_INVALID, "%s: larger than 1 MiB", origin);
    if (!yaml_parser_initialize(&b.parser))
        return no_memory(&b);
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, n);
    struct yaml_node *root;
    int rc = read_stream(&b, &root);
    yaml_parser_delete(&b.parser);
    if (rc == 0)
        *out = root;
    return rc;
}

static int read_all(int fd, const char *path, struct buf *b, struct err *err)
{
    while (b->len <= BYTES_MAX) {
        if (!buf_reserve(b, 65536))
            return err_set(err, ERR_NOMEM, "%s", path);
        ssize_t n = read(fd, b->data + b->len, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "%s", path);
        if (n == 0)
            return 0;
        b->len += (size_t)n;
    }
    return err_set(err, ERR_INVALID, "%s: larger than 1 MiB", path);
}

int yaml_read(struct yaml_node **out, struct pool *pool, const char *path, struct err *err)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    AUTO_CLOSE int fd = -1;
    int rc;
    if (strcmp(path, "-") == 0) {
        rc = read_all(STDIN_FILENO, "stdin", &b, err);
        path = "stdin";
    } else {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
            return err_set(err, ERR_NOTFOUND, "%s: no such file", path);
        if (fd < 0)
            return err_sys(err, errno, "%s", path);
        rc = read_all(fd, path, &b, err);
    }
    if (rc < 0)
        return rc;
    return yaml_parse(out, pool, path, buf_str(&b), b.len, err);
}
