#include "trials/base_env.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

/* Above it the Hessian of the focal loss is next to nothing wherever the model is nearly right. */
#define GAMMA_STEEP 6.0

static const char *const losses[] = {"focal", "binary:logistic", "binary:hinge", NULL};
static const char *const modes[] = {"off", "prune", "weight", "relabel", NULL};

static const struct key {
    const char *name;
    const char *const *words; /* NULL: a number */
    double low, high;
    bool inside; /* neither end of the range is allowed */
} keys[] = {
    {BASE_ENV_LOSS, losses, 0, 0, false},
    {BASE_ENV_GAMMA, NULL, 0, 100, false},
    {BASE_ENV_ALPHA, NULL, 0, 1, true},
    {BASE_ENV_CLEANLAB, modes, 0, 0, false},
};

const char *const base_env_keys[] = {BASE_ENV_LOSS, BASE_ENV_GAMMA, BASE_ENV_ALPHA,
                                     BASE_ENV_CLEANLAB};
const size_t n_base_env_keys = ARRAY_LEN(base_env_keys);

static const struct key *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    }
    return NULL;
}

static int unknown_key(const char *key, struct err *err)
{
    const char *near = text_nearest(key, base_env_keys, n_base_env_keys);
    if (near != NULL)
        return err_set(err, ERR_INVALID, "unknown key '%.60s': did you mean '%s'?", key, near);
    return err_set(err, ERR_INVALID,
                   "unknown key '%.60s': expected " BASE_ENV_LOSS ", " BASE_ENV_GAMMA
                   ", " BASE_ENV_ALPHA " or " BASE_ENV_CLEANLAB,
                   key);
}

static int check_word(const struct key *k, const char *value, struct err *err)
{
    char list[160] = "";
    size_t n = 0;
    for (; k->words[n] != NULL; n++) {
        if (strcmp(value, k->words[n]) == 0)
            return 0;
        size_t len = strlen(list);
        (void)snprintf(list + len, sizeof(list) - len, "%s%s", n > 0 ? ", " : "", k->words[n]);
    }
    const char *near = text_nearest(value, k->words, n);
    return err_set(err, ERR_INVALID, "%s: expected one of %s, found '%.60s'%s%s%s", k->name, list,
                   value, near != NULL ? ": did you mean '" : "", near != NULL ? near : "",
                   near != NULL ? "'?" : "");
}

int base_env_check(const char *key, const char *value, char *note, size_t n_note, struct err *err)
{
    const struct key *k = find(key);
    double number;
    note[0] = '\0';
    if (k == NULL)
        return unknown_key(key, err);
    if (k->words != NULL)
        return check_word(k, value, err);
    bool fits = text_double(value, &number) && number >= k->low && number <= k->high;
    if (!fits || (k->inside && (number == k->low || number == k->high)))
        return err_set(err, ERR_INVALID, "%s: expected a number %s %g %s %g, found '%.60s'",
                       k->name, k->inside ? "between" : "from", k->low, k->inside ? "and" : "to",
                       k->high, value);
    if (strcmp(key, BASE_ENV_GAMMA) == 0 && number > GAMMA_STEEP)
        (void)snprintf(note, n_note,
                       "%s=%s is over %g: \"Hessian not positive definite\" becomes likely, lower "
                       "it by steps of 1",
                       key, value, GAMMA_STEEP);
    return 0;
}

int base_env_check_all(const json_t *env, struct err *err)
{
    const char *name;
    json_t *value;
    char note[200];
    json_object_foreach((json_t *)env, name, value)
    {
        int rc = 0;
        if (strncmp(name, BASE_ENV_PREFIX, strlen(BASE_ENV_PREFIX)) != 0 || strchr(name, '='))
            rc = err_set(err, ERR_INVALID,
                         "'%.60s' is no setting: expected a name that begins "
                         "with " BASE_ENV_PREFIX,
                         name);
        else if (!json_is_string(value))
            rc = err_set(err, ERR_INVALID, "%.60s is no text", name);
        else if (find(name) != NULL)
            rc = base_env_check(name, json_string_value(value), note, sizeof(note), err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

double base_env_number(const json_t *env, const char *key)
{
    double number;
    const char *text = json_string_value(json_object_get(env, key));
    return text != NULL && text_double(text, &number) ? number : NAN;
}

const char *base_env_over_factor(const char *factor, const char *loss, const char *mode,
                                 const char **key)
{
    bool focal = strcmp(factor, "focal_loss") == 0;
    *key = BASE_ENV_LOSS;
    if (focal && loss != NULL && loss[0] != '\0' && strcmp(loss, "focal") != 0)
        return "trains without the focal loss";
    if (!focal && loss != NULL && strcmp(loss, "focal") == 0)
        return "trains with the focal loss";
    *key = BASE_ENV_CLEANLAB;
    if (strcmp(factor, "cleanlab") == 0 && mode != NULL && strcmp(mode, "off") == 0)
        return "cleans no labels";
    return NULL;
}
