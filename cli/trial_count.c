#include "cli/trial_count.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"

const char *trial_count(int64_t done, int64_t target, char out[static TRIAL_COUNT_MAX])
{
    if (target > 0 && done <= target)
        (void)snprintf(out, TRIAL_COUNT_MAX, "%" PRId64 " of %" PRId64 " trial%s", done, target,
                       plural(target));
    else if (target > 0)
        (void)snprintf(out, TRIAL_COUNT_MAX, "%" PRId64 " trials (%" PRId64 " %s asked for)", done,
                       target, target == 1 ? "was" : "were");
    else
        (void)snprintf(out, TRIAL_COUNT_MAX, "%" PRId64 " trial%s", done, plural(done));
    return out;
}

bool trial_count_is_one(int64_t done, int64_t target)
{
    return (done > target ? done : target) == 1;
}
