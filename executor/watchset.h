/* The descriptors of all workers in the loop: one epoll set behind one handle. A descriptor comes
 * in by one call and leaves by being closed; a libuv handle for each would take five calls more,
 * and a turn of the loop to be closed. A child between posix_spawn's return and the end of its exec
 * still has copies of all descriptors: what was closed may be told a little longer, so a key is
 * used once. */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "base/err.h"

/* events: EPOLLIN … of the descriptor that was added with this key. It may be closed already. */
typedef void watchset_fn(void *ctx, uint64_t key, uint32_t events);

struct watchset {
    int epoll;
    uv_poll_t poll;
    watchset_fn *fn;
    void *ctx;
};

/* Errors: ERR_IO (no descriptor left), ERR_NOMEM. */
int watchset_open(struct watchset *w, uv_loop_t *loop, watchset_fn *fn, void *ctx, struct err *err);
/* w lives until the loop has closed its handle. */
void watchset_close(struct watchset *w);
/* One that is there already stays. Errors: ERR_IO (the system's limit of watched descriptors),
 * ERR_NOMEM. */
int watchset_add(struct watchset *w, int fd, uint64_t key, uint32_t events, struct err *err);
/* Other events from now on; 0: none, and it may stay open. */
void watchset_change(struct watchset *w, int fd, uint64_t key, uint32_t events);
