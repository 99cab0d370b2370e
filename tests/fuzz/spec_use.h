/* What every accepted spec must bear. */
#pragma once

#include "trials/spec.h"

/* Loads the source; if it is good, resolves its first cells, makes a trial of each, and checks that
 * nothing fails which loading has promised; if not, that there is a message. */
void spec_use(const struct spec_source *src);
