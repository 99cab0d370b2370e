/* What waits on disk for a store that refuses: the spools beside the runs, as `forkless status`
 * tells them. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "cli/options.h"
#include "cli/table.h"

struct spooled {
    struct table table;
    struct buf json;       /* objects with commas between them */
    struct cli_words dirs; /* run directories that were looked at; the words are owned too */
    size_t n;              /* spools with something in them */
    bool left;             /* out: nobody who lives empties one of them */
    const char *dir;       /* out: the run directory of one, in dirs */
};

void spooled_init(struct spooled *s);
void spooled_free(struct spooled *s);
/* Adds what waits in the run directory, unless that was looked at before. What cannot be read is
 * told as such; a directory that is not there holds nothing. */
void spooled_look(struct spooled *s, const char *run_dir);
/* Prints them and what to do, after an empty line; nothing when nothing waits. */
void spooled_print(const struct spooled *s);
