#include "cli/settings.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* Others may set other keys between our reading and our writing. */
#define TRIES 5

int settings_read(struct store *s, struct store_config *now, json_t **env, struct err *err)
{
    int rc = store_config_get(s, now, err);
    if (rc < 0)
        return rc;
    *env = json_read(now->base_env, strlen(now->base_env), err);
    if (*env == NULL)
        return err_set(err, ERR_CORRUPT, "ftf_config.base_env is no JSON: %.80s", now->base_env);
    return 0;
}

/* Who does it, for people: a pod's user has a number and no name. */
static void self(char *out, size_t n)
{
    char host[128] = "?", memory[1024];
    struct passwd pw, *found = NULL;
    (void)gethostname(host, sizeof(host) - 1);
    if (getpwuid_r(geteuid(), &pw, memory, sizeof(memory), &found) == 0 && found != NULL)
        (void)snprintf(out, n, "%s@%s", pw.pw_name, host);
    else
        (void)snprintf(out, n, "uid %u@%s", (unsigned)geteuid(), host);
}

int settings_replace(struct store *s, const char *base_env, int64_t version, const char *who,
                     const char *why, struct err *err)
{
    char me[256];
    if (who == NULL)
        self(me, sizeof(me));
    const struct store_config_change change = {
        .base_env = base_env, .expected = version, .who = who != NULL ? who : me, .why = why};
    return store_config_set(s, &change, NULL, err);
}

static int change_once(struct store *s, const json_t *changes, int64_t version, const char *who,
                       const char *why, struct err *err)
{
    AUTO_STORE_CONFIG struct store_config now = {0};
    AUTO_JSON json_t *env = NULL;
    int rc = settings_read(s, &now, &env, err);
    if (rc == -ERR_NOTFOUND) { /* we are the first */
        env = json_read(STORE_CONFIG_FIRST, strlen(STORE_CONFIG_FIRST), err);
        rc = env != NULL ? 0 : -ERR_NOMEM;
    }
    if (rc < 0)
        return rc;
    (void)json_object_update(env, (json_t *)changes);
    AUTO_FREE char *text = json_dumps(env, 0);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "ftf_config");
    return settings_replace(s, text, version >= 0 ? version : now.version, who, why, err);
}

int settings_change(struct store *s, const json_t *changes, int64_t version, const char *who,
                    const char *why, struct err *err)
{
    int rc = -ERR_CONFLICT;
    for (int i = 0; rc == -ERR_CONFLICT && i < TRIES; i++) {
        rc = change_once(s, changes, version, who, why, err);
        if (version >= 0)
            break;
    }
    return rc;
}

void settings_put_json(struct buf *b, const struct store_config *now)
{
    char at[CLOCK_TEXT_MAX];
    buf_printf(b, "{\"version\":%" PRId64 ",\"changed_at\":", now->version);
    json_put_string(b, clock_rfc3339(now->changed_us, at));
    buf_printf(b, ",\"base_env\":%s}", now->base_env);
}
