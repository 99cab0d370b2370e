/* How often a trial was tried before, and why that failed. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "executor/internal.h"

struct tries tries_of(const struct trial *t)
{
    struct tries out = {0};
    for (size_t i = 0; t != NULL && i < t->n_system_attrs; i++) {
        const char *json = t->system_attrs[i].json;
        if (strcmp(t->system_attrs[i].key, "retry_history") != 0)
            continue;
        AUTO_JSON json_t *list = json_read(json, strlen(json), NULL);
        size_t n = json_array_size(list);
        for (size_t k = n > ARRAY_LEN(out.numbers) ? n - ARRAY_LEN(out.numbers) : 0; k < n; k++)
            out.numbers[out.n++] = json_integer_value(json_array_get(list, k));
    }
    return out;
}

static int find_class(void *ctx, const struct trial *t)
{
    for (size_t i = 0; i < t->n_user_attrs; i++) {
        const char *json = t->user_attrs[i].json;
        if (strcmp(t->user_attrs[i].key, ATTR_CLASS) != 0)
            continue;
        AUTO_JSON json_t *name = json_read(json, strlen(json), NULL);
        if (!json_is_string(name) || !fail_class_from_name(json_string_value(name), ctx))
            *(enum fail_class *)ctx = FAIL_NONE;
    }
    return 0;
}

static enum fail_class class_of(const struct study *st, struct store *s, int64_t number)
{
    enum fail_class fail = FAIL_NONE;
    int64_t id;
    if (store_trial_find(s, st->id, number, &id, NULL) == 0)
        (void)store_trial_get(s, id, WANT_USER_ATTRS, find_class, &fail, NULL);
    return fail;
}

int tries_count(const struct study *st, struct store *s, const struct tries *t, unsigned classes)
{
    int n = 0;
    for (size_t i = 0; i < t->n; i++)
        n += (classes >> class_of(st, s, t->numbers[i]) & 1u) != 0;
    return n;
}

enum fail_class tries_last(const struct study *st, struct store *s, const struct tries *t)
{
    return t->n > 0 ? class_of(st, s, t->numbers[t->n - 1]) : FAIL_NONE;
}
