/* A failed trial queued again with other values: a rung of its fallback ladder. */
#pragma once

#include "base/json.h"
#include "storage/storage.h"

/* Ends the trial as FAIL and queues one with its parameters and attributes, as store_trial_retry
 * does, but with other values. next: {"attr": the new trial's ATTR_FALLBACK, "values": {parameter:
 * internal value, or null to leave it out}}; see ladder.c. Errors: of store_trial_get,
 * store_trial_finish and store_trial_create. */
int requeue_fallen(struct store *s, int64_t trial, const char *study, const json_t *next,
                   struct err *err);
