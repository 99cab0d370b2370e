/* A distribution in words. */
#include "trials/space.h"

#define SHOWN_CHOICES 12

const char *dist_kind_name(enum dist_kind kind)
{
    static const char *const names[] = {
        [DIST_FLOAT] = "float",
        [DIST_INT] = "int",
        [DIST_CHOICE] = "choice",
        [DIST_OPAQUE] = "another program's",
    };
    return names[kind];
}

static void put_choices(struct buf *b, const struct dist *d)
{
    for (size_t i = 0; i < d->n_choices && i < SHOWN_CHOICES; i++) {
        buf_puts(b, i > 0 ? ", " : "");
        dist_put_value_text(b, d, (double)i);
    }
    buf_puts(b, d->n_choices > SHOWN_CHOICES ? " …" : "");
}

void dist_put_range(struct buf *b, const struct dist *d)
{
    if (d->kind == DIST_CHOICE || d->kind == DIST_OPAQUE) {
        put_choices(b, d);
        return;
    }
    dist_put_value_text(b, d, d->low);
    buf_puts(b, " … ");
    dist_put_value_text(b, d, d->high);
    if (d->log)
        buf_puts(b, ", log");
    if (d->step > 0 && (d->kind == DIST_FLOAT || d->step > 1))
        buf_printf(b, ", step %g", d->step);
}

void dist_put_words(struct buf *b, const struct dist *d)
{
    buf_printf(b, "%s ", dist_kind_name(d->kind));
    dist_put_range(b, d);
}
