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
    int tries;
    enum fail_class retry_of;
    struct sw_counts counts;
    struct copies news;
};

/* How often the trial was tried before, and the last try's number: Optuna's retry_history. */
static int tries_of(const struct trial *t, int64_t *last)
{
    *last = -1;
    for (size_t i = 0; t != NULL && i < t->n_system_attrs; i++) {
        if (strcmp(t->system_attrs[i].key, "retry_history") == 0) {
            const char *json = t->system_attrs[i].json;
            AUTO_JSON json_t *list = json_read(json, strlen(json), NULL);
            size_t n = json_array_size(list);
            if (n > 0)
                *last = json_integer_value(json_array_get(list, n - 1));
            return (int)n;
        }
    }
    return 0;
}

static int find_class(void *ctx, const struct trial *t)
{
    for (size_t i = 0; i < t->n_user_attrs; i++) {
        const char *json = t->user_attrs[i].json;
        if (strcmp(t->user_attrs[i].key, ATTR_CLASS) != 0)
            continue;
        AUTO_JSON json_t *name = json_read(json, strlen(json), NULL);
        if (!json_is_string(name) || !fail_class_from_name(json_string_value(name), ctx))
            *(enum fail_class *)ctx = FAIL_NONE;
    }
    return 0;
}

/* Why the try before failed: the last of the retry_history says which trial that was. */
static enum fail_class retry_of(const struct study *st, struct store *s, int64_t number)
{
    enum fail_class fail = FAIL_NONE;
    int64_t id;
    if (number >= 0 && store_trial_find(s, st->id, number, &id, NULL) == 0)
        (void)store_trial_get(s, id, WANT_USER_ATTRS, find_class, &fail, NULL);
    return fail;
}

static int claim_run(struct storeq_job *job, struct store *s, struct err *err)
{
    struct claim_job *c = CONTAINER_OF(job, struct claim_job, job);
    struct study *st = c->st;
    bool complete_only = st->spec->budget.complete > 0;
    int64_t counts[TRIAL_STATES], last_try;
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
        c->tries = tries_of(c->claim.trial, &last_try);
        c->run = run_create(st, &c->claim);
        if (c->run == NULL)
            rc = err_set(err, ERR_NOMEM, "trial %" PRId64, c->claim.number);
        c->retry_of = retry_of(st, s, last_try);
    }
    if (rc == 0)
        rc = store_study_counts(s, st->id, counts, err);
    if (rc == 0)
        c->counts = study_counts(counts);
    return rc;
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
            c->run->tries = c->tries;
            c->run->retry_of = c->retry_of;
            if (c->run->message[0] != '\0')
                executor_notice(ex, "trial %" PRId64 ": %s", c->run->number, c->run->message);
            c->run->message[0] = '\0';
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
    run_unref(c->run);
    copies_free(&c->news);
    free(c);
    slot_claimed(&ex->slots[ev.slot], ev);
}

void claim_trial(struct study *st, int slot)
{
    struct claim_job *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        slot_claimed(&st->ex->slots[slot], (struct sw_event){.type = SW_EV_CLAIMED,
                                                             .slot = slot,
                                                             .study = st->index,
                                                             .claim = SW_CLAIM_FAILED});
        return;
    }
    c->job = (struct storeq_job){.kind = STOREQ_CLAIM, .run = claim_run, .done = claim_done};
    c->st = st;
    c->slot = slot;
    storeq_push(st->ex->storeq, &c->job);
}
