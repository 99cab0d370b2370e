/* Where a call comes from: the stack and the Python frames of a thread that the kernel holds in the
 * call for us. It is not stopped, and nothing of it is changed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/json.h"
#include "executor/evidence/stacks.h"

struct origin; /* opaque */

/* Copies the stack and reads the Python frames, in about a millisecond; the functions of the stack
 * get their names later, when nobody is held up by it. What could not be had is missing, and a note
 * says why. NULL when out of memory, else the caller's to free. */
struct origin *origin_take(pid_t pid, pid_t tid);
void origin_free(struct origin *o); /* NULL is fine */

/* Whether there is a stack to be named. */
bool origin_lacks_names(const struct origin *o);

/* What origin_find_names needs, for a thread that does not own the origin: the caller's to close;
 * -1: nothing to be named. */
int origin_copy(const struct origin *o);

/* Finds the names of a copy until the deadline (clock_mono_ms): what came by then is in *out, which
 * is to be freed. */
void origin_find_names(int copy, uint64_t deadline_ms, struct stacks *out);
void origin_put_names(struct origin *o, const struct stacks *names);

/* {"at": the place to look at, "python": ["train.py:12 in main", …], "stack": ["main in train", …],
 * "note": …}, innermost frames first; without what is not known. NULL for NULL. */
const json_t *origin_doc(const struct origin *o);
const char *origin_at(const struct origin *o); /* "" when unknown, and for NULL */
