#include "base/log.h"

#include <errno.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#define LINE_MAX_BYTES 16000u

static struct {
    int fd;
    enum log_level least;
    void (*notify)(bool before);
} sink = {.fd = 2, .least = LOG_INFO};

void log_setup(int fd, enum log_level least, void (*notify)(bool before))
{
    sink.fd = fd;
    sink.least = least;
    sink.notify = notify;
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
        json_put_double(b, f->d);
        break;
    case LOG_F_TEXT:
        if (f->s == NULL)
            buf_puts(b, "null");
        else
            json_put_string(b, f->s);
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

static void write_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, data, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return; /* nowhere to complain to */
        data += k;
        n -= (size_t)k;
    }
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
    if (sink.notify != NULL)
        sink.notify(true);
    if (!b.failed)
        write_all(sink.fd, b.data, b.len);
    if (sink.notify != NULL)
        sink.notify(false);
    buf_free(&b);
}
