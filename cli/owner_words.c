#include "cli/owner_words.h"

#include "executor/owner.h"

/* NULL: nobody. */
static const char *state_of(const char *owner)
{
    static const char *const names[] = {
        [OWNER_ALIVE] = "alive", [OWNER_DEAD] = "dead", [OWNER_ELSEWHERE] = "elsewhere"};
    return owner != NULL ? names[owner_state(owner)] : NULL;
}

void owner_cell(struct table *table, const char *owner)
{
    if (owner == NULL)
        table_cell(table, "-");
    else
        table_cellf(table, "%s, pid %d", state_of(owner), owner_pid(owner));
}

void owner_put_state(struct buf *b, const char *owner)
{
    const char *state = state_of(owner);
    buf_printf(b, state != NULL ? ",\"owner_state\":\"%s\"" : ",\"owner_state\":null", state);
}

bool owner_is_dead(const char *owner)
{
    return owner != NULL && owner_state(owner) == OWNER_DEAD;
}
