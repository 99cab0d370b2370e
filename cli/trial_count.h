/* How many trials there are of those that were asked for, in words. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TRIAL_COUNT_MAX 96

/* "3 of 9 trials", "25 trials (3 were asked for)"; without a target (0) "25 trials". Returns out.
 */
const char *trial_count(int64_t done, int64_t target, char out[static TRIAL_COUNT_MAX]);
/* Whether the verb that follows is in the singular. */
bool trial_count_is_one(int64_t done, int64_t target);
