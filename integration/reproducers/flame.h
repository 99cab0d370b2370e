/* A flame graph: stacks, counted, and drawn as an SVG that needs nothing but a browser. */
#pragma once

#include <stdint.h>

#include "base/buf.h"

struct flame_node {
    size_t name;        /* in the names */
    size_t child, next; /* indices; 0: none, as the root is nobody's child */
    uint64_t count;     /* samples in it and above */
};

struct flame {
    struct buf names;
    struct flame_node *nodes; /* [0]: the root; none before the first stack */
    size_t n, cap;
    bool failed; /* out of memory: it is not complete */
};

/* Adds a stack that was seen `count` times: n bytes of names from the outermost to the innermost,
 * with ';' between them. */
void flame_add(struct flame *f, const char *stack, size_t n, uint64_t count);
/* Adds lines as py-spy and perf's scripts write them, "NAME;NAME;NAME COUNT", below the frame
 * `root`. Other lines are no samples. Returns how many were. */
size_t flame_add_lines(struct flame *f, const char *root, const char *lines);
void flame_put_svg(struct buf *b, const struct flame *f, const char *title);
void flame_free(struct flame *f);
