/* Forked children found by their numbers: the kernel gives these out in order, so those who were
 * born since the last look can be asked one by one, and nobody else has to be. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* proc_newest at the last look, and at the one before: a number is asked for twice, for a process
 * has it a moment before it is in /proc. Zeroed, nothing is known. */
struct births {
    int64_t last, before;
};

/* Calls visit for each process (or thread: whoever has such a number) that was born since the last
 * look but one, was made by fork, and has not called exec. False when
 * it did not ask: at the first look, when more than `most` would have to be asked, when the numbers
 * began again, or are unknown (gVisor). */
bool births_look(struct births *b, unsigned most, void (*visit)(void *ctx, pid_t pid), void *ctx);
