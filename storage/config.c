#include "storage/config.h"

#include <inttypes.h>

int config_check(const struct store_config *there, int64_t expected, struct err *err)
{
    if (there == NULL || expected < 0)
        return 0;
    /* who saw no table expects 0, and finds the first values that were made just now */
    int64_t seen = expected == 0 && there->version == 1 ? 1 : expected;
    if (seen == there->version)
        return 0;
    return err_set(err, ERR_CONFLICT,
                   "ftf_config has changed meanwhile: it is at version %" PRId64 ", not %" PRId64,
                   there->version, expected);
}
