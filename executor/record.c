/* What a trial leaves in the store: its parameters and reports while it runs, its outcome in the
 * end. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "executor/entry.h"
#include "executor/internal.h"

struct flush_job {
    struct storeq_job job;
    struct run *run;
    struct trial_param *params; /* names and distributions are the run's */
    size_t n_params;
    struct trial_step *steps;
    size_t n_steps;
    json_t *attrs, *rungs;
};

/* What the job writes, without an end. */
static struct entry flush_entry(const struct flush_job *f)
{
    return (struct entry){.trial = f->run->id,
                          .study = f->run->study->view.name,
                          .number = f->run->number,
                          .params = f->params,
                          .n_params = f->n_params,
                          .steps = f->steps,
                          .n_steps = f->n_steps,
                          .attrs = f->attrs,
                          .rungs = f->rungs};
}

static int flush_run(struct storeq_job *job, struct store *s, struct err *err)
{
    const struct entry e = flush_entry(CONTAINER_OF(job, struct flush_job, job));
    return entry_put_news(&e, s, err);
}

static void flush_spool(struct storeq_job *job, unsigned generation, struct buf *out)
{
    struct flush_job *f = CONTAINER_OF(job, struct flush_job, job);
    const struct entry e = flush_entry(f);
    spool_put(out, &e, spool_chain_next(&f->run->spooled, generation));
}

static void flush_free(struct flush_job *f)
{
    if (f == NULL)
        return;
    run_unref(f->run);
    free(f->params);
    free(f->steps);
    json_decref(f->attrs);
    json_decref(f->rungs);
    free(f);
}

static void flush_done(struct storeq_job *job)
{
    struct flush_job *f = CONTAINER_OF(job, struct flush_job, job);
    struct run *r = f->run;
    if (job->rc < 0) {
        log_event(LOG_WARNING, "trial_not_written", LOG_TEXT("study", r->study->view.name),
                  LOG_INT("trial", r->number), LOG_TEXT("error", job->err.msg));
        /* finished by somebody else: the outcome will find that out */
        if (job->rc != -ERR_FINISHED && r->refused.code == ERR_NONE)
            r->refused = job->err;
    }
    if (r->saving)
        return; /* the outcome's job looks at how this one went, and frees it */
    r->flush = NULL;
    record_reports(r); /* what came meanwhile; the flush still holds the run */
    flush_free(f);
}

/* Takes what is new in the run. NULL when out of memory: then nothing is taken. */
static struct flush_job *take_news(struct run *r)
{
    struct flush_job *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return NULL;
    f->job = (struct storeq_job){
        .kind = STOREQ_WRITE, .run = flush_run, .done = flush_done, .spool = flush_spool};
    f->run = r;
    r->refs++;
    f->params = calloc(r->n_params + 1, sizeof(*f->params));
    if (f->params == NULL) {
        flush_free(f);
        return NULL;
    }
    for (; r->stored_params < r->n_params; r->stored_params++) {
        const struct run_param *p = r->params[r->stored_params];
        f->params[f->n_params++] = (struct trial_param){p->name, p->dist, p->value};
    }
    f->n_steps = r->n_steps;
    f->steps = TAKE(r->steps);
    r->n_steps = 0;
    r->cap_steps = 0;
    f->attrs = TAKE(r->new_attrs);
    f->rungs = TAKE(r->new_rungs);
    return f;
}

static bool has_news(const struct run *r)
{
    return r->stored_params < r->n_params || r->n_steps > 0 || r->new_attrs != NULL ||
           r->new_rungs != NULL;
}

/* One job of a run at a time: while the store is slow, what a chatty worker says adds up here
 * instead of in the store's queue. */
void record_reports(struct run *r)
{
    if (r->flush != NULL || r->saving || !has_news(r))
        return;
    r->flush = take_news(r);
    if (r->flush != NULL)
        storeq_push(r->study->ex->storeq, &r->flush->job);
    else
        log_event(LOG_WARNING, "trial_not_written", LOG_INT("trial", r->number),
                  LOG_TEXT("error", "out of memory"));
}

struct finish_job {
    struct storeq_job job;
    struct run *run;
    struct sw_action action;
    int64_t retry_at_us;
    json_t *fallback, *training; /* see entry_end */
    struct sw_counts counts;
    struct flush_job
        *before;            /* pushed ahead of this job; NULL: none. Its rc is the store's answer */
    struct flush_job *news; /* what is left to write */
    bool refused;           /* the store lacks something of the trial: it failed */
};

/* Whether the store lacks what was to be written before; with the spool it will have what only
 * waited. That the trial was finished by somebody else the end will find out. */
static bool before_refused(const struct flush_job *before, bool spooled)
{
    int rc = before != NULL ? before->job.rc : 0;
    bool waits = spooled && before != NULL && before->job.spooled && !store_refused(rc);
    return rc < 0 && rc != -ERR_FINISHED && !waits;
}

/* The end that the job writes, to the store or to the spool. params: memory of what rows need. */
static struct entry_end finish_end(const struct finish_job *f, bool spooled, struct buf *params)
{
    const struct run *r = f->run;
    const struct spec *spec = r->study->spec;
    const struct sw_action *a = &f->action;
    if (json_array_size(r->rows) > 0)
        run_put_params(params, r);
    return (struct entry_end){.state = a->state,
                              .value = r->value,
                              .fail = a->fail,
                              .message = r->message,
                              .retry = a->retry,
                              .retry_at_us = f->retry_at_us,
                              .fallback = f->fallback,
                              .refused = before_refused(f->before, spooled) ? f->before->job.err.msg
                                                                            : NULL,
                              .rows = r->rows,
                              .params = buf_str(params),
                              .training = f->training,
                              .run_id = r->study->ex->run_row.run_id,
                              .crypto = training_crypto(spec),
                              .factor = training_factor(spec),
                              .direction = spec->study.direction};
}

static int put_outcome(struct finish_job *f, struct store *s, struct err *why, struct err *err)
{
    AUTO(buf_free) struct buf params = BUF_INIT;
    const struct entry_end end = finish_end(f, false, &params);
    struct entry e = flush_entry(f->news);
    e.end = &end;
    if (params.failed)
        return err_set(err, ERR_NOMEM, "trial %" PRId64, e.number);
    *why = end.refused != NULL ? f->before->job.err : (struct err){0};
    return entry_put_end(&e, s, why, &f->refused, err);
}

static void finish_spool(struct storeq_job *job, unsigned generation, struct buf *out)
{
    struct finish_job *f = CONTAINER_OF(job, struct finish_job, job);
    AUTO(buf_free) struct buf params = BUF_INIT;
    const struct entry_end end = finish_end(f, true, &params);
    struct entry e = flush_entry(f->news);
    e.end = &end;
    spool_put(out, &e, spool_chain_next(&f->run->spooled, generation));
    out->failed = out->failed || params.failed;
}

static int finish_run(struct storeq_job *job, struct store *s, struct err *err)
{
    struct finish_job *f = CONTAINER_OF(job, struct finish_job, job);
    int64_t counts[TRIAL_STATES];
    struct err why;
    int rc = put_outcome(f, s, &why, err);
    int answer = rc; /* finished by somebody else: still an answer, with counts */
    if (rc == 0 || rc == -ERR_FINISHED)
        rc = store_study_counts(s, f->run->study->id, counts, err);
    if (rc == 0)
        f->counts = study_counts(counts);
    if (rc == 0 && answer == 0 && f->refused)
        *err = why; /* for finish_done */
    return rc < 0 ? rc : answer;
}

static void finish_free(struct finish_job *f)
{
    flush_free(f->before);
    flush_free(f->news);
    json_decref(f->fallback);
    json_decref(f->training);
    run_unref(f->run);
    free(f);
}

/* The outcome was good, but what led to it is not stored. */
static void turn_to_failure(struct run *r, const struct err *why)
{
    r->ended = false;
    run_fail(r, FAIL_STORAGE, "not stored: %.220s", why->msg); /* as in the store */
}

static void finish_done(struct storeq_job *job)
{
    struct finish_job *f = CONTAINER_OF(job, struct finish_job, job);
    struct study *st = f->run->study;
    struct executor *ex = st->ex;
    struct sw_event ev = {.type = SW_EV_SAVED,
                          .study = st->index,
                          .state = f->action.state,
                          .counts = f->counts,
                          .saved = SW_SAVED_OK};
    if (job->rc == -ERR_FINISHED) {
        ev.saved = SW_SAVED_OTHERWISE;
        log_event(LOG_WARNING, "trial_taken_over", LOG_TEXT("study", st->view.name),
                  LOG_INT("trial", f->run->number));
    } else if (job->rc < 0) {
        ev.saved = SW_SAVED_FAILED;
        study_store_lost(st, &job->err);
        log_event(LOG_ERROR, "trial_not_stored", LOG_TEXT("study", st->view.name),
                  LOG_INT("trial", f->run->number), LOG_FLAG("spooled", job->spooled),
                  LOG_TEXT("error", job->err.msg));
    }
    if (job->rc == 0 || job->rc == -ERR_FINISHED)
        st->view.counts = f->counts;
    if (job->rc == 0)
        st->view.interrupted += fail_class_is_interruption(f->action.fail);
    if (job->rc == 0 && f->refused) {
        ev.saved = SW_SAVED_OTHERWISE;
        turn_to_failure(f->run, &job->err);
    }
    if (job->rc == 0 && f->action.state != TRIAL_FAIL)
        ended_tell(f->run);
    finish_free(f);
    executor_feed(ex, ev);
}

/* Our own trial, as soon as its outcome is known: the next one is chosen with it. */
static void learn_own(struct run *r)
{
    struct study *st = r->study;
    AUTO_FREE struct trial_param *params = calloc(r->n_params + 1, sizeof(*params));
    if (params == NULL)
        return;
    struct trial t = run_view(r, params);
    study_learn_own(st, &t);
}

void record_start(struct run *r)
{
    learn_own(r); /* as running: samplers keep others away from it */
    record_reports(r);
}

void record_outcome(struct run *r, const struct sw_action *a)
{
    struct executor *ex = r->study->ex;
    learn_own(r);
    struct finish_job *f = calloc(1, sizeof(*f));
    struct flush_job *news = f != NULL ? take_news(r) : NULL;
    if (news == NULL) {
        free(f);
        run_unref(r);
        executor_feed(ex, (struct sw_event){.type = SW_EV_SAVED,
                                            .study = a->study,
                                            .state = a->state,
                                            .saved = SW_SAVED_FAILED});
        return;
    }
    f->job = (struct storeq_job){
        .kind = STOREQ_DURABLE, .run = finish_run, .done = finish_done, .spool = finish_spool};
    f->run = r;
    f->action = *a;
    f->before = TAKE(r->flush);
    f->news = news;
    f->training = training_of(r, a->fail);
    f->fallback = a->rung > 0 ? ladder_next(r, a->rung) : NULL;
    r->saving = true;
    uint64_t now = executor_now(ex);
    if (a->retry && a->due_ms > now)
        f->retry_at_us = clock_utc_us() + (int64_t)(a->due_ms - now) * 1000;
    storeq_push(ex->storeq, &f->job);
}

struct return_job {
    struct storeq_job job;
    struct run *run;
    struct sw_counts counts;
};

static int return_run(struct storeq_job *job, struct store *s, struct err *err)
{
    struct return_job *f = CONTAINER_OF(job, struct return_job, job);
    int64_t counts[TRIAL_STATES];
    int rc = store_trial_state(s, f->run->id, TRIAL_WAITING, NULL, 0, NULL, err);
    if (rc == -ERR_FINISHED) /* by somebody who thought us dead: it is off our hands all the same */
        rc = 0;
    if (rc == 0)
        rc = store_study_counts(s, f->run->study->id, counts, err);
    if (rc == 0)
        f->counts = study_counts(counts);
    return rc;
}

static void return_done(struct storeq_job *job)
{
    AUTO_FREE struct return_job *f = CONTAINER_OF(job, struct return_job, job);
    struct study *st = f->run->study;
    if (job->rc < 0)
        study_store_lost(st, &job->err);
    else
        st->view.counts = f->counts;
    run_unref(f->run);
    executor_feed(st->ex, (struct sw_event){.type = SW_EV_SAVED,
                                            .study = st->index,
                                            .state = TRIAL_WAITING,
                                            .counts = f->counts,
                                            .saved = job->rc < 0 ? SW_SAVED_FAILED : SW_SAVED_OK});
}

void record_return(struct run *r)
{
    struct study *st = r->study;
    struct return_job *f = calloc(1, sizeof(*f));
    run_drop_dir(r);
    if (f == NULL) {
        run_unref(r);
        executor_feed(st->ex, (struct sw_event){.type = SW_EV_SAVED,
                                                .study = st->index,
                                                .state = TRIAL_WAITING,
                                                .saved = SW_SAVED_FAILED});
        return;
    }
    f->job = (struct storeq_job){.kind = STOREQ_DURABLE, .run = return_run, .done = return_done};
    f->run = r;
    storeq_push(st->ex->storeq, &f->job);
}
