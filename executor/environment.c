/* What all workers find in their environment: the executor's own, without what is told to each
 * worker anew, and over it what ftf_config says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "executor/internal.h"

extern char **environ;

/* "NAME=value" of each. */
static int read_config(struct executor *ex, struct err *err)
{
    const char *text = ex->conf->base_env, *name;
    json_t *value;
    if (text == NULL)
        return 0;
    AUTO_JSON json_t *env = json_read(text, strlen(text), err);
    if (env == NULL)
        return -ERR_INVALID;
    ex->config_env = calloc(json_object_size(env) + 1, sizeof(*ex->config_env));
    if (ex->config_env == NULL)
        return err_set(err, ERR_NOMEM, "environment");
    json_object_foreach(env, name, value)
    {
        char **to = &ex->config_env[ex->n_config_env];
        if (!json_is_string(value))
            return err_set(err, ERR_INVALID, "ftf_config: %.60s is no text", name);
        if (asprintf(to, "%s=%s", name, json_string_value(value)) < 0)
            return err_set(err, ERR_NOMEM, "environment");
        ex->n_config_env++;
    }
    return 0;
}

static bool is_configured(const struct executor *ex, const char *entry)
{
    size_t n = strcspn(entry, "=") + 1;
    for (size_t i = 0; i < ex->n_config_env; i++) {
        if (ex->config_env[i] != NULL && strncmp(ex->config_env[i], entry, n) == 0)
            return true;
    }
    return false;
}

int environment_read(struct executor *ex, struct err *err)
{
    size_t n = 0, k = 0;
    int rc = read_config(ex, err);
    if (rc < 0)
        return rc;
    while (environ[n] != NULL)
        n++;
    ex->base_env = calloc(n + ex->n_config_env + 1, sizeof(*ex->base_env));
    if (ex->base_env == NULL)
        return err_set(err, ERR_NOMEM, "environment");
    for (size_t i = 0; i < n; i++) {
        if (strncmp(environ[i], "FORKLESS_", 9) != 0 && !is_configured(ex, environ[i]))
            ex->base_env[k++] = environ[i];
    }
    for (size_t i = 0; i < ex->n_config_env; i++)
        ex->base_env[k++] = ex->config_env[i];
    return 0;
}

void environment_free(struct executor *ex)
{
    free(ex->base_env);
    for (size_t i = 0; i < ex->n_config_env; i++)
        free(ex->config_env[i]);
    free(ex->config_env);
}
