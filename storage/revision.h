/* The revisions of Optuna's tables, and which of them we know. */
#pragma once

#include <stdbool.h>

#define REVISION "v3.2.0.a"     /* Alembic revision of Optuna 3.2 … 5.0 */
#define REVISION_3_0 "v3.0.0.d" /* the same tables without an index */

/* What to do about a database of another revision than REVISION. */
const char *revision_advice(const char *revision);
