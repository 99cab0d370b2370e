/* ftf_config as commands change it: key by key, whatever somebody else sets meanwhile. */
#pragma once

#include "base/json.h"
#include "storage/ftf.h"

/* Reads the row and its object, both the caller's. Errors: as store_config_get, ERR_CORRUPT. */
int settings_read(struct store *s, struct store_config *now, json_t **env, struct err *err);
/* Sets these keys (an object of texts) and leaves the others. version: only if the row is at it
 * still, else ERR_CONFLICT; negative: whatever it is at. who NULL: user@host. why may be NULL. */
int settings_change(struct store *s, const json_t *changes, int64_t version, const char *who,
                    const char *why, struct err *err);
/* Sets the whole object. Errors: ERR_CONFLICT. */
int settings_replace(struct store *s, const char *base_env, int64_t version, const char *who,
                     const char *why, struct err *err);
/* Appends {"version":…,"changed_at":…,"base_env":{…}}. */
void settings_put_json(struct buf *b, const struct store_config *now);
