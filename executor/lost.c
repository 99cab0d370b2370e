/* Trials whose executor is gone: failed as lost, and queued again. And those for which we wait. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "executor/internal.h"
#include "executor/owner.h"

/* Silence after which an executor elsewhere is given up, whatever our own interval is: it may have
 * another one. Three of its heartbeats at the default interval, and some more. */
#define ELSEWHERE_S 120.0
/* The same for a Python process with Optuna's heartbeat: its interval is not in the store. */
#define OPTUNA_S 300.0

struct lost {
    const char *self;
    double beats_s; /* three of our own heartbeats */
    int64_t ids[256];
    size_t n;
};

static double longer(double a, double b)
{
    return a > b ? a : b;
}

static bool is_lost(const struct lost *l, const struct store_running *r)
{
    if (r->owner == NULL) /* one without a heartbeat gives no sign: nobody knows */
        return r->heartbeat_age > longer(l->beats_s, OPTUNA_S);
    if (strcmp(r->owner, l->self) == 0)
        return false;
    enum owner_state owner = owner_state(r->owner);
    /* its first heartbeat comes one interval after the start */
    double silence =
        r->heartbeat_age >= 0 ? r->heartbeat_age : (double)(clock_utc_us() - r->start_us) / 1e6;
    return owner == OWNER_DEAD ||
           (owner == OWNER_ELSEWHERE && silence > longer(l->beats_s, ELSEWHERE_S));
}

static int note_lost(void *ctx, const struct store_running *r)
{
    struct lost *l = ctx;
    if (l->n < ARRAY_LEN(l->ids) && is_lost(l, r))
        l->ids[l->n++] = r->id;
    return 0;
}

static int take_tries(void *ctx, const struct trial *t)
{
    *(struct tries *)ctx = tries_of(t);
    return 0;
}

static int fail_lost(const struct study *st, struct store *s, int64_t id, struct err *err)
{
    const struct trial_attr attr = {ATTR_CLASS, "\"lost\""};
    const struct store_retry retry = {.max_retries = -1};
    int64_t times = st->spec->retry[FAIL_LOST].times;
    struct tries tries = {0};
    int rc = store_trial_get(s, id, WANT_SYSTEM_ATTRS, take_tries, &tries, err);
    if (rc == 0)
        rc = store_trial_attrs(s, id, ATTR_USER, &attr, 1, err);
    if (rc < 0)
        return rc;
    return times < 0 || tries_count(st, s, &tries, 1u << FAIL_LOST) < times
               ? store_trial_retry(s, id, &retry, NULL, NULL, err)
               : store_trial_finish(s, id, TRIAL_FAIL, NULL, 0, err);
}

int lost_reap(const struct study *st, struct store *s, struct err *err)
{
    struct lost l = {.self = st->ex->owner,
                     .beats_s = 3.0 * (double)st->spec->report.heartbeat_ms / 1000.0};
    if (st->ex->spool_taken) /* they may be finished in a moment */
        return 0;
    int rc = store_running_each(s, st->id, note_lost, &l, err);
    for (size_t i = 0; rc == 0 && i < l.n; i++) {
        rc = fail_lost(st, s, l.ids[i], err);
        if (rc == -ERR_FINISHED)
            rc = 0;
    }
    return rc;
}

/* --- waiting
 * --------------------------------------------------------------------------------------- */

struct wait_job {
    struct storeq_job job;
    struct study *st;
    size_t n;
    char numbers[200]; /* of the trials that others run, the first ones */
};

static int note_other(void *ctx, const struct store_running *r)
{
    struct wait_job *w = ctx;
    size_t len = strlen(w->numbers);
    if (r->owner != NULL && strcmp(r->owner, w->st->ex->owner) == 0)
        return 0;
    if (sizeof(w->numbers) - len > 30)
        (void)snprintf(w->numbers + len, sizeof(w->numbers) - len, "%s%" PRId64,
                       w->n > 0 ? ", " : "", r->number);
    w->n++;
    return 0;
}

static int wait_run(struct storeq_job *job, struct store *s, struct err *err)
{
    struct wait_job *w = CONTAINER_OF(job, struct wait_job, job);
    w->n = 0;
    w->numbers[0] = '\0';
    return store_running_each(s, w->st->id, note_other, w, err);
}

static void wait_done(struct storeq_job *job)
{
    AUTO_FREE struct wait_job *w = CONTAINER_OF(job, struct wait_job, job);
    struct study *st = w->st;
    if (job->rc < 0 || w->n == 0)
        return;
    log_event(LOG_WARNING, "waiting_for_others", LOG_TEXT("study", st->view.name),
              LOG_INT("running_elsewhere", w->n), LOG_TEXT("trials", w->numbers));
    if (!st->wait_told)
        executor_notice(st->ex,
                        "study '%s' waits for trials that somebody else runs: %s. If nobody does, "
                        "fail them with Optuna: study.tell(NUMBER, state=TrialState.FAIL)",
                        st->view.name, w->numbers);
    st->wait_told = true;
}

void lost_tell_waiting(struct study *st)
{
    uint64_t patience = st->spec->watch.stall_ms > 0 ? st->spec->watch.stall_ms : 300000;
    if (st->waits_since_ms == 0 || executor_now(st->ex) - st->waits_since_ms < patience)
        return;
    struct wait_job *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return;
    w->job = (struct storeq_job){.kind = STOREQ_READ, .run = wait_run, .done = wait_done};
    w->st = st;
    storeq_push(st->ex->storeq, &w->job);
}
