#include "trials/xgboost/codes.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void codes_free(struct codes *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        free(c->text[i]);
    free(c->text);
    free(c->len);
    free(c->slots);
    *c = (struct codes){0};
}

/* FNV-1a (Fowler, Noll, Vo), 32 bits. */
static uint32_t hash(const char *text, size_t len)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * 16777619u;
    return h;
}

/* The slot that holds the text, or the free one where it belongs. */
static uint32_t *find(const struct codes *c, const char *text, size_t len)
{
    for (uint32_t i = hash(text, len);; i++) {
        uint32_t *slot = &c->slots[i & (c->n_slots - 1)];
        if (*slot == 0)
            return slot;
        uint32_t id = *slot - 1;
        if (c->len[id] == len && memcmp(c->text[id], text, len) == 0)
            return slot;
    }
}

/* Keeps the table at most half full, so that find ends. */
static int grow(struct codes *c, struct err *err)
{
    uint32_t cap = c->cap == 0 ? 32 : c->cap * 2;
    char **text = realloc(c->text, cap * sizeof(*text));
    if (text != NULL)
        c->text = text;
    size_t *len = realloc(c->len, cap * sizeof(*len));
    if (len != NULL)
        c->len = len;
    uint32_t *slots = calloc((size_t)cap * 2, sizeof(*slots));
    if (text == NULL || len == NULL || slots == NULL) {
        free(slots);
        return err_set(err, ERR_NOMEM, "out of memory for %u categories", cap);
    }
    free(c->slots);
    c->slots = slots;
    c->cap = cap;
    c->n_slots = cap * 2;
    for (uint32_t i = 0; i < c->n; i++)
        *find(c, c->text[i], c->len[i]) = i + 1;
    return 0;
}

int codes_add(struct codes *c, const char *text, size_t len, uint32_t *out, struct err *err)
{
    if (c->n == c->cap) {
        if (c->n >= CODES_MAX)
            return err_set(err, ERR_INVALID, "more than %u categories", CODES_MAX);
        int rc = grow(c, err);
        if (rc < 0)
            return rc;
    }
    uint32_t *slot = find(c, text, len);
    if (*slot == 0) {
        char *copy = malloc(len + 1);
        if (copy == NULL)
            return err_set(err, ERR_NOMEM, "out of memory for %u categories", c->n + 1);
        memcpy(copy, text, len);
        copy[len] = '\0';
        c->text[c->n] = copy;
        c->len[c->n] = len;
        *slot = ++c->n;
    }
    *out = *slot - 1;
    return 0;
}

static int by_bytes(const void *a, const void *b, void *codes)
{
    const struct codes *c = codes;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    size_t n = c->len[i] < c->len[j] ? c->len[i] : c->len[j];
    int order = memcmp(c->text[i], c->text[j], n);
    return order != 0 ? order : (c->len[i] > c->len[j]) - (c->len[i] < c->len[j]);
}

void codes_sort(const struct codes *c, uint32_t *rank, uint32_t *order)
{
    for (uint32_t i = 0; i < c->n; i++)
        order[i] = i;
    qsort_r(order, c->n, sizeof(*order), by_bytes, (void *)c);
    for (uint32_t i = 0; i < c->n; i++)
        rank[order[i]] = i;
}
