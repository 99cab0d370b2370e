/* What /proc tells about one process, as JSON. */
#pragma once

#include <sys/types.h>

#include "executor/evidence/doc.h"

/* State, threads and what they wait for, descriptors: nothing that the process's memory is needed
 * for, so it never waits for the process. NULL when it is gone. */
json_t *facts_read(pid_t pid);
/* Adds command, memory, libraries and environment, without secrets. */
void facts_read_more(json_t *process, pid_t pid);
