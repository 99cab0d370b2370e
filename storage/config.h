/* When ftf_config may be changed: the same rule in each database. */
#pragma once

#include "storage/ftf.h"

/* Whether it may be changed by who expects this version (see store_config_change); there: the row
 * as it is, NULL when there is none. Returns 0 or ERR_CONFLICT. */
int config_check(const struct store_config *there, int64_t expected, struct err *err);
