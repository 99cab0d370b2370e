/* Why a trial failed, told from how its process ended and what it printed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "trials/trial.h"

/* The class that a line of a worker's output gives away, FAIL_NONE if none. Text of the usual
 * Python and C++ stacks: MemoryError, bad_alloc, ModuleNotFoundError, "Hessian not positive
 * definite", "overflow encountered", "target y must be discrete" … */
enum fail_class classify_line(const char *line, size_t n);

/* Whether the line has the pattern's parts, in their order; a `*` stands between two parts. */
bool classify_match(const char *pattern, const char *line, size_t n);

/* Of two classes seen in one trial the one that explains the other: calibration before hessian
 * before missing_dependency before overflow before nan before bad_data before oom. */
enum fail_class classify_stronger(enum fail_class a, enum fail_class b);

struct classify_exit {
    int status;             /* exit status when it exited, else -1 */
    int signal;             /* signal that killed it, else 0 */
    bool oom_killed;        /* the cgroup counted an OOM kill at that time */
    bool by_us;             /* the signal was ours */
    enum fail_class output; /* strongest class of its lines */
};

/* The class of a trial whose process ended without a result. */
enum fail_class classify_exit(const struct classify_exit *e);
