/* Python frames of another process. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "executor/evidence/doc.h"

/* Adds "python" with the frames of each thread, read from the memory of the process, which stands
 * still meanwhile. For CPython 3.13, which describes its structures to debuggers, and 3.11
 * and 3.12, whose structures are known; for others it does nothing. */
void python_put_frames(json_t *process, pid_t pid);

/* Appends the frames of one of its threads to an array, the innermost first: of a process as above,
 * in which this thread stands still. */
void python_put_thread(json_t *frames, pid_t pid, pid_t tid);

/* The others, by py-spy where it is installed; a note where it is not. "libraries" must be known.
 */
void python_put_others(json_t *process, pid_t pid, uint64_t deadline_ms);
