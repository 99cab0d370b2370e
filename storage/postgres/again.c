/* When a connection is lost while a commit is on its way, nobody knows whether it landed; and when
 * a batch fails behind a claim, what stands before the claim has landed. The caller is told of the
 * failure and does the same again, as with any other; here is kept what was done, so that each
 * operation can find itself done already. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "storage/postgres/pg.h"

/* So many are kept when nobody comes back for them. */
#define DOUBT_MAX 4096

static bool add(struct effects *list, const struct effect *e)
{
    if (!array_reserve(&list->of, &list->cap, list->n + 1, sizeof(*list->of)))
        return false;
    list->of[list->n++] = *e;
    return true;
}

static bool same(const struct effect *a, const struct effect *b)
{
    return a->kind == b->kind && a->on == b->on && a->id == b->id && a->what == b->what &&
           a->number == b->number && a->time_us == b->time_us && a->xid == b->xid;
}

static bool has(const struct effects *list, const struct effect *e)
{
    for (size_t i = 0; i < list->n; i++) {
        if (same(&list->of[i], e))
            return true;
    }
    return false;
}

static void take_out(struct effects *list, const struct effect *e)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (!same(&list->of[i], e))
            list->of[kept++] = list->of[i];
    }
    list->n = kept;
}

void again_note(struct store_pg *q, const struct effect *e)
{
    (void)add(&q->now, e);
}

const struct effect *again_find(const struct store_pg *q, enum effect_kind kind, int64_t on,
                                uint64_t what)
{
    for (size_t i = 0; i < q->doubt.n; i++) {
        const struct effect *e = &q->doubt.of[i];
        if (e->kind == kind && e->on == on && e->what == what && !has(&q->now, e))
            return e;
    }
    return NULL;
}

void again_forget(struct store_pg *q, const struct effect *e)
{
    const struct effect copy = *e;
    take_out(&q->doubt, &copy);
}

static void know(struct effects *list, const struct effect *e, int64_t id, int64_t number)
{
    for (size_t i = 0; i < list->n; i++) {
        if (same(&list->of[i], e)) {
            list->of[i].id = id;
            list->of[i].number = number;
            return;
        }
    }
}

void again_known(struct store_pg *q, const struct effect *e, int64_t id, int64_t number)
{
    know(&q->now, e, id, number);
    know(&q->landed, e, id, number);
}

void again_land(struct store_pg *q)
{
    for (size_t i = 0; i < q->now.n; i++) {
        take_out(&q->doubt, &q->now.of[i]);
        if (q->in_batch)
            (void)add(&q->landed, &q->now.of[i]);
    }
    q->now.n = 0;
}

void again_commit(struct store_pg *q)
{
    q->landed.n = 0;
}

void again_keep(struct store_pg *q, const struct effect *e)
{
    if (!has(&q->doubt, e))
        (void)add(&q->doubt, e);
    if (q->doubt.n > DOUBT_MAX) {
        q->doubt.n--;
        memmove(q->doubt.of, q->doubt.of + 1, q->doubt.n * sizeof(*q->doubt.of));
    }
}

void again_doubt(struct store_pg *q)
{
    for (size_t i = 0; i < q->now.n; i++)
        again_keep(q, &q->now.of[i]);
    q->now.n = 0;
}

void again_roll_back(struct store_pg *q)
{
    for (size_t i = 0; i < q->landed.n; i++)
        again_keep(q, &q->landed.of[i]);
    q->now.n = q->landed.n = 0;
}

void again_free(struct store_pg *q)
{
    free(q->now.of);
    free(q->landed.of);
    free(q->doubt.of);
}

/* FNV-1a */
uint64_t again_hash(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    if (h == 0)
        h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(1099511628211);
    return h;
}
