/* Where a victim's processes spend their time, waiting included: samples of the native stacks of
 * its whole tree, or py-spy's for a victim in Python where py-spy is installed. */
#pragma once

#include "executor/spawn.h"
#include "integration/reproducers/flame.h"
#include "integration/reproducers/reproducers.h"

struct running;

struct profile {
    struct flame flame;
    const char *name;   /* of the case that runs, borrowed */
    char *py_spy;       /* its path; NULL: we sample ourselves */
    int fd;             /* a file in memory that it writes */
    struct spawned spy; /* pid 0: not running */
    bool spied;         /* in this try */
};

/* For all tries of one command. */
void profile_begin(struct profile *p, const struct reproducer *r);
/* Before a try of this case. */
void profile_try(struct profile *p, const char *name);
/* Every PROFILE_MS while it runs. */
enum { PROFILE_MS = 100 };
void profile_sample(struct profile *p, const struct running *w);
/* Before what is left of it is killed. */
void profile_stop(struct profile *p);
/* Writes the SVG. Errors: ERR_IO, ERR_NOMEM. */
int profile_write(const struct profile *p, const char *path, const char *title, struct err *err);
void profile_free(struct profile *p);
