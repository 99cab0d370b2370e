#include "executor/lines.h"

#include <string.h>

void lines_init(struct lines *l, size_t limit)
{
    *l = (struct lines){.limit = limit};
}

void lines_free(struct lines *l)
{
    buf_free(&l->part);
}

/* A whole line has come together: from the kept part and the n bytes at data. */
static int emit(struct lines *l, const char *data, size_t n, line_fn *fn, void *ctx)
{
    int rc = 0;
    if (l->skipping || l->part.len + n > l->limit) {
        l->dropped++;
    } else if (l->part.len == 0) {
        rc = fn(ctx, data, n); /* the usual case: no copy */
    } else {
        buf_add(&l->part, data, n);
        if (l->part.failed)
            l->dropped++;
        else
            rc = fn(ctx, l->part.data, l->part.len);
    }
    l->skipping = false;
    buf_clear(&l->part);
    return rc;
}

int lines_feed(struct lines *l, const char *data, size_t n, line_fn *fn, void *ctx)
{
    const char *end = data + n;
    while (data < end) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        if (newline == NULL) {
            size_t rest = (size_t)(end - data);
            if (l->skipping)
                return 0;
            if (l->part.len + rest > l->limit) {
                l->skipping = true;
                buf_clear(&l->part);
            } else {
                buf_add(&l->part, data, rest);
            }
            return 0;
        }
        int rc = emit(l, data, (size_t)(newline - data), fn, ctx);
        if (rc != 0)
            return rc;
        data = newline + 1;
    }
    return 0;
}

int lines_end(struct lines *l, line_fn *fn, void *ctx)
{
    return l->skipping || l->part.len > 0 ? emit(l, "", 0, fn, ctx) : 0;
}
