/* The progress line on a terminal: one line on stderr, redrawn in place. */
#pragma once

#include <stdbool.h>

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
/* Takes the line off the screen; leaves it when the terminal takes nothing (^S). */
void progress_clear(struct progress *p);
