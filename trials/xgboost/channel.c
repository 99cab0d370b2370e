#include "trials/xgboost/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"

#define LINE_MAX_BYTES ((size_t)16 << 20)

int channel_open(struct channel *c, bool *there, struct err *err)
{
    const char *text = getenv("FORKLESS_FD");
    *there = text != NULL;
    if (text == NULL)
        return 0;
    int64_t fd;
    if (!text_int(text, &fd) || fd < 3 || fd > INT32_MAX || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_set(err, ERR_INVALID, "FORKLESS_FD is '%s': expected an open file descriptor",
                       text);
    *c = (struct channel){.fd = (int)fd};
    return 0;
}

void channel_close(struct channel *c)
{
    (void)close(c->fd);
    buf_free(&c->out);
    buf_free(&c->in);
}

static void say(struct channel *c, json_t *message)
{
    char *line = message != NULL ? json_dumps(message, JSON_COMPACT) : NULL;
    json_decref(message);
    if (line == NULL) {
        c->out.failed = true; /* shows when it is sent */
        return;
    }
    buf_puts(&c->out, line);
    buf_putc(&c->out, '\n');
    free(line);
}

/* A number, or the string that stands for one JSON does not have. */
static json_t *real(double v)
{
    return isfinite(v) ? json_real(v) : json_string(isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
}

void channel_attr(struct channel *c, const char *key, json_t *value)
{
    say(c, json_pack("{s:s, s:s, s:o}", "op", "attr", "key", key, "value", value));
}

void channel_row(struct channel *c, const char *table, json_t *values)
{
    say(c, json_pack("{s:s, s:s, s:o}", "op", "row", "table", table, "values", values));
}

void channel_result(struct channel *c, double value)
{
    say(c, json_pack("{s:s, s:[o]}", "op", "result", "values", real(value)));
}

void channel_fail(struct channel *c, const char *fail_class, const char *message)
{
    /* not through jansson, which refuses a message that is not UTF-8 (it may quote the data) */
    buf_printf(&c->out, "{\"op\":\"fail\",\"class\":\"%s\",\"message\":", fail_class);
    json_put_string(&c->out, message);
    buf_puts(&c->out, "}\n");
}

void channel_pruned(struct channel *c)
{
    say(c, json_pack("{s:s}", "op", "pruned"));
}

static int send_all(struct channel *c, struct err *err)
{
    if (c->out.failed)
        return err_set(err, ERR_NOMEM, "out of memory for a message to the executor");
    while (c->out.len > 0) {
        ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, ERR_UNAVAILABLE, "the executor is gone: %s",
                           strerrordesc_np(errno));
        buf_consume(&c->out, (size_t)n);
    }
    return 0;
}

void channel_event(struct channel *c, const char *event, json_t *fields)
{
    (void)json_object_set_new(fields, "op", json_string("event"));
    (void)json_object_set_new(fields, "event", json_string(event));
    say(c, fields);
    (void)send_all(c, NULL); /* what is left is sent with the next message */
}

/* Takes the next line from the buffer, reading more until there is one. *line is a JSON value for
 * the caller to free, NULL when the executor has closed the channel. */
static int receive(struct channel *c, json_t **line, struct err *err)
{
    size_t seen = 0;
    for (;;) {
        char *end = c->in.len > seen ? memchr(c->in.data + seen, '\n', c->in.len - seen) : NULL;
        if (end != NULL) {
            size_t n = (size_t)(end - c->in.data);
            *line = json_read(c->in.data, n, err);
            buf_consume(&c->in, n + 1);
            return *line != NULL ? 0 : err_wrap(err, -ERR_INVALID, "a message of the executor");
        }
        seen = c->in.len;
        if (seen > LINE_MAX_BYTES)
            return err_set(err, ERR_INVALID, "a message of the executor is longer than 16 MiB");
        if (!buf_reserve(&c->in, 4096))
            return err_set(err, ERR_NOMEM, "out of memory for a message of the executor");
        ssize_t n = recv(c->fd, c->in.data + seen, 4096, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != ECONNRESET)
            return err_sys(err, errno, "read from the executor");
        if (n <= 0) {
            *line = NULL;
            return 0;
        }
        c->in.len += (size_t)n;
        c->in.data[c->in.len] = '\0';
    }
}

int channel_report(struct channel *c, int64_t step, double value, bool *prune, struct err *err)
{
    say(c, json_pack("{s:s, s:I, s:o}", "op", "report", "step", (json_int_t)step, "value",
                     real(value)));
    int rc = send_all(c, err);
    AUTO_JSON json_t *answer = NULL;
    if (rc == 0)
        rc = receive(c, &answer, err);
    if (rc < 0)
        return rc;
    if (answer == NULL)
        return err_set(err, ERR_UNAVAILABLE, "the executor is gone");
    const json_t *field = json_object_get(answer, "prune");
    if (!json_is_boolean(field))
        return err_set(err, ERR_INVALID, "the executor's answer to a report has no \"prune\"");
    *prune = json_is_true(field);
    return 0;
}

int channel_next(struct channel *c, json_t **trial, struct err *err)
{
    int rc = send_all(c, err);
    AUTO_JSON json_t *message = NULL;
    if (rc == 0)
        rc = receive(c, &message, err);
    if (rc < 0)
        return rc;
    const char *op = json_string_value(json_object_get(message, "op"));
    if (message != NULL && op == NULL)
        return err_set(err, ERR_INVALID, "a message of the executor has no \"op\"");
    bool another = message != NULL && strcmp(op, "trial") == 0;
    if (message != NULL && !another && strcmp(op, "stop") != 0)
        return err_set(err, ERR_INVALID, "the executor says \"%.40s\": expected trial or stop", op);
    *trial = another ? TAKE(message) : NULL;
    return 0;
}
