#include <errno.h>
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

#define MAX_PYTHON_FRAMES 200u
#define MAX_STACKED 64u /* processes whose stacks are taken */

struct collection {
    struct tree tree;
    struct verdict verdicts[TREE_MAX]; /* of each process, and by what */
    struct verdict_facts facts[TREE_MAX];
    json_t *processes[TREE_MAX]; /* borrowed from doc; NULL: gone, or not wanted */
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

/* The most suspicious first: time may not be enough for all. */
static void choose(struct collection *c)
{
    for (int kind = VERDICT_PROVEN; kind >= VERDICT_NONE; kind--) {
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
        verdict_look(c->tree.pids[i], &c->verdicts[i], &c->facts[i]);
        verdict_join(best, &c->verdicts[i]);
    }
}

/* --- stacks --------------------------------------------------------------------------------------
 */

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
    doc_int(process, "stopped_us", (int64_t)r->stopped_us);
    unsigned missing = r->threads - r->stopped - r->asleep;
    if (r->sys == EPERM || r->sys == EACCES)
        doc_flag(process, "denied", true);
    if (rc < 0)
        doc_note(process, "no stacks: %s", r->sys != 0 ? strerror(r->sys) : "it cannot be read");
    if (r->sys != 0)
        doc_note(process, "it may not be stopped (%s%s): stacks are guessed from where it sleeps",
                 strerror(r->sys), snapshot_hint());
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
        const struct pattern *p = pattern_find(stacks_frames(s, stack), stack->n);
        if (p != NULL) {
            doc_text(thread, "stands", p->says);
            doc_text(thread, "pattern", pattern_kind_name(p->kind));
        }
        (void)json_object_set_new(thread, "stack", frames_json(s, stack));
    }
}

/* --- what stacks prove ---------------------------------------------------------------------------
 */

/* A thread that stood so, before we stopped it, where a fork leaves processes. */
static enum verdict_kind weigh(const struct verdict_facts *f, const json_t *thread,
                               const struct pattern *p)
{
    bool endless = json_is_true(json_object_get(thread, "endless"));
    if (!f->forked || !(endless || json_object_get(thread, "futex") != NULL))
        return VERDICT_NONE;
    /* a Python function may be called so by anybody: the interpreter's own frames tell for sure */
    bool by_name = p->file != NULL && strcmp(p->file, "*.py") == 0;
    if (f->all_stuck || (p->kind == PATTERN_AFTER_FORK && !by_name))
        return VERDICT_PROVEN;
    if (f->threads > 1)
        return VERDICT_NONE;
    /* waits for the interpreter lock are short, and never end */
    bool limited = !endless && p->kind != PATTERN_GIL;
    return p->alone_proves && f->parent_threads > 1 && !limited ? VERDICT_PROVEN
                                                                : VERDICT_SUSPICIOUS;
}

/* What stands in a thread of a process: native frames, or Python's. */
static void judge_frames(const json_t *thread, pid_t pid, const struct frame *frames, size_t n,
                         const struct verdict_facts *f, struct verdict *best)
{
    const struct pattern *p = pattern_find(frames, n);
    struct verdict v = {.pid = pid,
                        .tid = (pid_t)json_integer_value(json_object_get(thread, "tid"))};
    if (p == NULL)
        return;
    v.kind = weigh(f, thread, p);
    v.in_fork = v.tid == pid && pattern_born_here(frames, n);
    (void)snprintf(v.why, sizeof(v.why),
                   "process %d, forked without exec from process %d, which has %d threads, stands "
                   "%s%s",
                   (int)pid, (int)f->parent, f->parent_threads, p->says,
                   f->all_stuck      ? ", and none of its threads can wake another"
                   : f->threads == 1 ? ", and has no other thread"
                                     : "");
    verdict_join(best, &v);
}

static const json_t *thread_of(const json_t *process, pid_t tid)
{
    size_t i;
    const json_t *thread;
    json_array_foreach(json_object_get(process, "threads"), i, thread)
    {
        if (json_integer_value(json_object_get(thread, "tid")) == tid)
            return thread;
    }
    return NULL;
}

/* Handlers run in the thread that forked, which is the first one of the child. */
static void judge_python(const json_t *process, pid_t pid, const struct verdict_facts *f,
                         struct verdict *best)
{
    size_t i, k;
    const json_t *python, *frame;
    json_array_foreach(json_object_get(json_object_get(process, "python"), "threads"), i, python)
    {
        struct frame frames[MAX_PYTHON_FRAMES];
        size_t n = 0;
        json_array_foreach(json_object_get(python, "frames"), k, frame)
        {
            if (n < MAX_PYTHON_FRAMES)
                frames[n++] = (struct frame){.function = doc_get(frame, "function"),
                                             .file = doc_get(frame, "file")};
        }
        if (json_integer_value(json_object_get(python, "tid")) == pid ||
            json_is_true(json_object_get(python, "of_parent")))
            judge_frames(thread_of(process, pid), pid, frames, n, f, best);
    }
}

static void judge_all(const struct collection *c, const struct stacks *s, struct verdict *best)
{
    for (size_t i = 0; i < c->n_order; i++) {
        pid_t pid = c->order[i];
        const json_t *process = process_of(c, pid);
        const struct verdict_facts *f = &c->facts[index_of(c, pid)];
        for (size_t k = 0; k < s->n; k++) {
            const struct stack *stack = &s->v[k];
            if (stack->pid == pid)
                judge_frames(thread_of(process, stack->tid), pid, stacks_frames(s, stack), stack->n,
                             f, best);
        }
        judge_python(process, pid, f, best);
    }
}

static void put_other_python(const struct collection *c, uint64_t deadline_ms)
{
    for (size_t i = 0; i < c->n_order; i++) {
        json_t *p = process_of(c, c->order[i]);
        if (p != NULL && clock_mono_ms() < deadline_ms)
            python_put_others(p, c->order[i], deadline_ms);
    }
}

/* Those that need a closer look: who was proven stuck before, then children of processes with
 * threads. */
static void choose_suspects(struct collection *c, pid_t first)
{
    for (int children = 1; children >= 0; children--) {
        for (size_t i = 0; i < c->tree.n && c->n_order < MAX_STACKED; i++) {
            const struct verdict_facts *f = &c->facts[i];
            if (c->verdicts[i].look_closer &&
                (f->forked && f->parent_threads > 1) == (children == 1))
                c->order[c->n_order++] = c->tree.pids[i];
        }
    }
    for (size_t i = 1; i < c->n_order; i++) {
        if (c->order[i] == first) {
            c->order[i] = c->order[0];
            c->order[0] = first;
        }
    }
}

/* What is needed to judge the n suspects from this one on by their stacks. */
static void read_suspects(struct collection *c, size_t from, size_t n, json_t *keep)
{
    for (size_t i = from; i < from + n; i++) {
        json_t *p = facts_read(c->order[i]);
        if (p == NULL)
            continue;
        facts_read_more(p, c->order[i]);
        if (json_array_append_new(keep, p) == 0)
            c->processes[index_of(c, c->order[i])] = p;
    }
}

static void judge_suspects(struct collection *c, size_t from, size_t n, uint64_t until_ms,
                           struct verdict *out)
{
    struct stacks s;
    struct err err;
    const struct stacks_req req = {.pids = c->order + from,
                                   .n = n,
                                   .deadline_ms = until_ms,
                                   .look = while_it_stands,
                                   .ctx = c};
    (void)stacks_collect(&req, &s, &err); /* what came counts */
    judge_all(c, &s, out);
    if (out->kind != VERDICT_PROVEN) {
        put_other_python(c, until_ms);
        judge_all(c, &s, out);
    }
    stacks_free(&s);
}

/* One proof is enough, and the children of a pool stand alike: the first of them alone, then all
 * the others. */
static void look_closer(struct collection *c, pid_t first, uint64_t until_ms, struct verdict *out)
{
    AUTO_JSON json_t *keep = json_array();
    choose_suspects(c, first);
    for (size_t from = 0, n = 1; from < c->n_order && clock_mono_ms() < until_ms;
         from += n, n = c->n_order - from) {
        read_suspects(c, from, n, keep);
        judge_suspects(c, from, n, until_ms, out);
        if (out->kind == VERDICT_PROVEN)
            break;
    }
    memset(c->processes, 0, sizeof(c->processes)); /* keep owns them */
}

void evidence_verdict(pid_t root, pid_t first, uint64_t until_ms, struct verdict *out)
{
    AUTO_FREE struct collection *c = calloc(1, sizeof(*c));
    *out = (struct verdict){.pid = root};
    if (c == NULL)
        return;
    tree_list(root, &c->tree);
    look_at_all(c, out);
    if (out->kind != VERDICT_PROVEN && out->look_closer && until_ms > 0) {
        look_closer(c, first, until_ms, out);
        out->unsure = out->kind != VERDICT_PROVEN && clock_mono_ms() >= until_ms;
    }
    verdict_note(out);
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

static void put_all_stacks(struct collection *c, uint64_t stacks_ms, uint64_t deadline_ms,
                           struct verdict *verdict)
{
    struct stacks s;
    struct err err;
    const struct stacks_req req = {.pids = c->order,
                                   .n = c->n_order,
                                   .deadline_ms = stacks_ms,
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
    put_other_python(c, deadline_ms);
    judge_all(c, &s, verdict);
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
    if (req->known != NULL)
        verdict_join(verdict, req->known);
    put_verdict(c->doc, verdict);
    put_facts(c);
    if (req->early != NULL)
        req->early(req->ctx, c->doc);
    choose(c);
    put_more(c, began + left / 4);
    put_all_stacks(c, began + left * 3 / 4, req->deadline_ms, verdict);
    put_verdict(c->doc, verdict);
    if (req->dir >= 0) {
        tail_put_forks(c->doc, req->dir);
        tail_put_logs(c->doc, req->dir);
    }
    doc_int(c->doc, "took_ms", (int64_t)(clock_mono_ms() - began));
    return c->doc;
}
