/* Is a process deadlocked by a fork? What /proc and the memory of its locks prove, in about a
 * millisecond a process, stopping nobody. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum verdict_kind {
    VERDICT_NONE,
    VERDICT_SUSPICIOUS, /* it looks like one: its stacks may tell */
    VERDICT_PROVEN,     /* nothing can end this wait but a signal */
};

struct verdict {
    enum verdict_kind kind;
    pid_t pid, tid;   /* who waits */
    char why[320];    /* a sentence */
    bool look_closer; /* the locks tell nothing, but the stacks may */
    bool unsure;      /* no proof, but the time for stacks was over before all were seen */
    bool in_fork;     /* it stands in the fork that made it: as long as it lives */
    unsigned long long start_ticks; /* of a proof's process: its number may be used again */
    uint64_t digest; /* of where pid's threads wait, and how often each has run; 0: unknown */
};

/* "none", "suspicious", "proven". Static. */
const char *verdict_name(enum verdict_kind kind);

/* What a process that was forked and has not called exec may be judged by. */
struct verdict_facts {
    bool forked;
    pid_t parent;
    int parent_threads; /* 0: unknown */
    int threads;
    bool all_stuck;   /* every thread waits, without a time limit, for what only they could wake */
    bool behind_lock; /* one of them for a lock that is taken */
};
/* Judges one process, and tells by what. */
void verdict_look(pid_t pid, struct verdict *out, struct verdict_facts *facts);
/* Notes how the process stands and which one it is, once it was proven to be deadlocked. */
void verdict_note(struct verdict *v);
/* Whether a process that was proven to be deadlocked has not moved since: then it still is. */
bool verdict_stands(const struct verdict *v);
/* Keeps the stronger one in *best. */
void verdict_join(struct verdict *best, const struct verdict *other);
