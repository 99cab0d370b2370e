/* Why a process may not be looked into, and what to do about it. */
#pragma once

#include <sys/types.h>

#include "base/buf.h"

/* Appends both as a clause: "it belongs to user 0, and you are user 1000: run …". For a process
 * that was just refused with EPERM or EACCES. */
void denied_put(struct buf *b, pid_t pid);
