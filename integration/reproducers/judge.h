/* Is a process tree hung by a fork? Two looks at /proc, some time apart. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { JUDGE_MAX = 64 };

struct judged {
    pid_t pid, parent;
    int parent_threads;
    unsigned long long ticks;
    bool waits; /* each of its threads, for somebody else */
};

/* The processes of a tree that were made by fork in a process with threads, and have not called
 * exec. */
struct look {
    struct judged forked[JUDGE_MAX];
    size_t n;
    uint64_t cpu_ms; /* of the whole tree */
};

void judge_look(pid_t root, struct look *out);

/* The first of them, in `now`, if in both looks each one waits, and none came, went or used CPU to
 * speak of between them; else NULL. The looks are about a second apart. */
const struct judged *judge(const struct look *before, const struct look *now);

/* Whether anything in the tree did something between them. */
bool judge_moved(const struct look *before, const struct look *now);
