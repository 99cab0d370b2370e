/* forkless run --dry-run: what would run; nothing does. */
#pragma once

#include <stdbool.h>

#include "trials/spec.h"

/* Prints the studies and the first trial of each; json: as one line. Returns an exit_code. */
int dry_run_show(const struct spec_doc *doc, const struct spec *cells, size_t n, bool json);
