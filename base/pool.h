/* Memory that is freed all at once: for trees and plain data that live and die together. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct pool;

/* NULL when out of memory; the caller's to destroy. */
struct pool *pool_create(void);
void pool_destroy(struct pool *p); /* NULL is fine */
/* For AUTO(pool_destroy_p). */
void pool_destroy_p(struct pool **p);

/* Zeroed, aligned for any type; NULL when out of memory, which pool_failed then remembers. */
void *pool_alloc(struct pool *p, size_t n);
char *pool_strdup(struct pool *p, const char *text);
char *pool_strndup(struct pool *p, const char *text, size_t n);
char *pool_printf(struct pool *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Copies n bytes. */
void *pool_copy(struct pool *p, const void *bytes, size_t n);

/* Whether any allocation failed: check once, at the end. */
bool pool_failed(const struct pool *p);
