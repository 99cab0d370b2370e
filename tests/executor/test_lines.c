#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "executor/lines.h"

struct seen {
    struct buf text; /* each line in <> */
    int stop_at, n;
};

static int note(void *ctx, const char *line, size_t n)
{
    struct seen *s = ctx;
    buf_putc(&s->text, '<');
    buf_add(&s->text, line, n);
    buf_putc(&s->text, '>');
    return ++s->n == s->stop_at ? 7 : 0;
}

static const char *cut(const char *const *pieces, size_t limit, uint64_t *dropped)
{
    static char out[256];
    struct seen s = {.text = BUF_INIT};
    struct lines l;
    lines_init(&l, limit);
    for (; *pieces != NULL; pieces++) {
        cr_expect(eq(int, lines_feed(&l, *pieces, strlen(*pieces), note, &s), 0));
        cr_expect(le(sz, l.part.len, limit)); /* what it keeps is bounded */
    }
    cr_expect(eq(int, lines_end(&l, note, &s), 0));
    (void)snprintf(out, sizeof(out), "%s", buf_str(&s.text));
    *dropped = l.dropped;
    lines_free(&l);
    buf_free(&s.text);
    return out;
}

#define CUT(limit, dropped, ...)                                                                   \
    (char *)(uintptr_t)cut((const char *const[]){__VA_ARGS__, NULL}, limit, dropped)

Test(lines, pieces_come_together)
{
    uint64_t dropped;
    cr_expect(eq(str, CUT(100, &dropped, "a", "b\nc", "", "\n\nd"), (char *)"<ab><c><><d>"));
    cr_expect(eq(u64, dropped, 0));
}

Test(lines, one_that_is_too_long_is_dropped_and_counted_once)
{
    uint64_t dropped;
    cr_expect(eq(str, CUT(4, &dropped, "1234\n12345\nok\n"), (char *)"<1234><ok>"));
    cr_expect(eq(u64, dropped, 1));
    cr_expect(eq(str, CUT(4, &dropped, "123", "45", "6", "789\nok", "\n"), (char *)"<ok>"));
    cr_expect(eq(u64, dropped, 1));
    cr_expect(eq(str, CUT(4, &dropped, "ok\n123", "45"), (char *)"<ok>"));
    cr_expect(eq(u64, dropped, 1));
}

Test(lines, nul_bytes_are_bytes)
{
    struct seen s = {.text = BUF_INIT};
    struct lines l;
    lines_init(&l, 100);
    cr_expect(eq(int, lines_feed(&l, "a\0b\n\0\n", 6, note, &s), 0));
    cr_assert(eq(sz, s.text.len, 8));
    cr_expect(memcmp(s.text.data, "<a\0b><\0>", 8) == 0);
    lines_free(&l);
    buf_free(&s.text);
}

Test(lines, the_reader_may_stop)
{
    struct seen s = {.text = BUF_INIT, .stop_at = 2};
    struct lines l;
    lines_init(&l, 100);
    cr_expect(eq(int, lines_feed(&l, "a\nb\nc\n", 6, note, &s), 7));
    cr_expect(eq(str, (char *)(uintptr_t)buf_str(&s.text), (char *)"<a><b>"));
    lines_free(&l);
    buf_free(&s.text);
}
