/* The sweep's dealings with the store beside its trials: heartbeats, trials of dead executors, the
 * proof and the run's row. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executor/internal.h"

/* --- heartbeats
 * ------------------------------------------------------------------------------------ */

struct beat_job {
    struct storeq_job job;
    struct executor *ex;
    size_t n;
    int64_t ids[]; /* trials that progress, or are held to be run next */
};

static int beat_run(struct storeq_job *job, struct store *s, struct err *err)
{
    const struct beat_job *b = CONTAINER_OF(job, struct beat_job, job);
    int rc = b->n > 0 ? store_heartbeat(s, b->ids, b->n, err) : 0;
    for (int i = 0; rc == 0 && i < b->ex->n_studies; i++) {
        if (b->ex->studies[i].id > 0)
            rc = lost_reap(&b->ex->studies[i], s, err);
    }
    return rc;
}

static void beat_done(struct storeq_job *job)
{
    AUTO_FREE struct beat_job *b = CONTAINER_OF(job, struct beat_job, job);
    b->ex->beating = false;
    if (job->rc < 0)
        log_event(LOG_WARNING, "heartbeat_not_written", LOG_TEXT("error", job->err.msg));
}

/* A trial that makes no progress gets no heartbeat: for other processes it then looks as dead as it
 * is. */
static bool progresses(const struct slot *s, uint64_t now)
{
    return s->alive && s->run != NULL && s->fsm.state == WK_RUNNING &&
           (s->fsm.conf.stall_ms == 0 || now - s->fsm.active_ms < s->fsm.conf.stall_ms);
}

void executor_heartbeat(struct executor *ex)
{
    if (ex->beating || ex->over)
        return; /* the store is slow: one waiting heartbeat is enough */
    struct beat_job *b = calloc(1, sizeof(*b) + 2 * (size_t)ex->plan.jobs * sizeof(b->ids[0]));
    if (b == NULL)
        return;
    b->job = (struct storeq_job){.kind = STOREQ_WRITE, .run = beat_run, .done = beat_done};
    b->ex = ex;
    uint64_t now = executor_now(ex);
    for (int i = 0; i < ex->plan.jobs; i++) {
        if (progresses(&ex->slots[i], now))
            b->ids[b->n++] = ex->slots[i].run->id;
        if (ex->slots[i].claimed != NULL) /* it waits for the slot, and is not lost */
            b->ids[b->n++] = ex->slots[i].claimed->id;
    }
    ex->beating = true;
    for (int i = 0; i < ex->n_studies; i++)
        lost_tell_waiting(&ex->studies[i]);
    spool_adopt_later(ex); /* before trials of dead executors are taken for lost */
    storeq_push(ex->storeq, &b->job);
}

/* --- the proof
 * ------------------------------------------------------------------------------------- */

struct prove_job {
    struct storeq_job job;
    struct executor *ex;
    bool proven;
    int64_t trials, rows;
};

struct found {
    int64_t complete, all;
};

static int count_trial(void *ctx, const struct trial *t)
{
    struct found *f = ctx;
    f->complete += t->state == TRIAL_COMPLETE;
    f->all++;
    return 0;
}

/* Rows of our own studies: other shards of the run prove theirs. */
static int count_rows(const struct executor *ex, struct store *s, int64_t *rows, struct err *err)
{
    int rc = 0;
    *rows = 0;
    for (int i = 0; rc == 0 && i < ex->n_studies; i++) {
        int64_t n = 0;
        rc = store_results_count(s, ex->conf->run_id, ex->studies[i].view.name, "success", &n, err);
        *rows += n;
    }
    return rc;
}

/* Reads the rows themselves, through a connection of its own: what it sees is what others will see.
 */
static int prove_run(struct storeq_job *job, struct store *ours, struct err *err)
{
    struct prove_job *p = CONTAINER_OF(job, struct prove_job, job);
    const struct executor *ex = p->ex;
    const struct spec *spec = ex->spec;
    const struct store_opts opts = {.read_only = true};
    AUTO_STORE struct store *s = NULL;
    (void)ours;
    p->proven = true;
    p->trials = 0;
    p->rows = -1;
    int rc = store_open(&s, spec->study.storage, &opts, err);
    for (int i = 0; rc == 0 && i < ex->n_studies; i++) {
        const struct study *st = &ex->studies[i];
        int64_t study = 0;
        struct found n = {0};
        const struct store_each_opts finished = {
            .states = STORE_STATE_BIT(TRIAL_COMPLETE) |
                      (st->spec->budget.complete > 0 ? 0 : STORE_STATE_BIT(TRIAL_PRUNED))};
        rc = store_study_find(s, st->view.name, &study, err);
        if (rc == 0)
            rc = store_trials_each(s, study, &finished, count_trial, &n, err);
        p->trials += n.all;
        /* a study without a result proves nothing, whatever was promised */
        p->proven = p->proven && rc == 0 && n.complete > 0 && n.all >= st->view.target &&
                    n.all >= st->spec->prove.trials;
    }
    if (rc == 0 && ex->conf->prove_rows > 0) {
        rc = count_rows(ex, s, &p->rows, err);
        p->proven = p->proven && rc == 0 && p->rows >= ex->conf->prove_rows;
    }
    return rc;
}

static void prove_done(struct storeq_job *job)
{
    AUTO_FREE struct prove_job *p = CONTAINER_OF(job, struct prove_job, job);
    struct executor *ex = p->ex;
    bool proven = job->rc == 0 && p->proven;
    ex->result->proven_trials = p->trials;
    ex->result->proven_rows = p->rows;
    if (job->rc < 0 && ex->result->err.code == ERR_NONE)
        ex->result->err = job->err;
    log_event(proven ? LOG_INFO : LOG_ERROR, "proof", LOG_FLAG("proven", proven),
              LOG_INT("trials", p->trials), LOG_INT("rows", p->rows),
              LOG_INT("rows_wanted", ex->conf->prove_rows),
              LOG_TEXT("error", job->rc < 0 ? job->err.msg : NULL));
    executor_feed(ex, (struct sw_event){.type = SW_EV_PROVED, .proven = proven});
}

void executor_prove(struct executor *ex)
{
    struct prove_job *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        executor_feed(ex, (struct sw_event){.type = SW_EV_PROVED, .proven = false});
        return;
    }
    p->job = (struct storeq_job){.kind = STOREQ_READ, .run = prove_run, .done = prove_done};
    p->ex = ex;
    storeq_push(ex->storeq, &p->job);
}

/* --- the run's row
 * --------------------------------------------------------------------------------- */

struct end_job {
    struct storeq_job job;
    struct executor *ex;
    const char *status;
};

static int end_run(struct storeq_job *job, struct store *s, struct err *err)
{
    const struct end_job *e = CONTAINER_OF(job, struct end_job, job);
    if (!atomic_load(&e->ex->entered))
        return 0;
    return store_run_end(s, e->ex->conf->run_id, e->status, err);
}

static void end_done(struct storeq_job *job)
{
    AUTO_FREE struct end_job *e = CONTAINER_OF(job, struct end_job, job);
    if (job->rc < 0)
        log_event(LOG_ERROR, "run_not_stored", LOG_TEXT("error", job->err.msg));
    storeq_stop(e->ex->storeq);
    executor_close(e->ex);
}

void executor_end_run(struct executor *ex, enum sw_reason reason)
{
    bool entered = atomic_load(&ex->entered);
    struct end_job *e = calloc(1, sizeof(*e));
    if (!entered)
        storeq_give_up(ex->storeq); /* nothing is lost with what waits to be opened */
    if (e == NULL) {
        storeq_stop(ex->storeq);
        executor_close(ex);
        return;
    }
    /* it comes after a study that is being opened, which may enter the run yet: else there is
     * nothing to write, and no lock to wait for */
    e->job = (struct storeq_job){
        .kind = entered ? STOREQ_DURABLE : STOREQ_READ, .run = end_run, .done = end_done};
    e->ex = ex;
    e->status = reason == SW_MET         ? "success"
                : reason == SW_PREEMPTED ? "preempted"
                : reason == SW_TIME      ? "out_of_time"
                                         : "failed";
    storeq_push(ex->storeq, &e->job);
}
