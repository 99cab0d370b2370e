#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#define LINE_MAX_BYTES 16000u
#define REST_MS 200 /* how long the rest of a long line is waited for */

static struct {
    int fd;
    enum log_level least;
    atomic_uint dropped; /* events that nobody had room for */
} sink = {.fd = 2, .least = LOG_INFO};

void log_setup(int fd, enum log_level least)
{
    sink.fd = fd;
    sink.least = least;
}

static void put_field(struct buf *b, const struct log_field *f)
{
    size_t before = b->len;
    buf_putc(b, ',');
    json_put_string(b, f->key);
    buf_putc(b, ':');
    switch (f->kind) {
    case LOG_F_INT:
        buf_printf(b, "%lld", (long long)f->i);
        break;
    case LOG_F_REAL:
        if (isinf(f->d))
            buf_puts(b, f->d > 0 ? "\"inf\"" : "\"-inf\"");
        else
            json_put_double(b, f->d); /* NaN: null, there is none */
        break;
    case LOG_F_TEXT:
        json_put_text(b, f->s);
        break;
    case LOG_F_BOOL:
        buf_puts(b, f->b ? "true" : "false");
        break;
    case LOG_F_JSON:
        buf_puts(b, f->s != NULL ? f->s : "null");
        break;
    }
    if (b->len > LINE_MAX_BYTES && b->data != NULL) {
        /* a field that would burst the line is dropped, and says so */
        b->len = before;
        b->data[b->len] = '\0';
        buf_putc(b, ',');
        json_put_string(b, f->key);
        buf_puts(b, ":\"(too long)\"");
    }
}

/* Whether a write of PIPE_BUF bytes would not block. */
static bool has_room(int timeout_ms)
{
    struct pollfd p = {.fd = sink.fd, .events = POLLOUT};
    int n;
    do
        n = poll(&p, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

/* In one write, unless it is longer than what a pipe takes at once. Returns false when the reader
 * has stopped reading: then what is left is dropped, since waiting for it would stop the whole
 * program, with its deadlines. */
static bool write_line(const char *data, size_t n)
{
    for (int patience_ms = 0; n > 0; patience_ms = REST_MS) {
        if (!has_room(patience_ms))
            return false;
        ssize_t k = write(sink.fd, data, n < PIPE_BUF ? n : PIPE_BUF);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return true; /* nowhere to complain to */
        data += k;
        n -= (size_t)k;
    }
    return true;
}

/* How many events were lost, once there is room again. */
static void tell_dropped(void)
{
    unsigned n = atomic_exchange(&sink.dropped, 0);
    char ts[CLOCK_TEXT_MAX], line[160];
    int len =
        snprintf(line, sizeof(line),
                 "{\"ts\":\"%s\",\"level\":\"warning\",\"event\":\"events_dropped\",\"n\":%u}\n",
                 clock_rfc3339(clock_utc_us(), ts), n);
    if (n > 0 && !write_line(line, (size_t)len))
        atomic_fetch_add(&sink.dropped, n);
}

void log_event_fields(enum log_level level, const char *event, const struct log_field *fields,
                      unsigned n)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    if (sink.fd < 0 || level < sink.least)
        return;
    struct buf b = BUF_INIT;
    char ts[CLOCK_TEXT_MAX];
    buf_printf(&b, "{\"ts\":\"%s\",\"level\":\"%s\",\"event\":", clock_rfc3339(clock_utc_us(), ts),
               names[level]);
    json_put_string(&b, event);
    for (unsigned i = 0; i < n; i++)
        put_field(&b, &fields[i]);
    buf_puts(&b, "}\n");
    tell_dropped();
    if (!b.failed && !write_line(b.data, b.len))
        atomic_fetch_add(&sink.dropped, 1);
    buf_free(&b);
}
