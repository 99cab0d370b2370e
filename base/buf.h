/* A growable byte buffer that is always NUL-terminated, for building text and collecting input.
 * An append that runs out of memory sets `failed` and later ones do nothing: check once, at the
 * end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* owned; NULL while empty and never grown */
    size_t len; /* without the NUL */
    size_t cap;
    bool failed;
};

#define BUF_INIT ((struct buf){0})

/* Frees the memory; the buffer is empty and usable again. */
void buf_free(struct buf *b);
/* Forgets the content, keeps the memory. */
void buf_clear(struct buf *b);
/* Makes room for n more bytes. Returns false (and sets failed) when out of memory. */
bool buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_puts(struct buf *b, const char *text);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);
/* The text, never NULL ("" when empty); the buffer keeps it. */
const char *buf_str(const struct buf *b);
/* The text as a malloc'd string that the caller frees; NULL when an append failed. Empties b. */
char *buf_steal(struct buf *b);
