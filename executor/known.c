#include "executor/known.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

/* Names kept of a study: workers may make them up. The store judges those beyond. */
#define MAX_KNOWN 10000u

void known_free(struct known *k)
{
    for (size_t i = 0; i < k->n; i++) {
        free(k->v[i].name);
        dist_free(&k->v[i].dist);
    }
    free(k->v);
    *k = (struct known){0};
}

static const struct known_dist *find(struct known *k, const char *name)
{
    for (size_t i = 0; i < k->n; i++) {
        size_t at = (k->next + i) % k->n;
        if (strcmp(k->v[at].name, name) == 0) {
            k->next = at + 1;
            return &k->v[at];
        }
    }
    return NULL;
}

static int conflict(const struct known_dist *old, const struct dist *dist, struct err *err)
{
    AUTO(buf_free) struct buf was = BUF_INIT;
    AUTO(buf_free) struct buf now = BUF_INIT;
    dist_put_words(&was, &old->dist);
    dist_put_words(&now, dist);
    return err_set(err, ERR_CONFLICT,
                   "%.60s was %.60s in this study, now %.60s: only ranges may change", old->name,
                   buf_str(&was), buf_str(&now));
}

static int add(struct known *k, const char *name, const struct dist *dist, struct err *err)
{
    if (k->n == MAX_KNOWN)
        return 0;
    if (k->n == k->cap) {
        size_t cap = k->cap > 0 ? 2 * k->cap : 16;
        struct known_dist *grown = reallocarray(k->v, cap, sizeof(*grown));
        if (grown == NULL)
            return err_set(err, ERR_NOMEM, "parameter '%s'", name);
        k->v = grown;
        k->cap = cap;
    }
    struct known_dist *d = &k->v[k->n];
    *d = (struct known_dist){.name = strdup(name)};
    if (d->name == NULL)
        return err_set(err, ERR_NOMEM, "parameter '%s'", name);
    int rc = dist_copy(&d->dist, dist, err);
    if (rc < 0)
        free(d->name);
    else
        k->n++;
    return rc;
}

int known_note(struct known *k, const char *name, const struct dist *dist, struct err *err)
{
    const struct known_dist *old = find(k, name);
    if (old == NULL)
        return add(k, name, dist, err);
    return dist_compatible(&old->dist, dist) ? 0 : conflict(old, dist, err);
}
