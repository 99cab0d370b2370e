/* What a worker prints, cut into lines in two ways that must agree, and each line looked at for a
 * metric and for a class of failure. The first byte says where the stream is cut. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "executor/lines.h"
#include "executor/metrics.h"
#include "trials/classify.h"

#define LIMIT 64u

static int look(void *ctx, const char *line, size_t n)
{
    struct buf *seen = ctx;
    struct metric_line m = metric_line_find("auc", line, n);
    if (n > LIMIT || (m.bad && !m.found) || (m.has_step && m.step < 0))
        abort();
    (void)classify_line(line, n);
    buf_add(seen, line, n);
    buf_putc(seen, '\n');
    return 0;
}

static void cut(struct buf *seen, const char *data, size_t n, size_t piece)
{
    struct lines l;
    lines_init(&l, LIMIT);
    for (size_t at = 0; at < n; at += piece)
        (void)lines_feed(&l, data + at, n - at < piece ? n - at : piece, look, seen);
    (void)lines_end(&l, look, seen);
    lines_free(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf whole = BUF_INIT, pieces = BUF_INIT;
    if (n < 2)
        return 0;
    cut(&whole, (const char *)data + 1, n - 1, n);
    cut(&pieces, (const char *)data + 1, n - 1, (size_t)(data[0] % 80) + 1);
    if (whole.len != pieces.len ||
        (whole.len > 0 && memcmp(whole.data, pieces.data, whole.len) != 0))
        abort();
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
