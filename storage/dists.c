#include "storage/dists.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static void entry_free(struct dist_entry *e)
{
    dist_free(&e->dist);
    dist_free(&e->first);
    free(e->name);
    free(e->text);
    free(e);
}

void dists_free(struct dists *d)
{
    for (size_t i = 0; i < d->n; i++)
        entry_free(d->entries[i]);
    free(d->entries);
    *d = (struct dists){0};
}

static struct dist_entry *add(struct dists *d, const char *name)
{
    struct dist_entry **grown = realloc(d->entries, (d->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return NULL;
    d->entries = grown;
    struct dist_entry *e = calloc(1, sizeof(*e));
    if (e == NULL || (e->name = strdup(name)) == NULL) {
        free(e);
        return NULL;
    }
    d->entries[d->n++] = e;
    return e;
}

struct dist_entry *dists_entry(struct dists *d, const char *name)
{
    for (size_t k = 0; k < d->n; k++) {
        size_t i = (d->next + k) % d->n;
        if (strcmp(d->entries[i]->name, name) == 0) {
            d->next = i + 1;
            return d->entries[i];
        }
    }
    d->next = 0;
    return add(d, name);
}

/* Takes over dist and text. */
static void entry_set(struct dist_entry *e, struct dist *dist, char *text, size_t text_len)
{
    dist_free(&e->dist);
    free(e->text);
    e->dist = *dist;
    e->text = text;
    e->text_len = text_len;
}

int dist_entry_read(struct dist_entry *e, const char *text, size_t n, struct err *err)
{
    if (e->text != NULL && e->text_len == n && memcmp(e->text, text, n) == 0)
        return 0;
    struct dist dist;
    AUTO_FREE char *copy = malloc(n + 1);
    if (copy == NULL)
        return err_set(err, ERR_NOMEM, "distribution of '%s'", e->name);
    int rc = dist_read_stored(&dist, text, n, err);
    if (rc < 0)
        return err_wrap(err, rc, "distribution of '%s'", e->name);
    memcpy(copy, text, n);
    copy[n] = '\0';
    entry_set(e, &dist, TAKE(copy), n);
    return 0;
}

int dist_entry_write(struct dist_entry *e, const struct dist *dist, struct err *err)
{
    if (e->text != NULL && dist_equal(&e->dist, dist))
        return 0;
    struct dist copy;
    struct buf text = BUF_INIT;
    dist_put_json(&text, dist);
    size_t n = text.len;
    AUTO_FREE char *owned = buf_steal(&text);
    if (owned == NULL)
        return err_set(err, ERR_NOMEM, "distribution of '%s'", e->name);
    int rc = dist_copy(&copy, dist, err);
    if (rc < 0)
        return rc;
    entry_set(e, &copy, TAKE(owned), n);
    return 0;
}

int dist_entry_check(const struct dist_entry *e, const struct dist *d, struct err *err)
{
    AUTO(buf_free) struct buf here = BUF_INIT;
    AUTO(buf_free) struct buf there = BUF_INIT;
    if (!e->has_first || dist_compatible(&e->first, d))
        return 0;
    bool choices = e->first.kind == DIST_CHOICE && d->kind == DIST_CHOICE;
    dist_put_words(&here, d);
    dist_put_words(&there, &e->first);
    return err_set(err, ERR_CONFLICT,
                   "parameter '%.60s' is asked for as %.140s, but the study has it as %.140s: %s",
                   e->name, buf_str(&here), buf_str(&there),
                   choices ? "choices and their order stay" : "only ranges may change");
}
