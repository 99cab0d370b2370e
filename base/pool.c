#include "base/pool.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)8192)

struct chunk {
    struct chunk *next;
    size_t used, cap;
    _Alignas(max_align_t) char bytes[];
};

struct pool {
    struct chunk *head; /* the one with room */
    bool failed;
};

struct pool *pool_create(void)
{
    return calloc(1, sizeof(struct pool));
}

void pool_destroy(struct pool *p)
{
    if (p == NULL)
        return;
    for (struct chunk *c = p->head; c != NULL;) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
    free(p);
}

void pool_destroy_p(struct pool **p)
{
    pool_destroy(*p);
}

static struct chunk *add_chunk(struct pool *p, size_t least)
{
    size_t cap = least > CHUNK_BYTES ? least : CHUNK_BYTES;
    struct chunk *c = calloc(1, sizeof(*c) + cap);
    if (c == NULL)
        return NULL;
    c->cap = cap;
    c->next = p->head;
    p->head = c;
    return c;
}

void *pool_alloc(struct pool *p, size_t n)
{
    size_t align = _Alignof(max_align_t);
    if (n > SIZE_MAX / 2) {
        p->failed = true;
        return NULL;
    }
    n = n == 0 ? align : (n + align - 1) / align * align;
    struct chunk *c = p->head;
    if (c == NULL || c->cap - c->used < n)
        c = add_chunk(p, n);
    if (c == NULL) {
        p->failed = true;
        return NULL;
    }
    void *at = c->bytes + c->used;
    c->used += n;
    return at;
}

void *pool_copy(struct pool *p, const void *bytes, size_t n)
{
    void *to = pool_alloc(p, n);
    if (to != NULL && n > 0)
        memcpy(to, bytes, n);
    return to;
}

char *pool_strndup(struct pool *p, const char *text, size_t n)
{
    char *to = pool_alloc(p, n + 1);
    if (to != NULL)
        memcpy(to, text, n);
    return to;
}

char *pool_strdup(struct pool *p, const char *text)
{
    return pool_strndup(p, text, strlen(text));
}

char *pool_printf(struct pool *p, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0) {
        p->failed = true;
        return NULL;
    }
    char *copy = pool_strndup(p, text, (size_t)n);
    free(text);
    return copy;
}

bool pool_failed(const struct pool *p)
{
    return p->failed;
}
