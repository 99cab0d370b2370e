#include "cli/waiting.h"

#include <string.h>

#include "base/json.h"
#include "cli/reading.h"
#include "executor/owner.h"

enum waiting waiting_kind(const struct trial *t)
{
    if (trial_attr_find(t->system_attrs, t->n_system_attrs, "retry_history") != NULL)
        return WAITING_RETRY;
    if (trial_attr_find(t->system_attrs, t->n_system_attrs, "fixed_params") != NULL)
        return WAITING_ENQUEUED;
    return t->n_params > 0 ? WAITING_ADDED : WAITING_GIVEN_BACK;
}

const char *waiting_noun(enum waiting kind, bool one)
{
    static const char *const nouns[][2] = {
        [WAITING_RETRY] = {"next tries of failed ones", "next try of a failed one"},
        [WAITING_ENQUEUED] = {"enqueued", "enqueued"},
        [WAITING_ADDED] = {"added by a program", "added by a program"},
        [WAITING_GIVEN_BACK] = {"given back at a stop", "given back at a stop"},
    };
    return nouns[kind][one];
}

struct search {
    const char *study;
    int pid;
};

static bool has_study(const json_t *config, const char *study)
{
    size_t i;
    const json_t *name;
    json_array_foreach(json_object_get(config, "studies"), i, name)
    {
        if (json_is_string(name) && strcmp(json_string_value(name), study) == 0)
            return true;
    }
    return false;
}

/* The row may be another program's. */
static int look_at(void *ctx, const struct store_run *run)
{
    struct search *s = ctx;
    const char *text = run->config != NULL ? run->config : "";
    AUTO_JSON json_t *config = json_read(text, strlen(text), NULL);
    const char *owner = json_string_value(json_object_get(config, "owner"));
    if (run->ended_us == 0 && owner != NULL && has_study(config, s->study) &&
        owner_state(owner) == OWNER_ALIVE)
        s->pid = owner_pid(owner);
    return 0;
}

int waiting_runner(struct store *s, const char *study, int *pid, struct err *err)
{
    struct search search = {.study = study};
    int rc = store_runs_each(s, look_at, &search, err);
    if (rc == 0)
        *pid = search.pid;
    return rc;
}
