#include "executor/evidence/job.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* Belongs to the loop and to the thread: who is done with it last frees it. */
struct evidence_job {
    atomic_int refs;
    atomic_bool early; /* the first facts are written */
    atomic_bool ready; /* the result is the loop's: what the pipe tells, in a way that C knows */
    pid_t root;
    int dir; /* -1: only the verdict is wanted */
    json_t *about;
    uint64_t began_ms, limit_ms;
    int ends[2]; /* the thread closes [1] when the result is there */

    struct evidence_result result; /* the thread's, until then */
    evidence_done_fn *done;
    void *ctx;
    uv_poll_t poll;
};

static void unref(struct evidence_job *job)
{
    if (atomic_fetch_sub(&job->refs, 1) > 1)
        return;
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

static void *work(void *arg)
{
    struct evidence_job *job = arg;
    struct evidence_result *r = &job->result;
    if (job->dir >= 0)
        collect(job);
    else
        evidence_verdict(job->root, job->limit_ms > 0 ? job->began_ms + job->limit_ms : 0,
                         &r->verdict);
    r->took_ms = clock_mono_ms() - job->began_ms;
    atomic_store(&job->ready, true);
    (void)close(job->ends[1]); /* wakes the loop */
    unref(job);
    return NULL;
}

static void on_closed(uv_handle_t *h)
{
    struct evidence_job *job = CONTAINER_OF((uv_poll_t *)h, struct evidence_job, poll);
    (void)close(job->ends[0]);
    unref(job);
}

static void on_result(uv_poll_t *p, int status, int events)
{
    struct evidence_job *job = CONTAINER_OF(p, struct evidence_job, poll);
    (void)status;
    (void)events;
    if (!atomic_load(&job->ready))
        return;
    uv_close((uv_handle_t *)p, on_closed);
    job->done(job->ctx, &job->result);
}

static bool start_thread(struct evidence_job *job)
{
    pthread_attr_t attr;
    pthread_t thread;
    if (pthread_attr_init(&attr) != 0)
        return false;
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&thread, &attr, work, job);
    (void)pthread_attr_destroy(&attr);
    return rc == 0;
}

/* With one reference, the caller's. NULL when out of memory. */
static struct evidence_job *create(pid_t root, uint64_t limit_ms, evidence_done_fn *done, void *ctx)
{
    struct evidence_job *job = calloc(1, sizeof(*job));
    if (job != NULL)
        *job = (struct evidence_job){.refs = 1,
                                     .root = root,
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
    if (pipe2(job->ends, O_CLOEXEC) < 0) {
        unref(job);
        return NULL;
    }
    if (uv_poll_init(loop, &job->poll, job->ends[0]) < 0) {
        (void)close(job->ends[0]);
        (void)close(job->ends[1]);
        unref(job);
        return NULL;
    }
    atomic_fetch_add(&job->refs, 1);
    (void)uv_poll_start(&job->poll, UV_READABLE | UV_DISCONNECT, on_result);
    if (!start_thread(job)) {
        (void)close(job->ends[1]);
        unref(job);
        uv_close((uv_handle_t *)&job->poll, on_closed);
        return NULL;
    }
    return job;
}

struct evidence_job *evidence_start(uv_loop_t *loop, pid_t root, int dir, json_t *about,
                                    uint64_t limit_ms, evidence_done_fn *done, void *ctx)
{
    struct evidence_job *job = create(root, limit_ms, done, ctx);
    if (job == NULL) {
        json_decref(about);
        return NULL;
    }
    job->about = about;
    job->dir = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    if (job->dir < 0) {
        unref(job);
        return NULL;
    }
    return start(job, loop);
}

struct evidence_job *evidence_look(uv_loop_t *loop, pid_t root, uint64_t limit_ms,
                                   evidence_done_fn *done, void *ctx)
{
    struct evidence_job *job = create(root, limit_ms, done, ctx);
    return job != NULL ? start(job, loop) : NULL;
}

void evidence_cancel(struct evidence_job *job, struct evidence_result *so_far)
{
    *so_far = (struct evidence_result){0};
    if (job == NULL)
        return;
    so_far->saved = atomic_load(&job->early);
    so_far->took_ms = clock_mono_ms() - job->began_ms;
    (void)snprintf(so_far->error, sizeof(so_far->error), "only its first facts");
    uv_close((uv_handle_t *)&job->poll, on_closed);
}
