/* Who runs what, with what the protocol has: a claim is made, then the study is read, and if the
 * claim was one too many it is given back. Of several that claim at once the last to be stored sees
 * all others; so there are never more than the target, but for a moment, and at worst all give
 * theirs back and try again after a while of random length. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/rng.h"
#include "storage/grpc/client/client.h"
#include "storage/lineage.h"

static int64_t count_done(const struct mirror *m, unsigned states)
{
    int64_t n = 0;
    for (int state = 0; state < TRIAL_STATES; state++) {
        if (state != TRIAL_RUNNING && (states & STORE_STATE_BIT(state)) != 0)
            n += m->counts[state];
    }
    return n;
}

/* How many more trials may run; negative: one was too many. */
static int64_t places(const struct mirror *m, const struct store_claim_opts *opts)
{
    return opts->target < 0
               ? INT64_MAX
               : opts->target - count_done(m, opts->target_states) - m->counts[TRIAL_RUNNING];
}

struct queue {
    const struct known *due; /* the oldest trial that may be claimed now */
    int64_t n_later, next_us;
};

static struct queue look_queue(const struct mirror *m, int64_t now_us)
{
    struct queue found = {0};
    for (size_t i = 0; i < m->n_open && found.due == NULL; i++) {
        const struct known *k = &m->open[i];
        if (k->state != TRIAL_WAITING)
            continue;
        if (k->not_before_us <= now_us) {
            found.due = k;
        } else {
            found.n_later++;
            if (found.next_us == 0 || k->not_before_us < found.next_us)
                found.next_us = k->not_before_us;
        }
    }
    return found;
}

static int json_text(struct buf *b, const char *text, struct err *err)
{
    buf_clear(b);
    json_put_string(b, text);
    return b->failed ? err_set(err, ERR_NOMEM, "a claim") : 0;
}

static int put_owner(struct store_grpc *g, int64_t trial, const char *owner, struct err *err)
{
    AUTO(buf_free) struct buf json = BUF_INIT;
    if (owner == NULL)
        return 0;
    int rc = json_text(&json, owner, err);
    const struct trial_attr attr = {.key = STORE_ATTR_OWNER, .json = buf_str(&json)};
    return rc < 0 ? rc : grpc_trial_attrs(&g->base, trial, ATTR_SYSTEM, &attr, 1, err);
}

/* A short while, another for each that waits. */
static int64_t soon_us(struct store_grpc *g)
{
    struct rng r;
    rng_seed(&r, rng_mix((uint64_t)clock_utc_us(), (uint64_t)getpid() + g->n_claims));
    return clock_utc_us() + 20000 + (int64_t)rng_below(&r, 200000);
}

/* Gives a claim back that was one too many. */
static int withdraw(struct store_grpc *g, struct mirror *m, int64_t trial, struct store_claim *out,
                    struct err *err)
{
    bool changed = false;
    int rc = client_disown(g, trial, err);
    if (rc == 0)
        rc = client_set_state(g, trial, TRIAL_WAITING, NULL, 0, &changed, err);
    if (rc < 0 && rc != -ERR_FINISHED && rc != -ERR_NOTFOUND)
        return rc;
    struct known *k = mirror_find(m, trial);
    if (k != NULL)
        k->own = false;
    if (k != NULL && rc == 0)
        mirror_set_state(m, trial, TRIAL_WAITING);
    *out = (struct store_claim){.kind = CLAIM_LATER, .due_us = soon_us(g)};
    return 0;
}

/* The claim stands: what is it of? */
static int keep(struct store_grpc *g, struct known *k, enum claim_kind kind,
                struct store_claim *out, struct err *err)
{
    struct store_claim claim = {.kind = kind, .id = k->id, .number = k->number};
    k->own = true;
    if (kind == CLAIM_QUEUED) {
        wire_trial_free(&g->claimed);
        pool_destroy(g->pool);
        g->claimed = (struct wire_trial){0};
        g->pool = pool_create();
        int rc = g->pool == NULL ? err_set(err, ERR_NOMEM, "a claim")
                                 : client_trial(g, k->id, g->pool, &g->claimed, err);
        if (rc < 0)
            return rc;
        claim.trial = &g->claimed.trial;
        claim.fixed_params =
            client_attr(claim.trial->system_attrs, claim.trial->n_system_attrs, "fixed_params");
    }
    *out = claim;
    return 0;
}

/* The study was read with the new claim in it: does it stand? */
static int judge(struct store_grpc *g, struct mirror *m, const struct store_claim_opts *opts,
                 int64_t trial, enum claim_kind kind, struct store_claim *out, struct err *err)
{
    struct known *k = mirror_find(m, trial);
    if (k == NULL || k->state != TRIAL_RUNNING) { /* somebody has ended it already */
        *out = (struct store_claim){.kind = CLAIM_LATER, .due_us = soon_us(g)};
        return 0;
    }
    if (places(m, opts) < 0)
        return withdraw(g, m, trial, out, err);
    return keep(g, k, kind, out, err);
}

/* Looks at the study with the new claim in it. */
static int verify(struct store_grpc *g, struct mirror *m, const struct store_claim_opts *opts,
                  int64_t trial, enum claim_kind kind, struct store_claim *out, struct err *err)
{
    int rc = mirror_refresh(g, m, err);
    return rc < 0 ? rc : judge(g, m, opts, trial, kind, out, err);
}

/* Returns 1 when somebody else was faster. */
static int claim_queued(struct store_grpc *g, struct mirror *m, const struct store_claim_opts *opts,
                        int64_t trial, struct store_claim *out, struct err *err)
{
    bool mine = false;
    int rc = client_set_state(g, trial, TRIAL_RUNNING, NULL, 0, &mine, err);
    if (rc == -ERR_FINISHED || rc == -ERR_NOTFOUND || (rc == 0 && !mine))
        return 1;
    if (rc == 0)
        rc = put_owner(g, trial, opts->owner, err);
    return rc < 0 ? rc : verify(g, m, opts, trial, CLAIM_QUEUED, out, err);
}

/* A name for this claim that no other has. */
static int name_claim(struct store_grpc *g, struct mirror *m, struct err *err)
{
    free(m->doubt);
    if (asprintf(&m->doubt, "%" PRIx64 "-%x-%" PRIx64, (uint64_t)clock_utc_us(), (unsigned)getpid(),
                 g->n_claims++) < 0) {
        m->doubt = NULL;
        return err_set(err, ERR_NOMEM, "a claim");
    }
    return 0;
}

/* The trial of a claim that got no answer, if it was made. */
static struct known *find_doubt(struct mirror *m)
{
    for (size_t i = 0; i < m->n_open && m->doubt != NULL; i++) {
        struct known *k = &m->open[i];
        if (k->state == TRIAL_RUNNING && k->claim != NULL && strcmp(k->claim, m->doubt) == 0)
            return k;
    }
    return NULL;
}

static void settle(struct mirror *m)
{
    free(m->doubt);
    m->doubt = NULL;
}

/* Until it is known what became of the claim, it stays in doubt. */
static int verify_doubt(struct store_grpc *g, struct mirror *m, const struct store_claim_opts *opts,
                        int64_t trial, struct store_claim *out, struct err *err)
{
    int rc = verify(g, m, opts, trial, CLAIM_NEW, out, err);
    if (rc == 0)
        settle(m);
    return rc;
}

/* A new trial with its owner, and a look at the study, in one call. Nobody's trial has no name
 * either: there is nobody who would claim again. Returns 1 when there was no room. */
static int claim_new(struct store_grpc *g, struct mirror *m, const struct store_claim_opts *opts,
                     const struct rpc_room *room, struct store_claim *out, struct err *err)
{
    AUTO(buf_free) struct buf name = BUF_INIT;
    AUTO(buf_free) struct buf owner = BUF_INIT;
    AUTO(rpc_free) struct rpc c = {.reply = grpc_empty_slice()};
    int64_t id = 0;
    int rc = name_claim(g, m, err);
    if (rc == 0)
        rc = json_text(&name, m->doubt, err);
    if (rc == 0 && opts->owner != NULL)
        rc = json_text(&owner, opts->owner, err);
    if (rc < 0)
        return rc;
    const struct trial_attr attrs[] = {{ATTR_CLAIM, buf_str(&name)},
                                       {STORE_ATTR_OWNER, buf_str(&owner)}};
    const struct trial t = {.state = TRIAL_RUNNING,
                            .start_us = clock_utc_us(),
                            .system_attrs = attrs,
                            .n_system_attrs = opts->owner != NULL ? 2 : 0};
    rc = client_create_init(&c, m->study, &t, err);
    if (rc == 0)
        rc = mirror_refresh_after(g, m, &c, room, err);
    if (rc == 0)
        rc = client_created(&c, &id, err);
    if (rc == 0)
        rc = judge(g, m, opts, id, CLAIM_NEW, out, err);
    if (rc == 0 || rc == 1 || rc == -ERR_UNSUPPORTED)
        settle(m);
    return rc;
}

/* Without a look at the study before, where the server can tell whether there is room for a new
 * trial. Returns 1 when the study has to be looked at. */
static int claim_at_once(struct store_grpc *g, struct mirror *m,
                         const struct store_claim_opts *opts, struct store_claim *out,
                         struct err *err)
{
    const struct rpc_room room = {
        .study = m->study, .target = opts->target, .states = opts->target_states};
    if (g->plain || m->doubt != NULL || !m->loaded)
        return 1;
    int rc = opts->owner != NULL ? run_note(g, m, err) : 0;
    if (rc == 0)
        rc = claim_new(g, m, opts, &room, out, err);
    return rc == -ERR_UNSUPPORTED ? 1 : rc;
}

static int claim(struct store_grpc *g, struct mirror *m, const struct store_claim_opts *opts,
                 struct store_claim *out, struct err *err)
{
    int rc = mirror_freshen(g, m, err);
    if (rc == 0 && opts->owner != NULL)
        rc = run_note(g, m, err);
    struct known *found = rc == 0 ? find_doubt(m) : NULL;
    if (found != NULL)
        return verify_doubt(g, m, opts, found->id, out, err);
    if (rc == 0)
        settle(m);
    while (rc == 0) {
        int64_t free_places = places(m, opts);
        struct queue queue = look_queue(m, clock_utc_us());
        if (free_places <= 0) {
            bool full = count_done(m, opts->target_states) >= opts->target;
            *out = (struct store_claim){.kind = full ? CLAIM_FULL : CLAIM_LATER};
            return 0;
        }
        if (queue.due == NULL && free_places <= queue.n_later) {
            *out = (struct store_claim){.kind = CLAIM_LATER, .due_us = queue.next_us};
            return 0;
        }
        if (queue.due == NULL)
            return claim_new(g, m, opts, NULL, out, err);
        rc = claim_queued(g, m, opts, queue.due->id, out, err);
        if (rc != 1)
            return rc;
        rc = mirror_refresh(g, m, err);
    }
    return rc;
}

int grpc_trial_claim(struct store *s, int64_t study, const struct store_claim_opts *opts,
                     struct store_claim *out, struct err *err)
{
    struct mirror *m = mirror_of(SELF(s), study);
    int rc = m == NULL ? err_set(err, ERR_NOMEM, "a study's trials")
                       : claim_at_once(SELF(s), m, opts, out, err);
    return rc == 1 ? claim(SELF(s), m, opts, out, err) : rc;
}

/* ---- a failed trial, queued again ---- */

struct clone_search {
    const char *history; /* retry_history that the clone has */
    int64_t id, number;  /* id 0: none */
};

static int look_for_clone(void *ctx, const struct trial *t)
{
    struct clone_search *l = ctx;
    const char *history = client_attr(t->system_attrs, t->n_system_attrs, "retry_history");
    if (history != NULL && strcmp(history, l->history) == 0) {
        l->id = t->id;
        l->number = t->number;
    }
    return 0;
}

/* The clone comes first: a retry that nobody queued would be lost, while a trial that has its clone
 * already is only ended. */
static int queue_clone(struct store_grpc *g, const struct trial *t, const struct trial *clone,
                       int64_t *id, int64_t *number, struct err *err)
{
    struct clone_search l = {
        .history = client_attr(clone->system_attrs, clone->n_system_attrs, "retry_history")};
    struct mirror *m = mirror_with(g, t->id);
    struct trial_head head = {.study = m != NULL ? m->study : 0};
    int rc = m != NULL ? 0 : grpc_trial_look(&g->base, t->id, &head, err);
    if (rc == 0)
        rc = client_trials(g, &(struct client_range){.study = head.study, .after_id = t->id},
                           look_for_clone, &l, err);
    if (rc == 0 && l.id == 0)
        return grpc_trial_create(&g->base, head.study, clone, id, number, err);
    if (rc == 0) {
        *id = l.id;
        *number = l.number;
    }
    return rc;
}

int grpc_trial_retry(struct store *s, int64_t trial, const struct store_retry *retry,
                     int64_t *retry_id, int64_t *retry_number, struct err *err)
{
    struct store_grpc *g = SELF(s);
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    AUTO(wire_trial_free) struct wire_trial t = {0};
    AUTO(lineage_free) struct lineage l = LINEAGE_INIT;
    int64_t id = -1, number = -1;
    int rc =
        pool == NULL ? err_set(err, ERR_NOMEM, "a trial") : client_trial(g, trial, pool, &t, err);
    if (rc == 0 && trial_state_finished(t.trial.state))
        rc = err_set(err, ERR_FINISHED, "trial id %lld is already %s and cannot change",
                     (long long)trial, trial_state_name(t.trial.state));
    if (rc == 0)
        rc = lineage_clone(&l, &t.trial, retry, err);
    if (rc == 1)
        rc = queue_clone(g, &t.trial, &l.clone, &id, &number, err);
    if (rc == 0)
        rc = grpc_trial_finish(s, trial, TRIAL_FAIL, NULL, 0, err);
    if (rc == 0) {
        *retry_id = id;
        *retry_number = number;
    }
    return rc;
}
