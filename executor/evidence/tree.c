#include "executor/evidence/tree.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "executor/proc.h"

struct listing {
    struct tree *tree;
    char mark[96];
};

static bool listed(const struct tree *t, pid_t pid)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->pids[i] == pid)
            return true;
    }
    return false;
}

static void add(void *ctx, pid_t pid)
{
    struct tree *t = ctx;
    if (listed(t, pid) || pid == getpid()) /* who asks is none of what is asked about */
        return;
    if (t->n == TREE_MAX)
        t->left_out++;
    else
        t->pids[t->n++] = pid;
}

static void add_marked(void *ctx, pid_t pid)
{
    struct listing *l = ctx;
    char mark[sizeof(l->mark)];
    if (!listed(l->tree, pid) && proc_environ(pid, "FORKLESS_WORKER", mark, sizeof(mark)) &&
        strcmp(mark, l->mark) == 0)
        proc_walk(pid, add, l->tree);
}

void tree_list(pid_t root, struct tree *out)
{
    struct listing l = {.tree = out};
    struct proc_stat st;
    out->n = 0;
    out->left_out = 0;
    add(out, root);
    proc_walk(root, add, out);
    if (proc_environ(root, "FORKLESS_WORKER", l.mark, sizeof(l.mark)) &&
        proc_read_stat(root, &st) && st.ppid > 0)
        proc_each_child(st.ppid, add_marked, &l);
}
