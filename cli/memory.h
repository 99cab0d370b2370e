/* Memory of a process tree, and whether it threatens the node. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct memory {
    uint64_t bytes;
    unsigned shared; /* processes counted by their share of what they have in common (PSS) */
    unsigned whole;  /* others, whose share may not be read: by all that is resident (RSS) */
};

/* Of pid and its descendants; all 0 when it is gone. Reads the page tables of those it may look at:
 * some ms for each GiB. */
void memory_of(pid_t pid, struct memory *out);

/* Two looks at the same tree, a second apart, in words for people. Returns whether that is a risk:
 * there is much, and it grows. */
bool memory_judge(const struct memory *before, const struct memory *after, char *text, size_t n);
