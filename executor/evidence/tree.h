/* The processes that belong to a worker. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#define TREE_MAX 256

struct tree {
    pid_t pids[TREE_MAX]; /* the root first */
    size_t n;
    size_t left_out; /* there were more */
};

/* root, its descendants, and those that lost their parents: they went to root's parent when it is a
 * subreaper, and are known by the mark that forkless gives its workers (FORKLESS_WORKER). */
void tree_list(pid_t root, struct tree *out);
