/* Times as Optuna's tables have them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "trials/trial.h"

/* "YYYY-MM-DD HH:MM:SS[.f…]", with ' ' or 'T', perhaps with 'Z'; NULL is 0. False when text is
 * something else. */
bool decode_time(const char *text, int64_t *utc_us);
/* Gives a new trial the times that its state demands; a start that was given stays, as Optuna has
 * it.
 */
void times_complete(struct trial *t);
