#include <math.h>
#include <string.h>

#include "base/array.h"
#include "storage/grpc/client/client.h"
#include "storage/times.h"

/* ---- reading ---- */

/* Takes the next trial off a GetTrials reply: field 1, again and again. Returns 0 at the end. */
static int next_trial(const unsigned char **at, const unsigned char *end, size_t *n,
                      struct err *err)
{
    uint64_t length = 0;
    const unsigned char *p = *at;
    int shift = 0;
    if (p == end)
        return 0;
    bool good = *p++ == (1 << 3 | 2);
    for (; good && p < end && shift < 35; shift += 7) {
        length |= (uint64_t)(*p & 0x7f) << shift;
        if ((*p++ & 0x80) == 0)
            break;
    }
    if (!good || length > (uint64_t)(end - p))
        return err_set(err, ERR_CORRUPT, "a GetTrialsReply that is none");
    *at = p;
    *n = (size_t)length;
    return 1;
}

static int tell_trial(const unsigned char *bytes, size_t n, store_trial_fn *fn, void *ctx,
                      struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    AUTO(wire_trial_free) struct wire_trial t = {0};
    Optuna__Trial *m = NULL;
    if (pool == NULL)
        return err_set(err, ERR_NOMEM, "a trial");
    int rc = wire_unpack(&m, &optuna__trial__descriptor, pool, bytes, n, err);
    if (rc == 0)
        rc = wire_read_trial(&t, m, pool, err);
    return rc == 0 ? fn(ctx, &t.trial) : rc;
}

static int tell_trials(const struct rpc *c, store_trial_fn *fn, void *ctx, struct err *err)
{
    const unsigned char *at = GRPC_SLICE_START_PTR(c->reply);
    const unsigned char *end = at + GRPC_SLICE_LENGTH(c->reply);
    size_t n = 0;
    int rc;
    while ((rc = next_trial(&at, end, &n, err)) == 1) {
        rc = tell_trial(at, n, fn, ctx, err);
        if (rc != 0)
            return rc;
        at += n;
    }
    return rc;
}

int client_trials(struct store_grpc *g, const struct client_range *range, store_trial_fn *fn,
                  void *ctx, struct err *err)
{
    Optuna__GetTrialsRequest q = OPTUNA__GET_TRIALS_REQUEST__INIT;
    struct rpc calls[2];
    size_t n = 0;
    q.study_id = range->study;
    q.included_trial_ids = (int64_t *)range->also;
    q.n_included_trial_ids = range->n_also;
    q.trial_id_greater_than = range->after_id;
    if (range->first != NULL)
        calls[n++] = *range->first;
    rpc_init(&calls[n], WIRE_GET_TRIALS, &q);
    int rc = range->room != NULL ? rpc_as_one(g, calls, n + 1, range->room, err)
                                 : rpc_in_order(g, calls, n + 1, err);
    if (range->first != NULL)
        *range->first = calls[0];
    if (rc == 0)
        rc = tell_trials(&calls[n], fn, ctx, err);
    rpc_free(&calls[n]);
    return rc;
}

int client_trial(struct store_grpc *g, int64_t trial, struct pool *pool, struct wire_trial *out,
                 struct err *err)
{
    Optuna__GetTrialRequest q = OPTUNA__GET_TRIAL_REQUEST__INIT;
    Optuna__GetTrialReply *r = NULL;
    q.trial_id = trial;
    int rc = rpc_one(g, WIRE_GET_TRIAL, &q, pool, &r, err);
    if (rc == 0 && r->trial == NULL)
        rc = err_set(err, ERR_CORRUPT, "%s: an answer without a trial", g->target);
    return rc == 0 ? wire_read_trial(out, r->trial, pool, err) : rc;
}

/* What somebody wants of trials, of which all comes anyway. */
struct wish {
    unsigned states, want;
    store_trial_fn *fn;
    void *ctx;
};

static int tell_wanted(void *ctx, const struct trial *t)
{
    const struct wish *w = ctx;
    struct trial part = *t;
    if (w->states != 0 && (w->states & STORE_STATE_BIT(t->state)) == 0)
        return 0;
    part.n_params = (w->want & WANT_PARAMS) != 0 ? t->n_params : 0;
    part.n_steps = (w->want & WANT_STEPS) != 0 ? t->n_steps : 0;
    part.n_user_attrs = (w->want & WANT_USER_ATTRS) != 0 ? t->n_user_attrs : 0;
    part.n_system_attrs = (w->want & WANT_SYSTEM_ATTRS) != 0 ? t->n_system_attrs : 0;
    return w->fn(w->ctx, &part);
}

int grpc_trial_get(struct store *s, int64_t trial, unsigned want, store_trial_fn *fn, void *ctx,
                   struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    AUTO(wire_trial_free) struct wire_trial t = {0};
    struct wish w = {.want = want, .fn = fn, .ctx = ctx};
    int rc = pool == NULL ? err_set(err, ERR_NOMEM, "a trial")
                          : client_trial(SELF(s), trial, pool, &t, err);
    return rc == 0 ? tell_wanted(&w, &t.trial) : rc;
}

int grpc_trials_each(struct store *s, int64_t study, const struct store_each_opts *opts,
                     store_trial_fn *fn, void *ctx, struct err *err)
{
    struct wish w = {.states = opts->states, .want = opts->want, .fn = fn, .ctx = ctx};
    const struct client_range range = {.study = study,
                                       .also = opts->also,
                                       .n_also = opts->n_also,
                                       .after_id = opts->after_id > 0 ? opts->after_id : -1};
    return client_trials(SELF(s), &range, tell_wanted, &w, err);
}

int grpc_trials_sync(struct store *s, int64_t study, unsigned want, store_trial_fn *fn, void *ctx,
                     struct err *err)
{
    struct mirror *m = mirror_of(SELF(s), study);
    struct wish w = {.want = want, .fn = fn, .ctx = ctx};
    return m == NULL ? err_set(err, ERR_NOMEM, "a study's trials")
                     : mirror_sync(SELF(s), m, tell_wanted, &w, err);
}

int grpc_trial_find(struct store *s, int64_t study, int64_t number, int64_t *trial, struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    Optuna__GetTrialIdFromStudyIdTrialNumberRequest q =
        OPTUNA__GET_TRIAL_ID_FROM_STUDY_ID_TRIAL_NUMBER_REQUEST__INIT;
    Optuna__GetTrialIdFromStudyIdTrialNumberReply *r = NULL;
    q.study_id = study;
    q.trial_number = number;
    int rc = pool == NULL ? err_set(err, ERR_NOMEM, "a trial")
                          : rpc_one(SELF(s), WIRE_GET_TRIAL_ID_FROM_NUMBER, &q, pool, &r, err);
    if (rc == 0)
        *trial = r->trial_id;
    return rc;
}

/* Looking for the study that has a trial: the protocol does not say. */
struct search {
    int64_t *studies;
    size_t n, cap;
};

static int note_study(void *ctx, const struct study_info *info)
{
    struct search *l = ctx;
    if (!array_reserve(&l->studies, &l->cap, l->n + 1, sizeof(l->studies[0])))
        return -ERR_NOMEM;
    l->studies[l->n++] = info->id;
    return 0;
}

static int study_of(struct store_grpc *g, int64_t trial, int64_t number, int64_t *study,
                    struct err *err)
{
    struct search l = {0};
    bool found = false;
    int rc = grpc_study_look(&g->base, NULL, note_study, &l, err);
    for (size_t i = 0; i < l.n && rc == 0 && !found; i++) {
        int64_t id = 0;
        rc = grpc_trial_find(&g->base, l.studies[i], number, &id, err);
        found = rc == 0 && id == trial;
        if (found)
            *study = l.studies[i];
        rc = rc == -ERR_NOTFOUND ? 0 : rc;
    }
    free(l.studies);
    return rc == 0 && !found
               ? err_set(err, ERR_NOTFOUND, "there is no trial with id %lld", (long long)trial)
               : rc;
}

int grpc_trial_look(struct store *s, int64_t trial, struct trial_head *out, struct err *err)
{
    struct store_grpc *g = SELF(s);
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    AUTO(wire_trial_free) struct wire_trial t = {0};
    int rc =
        pool == NULL ? err_set(err, ERR_NOMEM, "a trial") : client_trial(g, trial, pool, &t, err);
    if (rc < 0)
        return rc;
    struct trial_head head = {.number = t.trial.number, .state = t.trial.state};
    const struct mirror *m = mirror_with(g, trial);
    head.study = m != NULL ? m->study : 0;
    if (m == NULL)
        rc = study_of(g, trial, head.number, &head.study, err);
    if (rc == 0)
        *out = head;
    return rc;
}

/* ---- writing ---- */

int client_create_init(struct rpc *c, int64_t study, const struct trial *t, struct err *err)
{
    AUTO(buf_free) struct buf trial = BUF_INIT;
    Optuna__CreateNewTrialRequest q = OPTUNA__CREATE_NEW_TRIAL_REQUEST__INIT;
    q.study_id = study;
    q.template_trial_is_none = t == NULL;
    rpc_init(c, WIRE_CREATE_NEW_TRIAL, &q);
    if (t != NULL) {
        wire_put_trial(&trial, t);
        wire_put_bytes(&c->request, 2, buf_str(&trial), trial.len);
    }
    return trial.failed ? err_set(err, ERR_NOMEM, "a trial") : 0;
}

int client_created(const struct rpc *c, int64_t *id, struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    Optuna__CreateNewTrialReply *r = NULL;
    int rc = pool == NULL
                 ? err_set(err, ERR_NOMEM, "a trial")
                 : wire_unpack(&r, wire_reply(c->method), pool, GRPC_SLICE_START_PTR(c->reply),
                               GRPC_SLICE_LENGTH(c->reply), err);
    if (rc == 0)
        *id = r->trial_id;
    return rc;
}

/* How many values a trial of the study has. */
static int count_objectives(struct store_grpc *g, struct mirror *m, struct err *err)
{
    size_t n = 0;
    if (m->n_directions > 0)
        return 0;
    int rc = grpc_study_directions(&g->base, m->study, NULL, &n, err);
    m->n_directions = n;
    return rc;
}

/* Optuna's server would take any number of values, and no reader of the study could go on. */
static int check_count(struct store_grpc *g, struct mirror *m, enum trial_state state, size_t n,
                       struct err *err)
{
    if (!trial_state_finished(state) || (n == 0 && state != TRIAL_COMPLETE))
        return 0;
    int rc = count_objectives(g, m, err);
    if (rc < 0 || n == m->n_directions)
        return rc;
    return err_set(err, ERR_INVALID, "a %s trial of this study needs %zu value%s, not %zu",
                   trial_state_name(state), m->n_directions, m->n_directions == 1 ? "" : "s", n);
}

static int add_created(struct store_grpc *g, struct mirror *m, int64_t id, int64_t *number,
                       struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    AUTO(wire_trial_free) struct wire_trial t = {0};
    int rc = pool == NULL ? err_set(err, ERR_NOMEM, "a trial") : client_trial(g, id, pool, &t, err);
    if (rc < 0)
        return rc;
    *number = t.trial.number;
    /* what came before it and is not known yet has to be asked for */
    return m->loaded && m->fresh ? mirror_add(m, &t.trial, true, err) : 0;
}

static int create_and_look(struct store_grpc *g, struct mirror *m, const struct trial *t,
                           int64_t *id, struct err *err)
{
    AUTO(rpc_free) struct rpc c;
    int rc = client_create_init(&c, m->study, t, err);
    if (rc == 0)
        rc = mirror_refresh_after(g, m, &c, NULL, err);
    return rc < 0 ? rc : client_created(&c, id, err);
}

int grpc_trial_create(struct store *s, int64_t study, const struct trial *tmpl, int64_t *id,
                      int64_t *number, struct err *err)
{
    struct store_grpc *g = SELF(s);
    struct mirror *m = mirror_of(g, study);
    struct trial t = tmpl != NULL ? *tmpl : (struct trial){.state = TRIAL_RUNNING};
    int64_t made = 0;
    if (m == NULL)
        return err_set(err, ERR_NOMEM, "a trial");
    times_complete(&t);
    int rc = check_count(g, m, t.state, t.n_values, err);
    if (rc == 0) /* so that what is new then is ours */
        rc = mirror_refresh(g, m, err);
    if (rc == 0)
        rc = create_and_look(g, m, tmpl != NULL ? &t : NULL, &made, err);
    if (rc < 0)
        return rc;
    struct known *k = mirror_find(m, made);
    if (k != NULL) {
        k->own = true;
        *number = k->number;
    } else {
        rc = add_created(g, m, made, number, err);
    }
    *id = made;
    return rc;
}

void client_state_init(struct rpc *c, int64_t trial, enum trial_state state, const double *values,
                       size_t n)
{
    Optuna__SetTrialStateValuesRequest q = OPTUNA__SET_TRIAL_STATE_VALUES_REQUEST__INIT;
    q.trial_id = trial;
    q.state = (Optuna__TrialState)state; /* the numbers are Optuna's */
    q.values = (double *)values;
    q.n_values = n;
    rpc_init(c, WIRE_SET_TRIAL_STATE_VALUES, &q);
}

int client_set_state(struct store_grpc *g, int64_t trial, enum trial_state state,
                     const double *values, size_t n, bool *changed, struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    AUTO(rpc_free) struct rpc c;
    Optuna__SetTrialStateValuesReply *r = NULL;
    client_state_init(&c, trial, state, values, n);
    int rc = pool == NULL ? err_set(err, ERR_NOMEM, "a trial") : rpc_all(g, &c, 1, err);
    if (rc == 0)
        rc = rpc_reply(&c, pool, &r, err);
    if (rc == 0)
        *changed = r->trial_updated != 0;
    return rc;
}

/* ---- the end ---- */

static void note_doubt(struct store_grpc *g, int64_t trial)
{
    if (array_reserve(&g->doubtful, &g->cap_doubtful, g->n_doubtful + 1, sizeof(g->doubtful[0])))
        g->doubtful[g->n_doubtful++] = trial;
}

static bool take_doubt(struct store_grpc *g, int64_t trial)
{
    for (size_t i = 0; i < g->n_doubtful; i++) {
        if (g->doubtful[i] == trial) {
            ARRAY_CLOSE(g->doubtful, i, g->n_doubtful);
            g->n_doubtful--;
            return true;
        }
    }
    return false;
}

int client_refuse_finished(int64_t trial, enum trial_state state, struct err *err)
{
    return err_set(err, ERR_FINISHED, "trial id %lld is already %s and cannot change",
                   (long long)trial, trial_state_name(state));
}

/* An earlier try got no answer: was it that one that ended the trial? */
static int ended_so(struct store_grpc *g, int64_t trial, enum trial_state state,
                    const double *values, size_t n, struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    AUTO(wire_trial_free) struct wire_trial t = {0};
    int rc =
        pool == NULL ? err_set(err, ERR_NOMEM, "a trial") : client_trial(g, trial, pool, &t, err);
    if (rc < 0)
        return rc;
    bool same = t.trial.state == state && t.trial.n_values == n &&
                (n == 0 || memcmp(t.trial.values, values, n * sizeof(values[0])) == 0);
    return same ? 0 : client_refuse_finished(trial, t.trial.state, err);
}

int client_check_end(struct store_grpc *g, int64_t trial, const struct store_end *end,
                     struct err *err)
{
    struct mirror *m = mirror_with(g, trial);
    return m != NULL ? check_count(g, m, end->state, end->n_values, err) : 0;
}

int client_ended(struct store_grpc *g, int64_t trial, const struct store_end *end, int rc,
                 struct err *err)
{
    struct mirror *m = mirror_with(g, trial);
    bool doubt = rc == -ERR_FINISHED && take_doubt(g, trial);
    if (doubt)
        rc = ended_so(g, trial, end->state, end->values, end->n_values, err);
    if (rc == -ERR_UNAVAILABLE)
        note_doubt(g, trial);
    if (rc == 0 && m != NULL)
        mirror_set_state(m, trial, end->state);
    return rc;
}

int grpc_trial_finish(struct store *s, int64_t trial, enum trial_state state, const double *values,
                      size_t n_values, struct err *err)
{
    struct store_grpc *g = SELF(s);
    const struct store_end end = {.state = state, .values = values, .n_values = n_values};
    bool changed = false;
    int rc = client_check_end(g, trial, &end, err);
    if (rc < 0)
        return rc;
    rc = client_set_state(g, trial, state, values, n_values, &changed, err);
    return client_ended(g, trial, &end, rc, err);
}

int client_disown(struct store_grpc *g, int64_t trial, struct err *err)
{
    const struct trial_attr nobody = {.key = STORE_ATTR_OWNER, .json = "null"};
    return grpc_trial_attrs(&g->base, trial, ATTR_SYSTEM, &nobody, 1, err);
}

int grpc_trial_state(struct store *s, int64_t trial, enum trial_state state, bool *changed,
                     struct err *err)
{
    struct store_grpc *g = SELF(s);
    struct mirror *m = mirror_with(g, trial);
    bool yes = false;
    int rc = state == TRIAL_WAITING ? client_disown(g, trial, err) : 0;
    if (rc == 0)
        rc = client_set_state(g, trial, state, NULL, 0, &yes, err);
    if (rc < 0)
        return rc;
    struct known *k = m != NULL && yes ? mirror_find(m, trial) : NULL;
    if (k != NULL) {
        k->own = state == TRIAL_RUNNING;
        mirror_set_state(m, trial, state);
    }
    *changed = yes;
    return 0;
}
