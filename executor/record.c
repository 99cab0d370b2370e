/* What a trial leaves in the store: its parameters and reports while it runs, its outcome in the
 * end. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
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

static int put_attrs(struct store *s, int64_t id, enum attr_kind kind, json_t *attrs,
                     struct err *err)
{
    int rc = 0;
    const char *key;
    json_t *value;
    json_object_foreach(attrs, key, value)
    {
        AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY);
        const struct trial_attr a = {key, text};
        rc = text != NULL ? store_trial_attrs(s, id, kind, &a, 1, err)
                          : err_set(err, ERR_NOMEM, "attribute %s", key);
        if (rc < 0)
            break;
    }
    return rc;
}

static int put_news(const struct flush_job *f, struct store *s, struct err *err)
{
    int rc = 0;
    if (f->n_params > 0)
        rc = store_trial_params(s, f->run->id, f->params, f->n_params, err);
    if (rc == 0 && f->n_steps > 0)
        rc = store_trial_steps(s, f->run->id, f->steps, f->n_steps, err);
    if (rc == 0)
        rc = put_attrs(s, f->run->id, ATTR_SYSTEM, f->rungs, err);
    return rc == 0 ? put_attrs(s, f->run->id, ATTR_USER, f->attrs, err) : rc;
}

static int flush_run(struct storeq_job *job, struct store *s, struct err *err)
{
    return put_news(CONTAINER_OF(job, struct flush_job, job), s, err);
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
    f->job = (struct storeq_job){.kind = STOREQ_WRITE, .run = flush_run, .done = flush_done};
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
    struct sw_counts counts;
    struct flush_job
        *before;            /* pushed ahead of this job; NULL: none. Its rc is the store's answer */
    struct flush_job *news; /* what is left to write */
    bool refused;           /* the store lacks something of the trial: it failed */
};

static const char *cell_value(const struct spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->n_cell; i++) {
        if (strcmp(spec->cell[i].name, name) == 0)
            return spec->cell[i].value;
    }
    return NULL;
}

static int put_row(const struct run *r, const json_t *row, const char *params, struct store *s,
                   struct err *err)
{
    const struct spec *spec = r->study->spec;
    const json_t *buys = json_object_get(row, "buy_trades");
    AUTO_FREE char *metrics = json_dumps(json_object_get(row, "metrics"), 0);
    const struct store_result result = {
        .run_id = r->study->ex->run_row.run_id,
        .study = spec->study.name,
        .variant = json_string_value(json_object_get(row, "variant")),
        .fold = json_integer_value(json_object_get(row, "fold")),
        .crypto_symbol = cell_value(spec, "crypto"),
        .factor = cell_value(spec, "factor"),
        .trial_number = r->number,
        .objective = r->value,
        .direction = spec->study.direction,
        .run_status = "success",
        .params = params,
        .metrics = metrics,
        .buy_trades = json_is_integer(buys) ? json_integer_value(buys) : -1,
    };
    return store_results_put(s, &result, 1, err);
}

static int put_rows(const struct run *r, struct store *s, struct err *err)
{
    struct buf params = BUF_INIT;
    int rc = 0;
    size_t i;
    json_t *row;
    if (json_array_size(r->rows) > 0)
        run_put_params(&params, r);
    json_array_foreach(r->rows, i, row)
    {
        rc = put_row(r, row, buf_str(&params), s, err);
        if (rc < 0)
            break;
    }
    buf_free(&params);
    return rc;
}

static int put_failure(const struct run *r, enum fail_class class, const char *why, struct store *s,
                       struct err *err)
{
    struct buf b = BUF_INIT;
    json_put_string(&b, fail_class_name(class));
    const struct trial_attr fail = {ATTR_CLASS, buf_str(&b)};
    int rc = store_trial_attrs(s, r->id, ATTR_USER, &fail, 1, err);
    if (rc == 0 && why[0] != '\0') {
        buf_clear(&b);
        json_put_string(&b, why);
        const struct trial_attr message = {ATTR_MESSAGE, buf_str(&b)};
        rc = store_trial_attrs(s, r->id, ATTR_USER, &message, 1, err);
    }
    buf_free(&b);
    return rc;
}

/* Writes what is left. A refusal, of this or of an earlier write, is returned in *why: what the
 * store lacks makes a good outcome a lie. Errors: trouble, that a later try may not have. */
static int put_rest(const struct finish_job *f, struct store *s, struct err *why, struct err *err)
{
    int rc = f->before != NULL ? f->before->job.rc : 0;
    *why = rc < 0 ? f->before->job.err : (struct err){0};
    if (rc < 0 && rc != -ERR_FINISHED)
        return 0;
    rc = put_news(f->news, s, why);
    if (rc == -ERR_BUSY || rc == -ERR_UNAVAILABLE) {
        *err = *why;
        return rc;
    }
    if (rc == 0 || rc == -ERR_FINISHED) /* the latter is told by what follows */
        why->code = ERR_NONE;
    return 0;
}

static int end_trial(const struct finish_job *f, const struct err *why, struct store *s,
                     struct err *err)
{
    const struct run *r = f->run;
    const struct sw_action *a = &f->action;
    const struct store_retry retry = {.max_retries = -1, .not_before_us = f->retry_at_us};
    int rc = 0;
    if (f->refused) {
        char message[sizeof(r->message)];
        (void)snprintf(message, sizeof(message), "not stored: %.220s", why->msg);
        rc = put_failure(r, FAIL_STORAGE, message, s, err);
        return rc == 0 ? store_trial_finish(s, r->id, TRIAL_FAIL, NULL, 0, err) : rc;
    }
    if (a->fail != FAIL_NONE)
        rc = put_failure(r, a->fail, r->message, s, err);
    if (rc == 0 && a->retry)
        rc = store_trial_retry(s, r->id, &retry, NULL, NULL, err);
    else if (rc == 0)
        rc = store_trial_finish(s, r->id, a->state, &r->value,
                                a->state != TRIAL_FAIL && !isnan(r->value) ? 1 : 0, err);
    if (rc == 0 && a->state == TRIAL_COMPLETE)
        rc = put_rows(r, s, err);
    return rc;
}

static int finish_run(struct storeq_job *job, struct store *s, struct err *err)
{
    struct finish_job *f = CONTAINER_OF(job, struct finish_job, job);
    int64_t counts[TRIAL_STATES];
    struct err why;
    int rc = put_rest(f, s, &why, err);
    if (rc < 0)
        return rc;
    f->refused = why.code != ERR_NONE && f->action.state != TRIAL_FAIL;
    rc = end_trial(f, &why, s, err);
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
                  LOG_INT("trial", f->run->number), LOG_TEXT("error", job->err.msg));
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
    if (!r->ended)
        run_fail(r, a->fail, "stopped before it started");
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
    f->job = (struct storeq_job){.kind = STOREQ_DURABLE, .run = finish_run, .done = finish_done};
    f->run = r;
    f->action = *a;
    f->before = TAKE(r->flush);
    f->news = news;
    r->saving = true;
    uint64_t now = executor_now(ex);
    if (a->retry && a->due_ms > now)
        f->retry_at_us = clock_utc_us() + (int64_t)(a->due_ms - now) * 1000;
    storeq_push(ex->storeq, &f->job);
}
