/* Who runs a trial, in words that the store keeps: "boot id/pid namespace/pid/start time". */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Our own words; writes at most n - 1 characters. */
void owner_self(char *out, size_t n);
enum owner_state {
    OWNER_ALIVE,
    OWNER_DEAD,
    OWNER_ELSEWHERE, /* on another machine or in another container: only its heartbeat tells */
};
enum owner_state owner_state(const char *owner);
/* The process in it, as its own machine or container counts; 0: these are no such words. */
int owner_pid(const char *owner);
