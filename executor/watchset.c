#include "executor/watchset.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"

#define TAKEN_AT_ONCE 32

/* What is left is told in the next turn of the loop, after its timers. */
static void on_ready(uv_poll_t *p, int status, int events)
{
    struct watchset *w = CONTAINER_OF(p, struct watchset, poll);
    struct epoll_event ready[TAKEN_AT_ONCE];
    (void)status;
    (void)events;
    int n = epoll_wait(w->epoll, ready, TAKEN_AT_ONCE, 0);
    for (int i = 0; i < n; i++)
        w->fn(w->ctx, ready[i].data.u64, ready[i].events);
}

int watchset_open(struct watchset *w, uv_loop_t *loop, watchset_fn *fn, void *ctx, struct err *err)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "epoll set of the workers");
    *w = (struct watchset){.epoll = fd, .fn = fn, .ctx = ctx};
    int rc = uv_poll_init(loop, &w->poll, fd);
    assert(rc == 0); /* an epoll set can always be polled */
    (void)uv_poll_start(&w->poll, UV_READABLE, on_ready);
    return 0;
}

static void on_closed(uv_handle_t *h)
{
    struct watchset *w = CONTAINER_OF((uv_poll_t *)h, struct watchset, poll);
    (void)close(w->epoll);
}

void watchset_close(struct watchset *w)
{
    uv_close((uv_handle_t *)&w->poll, on_closed);
}

int watchset_add(struct watchset *w, int fd, uint64_t key, uint32_t events, struct err *err)
{
    struct epoll_event e = {.events = events, .data.u64 = key};
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) < 0 && errno != EEXIST)
        return err_sys(err, errno, "watch a worker");
    return 0;
}

void watchset_change(struct watchset *w, int fd, uint64_t key, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.u64 = key};
    (void)epoll_ctl(w->epoll, events != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, fd, &e);
}
