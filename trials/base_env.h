/* The settings that new runs start from, as ftf_config.base_env holds them: an object of texts. */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/json.h"

#define BASE_ENV_LOSS "CVN_LOSS_FUNCTION"
#define BASE_ENV_GAMMA "CVN_FOCAL_GAMMA"
#define BASE_ENV_ALPHA "CVN_FOCAL_ALPHA"
#define BASE_ENV_CLEANLAB "CVN_CLEANLAB_MODE"

#define BASE_ENV_BASELINE "binary:logistic" /* the loss function that a rollback goes to */

/* The keys there are, in the order of the list above. */
extern const char *const base_env_keys[];
extern const size_t n_base_env_keys;

/* Whether the value can stand for the key. note gets what is allowed but looks like a mistake, ""
 * when nothing does. Errors: ERR_INVALID with what was expected, and a key that was meant. */
int base_env_check(const char *key, const char *value, char *note, size_t n_note, struct err *err);

/* The number of a key; NaN when it has none. */
double base_env_number(const json_t *env, const char *key);

/* What a trial is trained with, by the names of the XGBoost worker's parameters: "objective",
 * "focal_gamma" … ; NULL when the key is nothing that it knows. */
const char *base_env_param(const char *key);
