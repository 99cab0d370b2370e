/* Two proofs. A mutex whose owner is a thread that this process does not have will never be
 * unlocked. And a private futex can be woken by threads of the same process alone: when all of them
 * wait so, without a time limit, and one of them for a lock, nobody is left to release it. */
#include "executor/evidence/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "executor/evidence/waiting.h"
#include "executor/proc.h"

#define MAPS_LIMIT (1u << 20)

/* One look at all threads of a process. */
struct census {
    pid_t parent;
    int threads, stuck;
    bool behind_lock;
    bool endless;      /* one of them waits without a time limit */
    bool first_waits;  /* the thread that forked waits for a futex, if only for a while each time */
    uint64_t digest;   /* of who waits where, and how often each had run before */
    pid_t orphan;      /* the thread that waits for an orphaned mutex; 0: none */
    pid_t lost_owner;  /* to which that mutex belongs */
    bool orphan_timed; /* not for ever */
};

static uint64_t mix(uint64_t digest, uint64_t value)
{
    for (int i = 0; i < 8; i++, value >>= 8)
        digest = (digest ^ (value & 0xff)) * 0x100000001b3u;
    return digest;
}

/* How often it gave up its CPU by waiting. */
static uint64_t times_waited(pid_t pid, pid_t tid)
{
    char path[64], text[4096];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tid);
    const char *at =
        proc_read(path, text, sizeof(text)) > 0 ? strstr(text, "\nvoluntary_ctxt") : NULL;
    return at != NULL ? strtoull(at + strcspn(at, ":") + 1, NULL, 10) : 0;
}

static void count_thread(void *ctx, pid_t pid, pid_t tid)
{
    struct census *c = ctx;
    struct waiting w;
    pid_t owner;
    uint64_t before = times_waited(pid, tid);
    waiting_read(pid, tid, &w);
    c->threads++;
    c->digest = mix(mix(mix(mix(c->digest, (uint64_t)tid), before), w.addr), w.sp);
    c->endless = c->endless || w.endless;
    c->first_waits = c->first_waits || (tid == pid && w.futex);
    if (!w.futex)
        return;
    if (w.is_private && !w.timed) {
        c->stuck++;
        c->behind_lock = c->behind_lock || waiting_for_lock(pid, &w);
    }
    /* the thread that forked lives on as the first one, and may hold locks by its old name: only
     * when it waits itself is nobody left who could unlock */
    if ((c->orphan == 0 || tid == pid) && waiting_orphaned(pid, &w, &owner) &&
        (tid == pid || owner != c->parent)) {
        c->orphan = tid;
        c->lost_owner = owner;
        c->orphan_timed = w.timed;
    }
}

static struct census count(pid_t pid, pid_t parent)
{
    struct census c = {.parent = parent};
    proc_each_thread(pid, count_thread, &c);
    return c;
}

/* The same look twice: between the two there was a moment in which nobody ran. */
static bool stands_still(pid_t pid, const struct census *first)
{
    struct census again = count(pid, first->parent);
    return first->digest == again.digest && first->threads == again.threads;
}

static bool read_facts(pid_t pid, struct verdict_facts *out, struct census *c)
{
    struct proc_stat st, parent;
    if (!proc_read_stat(pid, &st))
        return false;
    *out = (struct verdict_facts){
        .forked = (st.flags & PROC_FORKED_NO_EXEC) != 0, .parent = st.ppid, .threads = st.threads};
    if (st.ppid > 0 && proc_read_stat(st.ppid, &parent))
        out->parent_threads = parent.threads;
    *c = count(pid, st.ppid);
    if (c->threads > 0 && c->stuck == c->threads && stands_still(pid, c)) {
        out->all_stuck = true;
        out->behind_lock = c->behind_lock;
    }
    return true;
}

static void origin(const struct verdict_facts *f, char *out, size_t n)
{
    if (f->parent_threads > 1)
        (void)snprintf(out, n, ", forked without exec from process %d, which has %d threads,",
                       (int)f->parent, f->parent_threads);
    else
        (void)snprintf(out, n, "%s", f->forked ? ", forked without exec," : "");
}

static void judge_orphan(pid_t pid, const struct verdict_facts *f, const struct census *c,
                         struct verdict *out)
{
    char from[96];
    bool proven = f->forked && c->orphan == pid && !c->orphan_timed;
    origin(f, from, sizeof(from));
    *out = (struct verdict){
        .kind = proven ? VERDICT_PROVEN : VERDICT_SUSPICIOUS, .pid = pid, .tid = c->orphan};
    (void)snprintf(out->why, sizeof(out->why),
                   "thread %d of process %d%s waits for a mutex that belongs to thread %d, and "
                   "the process has no such thread%s",
                   (int)c->orphan, (int)pid, from, (int)c->lost_owner,
                   proven ? ": nobody can unlock it" : "");
}

/* gRPC waits for descriptors too, and there only its stack can tell it from others. */
static bool has_grpc(pid_t pid)
{
    char path[64];
    AUTO_FREE char *maps = malloc(MAPS_LIMIT);
    (void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    return maps != NULL && proc_read(path, maps, MAPS_LIMIT) > 0 && strstr(maps, "grpc") != NULL;
}

void verdict_look(pid_t pid, struct verdict *out, struct verdict_facts *facts)
{
    struct verdict_facts f;
    struct census c;
    char from[96];
    *out = (struct verdict){.pid = pid, .tid = pid};
    *facts = (struct verdict_facts){0};
    if (!read_facts(pid, &f, &c))
        return;
    *facts = f;
    if (c.orphan != 0)
        judge_orphan(pid, &f, &c, out);
    out->look_closer =
        out->kind == VERDICT_SUSPICIOUS ||
        (f.forked && f.parent_threads > 1 && (c.endless || c.first_waits) && has_grpc(pid));
    if (out->kind == VERDICT_PROVEN || !f.forked || !f.all_stuck)
        return;
    origin(&f, from, sizeof(from));
    if (f.behind_lock) {
        out->kind = VERDICT_PROVEN;
        (void)snprintf(out->why, sizeof(out->why),
                       "process %d%s waits for a lock that is taken, and it has no thread that "
                       "could release it: %s",
                       (int)pid, from,
                       f.threads == 1 ? "it has only the one that waits" : "all of them wait");
    } else if (out->kind == VERDICT_NONE && f.parent_threads != 1) {
        out->kind = VERDICT_SUSPICIOUS;
        out->look_closer = true;
        (void)snprintf(out->why, sizeof(out->why),
                       "all threads (%d) of process %d%s wait for one another, without a time "
                       "limit",
                       f.threads, (int)pid, from);
    }
}

void verdict_note(struct verdict *v)
{
    struct proc_stat st;
    bool proven = v->kind == VERDICT_PROVEN;
    v->digest = proven ? count(v->pid, 0).digest : 0;
    v->start_ticks = proven && proc_read_stat(v->pid, &st) ? st.start_ticks : 0;
}

bool verdict_stands(const struct verdict *v)
{
    return v->digest != 0 && count(v->pid, 0).digest == v->digest;
}

void verdict_join(struct verdict *best, const struct verdict *other)
{
    bool closer = best->look_closer || other->look_closer;
    if (other->kind > best->kind)
        *best = *other;
    best->look_closer = closer;
}

const char *verdict_name(enum verdict_kind kind)
{
    static const char *const names[] = {"none", "suspicious", "proven"};
    return names[kind];
}
