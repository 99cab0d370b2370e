#include "executor/births.h"

#include "executor/proc.h"

static bool is_forked(pid_t pid)
{
    struct proc_stat st;
    return proc_read_stat(pid, &st) && (st.flags & PROC_FORKED_NO_EXEC) != 0;
}

bool births_look(struct births *b, unsigned most, void (*visit)(void *ctx, pid_t pid), void *ctx)
{
    int64_t from = b->before, newest = proc_newest();
    bool known = from > 0 && newest >= b->last && newest - from <= (int64_t)most;
    *b = (struct births){.last = newest, .before = b->last};
    for (int64_t n = from + 1; known && n <= newest; n++) {
        if (is_forked((pid_t)n))
            visit(ctx, (pid_t)n);
    }
    return known;
}
