#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/evidence/evidence.h"
#include "executor/evidence/facts.h"
#include "executor/evidence/patterns.h"
#include "executor/evidence/python.h"
#include "executor/evidence/tail.h"
#include "executor/evidence/tree.h"
#include "executor/evidence/waiting.h"
#include "executor/proc.h"

#define MAX_STACKED 64u /* processes whose stacks are taken */

struct collection {
    struct tree tree;
    struct verdict verdicts[TREE_MAX]; /* of each process */
    json_t *processes[TREE_MAX];       /* borrowed from doc; NULL: gone, or not wanted */
    json_t *doc;
    pid_t order[MAX_STACKED]; /* whose stacks are taken, the most suspicious first */
    size_t n_order;
};

static size_t index_of(const struct collection *c, pid_t pid)
{
    for (size_t i = 0; i < c->tree.n; i++) {
        if (c->tree.pids[i] == pid)
            return i;
    }
    return SIZE_MAX;
}

static json_t *process_of(const struct collection *c, pid_t pid)
{
    size_t i = index_of(c, pid);
    return i != SIZE_MAX ? c->processes[i] : NULL;
}

/* Those of at least this kind, the strongest first: time may not be enough for all. */
static void choose(struct collection *c, enum verdict_kind least)
{
    for (int kind = VERDICT_PROVEN; kind >= (int)least; kind--) {
        for (size_t i = 0; i < c->tree.n && c->n_order < MAX_STACKED; i++) {
            if ((int)c->verdicts[i].kind == kind)
                c->order[c->n_order++] = c->tree.pids[i];
        }
    }
}

static void look_at_all(struct collection *c, struct verdict *best)
{
    *best = (struct verdict){0};
    for (size_t i = 0; i < c->tree.n; i++) {
        verdict_look(c->tree.pids[i], &c->verdicts[i]);
        verdict_join(best, &c->verdicts[i]);
    }
}

/* --- stacks --------------------------------------------------------------------------------------
 */

/* Under scope 1 only ancestors may stop a process: forkless run may, forkless dump of others not.
 */
static const char *yama_hint(void)
{
    char scope[8];
    if (proc_read("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope)) <= 0 ||
        scope[0] == '0')
        return "";
    return "; kernel.yama.ptrace_scope is set: only ancestors and privileged users may";
}

static void while_it_stands(void *ctx, pid_t pid)
{
    json_t *process = process_of(ctx, pid);
    if (process != NULL)
        python_put_frames(process, pid);
}

static void after_it(void *ctx, pid_t pid, int rc, const struct snap_result *r)
{
    json_t *process = process_of(ctx, pid);
    if (process == NULL)
        return;
    unsigned missing = r->threads - r->stopped - r->asleep;
    if (rc < 0)
        doc_note(process, "no stacks: %s", r->sys != 0 ? strerror(r->sys) : "it cannot be read");
    if (r->sys != 0)
        doc_note(process, "it may not be stopped (%s%s): stacks are guessed from where it sleeps",
                 strerror(r->sys), yama_hint());
    else if (r->asleep > 0)
        doc_note(process,
                 "%u of %u threads did not stop (uninterruptible?): their stacks are "
                 "guessed from where they sleep",
                 r->asleep, r->threads);
    if (rc == 0 && missing > 0)
        doc_note(process, "%u of %u threads could not be copied", missing, r->threads);
}

static json_t *frames_json(const struct stacks *s, const struct stack *stack)
{
    json_t *frames = json_array();
    for (size_t i = 0; i < stack->n; i++) {
        const struct frame *f = &s->frames[stack->first + i];
        json_t *frame = json_object();
        char pc[24];
        (void)snprintf(pc, sizeof(pc), "%#llx", (unsigned long long)f->pc);
        doc_text(frame, "pc", pc);
        if (f->function[0] != '\0') {
            doc_text(frame, "function", f->function);
            doc_int(frame, "offset", (int64_t)f->offset);
        }
        if (f->file[0] != '\0')
            doc_text(frame, "file", f->file);
        (void)json_array_append_new(frames, frame);
    }
    return frames;
}

static void put_stacks(json_t *process, const struct stacks *s)
{
    pid_t pid = (pid_t)json_integer_value(json_object_get(process, "pid"));
    size_t i;
    json_t *thread;
    json_array_foreach(json_object_get(process, "threads"), i, thread)
    {
        pid_t tid = (pid_t)json_integer_value(json_object_get(thread, "tid"));
        const struct stack *stack = stacks_find(s, pid, tid);
        if (stack == NULL)
            continue;
        const struct pattern *p = pattern_find(s->frames + stack->first, stack->n);
        if (p != NULL) {
            doc_text(thread, "stands", p->says);
            doc_text(thread, "pattern", pattern_kind_name(p->kind));
        }
        (void)json_object_set_new(thread, "stack", frames_json(s, stack));
    }
}

/* --- what stacks prove ---------------------------------------------------------------------------
 */

/* A thread that waits where a fork leaves processes. */
static enum verdict_kind weigh(const struct verdict_facts *f, const struct waiting *w,
                               const struct pattern *p)
{
    if (!f->forked || !w->futex)
        return VERDICT_NONE;
    if (p->kind == PATTERN_AFTER_FORK || f->all_stuck)
        return VERDICT_PROVEN;
    /* its waits for the lock are short and never end */
    if (p->kind == PATTERN_GIL)
        return f->threads == 1 ? VERDICT_PROVEN : VERDICT_NONE;
    return f->threads == 1 ? VERDICT_SUSPICIOUS : VERDICT_NONE;
}

static void judge_stack(const struct stacks *s, const struct stack *stack,
                        const struct verdict_facts *f, struct verdict *best)
{
    const struct pattern *p = pattern_find(s->frames + stack->first, stack->n);
    struct waiting w;
    struct verdict v = {.pid = stack->pid, .tid = stack->tid};
    waiting_read(stack->pid, stack->tid, &w);
    if (p == NULL)
        return;
    v.kind = weigh(f, &w, p);
    (void)snprintf(v.why, sizeof(v.why),
                   "process %d, forked without exec from process %d, which has %d threads, stands "
                   "%s%s",
                   (int)stack->pid, (int)f->parent, f->parent_threads, p->says,
                   f->all_stuck      ? ", and none of its threads can wake another"
                   : f->threads == 1 ? ", and has no other thread"
                                     : "");
    verdict_join(best, &v);
}

static void judge_stacks(const struct stacks *s, struct verdict *best)
{
    for (size_t i = 0; i < s->n;) {
        struct verdict_facts f;
        pid_t pid = s->v[i].pid;
        bool known = verdict_facts_read(pid, &f);
        for (; i < s->n && s->v[i].pid == pid; i++) {
            if (known)
                judge_stack(s, &s->v[i], &f, best);
        }
    }
}

void evidence_verdict(pid_t root, uint64_t until_ms, struct verdict *out)
{
    AUTO_FREE struct collection *c = calloc(1, sizeof(*c));
    struct stacks s;
    struct err err;
    *out = (struct verdict){.pid = root};
    if (c == NULL)
        return;
    tree_list(root, &c->tree);
    look_at_all(c, out);
    if (out->kind != VERDICT_SUSPICIOUS || clock_mono_ms() >= until_ms)
        return;
    choose(c, VERDICT_SUSPICIOUS);
    const struct stacks_req req = {.pids = c->order, .n = c->n_order, .deadline_ms = until_ms};
    (void)stacks_collect(&req, &s, &err); /* what came counts */
    judge_stacks(&s, out);
    stacks_free(&s);
}

/* --- the document --------------------------------------------------------------------------------
 */

static json_t *begin_doc(const struct evidence_req *req)
{
    char now[CLOCK_TEXT_MAX];
    json_t *doc = json_object();
    doc_int(doc, "format", 1);
    doc_text(doc, "time", clock_rfc3339(clock_utc_us(), now));
    if (req->about != NULL)
        (void)json_object_update(doc, (json_t *)(uintptr_t)req->about);
    return doc;
}

static void put_verdict(json_t *doc, const struct verdict *v)
{
    json_t *o = json_object();
    doc_text(o, "kind", verdict_name(v->kind));
    if (v->kind != VERDICT_NONE) {
        doc_int(o, "pid", v->pid);
        doc_int(o, "tid", v->tid);
        doc_text(o, "why", v->why);
    }
    (void)json_object_set_new(doc, "verdict", o);
}

static void put_facts(struct collection *c)
{
    json_t *list = json_array();
    (void)json_object_set_new(c->doc, "processes", list);
    for (size_t i = 0; i < c->tree.n; i++) {
        json_t *p = facts_read(c->tree.pids[i]);
        if (p != NULL && json_array_append_new(list, p) == 0)
            c->processes[i] = p;
    }
    if (c->tree.left_out > 0)
        doc_note(c->doc, "%zu more processes are left out", c->tree.left_out);
}

static void put_all_stacks(struct collection *c, uint64_t deadline_ms, struct verdict *verdict)
{
    struct stacks s;
    struct err err;
    const struct stacks_req req = {.pids = c->order,
                                   .n = c->n_order,
                                   .deadline_ms = deadline_ms,
                                   .look = while_it_stands,
                                   .seen = after_it,
                                   .ctx = c};
    if (stacks_collect(&req, &s, &err) < 0)
        doc_note(c->doc, "stacks are not whole: %s", err.msg);
    for (size_t i = 0; i < c->n_order; i++) {
        json_t *p = process_of(c, c->order[i]);
        if (p != NULL)
            put_stacks(p, &s);
    }
    judge_stacks(&s, verdict);
    stacks_free(&s);
}

static void put_more(struct collection *c, uint64_t deadline_ms)
{
    for (size_t i = 0; i < c->tree.n && clock_mono_ms() < deadline_ms; i++) {
        if (c->processes[i] != NULL)
            facts_read_more(c->processes[i], c->tree.pids[i]);
    }
}

json_t *evidence_collect(const struct evidence_req *req, struct verdict *verdict)
{
    AUTO_FREE struct collection *c = calloc(1, sizeof(*c));
    uint64_t began = clock_mono_ms();
    uint64_t left = req->deadline_ms > began ? req->deadline_ms - began : 0;
    *verdict = (struct verdict){.pid = req->root};
    if (c == NULL)
        return NULL;
    c->doc = begin_doc(req);
    tree_list(req->root, &c->tree);
    look_at_all(c, verdict);
    put_verdict(c->doc, verdict);
    put_facts(c);
    if (req->early != NULL)
        req->early(req->ctx, c->doc);
    choose(c, VERDICT_NONE);
    put_more(c, began + left / 4);
    put_all_stacks(c, began + left * 3 / 4, verdict);
    put_verdict(c->doc, verdict);
    for (size_t i = 0; i < c->n_order; i++) {
        json_t *p = process_of(c, c->order[i]);
        if (p != NULL)
            python_put_older(p, c->order[i], req->deadline_ms);
    }
    if (req->dir >= 0)
        tail_put_logs(c->doc, req->dir);
    doc_int(c->doc, "took_ms", (int64_t)(clock_mono_ms() - began));
    return c->doc;
}
