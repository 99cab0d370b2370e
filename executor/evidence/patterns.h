/* What a stack gives away: the places where processes stand that a fork has broken. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "executor/evidence/stacks.h"

enum pattern_kind {
    PATTERN_AFTER_FORK, /* in a handler that runs before or after a fork */
    PATTERN_ALLOCATOR,  /* in a memory allocator, waiting */
    PATTERN_LIBRARY,    /* in a library whose threads and locks do not survive a fork */
    PATTERN_GIL,        /* asking for Python's interpreter lock */
};

struct pattern {
    const char *name;
    enum pattern_kind kind;
    const char *function; /* glob, of a frame's function; NULL: any */
    const char *file;     /* glob, of its file's last part; NULL: any */
    const char
        *inside;       /* glob: a frame further in must lie in another file than this; NULL: none */
    bool alone_proves; /* its only thread waits there without a limit: for threads that are missing
                        */
    const char *says;  /* "it stands …" */
};

/* The first pattern, of native or Python frames, in the order of the table, that one of the frames
 * shows; NULL: none. */
const struct pattern *pattern_find(const struct frame *frames, size_t n);
/* Whether one of the frames is of a handler that runs in a child, inside the call that made it. */
bool pattern_born_here(const struct frame *frames, size_t n);
const char *pattern_kind_name(enum pattern_kind kind);
