/* The progress line on a terminal: one line on stderr, redrawn in place. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "executor/executor.h"

struct progress {
    bool colour;
    bool shown;      /* the line is on the screen */
    unsigned untold; /* messages that the terminal did not take */
    const char *metric;
    struct executor_watcher watcher; /* give this to the executor */
};

/* Draws on stderr; ctx of the watcher is p, which must not move. Use only when stderr is a
 * terminal. */
void progress_init(struct progress *p, const char *metric);
/* Fills in the line for so many columns: what does not fit is left out whole, the least needed
 * first. */
void progress_line(struct buf *line, const struct progress *p, const struct executor_status *s,
                   int width);
/* Takes the line off the screen; leaves it when the terminal takes nothing (^S). */
void progress_clear(struct progress *p);
