#include "executor/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"

void capture_init(struct capture *c, int dir, const char *name, uint64_t cap)
{
    *c = (struct capture){.dir = dir, .name = name, .fd = -1, .half = cap / 2};
}

void capture_close(struct capture *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
}

void capture_open(struct capture *c)
{
    c->fd = openat(c->dir, c->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    c->size = 0;
}

/* For whoever reads the log: it does not begin where the output began. */
static void note_gone(struct capture *c)
{
    char name[64], text[32];
    c->gone += c->older;
    c->older = c->size;
    if (c->gone == 0)
        return;
    (void)snprintf(name, sizeof(name), "%s.gone", c->name);
    AUTO_CLOSE int fd = openat(c->dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", c->gone); /* it only grows */
    (void)!write(fd, text, (size_t)n);
}

static void rotate(struct capture *c)
{
    char old[64];
    note_gone(c);
    capture_close(c);
    (void)snprintf(old, sizeof(old), "%s.1", c->name);
    (void)renameat(c->dir, c->name, c->dir, old); /* at worst the part before is lost */
    capture_open(c);
}

void capture_write(struct capture *c, const char *data, size_t n)
{
    if (n > 0 && c->fd < 0 && c->lost == 0)
        capture_open(c);
    while (n > 0) {
        if (c->size >= c->half)
            rotate(c);
        size_t room = c->half - c->size < n ? (size_t)(c->half - c->size) : n;
        ssize_t k = c->fd >= 0 ? write(c->fd, data, room) : -1;
        if (k < 0 && c->fd >= 0 && errno == EINTR)
            continue;
        if (k <= 0) {
            c->lost += n;
            return;
        }
        data += k;
        n -= (size_t)k;
        c->size += (uint64_t)k;
    }
}
