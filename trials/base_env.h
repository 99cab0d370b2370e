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

/* Whether workers may have all of it in their environment: statements of SQL change base_env
 * without asking anybody. Other names than those above are for workers that know them, and begin
 * likewise: who may write the table must not thereby choose what LD_PRELOAD loads. Errors:
 * ERR_INVALID. */
#define BASE_ENV_PREFIX "CVN_"
int base_env_check_all(const json_t *env, struct err *err);

/* The number of a key; NaN when it has none. */
double base_env_number(const json_t *env, const char *key);

/* What a worker's environment makes of a factor of the XGBoost worker, as the end of "factor
 * focal_loss …"; NULL when it leaves it as it is. loss, mode: values of BASE_ENV_LOSS and
 * BASE_ENV_CLEANLAB, NULL or "" for none. *key: the one that does. */
const char *base_env_over_factor(const char *factor, const char *loss, const char *mode,
                                 const char **key);
