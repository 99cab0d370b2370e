/* What a trial leaves behind: parameters, intermediate values, attributes and its end, a call each;
 * where the server is ours, all of them as one. */
#include <stdlib.h>

#include "storage/grpc/client/client.h"

/* Calls in the making: there is room for all. */
struct list {
    struct rpc *v;
    size_t n;
};

static int list_init(struct list *l, size_t most, struct err *err)
{
    *l = (struct list){.v = calloc(most + 1, sizeof(*l->v))};
    return l->v == NULL ? err_set(err, ERR_NOMEM, "%zu calls", most) : 0;
}

static void list_free(struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        rpc_free(&l->v[i]);
    free(l->v);
}

/* ---- a call each ---- */

static void add_params(struct list *l, int64_t trial, const struct trial_param *params, size_t n)
{
    AUTO(buf_free) struct buf json = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        Optuna__SetTrialParameterRequest q = OPTUNA__SET_TRIAL_PARAMETER_REQUEST__INIT;
        buf_clear(&json);
        dist_put_json(&json, params[i].dist);
        q.trial_id = trial;
        q.param_name = (char *)params[i].name;
        q.param_value_internal = params[i].value;
        q.distribution = (char *)buf_str(&json);
        rpc_init(&l->v[l->n], WIRE_SET_TRIAL_PARAMETER, &q);
        l->v[l->n].request.failed = l->v[l->n].request.failed || json.failed;
        l->n++;
    }
}

static void add_step(struct list *l, int64_t trial, const struct trial_step *step, bool keep)
{
    Optuna__SetTrialIntermediateValueRequest q = OPTUNA__SET_TRIAL_INTERMEDIATE_VALUE_REQUEST__INIT;
    q.trial_id = trial;
    q.step = step->step;
    q.intermediate_value = step->value;
    rpc_init(&l->v[l->n], WIRE_SET_TRIAL_INTERMEDIATE_VALUE, &q);
    l->v[l->n++].keep = keep;
}

/* Of several values of a key the last one stays. */
static void add_attrs(struct list *l, int64_t trial, enum attr_kind kind,
                      const struct trial_attr *attrs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        Optuna__SetTrialUserAttributeRequest user = OPTUNA__SET_TRIAL_USER_ATTRIBUTE_REQUEST__INIT;
        Optuna__SetTrialSystemAttributeRequest system =
            OPTUNA__SET_TRIAL_SYSTEM_ATTRIBUTE_REQUEST__INIT;
        if (client_attr(attrs + i + 1, n - i - 1, attrs[i].key) != NULL)
            continue;
        user.trial_id = system.trial_id = trial;
        user.key = system.key = (char *)attrs[i].key;
        user.value = system.value = (char *)attrs[i].json;
        if (kind == ATTR_USER)
            rpc_init(&l->v[l->n++], WIRE_SET_TRIAL_USER_ATTRIBUTE, &user);
        else
            rpc_init(&l->v[l->n++], WIRE_SET_TRIAL_SYSTEM_ATTRIBUTE, &system);
    }
}

/* ---- one kind of them ---- */

int grpc_trial_params(struct store *s, int64_t trial, const struct trial_param *params, size_t n,
                      struct err *err)
{
    AUTO(list_free) struct list l;
    int rc = list_init(&l, n, err);
    if (rc < 0)
        return rc;
    add_params(&l, trial, params, n);
    return rpc_all(SELF(s), l.v, l.n, err);
}

static bool has_step(const struct trial_step *steps, size_t n, int64_t step)
{
    for (size_t i = 0; i < n; i++) {
        if (steps[i].step == step)
            return true;
    }
    return false;
}

/* Each step once, for the calls may overtake one another: the last of several values. */
static int set_steps(struct store_grpc *g, int64_t trial, const struct trial_step *steps, size_t n,
                     struct err *err)
{
    AUTO(list_free) struct list l;
    int rc = list_init(&l, n, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (!has_step(steps + i + 1, n - i - 1, steps[i].step))
            add_step(&l, trial, &steps[i], false);
    }
    return rc < 0 ? rc : rpc_all(g, l.v, l.n, err);
}

/* The protocol replaces what is there: so look first. */
static int keep_steps(struct store_grpc *g, int64_t trial, const struct trial_step *steps, size_t n,
                      struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    AUTO(wire_trial_free) struct wire_trial t = {0};
    AUTO(list_free) struct list l;
    int rc = list_init(&l, n, err);
    if (rc == 0)
        rc = pool == NULL ? err_set(err, ERR_NOMEM, "a trial")
                          : client_trial(g, trial, pool, &t, err);
    if (rc == 0 && trial_state_finished(t.trial.state))
        rc = client_refuse_finished(trial, t.trial.state, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (!has_step(t.trial.steps, t.trial.n_steps, steps[i].step) &&
            !has_step(steps, i, steps[i].step))
            add_step(&l, trial, &steps[i], false);
    }
    return rc < 0 ? rc : rpc_all(g, l.v, l.n, err);
}

int grpc_trial_steps(struct store *s, int64_t trial, const struct trial_step *steps, size_t n,
                     bool replace, struct err *err)
{
    return replace ? set_steps(SELF(s), trial, steps, n, err)
                   : keep_steps(SELF(s), trial, steps, n, err);
}

int grpc_trial_attrs(struct store *s, int64_t trial, enum attr_kind kind,
                     const struct trial_attr *attrs, size_t n, struct err *err)
{
    AUTO(list_free) struct list l;
    int rc = list_init(&l, n, err);
    if (rc < 0)
        return rc;
    add_attrs(&l, trial, kind, attrs, n);
    return rpc_all(SELF(s), l.v, l.n, err);
}

/* ---- all of them ---- */

static int write_as_one(struct store_grpc *g, int64_t trial, const struct store_write *w,
                        struct err *err)
{
    AUTO(list_free) struct list l;
    int rc = list_init(&l, w->n_params + w->n_steps + w->n_system_attrs + w->n_user_attrs + 1, err);
    if (rc < 0)
        return rc;
    add_params(&l, trial, w->params, w->n_params);
    for (size_t i = 0; i < w->n_steps; i++)
        add_step(&l, trial, &w->steps[i], true);
    add_attrs(&l, trial, ATTR_SYSTEM, w->system_attrs, w->n_system_attrs);
    add_attrs(&l, trial, ATTR_USER, w->user_attrs, w->n_user_attrs);
    if (w->end != NULL)
        client_state_init(&l.v[l.n++], trial, w->end->state, w->end->values, w->end->n_values);
    return l.n == 0 ? 0 : rpc_as_one(g, l.v, l.n, NULL, err);
}

/* Whether several calls may do what one did not: it is too large, or the server has no such call.
 */
static bool is_divisible(int rc)
{
    return rc == -ERR_UNSUPPORTED || rc == -ERR_NOMEM || rc == -ERR_CORRUPT || rc == -ERR_IO;
}

int grpc_trial_write(struct store *s, int64_t trial, const struct store_write *w, struct err *err)
{
    struct store_grpc *g = SELF(s);
    int rc = w->end != NULL ? client_check_end(g, trial, w->end, err) : 0;
    if (rc < 0)
        return rc;
    rc = write_as_one(g, trial, w, err);
    bool parts = is_divisible(rc);
    if (parts)
        rc = backend_write_parts(s, trial, w, err);
    /* of the parts the end has seen to itself, but a trial that an earlier try has ended refuses
     * those before it */
    return w->end != NULL && (!parts || rc == -ERR_FINISHED)
               ? client_ended(g, trial, w->end, rc, err)
               : rc;
}
