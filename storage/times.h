/* Times as Optuna's tables have them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* "YYYY-MM-DD HH:MM:SS[.f…]", with ' ' or 'T', perhaps with 'Z'; NULL is 0. False when text is
 * something else. */
bool decode_time(const char *text, int64_t *utc_us);
