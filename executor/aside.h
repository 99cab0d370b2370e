/* Work in a thread of its own, for what may wait: reading about a process that is in an
 * uninterruptible wait can take as long as that. The loop never waits for the thread, nor does the
 * end of the program. */
#pragma once

#include <uv.h>

struct aside; /* opaque */

struct aside_conf {
    void (*work)(void *data); /* in the thread */
    void (*done)(void *data); /* then on the loop, once, unless it was forgotten */
    void (*free)(void *data); /* when neither needs it any more; from either */
};

/* Takes data over, also on failure. NULL when it cannot be started. */
struct aside *aside_start(uv_loop_t *loop, const struct aside_conf *conf, void *data);

/* done will not be called; the thread may go on. Not after done was called. The loop has a handle
 * to close. */
void aside_forget(struct aside *a);
