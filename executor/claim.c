/* Claims: the store gives the next trial of a study, ours against all other processes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/copied.h"
#include "executor/internal.h"

struct claim_job {
    struct storeq_job job;
    struct study *st;
    int slot;
    struct store_claim claim; /* its pointers are dead after run() */
    struct run *run;
    struct sw_tries tries;
    enum fail_class retry_of;
    struct sw_counts counts;
    struct copies news;
};

static struct sw_tries count_tries(const struct study *st, struct store *s, const struct tries *t)
{
    const unsigned preempted = 1u << FAIL_PREEMPTED, lost = 1u << FAIL_LOST;
    return (struct sw_tries){.preempted = tries_count(st, s, t, preempted),
                             .lost = tries_count(st, s, t, lost),
                             .others = tries_count(st, s, t, ~(preempted | lost))};
}

static int claim_run(struct storeq_job *job, struct store *s, struct err *err)
{
    struct claim_job *c = CONTAINER_OF(job, struct claim_job, job);
    struct study *st = c->st;
    bool complete_only = st->spec->budget.complete > 0;
    int64_t counts[TRIAL_STATES];
    const struct store_claim_opts opts = {
        .target = st->view.target > 0 ? st->view.target : -1,
        .target_states =
            STORE_STATE_BIT(TRIAL_COMPLETE) | (complete_only ? 0 : STORE_STATE_BIT(TRIAL_PRUNED)),
        .owner = st->ex->owner,
    };
    run_unref(TAKE(c->run));
    copies_free(&c->news);
    int rc = store_trials_sync(s, st->id, study_want(st), copy_trial, &c->news, err);
    if (rc == 0)
        rc = store_trial_claim(s, st->id, &opts, &c->claim, err);
    if (rc == 0 && (c->claim.kind == CLAIM_NEW || c->claim.kind == CLAIM_QUEUED)) {
        struct tries tries = tries_of(c->claim.trial);
        c->run = run_create(st, &c->claim);
        if (c->run == NULL)
            rc = err_set(err, ERR_NOMEM, "trial %" PRId64, c->claim.number);
        c->tries = count_tries(st, s, &tries);
        c->retry_of = tries_last(st, s, &tries);
    }
    if (rc == 0)
        rc = store_study_counts(s, st->id, counts, err);
    if (rc == 0)
        c->counts = study_counts(counts);
    return rc;
}

/* A worker will need it: here, where the loop need not wait for the file system. */
static void claim_committed(struct storeq_job *job)
{
    struct claim_job *c = CONTAINER_OF(job, struct claim_job, job);
    if (c->run != NULL)
        run_make_dir(c->run);
}

/* Whether the study only waits: nothing of ours runs, others hold what is missing. */
static void note_waiting(struct study *st, const struct sw_event *ev)
{
    const struct executor *ex = st->ex;
    bool busy = ev->claim != SW_CLAIM_FULL || ev->counts.running == 0;
    for (int i = 0; i < ex->plan.jobs; i++)
        busy = busy || ex->slots[i].run != NULL || ex->slots[i].claimed != NULL;
    if (busy)
        st->waits_since_ms = 0;
    else if (st->waits_since_ms == 0)
        st->waits_since_ms = executor_now(st->ex);
}

/* A UTC time on the sweep's clock. */
static uint64_t on_loop_clock(struct executor *ex, int64_t utc_us)
{
    int64_t wait_ms = (utc_us - clock_utc_us()) / 1000;
    return executor_now(ex) + (uint64_t)(wait_ms > 0 ? wait_ms + 1 : 1);
}

static void claim_done(struct storeq_job *job)
{
    struct claim_job *c = CONTAINER_OF(job, struct claim_job, job);
    struct study *st = c->st;
    struct executor *ex = st->ex;
    struct sw_event ev = {.type = SW_EV_CLAIMED,
                          .slot = c->slot,
                          .study = st->index,
                          .claim = SW_CLAIM_FAILED,
                          .counts = c->counts,
                          .tries = c->tries};
    for (struct copied *n = c->news.head; n != NULL; n = n->next)
        study_learn(st, &st->view, &n->t);
    if (job->rc < 0) {
        study_store_lost(st, &job->err);
    } else {
        st->view.counts = c->counts;
        switch (c->claim.kind) {
        case CLAIM_NEW:
        case CLAIM_QUEUED:
            ev.claim = SW_CLAIM_OK;
            c->run->tries = c->tries.others;
            c->run->retry_of = c->retry_of;
            ev.tries.rung = c->run->rung;
            run_tell_enqueued(c->run);
            ex->slots[c->slot].claimed = TAKE(c->run);
            break;
        case CLAIM_LATER:
            ev.claim = c->claim.due_us > 0 ? SW_CLAIM_LATER : SW_CLAIM_FULL;
            ev.due_ms = c->claim.due_us > 0 ? on_loop_clock(ex, c->claim.due_us) : 0;
            break;
        case CLAIM_FULL:
            ev.claim = SW_CLAIM_FULL;
            break;
        }
    }
    note_waiting(st, &ev);
    run_unref(c->run);
    copies_free(&c->news);
    free(c);
    executor_feed(ex, ev);
}

void claim_trial(struct study *st, int slot, bool ahead)
{
    struct claim_job *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        executor_feed(st->ex, (struct sw_event){.type = SW_EV_CLAIMED,
                                                .slot = slot,
                                                .study = st->index,
                                                .claim = SW_CLAIM_FAILED});
        return;
    }
    c->job = (struct storeq_job){.kind = ahead ? STOREQ_CLAIM_AHEAD : STOREQ_CLAIM,
                                 .run = claim_run,
                                 .committed = claim_committed,
                                 .done = claim_done};
    c->st = st;
    c->slot = slot;
    storeq_push(st->ex->storeq, &c->job);
}
