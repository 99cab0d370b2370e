/* Who runs a trial, in words that the store keeps: "boot id/pid namespace/pid/start time". */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Our own words; writes at most n - 1 characters. */
void owner_self(char *out, size_t n);
/* Whether that process is gone for certain. False for one on another machine or in another
 * container: of those only the heartbeat tells. */
bool owner_is_dead(const char *owner);
