/* What the studies of a run have from before it. */
#pragma once

#include "base/buf.h"
#include "trials/spec.h"

/* Appends one sentence for people; nothing for new studies, nor for finished ones of the same
 * search space: their end says so. A store that cannot be read is left to the executor. */
void earlier_put(struct buf *b, const struct spec *cells, size_t n_cells);
