/* One case, once: run, and judged when its time is up. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/evidence/evidence.h"
#include "integration/reproducers/judge.h"
#include "integration/reproducers/run.h"

/* Between two looks; so many more while something moves: a busy machine is no verdict. */
enum { STILL_MS = 1000, LOOKS = 60, EVIDENCE_MS = 5000 };

static const char skipped[] = "skipping fork() handlers";

void repro_result_free(struct repro_result *r)
{
    buf_free(&r->events);
    buf_free(&r->log);
    buf_free(&r->evidence);
}

const char *repro_end_name(enum repro_end end)
{
    static const char *const names[] = {"passed", "hung", "failed", "slow"};
    assert((size_t)end < ARRAY_LEN(names));
    return names[end];
}

static void put_evidence(struct buf *b, pid_t pid)
{
    const struct evidence_req req = {
        .root = pid, .dir = -1, .deadline_ms = clock_mono_ms() + EVIDENCE_MS};
    struct verdict verdict;
    AUTO_JSON json_t *doc = evidence_collect(&req, &verdict);
    AUTO_FREE char *text = doc != NULL ? json_dumps(doc, JSON_COMPACT) : NULL;
    buf_puts(b, text != NULL ? text : "{}");
}

static void condemn(struct repro_result *out, const struct judged *stuck)
{
    out->end = REPRO_HUNG;
    out->child = stuck->pid;
    out->parent = stuck->parent;
    out->parent_threads = stuck->parent_threads;
}

/* Its time is up: a hang, or only slow? Returns as run_watch. */
static int look_closely(struct repro_result *out, struct running *w, struct err *err)
{
    struct look before, now;
    judge_look(w->proc.pid, &before);
    w->child_started = true; /* from here on the limit is as it is said */
    for (int i = 0; i < LOOKS; i++) {
        w->since_ms = clock_mono_ms();
        int rc = run_watch(w, STILL_MS, err);
        if (rc != 0)
            return rc;
        judge_look(w->proc.pid, &now);
        const struct judged *stuck = judge(&before, &now);
        if (stuck != NULL)
            condemn(out, stuck);
        if (stuck != NULL || !judge_moved(&before, &now))
            return 0;
        before = now;
    }
    return 0;
}

static void hand_over(struct repro_result *out, struct running *w, bool over)
{
    if (over) {
        out->status = w->status;
        out->end =
            WIFEXITED(w->status) && WEXITSTATUS(w->status) == 0 ? REPRO_PASSED : REPRO_FAILED;
    }
    out->events = w->events;
    w->events = BUF_INIT;
    buf_add(&w->out, w->log.data, w->log.len);
    out->log = w->out;
    w->out = BUF_INIT;
    out->handlers_skipped = strstr(buf_str(&out->log), skipped) != NULL;
}

int repro_try(struct repro_session *s, const struct reproducer *r, const struct repro_arm *arm,
              const char *name, struct profile *profile, struct repro_result *out, struct err *err)
{
    AUTO(run_free) struct running w;
    struct repro_result result = {.end = REPRO_SLOW};
    int rc = run_start(&w, s, r, arm, "run", name, err);
    if (rc < 0)
        return rc;
    w.profile = profile;
    if (profile != NULL)
        profile_try(profile, name);
    rc = run_watch(&w, arm->timeout_ms, err);
    uint64_t since_ms = w.since_ms;
    if (rc == 0)
        rc = look_closely(&result, &w, err);
    result.ms = clock_mono_ms() - since_ms;
    if (rc == 0 && result.end == REPRO_HUNG)
        put_evidence(&result.evidence, w.proc.pid);
    if (profile != NULL)
        profile_stop(profile);
    run_end(&w);
    if (rc < 0) {
        repro_result_free(&result);
        return rc;
    }
    hand_over(&result, &w, rc == 1);
    *out = result;
    return 0;
}
