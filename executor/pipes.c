#include "executor/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executor/internal.h"

#define LOG_CAP (16u << 20)      /* bytes kept of a trial's stdout, and of its stderr */
#define LINE_LIMIT 65536u        /* longest line looked at on stdout and stderr */
#define MESSAGE_LIMIT (1u << 20) /* longest message on the channel */
#define REPLY_LIMIT (1u << 20)   /* answers a worker may leave unread */
#define READ_SIZE 65536u         /* taken in one turn, so that a flood starves nobody */
#define DRAIN_LIMIT (8u << 20)   /* taken after the worker's end */
#define LISTEN_MS 10u            /* after the start of what is expected to be a short trial */
#define LISTEN_AGAIN_MS 2000u    /* when there was no room for its descriptors */

void pipes_log_to(struct slot *s, int dir)
{
    struct pipes *p = &s->pipes;
    capture_close(&p->out_log);
    capture_close(&p->err_log);
    cleanup_close(&p->log_dir);
    p->log_dir = dir >= 0 ? fcntl(dir, F_DUPFD_CLOEXEC, 0) : -1;
    capture_init(&p->out_log, p->log_dir, "stdout.log", LOG_CAP);
    capture_init(&p->err_log, p->log_dir, "stderr.log", LOG_CAP);
}

static void init_lines(struct pipes *p)
{
    lines_init(&p->out_lines, LINE_LIMIT);
    lines_init(&p->err_lines, LINE_LIMIT);
    lines_init(&p->channel_lines, MESSAGE_LIMIT);
}

static void free_lines(struct pipes *p)
{
    lines_free(&p->out_lines);
    lines_free(&p->err_lines);
    lines_free(&p->channel_lines);
}

void pipes_init(struct slot *s)
{
    s->pipes = (struct pipes){.log_dir = -1};
    init_lines(&s->pipes);
    pipes_log_to(s, -1);
}

void pipes_free(struct slot *s)
{
    free_lines(&s->pipes);
    buf_free(&s->pipes.reply);
}

/* --- reading --------------------------------------------------------------------------------- */

static int stderr_line(void *ctx, const char *line, size_t n)
{
    struct slot *s = ctx;
    char *tail = s->pipes.tail;
    size_t room = sizeof(s->pipes.tail);
    conclude_line(s, line, n);
    if (n > 0)
        (void)snprintf(tail, room, "%.*s", (int)(n < room ? n : room - 1), line);
    return 0;
}

/* One of the ways out of a worker. */
struct source {
    int fd;
    struct capture *log; /* NULL: none */
    struct lines *lines;
    line_fn *line;
};

static struct source out_of(struct slot *s)
{
    return (struct source){s->proc.out_fd, &s->pipes.out_log, &s->pipes.out_lines, stdout_line};
}

static struct source err_of(struct slot *s)
{
    return (struct source){s->proc.err_fd, &s->pipes.err_log, &s->pipes.err_lines, stderr_line};
}

static struct source channel_of(struct slot *s)
{
    return (struct source){s->proc.channel, NULL, &s->pipes.channel_lines, message_line};
}

/* Reads once; returns the number of bytes, 0 at the end, negative when there is nothing now. */
static ssize_t take(struct slot *s, const struct source *from)
{
    char data[READ_SIZE];
    ssize_t n = read(from->fd, data, sizeof(data));
    if (n > 0) {
        if (from->log != NULL)
            capture_write(from->log, data, (size_t)n);
        (void)lines_feed(from->lines, data, (size_t)n, from->line, s);
    }
    return n < 0 && errno != EAGAIN && errno != EINTR ? 0 : n;
}

/* A descriptor that became readable. Returns whether it has ended: not while we hold the other side
 * (SPAWN_HOLD), but a socket can be shut down. */
static bool pump(struct slot *s, const struct source *from)
{
    ssize_t n = take(s, from);
    if (n > 0 && s->alive)
        slot_feed(s, WK_EV_ACTIVITY);
    return n == 0;
}

/* What is there, the last line without its end, too. */
static void drain(struct slot *s, struct source from)
{
    size_t taken = 0;
    for (ssize_t n; taken < DRAIN_LIMIT && (n = take(s, &from)) > 0;)
        taken += (size_t)n;
    (void)lines_end(from.lines, from.line, s);
}

void pipes_drain_output(struct slot *s)
{
    drain(s, out_of(s));
    drain(s, err_of(s));
}

void pipes_drain(struct slot *s)
{
    drain(s, channel_of(s));
    if (s->pipes.channel_lines.dropped > 0)
        message_dropped(s);
    pipes_drain_output(s);
}

/* --- the channel ------------------------------------------------------------------------------ */

/* The descriptors of a worker, as the watch set knows them: by slot and life. */
enum fd_of { FD_EXIT, FD_OUT, FD_ERR, FD_CHANNEL, FDS };

static uint64_t key_of(const struct slot *s, enum fd_of which)
{
    return (uint64_t)s->life << 32 | ((uint64_t)s->index * FDS + which);
}

static void watch_channel(struct slot *s, uint32_t events)
{
    watchset_change(&s->ex->workers, s->proc.channel, key_of(s, FD_CHANNEL), events);
}

static void send_replies(struct slot *s)
{
    struct pipes *p = &s->pipes;
    while (p->reply.len > 0) {
        ssize_t n = send(s->proc.channel, p->reply.data, p->reply.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            buf_clear(&p->reply); /* it shut its side: nobody will ever read this */
        if (n <= 0)
            break;
        buf_consume(&p->reply, (size_t)n);
    }
    bool waits = p->reply.len > 0;
    if (waits != p->reply_waits)
        watch_channel(s, EPOLLIN | (waits ? EPOLLOUT : 0));
    p->reply_waits = waits;
}

void pipes_say(struct slot *s, const char *line)
{
    struct buf *reply = &s->pipes.reply;
    if (!s->alive)
        return;
    if (reply->len > REPLY_LIMIT) {
        /* it asks and asks and never reads: it cannot be served */
        buf_clear(reply);
        if (s->run != NULL)
            run_fail(s->run, FAIL_EXIT, "the worker does not read its channel");
        slot_feed(s, WK_EV_STOP);
        return;
    }
    buf_puts(reply, line);
    buf_putc(reply, '\n');
    send_replies(s);
}

/* What is in the channel until now was said before the worker could know of its next trial, and is
 * nobody's. */
static void tell_trial(struct slot *s)
{
    char said[READ_SIZE];
    s->pipes.untold = false;
    for (size_t n = 0; n < DRAIN_LIMIT; n += sizeof(said)) {
        if (read(s->proc.channel, said, sizeof(said)) <= 0)
            break;
    }
    lines_free(&s->pipes.channel_lines);
    lines_init(&s->pipes.channel_lines, MESSAGE_LIMIT);
    message_trial(s);
}

void pipes_tell_trial(struct slot *s)
{
    s->pipes.untold = true;
    if (!s->pipes.taking)
        tell_trial(s);
}

/* It says no more, but may read what it was answered. */
static void on_channel_end(struct slot *s)
{
    send_replies(s);
    watch_channel(s, s->pipes.reply_waits ? EPOLLOUT : 0);
}

static void hear_channel(struct slot *s)
{
    const struct source from = channel_of(s);
    s->pipes.taking = true;
    bool ended = pump(s, &from);
    s->pipes.taking = false;
    if (ended)
        on_channel_end(s);
    if (s->pipes.channel_lines.dropped > 0)
        message_dropped(s);
    if (s->pipes.untold)
        tell_trial(s);
}

static void on_channel(struct slot *s, uint32_t events)
{
    if ((events & EPOLLOUT) != 0)
        send_replies(s);
    forks_hello(s);
    if ((events & ~(uint32_t)EPOLLOUT) != 0)
        hear_channel(s);
}

/* --- a worker's descriptors ------------------------------------------------------------------- */

static void on_output(struct slot *s, struct source from, uint64_t key)
{
    if (pump(s, &from))
        watchset_change(&s->ex->workers, from.fd, key, 0);
}

void pipes_ready(void *ctx, uint64_t key, uint32_t events)
{
    struct executor *ex = ctx;
    struct slot *s = &ex->slots[(uint32_t)key / FDS];
    if (!s->alive || s->life != key >> 32)
        return; /* it is about a process that was over before */
    switch ((enum fd_of)((uint32_t)key % FDS)) {
    case FD_EXIT:
        slot_on_exit(s);
        break;
    case FD_OUT:
        on_output(s, out_of(s), key);
        break;
    case FD_ERR:
        on_output(s, err_of(s), key);
        break;
    case FD_CHANNEL:
        on_channel(s, events);
        break;
    case FDS:
        break;
    }
}

static int watch(struct slot *s, enum fd_of which, int fd, struct err *err)
{
    return watchset_add(&s->ex->workers, fd, key_of(s, which), EPOLLIN, err);
}

static int watch_output(struct slot *s, struct err *err)
{
    int rc = watch(s, FD_OUT, s->proc.out_fd, err);
    return rc < 0 ? rc : watch(s, FD_ERR, s->proc.err_fd, err);
}

int pipes_begin(struct slot *s, bool brisk, struct err *err)
{
    struct pipes *p = &s->pipes;
    free_lines(p);
    init_lines(p);
    buf_clear(&p->reply);
    p->tail[0] = '\0';
    p->reply_waits = p->untold = false;
    p->deaf = brisk;
    p->listen_ms = executor_now(s->ex) + LISTEN_MS;
    int rc = watch(s, FD_EXIT, s->proc.pidfd, err);
    if (rc == 0)
        rc = watch(s, FD_CHANNEL, s->proc.channel, err);
    return rc < 0 || p->deaf ? rc : watch_output(s, err);
}

uint64_t pipes_due(const struct slot *s)
{
    return s->pipes.deaf ? s->pipes.listen_ms : UINT64_MAX;
}

void pipes_listen(struct slot *s)
{
    struct err err;
    if (!s->pipes.deaf)
        return;
    s->pipes.deaf = watch_output(s, &err) < 0;
    s->pipes.listen_ms = executor_now(s->ex) + LISTEN_AGAIN_MS;
}
