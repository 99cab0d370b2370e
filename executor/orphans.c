/* Processes that workers leave behind: they come to us, a subreaper or PID 1, when their parents
 * end. What they say of themselves stands in their environment, whose reading may wait; so it is
 * read aside. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "executor/aside.h"
#include "executor/internal.h"
#include "executor/proc.h"

/* After a worker's end, and after a child's. */
#define ORPHANS_MS 20u

/* A child that nobody knows. */
struct unknown {
    pid_t pid;
    unsigned long long start_ticks; /* its number may become somebody else's */
    char mark[96];                  /* of the worker that it belongs to; empty: it says nothing */
};

struct search {
    struct executor *ex;
    struct unknown *v;
    size_t n, cap;
};

/* A worker, a spare, the guardian, or somebody who was there before us (an entry script's sidecar
 * before its exec). */
static bool is_known(void *ctx, pid_t pid)
{
    const struct executor *ex = ctx;
    for (int i = 0; i < ex->plan.jobs; i++) {
        if ((ex->slots[i].alive && ex->slots[i].proc.pid == pid) || ex->slots[i].spare.pid == pid)
            return true;
    }
    for (size_t i = 0; i < ex->orphans.n_inherited; i++) {
        if (ex->orphans.inherited[i] == pid)
            return true;
    }
    return pid == ex->guardian.pid;
}

static bool note_inherited(void *ctx, pid_t pid)
{
    struct orphans *o = &((struct executor *)ctx)->orphans;
    if (array_reserve(&o->inherited, &o->cap_inherited, o->n_inherited + 1, sizeof(*o->inherited)))
        o->inherited[o->n_inherited++] = pid;
    return true;
}

/* Left behind: the worker that it says it belongs to is over. */
static bool is_stray(const struct executor *ex, const char *mark)
{
    int slot;
    unsigned life;
    size_t n = strlen(ex->mark);
    if (strncmp(mark, ex->mark, n) != 0 || sscanf(mark + n, ".%d.%u", &slot, &life) != 2 ||
        slot < 0 || slot >= ex->plan.jobs)
        return false;
    return !ex->slots[slot].alive || ex->slots[slot].life != life;
}

/* --- looking ---------------------------------------------------------------------------------- */

static void search_free(void *data)
{
    struct search *s = data;
    free(s->v);
    free(s);
}

static void read_marks(void *data)
{
    struct search *s = data;
    for (size_t i = 0; i < s->n; i++) {
        if (!proc_environ(s->v[i].pid, "FORKLESS_WORKER", s->v[i].mark, sizeof(s->v[i].mark)))
            s->v[i].mark[0] = '\0';
    }
}

/* Whether it is still the child that was looked at. */
static bool is_same(const struct unknown *u)
{
    struct proc_stat st;
    return proc_read_stat(u->pid, &st) && st.ppid == getpid() && st.start_ticks == u->start_ticks;
}

static void on_marks(void *data)
{
    struct search *s = data;
    s->ex->orphans.search = NULL;
    for (size_t i = 0; i < s->n; i++) {
        if (is_stray(s->ex, s->v[i].mark) && !is_known(s->ex, s->v[i].pid) && is_same(&s->v[i]))
            proc_kill_tree(s->v[i].pid, SIGKILL);
    }
    if (s->ex->orphans.again)
        orphans_soon(s->ex);
}

static bool search_knows(void *ctx, pid_t pid)
{
    return is_known(((struct search *)ctx)->ex, pid);
}

/* One that is not over is to be asked who it is. */
static bool note_unknown(void *ctx, pid_t pid)
{
    struct search *s = ctx;
    struct proc_stat st;
    if (proc_read_stat(pid, &st) && st.state != 'Z' &&
        array_reserve(&s->v, &s->cap, s->n + 1, sizeof(*s->v)))
        s->v[s->n++] = (struct unknown){.pid = pid, .start_ticks = st.start_ticks};
    return false;
}

static void look(struct executor *ex)
{
    static const struct aside_conf conf = {
        .work = read_marks, .done = on_marks, .free = search_free};
    struct search *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return;
    s->ex = ex;
    (void)proc_reap_orphans(search_knows, note_unknown, s);
    if (s->n > 0)
        ex->orphans.search = aside_start(&ex->loop, &conf, s);
    else
        search_free(s);
}

static bool nobody(void *ctx, pid_t pid)
{
    (void)ctx;
    (void)pid;
    return false;
}

/* While a search waits for a process that cannot be asked, those that are over are collected still.
 */
static void on_timer(uv_timer_t *t)
{
    struct executor *ex = CONTAINER_OF(t, struct executor, orphans.timer);
    ex->orphans.again = ex->orphans.search != NULL;
    if (ex->orphans.again)
        (void)proc_reap_orphans(is_known, nobody, ex);
    else
        look(ex);
}

void orphans_init(struct executor *ex)
{
    (void)uv_timer_init(&ex->loop, &ex->orphans.timer);
}

void orphans_soon(struct executor *ex)
{
    if (!ex->over && !uv_is_active((uv_handle_t *)&ex->orphans.timer))
        (void)uv_timer_start(&ex->orphans.timer, on_timer, ORPHANS_MS, 0);
}

/* --- beginning and end ------------------------------------------------------------------------ */

void orphans_inherit(struct executor *ex)
{
    (void)proc_reap_orphans(note_inherited, NULL, ex);
}

void orphans_forget(struct executor *ex)
{
    if (ex->orphans.search != NULL)
        aside_forget(ex->orphans.search);
    ex->orphans.search = NULL;
    uv_close((uv_handle_t *)&ex->orphans.timer, NULL);
}

/* No worker is alive then, and nothing of ours may be left. */
static bool everybody(void *ctx, pid_t pid)
{
    (void)ctx;
    (void)pid;
    return true;
}

void orphans_end(struct executor *ex)
{
    for (int i = 0; i < 100 && proc_reap_orphans(is_known, everybody, ex) > 0; i++)
        (void)usleep(10000);
}
