#include "executor/evidence/job.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/aside.h"

/* The thread's, until it has done its work; then the loop's. */
struct evidence_job {
    struct aside *aside;
    atomic_bool early; /* the first facts are written; both look */
    pid_t root;
    int dir; /* -1: only the verdict is wanted */
    json_t *about;
    struct verdict known;
    uint64_t began_ms, limit_ms;
    struct evidence_result result;
    evidence_done_fn *done;
    void *ctx;
};

static void job_free(void *data)
{
    struct evidence_job *job = data;
    cleanup_close(&job->dir);
    json_decref(job->about);
    free(job);
}

static void save_early(void *ctx, const json_t *doc)
{
    struct evidence_job *job = ctx;
    atomic_store(&job->early, evidence_save(job->dir, doc, NULL) == 0);
}

static void collect(struct evidence_job *job)
{
    struct evidence_result *r = &job->result;
    const struct evidence_req req = {.root = job->root,
                                     .dir = job->dir,
                                     .deadline_ms = job->began_ms + job->limit_ms,
                                     .about = job->about,
                                     .known = &job->known,
                                     .early = save_early,
                                     .ctx = job};
    struct err err = {0};
    AUTO_JSON json_t *doc = evidence_collect(&req, &r->verdict);
    int rc =
        doc != NULL ? evidence_save(job->dir, doc, &err) : err_set(&err, ERR_NOMEM, "evidence");
    r->whole = rc == 0;
    r->saved = r->whole || atomic_load(&job->early);
    (void)snprintf(r->error, sizeof(r->error), "%.190s", rc < 0 ? err.msg : "");
}

static void work(void *data)
{
    struct evidence_job *job = data;
    struct evidence_result *r = &job->result;
    if (job->dir >= 0)
        collect(job);
    else if (!verdict_stands(&r->verdict))
        evidence_verdict(job->root, r->verdict.pid,
                         job->limit_ms > 0 ? job->began_ms + job->limit_ms : 0, &r->verdict);
    r->took_ms = clock_mono_ms() - job->began_ms;
}

static void on_done(void *data)
{
    struct evidence_job *job = data;
    job->done(job->ctx, &job->result);
}

/* NULL when out of memory. */
static struct evidence_job *create(pid_t root, uint64_t limit_ms, evidence_done_fn *done, void *ctx)
{
    struct evidence_job *job = calloc(1, sizeof(*job));
    if (job != NULL)
        *job = (struct evidence_job){.root = root,
                                     .dir = -1,
                                     .began_ms = clock_mono_ms(),
                                     .limit_ms = limit_ms,
                                     .done = done,
                                     .ctx = ctx};
    return job;
}

/* The job, or NULL: then it is gone. */
static struct evidence_job *start(struct evidence_job *job, uv_loop_t *loop)
{
    static const struct aside_conf conf = {.work = work, .done = on_done, .free = job_free};
    struct aside *a = aside_start(loop, &conf, job);
    if (a == NULL)
        return NULL;
    job->aside = a; /* only the loop reads it */
    return job;
}

struct evidence_job *evidence_start(uv_loop_t *loop, pid_t root, int dir, json_t *about,
                                    const struct verdict *known, uint64_t limit_ms,
                                    evidence_done_fn *done, void *ctx)
{
    struct evidence_job *job = create(root, limit_ms, done, ctx);
    if (job == NULL) {
        json_decref(about);
        return NULL;
    }
    job->about = about;
    job->known = *known;
    job->dir = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    if (job->dir < 0) {
        job_free(job);
        return NULL;
    }
    return start(job, loop);
}

struct evidence_job *evidence_look(uv_loop_t *loop, pid_t root, const struct verdict *before,
                                   uint64_t limit_ms, evidence_done_fn *done, void *ctx)
{
    struct evidence_job *job = create(root, limit_ms, done, ctx);
    if (job == NULL)
        return NULL;
    job->result.verdict = *before;
    return start(job, loop);
}

void evidence_cancel(struct evidence_job *job, struct evidence_result *so_far)
{
    *so_far = (struct evidence_result){0};
    if (job == NULL)
        return;
    so_far->saved = atomic_load(&job->early);
    so_far->took_ms = clock_mono_ms() - job->began_ms;
    (void)snprintf(so_far->error, sizeof(so_far->error), "only its first facts");
    aside_forget(job->aside);
}
