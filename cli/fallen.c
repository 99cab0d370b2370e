#include "cli/fallen.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/reading.h"
#include "executor/attrs.h"

static void put_value(struct buf *b, const char *name, const json_t *value)
{
    AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    buf_printf(b, " %s=", name);
    if (json_is_string(value))
        buf_puts(b, json_string_value(value));
    else
        buf_puts(b, json_is_null(value) || text == NULL ? "nothing" : text);
}

void fallen_put(struct buf *b, const struct trial *t)
{
    const char *json = trial_attr_find(t->system_attrs, t->n_system_attrs, ATTR_FALLBACK), *name;
    AUTO_JSON json_t *state = json != NULL ? json_read(json, strlen(json), NULL) : NULL;
    json_int_t rung = json_integer_value(json_object_get(state, "rung"));
    json_t *value;
    if (rung <= 0)
        return;
    buf_printf(b, "step %" JSON_INTEGER_FORMAT "%s: asked for", rung,
               json_is_true(json_object_get(state, "rolled_back")) ? ", rolled back" : "");
    json_object_foreach(json_object_get(state, "requested"), name, value) put_value(b, name, value);
}
