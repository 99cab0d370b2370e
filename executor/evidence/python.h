/* Python frames of another process. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "executor/evidence/doc.h"

/* CPython 3.13 and newer describe their own structures to debuggers: adds "python" with the frames
 * of each thread, read from the memory of the process, which stands still meanwhile. Does nothing
 * for other programs and older versions. */
void python_put_frames(json_t *process, pid_t pid);

/* Older ones, by py-spy where it is installed; a note where it is not. "libraries" must be known.
 */
void python_put_older(json_t *process, pid_t pid, uint64_t deadline_ms);
