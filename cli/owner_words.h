/* Who runs a trial or a run, as a person is told it. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "cli/table.h"

/* "alive, pid 7", or "-" of nobody (NULL), in the table's next cell. */
void owner_cell(struct table *table, const char *owner);
/* Appends ,"owner_state":"alive", or null. */
void owner_put_state(struct buf *b, const char *owner);
/* Whether it ran on this machine and is gone. NULL: no. */
bool owner_is_dead(const char *owner);
