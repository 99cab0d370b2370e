/* Writing trials: creation, parameters, steps, attributes, the end. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "storage/postgres/add.h"
#include "storage/postgres/index.h"
#include "storage/postgres/ops.h"
#include "storage/times.h"

#define SELF(s) CONTAINER_OF(s, struct store_pg, base)

/* --- parameters --------------------------------------------------------------------------------
 */

static int take_first(struct store_pg *q, struct dist_entry *e, const PGresult *r, struct err *err)
{
    struct err why = {0};
    if (PQntuples(r) == 0)
        return 0;
    if (dist_read_stored(&e->first, field(r, 0, 0), (size_t)PQgetlength(r, 0, 0), &why) < 0)
        return err_set(err, ERR_CORRUPT, "%s: distribution of '%s': %s", q->name, e->name, why.msg);
    e->has_first = true;
    return 0;
}

/* Asks for the study's first distributions of the names that are new to us, in one round trip. */
static int load_firsts(struct store_pg *q, struct trial_index *ix, const struct trial_param *params,
                       size_t n, PGresult **found, struct err *err)
{
    int rc = 0;
    bool any = false;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct args a = {0};
        struct dist_entry *e = dists_entry(&ix->dists, params[i].name);
        if (e == NULL)
            return err_set(err, ERR_NOMEM, "parameter '%s'", params[i].name);
        if (e->has_first)
            continue;
        arg_int(&a, ix->study);
        arg_text(&a, params[i].name);
        rc = pipe_queue(q, SQL_FIRST_DISTRIBUTION, &a, &found[i], err);
        any = true;
    }
    if (rc == 0 && any)
        rc = pipe_round(q, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (found[i] != NULL)
            rc = take_first(q, dists_entry(&ix->dists, params[i].name), found[i], err);
    }
    return rc;
}

int trial_check_params(struct store_pg *q, struct trial_index *ix, const struct trial_param *params,
                       size_t n, struct err *err)
{
    AUTO_FREE PGresult **found = calloc(n + 1, sizeof(PGresult *));
    if (found == NULL)
        return err_set(err, ERR_NOMEM, "parameters");
    int rc = load_firsts(q, ix, params, n, found, err);
    if (rc < 0)
        pipe_forget(q);
    for (size_t i = 0; i < n; i++)
        PQclear(found[i]);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = dist_entry_check(dists_entry(&ix->dists, params[i].name), params[i].dist, err);
    return rc;
}

/* Writes parameters that trial_check_params has passed. */
static int put_params(struct store_pg *q, struct trial_index *ix, int64_t trial,
                      const struct trial_param *params, size_t n, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct args a = {0};
        struct dist_entry *e = dists_entry(&ix->dists, params[i].name);
        rc = e == NULL ? err_set(err, ERR_NOMEM, "parameter '%s'", params[i].name)
                       : dist_entry_write(e, params[i].dist, err);
        if (rc == 0 && !e->has_first) {
            rc = dist_copy(&e->first, params[i].dist, err);
            e->has_first = rc == 0;
        }
        if (rc < 0)
            return rc;
        arg_int(&a, trial);
        arg_text(&a, e->name);
        arg_real(&a, params[i].value);
        arg_text(&a, e->text);
        rc = pipe_queue(q, SQL_TRIAL_PARAM_INSERT, &a, NULL, err);
    }
    return rc;
}

/* --- steps, attributes, values -----------------------------------------------------------------
 */

static int check_steps(const struct trial_step *steps, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (steps[i].step < INT32_MIN || steps[i].step > INT32_MAX)
            return err_set(err, ERR_INVALID,
                           "step %" PRId64 ": Optuna's tables have 32 bits for it", steps[i].step);
    }
    return 0;
}

static int put_steps(struct store_pg *q, enum sql id, int64_t trial, const struct trial_step *steps,
                     size_t n, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct args a = {0};
        arg_int(&a, trial);
        arg_int(&a, steps[i].step);
        arg_value(&a, steps[i].value);
        rc = pipe_queue(q, id, &a, NULL, err);
    }
    return rc;
}

int trial_put_attrs(struct store_pg *q, int64_t trial, enum attr_kind kind,
                    const struct trial_attr *attrs, size_t n, struct err *err)
{
    enum sql id = kind == ATTR_USER ? SQL_TRIAL_USER_ATTR_SET : SQL_TRIAL_SYSTEM_ATTR_SET;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct args a = {0};
        arg_int(&a, trial);
        arg_text(&a, attrs[i].key);
        arg_text(&a, attrs[i].json);
        rc = pipe_queue(q, id, &a, NULL, err);
    }
    return rc;
}

static int put_values(struct store_pg *q, int64_t trial, const double *values, size_t n,
                      struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct args a = {0};
        arg_int(&a, trial);
        arg_int(&a, (int64_t)i);
        arg_value(&a, values[i]);
        rc = pipe_queue(q, SQL_TRIAL_VALUE_SET, &a, NULL, err);
    }
    return rc;
}

/* --- creation ----------------------------------------------------------------------------------
 */

/* Whether a trial may end so. Errors: ERR_INVALID. */
static int check_count(const struct trial_index *ix, enum trial_state state, size_t n,
                       struct err *err)
{
    bool may_lack = state != TRIAL_COMPLETE;
    if (n == ix->n_directions || (n == 0 && may_lack))
        return 0;
    return err_set(err, ERR_INVALID, "a %s trial of this study needs %zu value%s, not %zu",
                   trial_state_name(state), ix->n_directions, ix->n_directions == 1 ? "" : "s", n);
}

static int insert_row(struct store_pg *q, const struct trial_index *ix, const struct trial *t,
                      int64_t id, struct err *err)
{
    struct args a = {0};
    arg_int(&a, id);
    arg_int(&a, t->number);
    arg_int(&a, ix->study);
    arg_state(&a, t->state);
    arg_time(&a, t->start_us);
    arg_time(&a, t->complete_us);
    return pipe_queue(q, SQL_TRIAL_INSERT, &a, NULL, err);
}

int trial_write(struct store_pg *q, struct trial_index *ix, const struct trial *tmpl, int64_t id,
                bool as_it_is, struct open_trial *out, struct err *err)
{
    struct trial t = tmpl != NULL ? *tmpl : (struct trial){.state = TRIAL_RUNNING};
    if (!as_it_is) {
        times_complete(&t);
        t.number = ix->tally.total; /* Optuna: the trials of the study with a smaller id */
    }
    *out = (struct open_trial){.id = id,
                               .number = t.number,
                               .not_before_us = queue_not_before_of(&t),
                               .start_us = t.start_us,
                               .state = t.state,
                               .own = true};
    int rc = check_steps(t.steps, t.n_steps, err);
    if (rc == 0 && !as_it_is)
        rc = trial_check_params(q, ix, t.params, t.n_params, err);
    if (rc == 0 && !as_it_is && trial_state_finished(t.state))
        rc = check_count(ix, t.state, t.n_values, err);
    if (rc == 0)
        rc = insert_row(q, ix, &t, id, err);
    if (rc == 0)
        rc = put_params(q, ix, id, t.params, t.n_params, err);
    if (rc == 0)
        rc = put_steps(q, SQL_TRIAL_STEP_ADD, id, t.steps, t.n_steps, err);
    if (rc == 0)
        rc = put_values(q, id, t.values, t.n_values, err);
    if (rc == 0)
        rc = trial_put_attrs(q, id, ATTR_USER, t.user_attrs, t.n_user_attrs, err);
    if (rc == 0)
        rc = trial_put_attrs(q, id, ATTR_SYSTEM, t.system_attrs, t.n_system_attrs, err);
    if (rc == 0)
        rc = index_created(ix, out, err);
    if (rc == 0 && !trial_state_finished(t.state))
        tx_trust(q, id, ix->study);
    return rc;
}

int trial_insert(struct store_pg *q, struct trial_index *ix, const struct trial *tmpl, int64_t id,
                 struct open_trial *out, struct err *err)
{
    return trial_write(q, ix, tmpl, id, false, out, err);
}

static uint64_t hash_text(uint64_t h, const char *text)
{
    return again_hash(h, text, strlen(text) + 1);
}

static uint64_t hash_attrs(uint64_t h, const struct trial_attr *attrs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = hash_text(hash_text(h, attrs[i].key), attrs[i].json);
    return again_hash(h, &n, sizeof(n));
}

/* Of all that makes up a template; two alike are one asked for twice. */
static uint64_t hash_trial(const struct trial *t)
{
    if (t == NULL)
        return 1;
    uint64_t h = again_hash(0, &t->state, sizeof(t->state));
    h = again_hash(h, t->values, t->n_values * sizeof(*t->values));
    for (size_t i = 0; i < t->n_params; i++) {
        h = hash_text(h, t->params[i].name);
        h = again_hash(h, &t->params[i].value, sizeof(t->params[i].value));
    }
    for (size_t i = 0; i < t->n_steps; i++) {
        h = again_hash(h, &t->steps[i].step, sizeof(t->steps[i].step));
        h = again_hash(h, &t->steps[i].value, sizeof(t->steps[i].value));
    }
    h = hash_attrs(h, t->user_attrs, t->n_user_attrs);
    h = hash_attrs(h, t->system_attrs, t->n_system_attrs);
    h = again_hash(h, &t->start_us, sizeof(t->start_us));
    return again_hash(h, &t->complete_us, sizeof(t->complete_us));
}

/* What became of a trial whose id is not known: *id stays -1 when it did not land. */
static int find_unknown(struct store_pg *q, struct effect *e, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    struct args a = {0};
    bool landed = true;
    int rc = e->xid != 0 ? tx_landed(q, e->xid, &landed, err) : 0;
    if (rc < 0 || !landed)
        return rc;
    arg_int(&a, e->on);
    if (e->xid == 0) { /* nobody owns it, and nobody else starts one at that time */
        arg_time(&a, e->time_us);
        arg_text(&a, NULL);
    } else {
        arg_int(&a, e->after);
        arg_int(&a, e->xid);
        arg_int(&a, e->place);
    }
    rc = pipe_run(q, e->xid != 0 ? SQL_TRIAL_OF_XID : SQL_CLAIM_FIND, &a, &r, err);
    if (rc == 0 && PQntuples(r) > 0)
        e->id = field_int(r, 0, 0);
    return rc;
}

/* Whether the trial that was created before a commit was lost is there. */
static int find_created(struct store_pg *q, struct trial_index *ix, const struct effect *e,
                        struct added *out, bool *there, struct err *err)
{
    struct trial_head head = {0};
    struct effect found = *e;
    int rc = e->id < 0 ? find_unknown(q, &found, err) : 0;
    if (rc == 0)
        rc = found.id >= 0 ? pg_trial_look(&q->base, found.id, &head, err) : -ERR_NOTFOUND;
    *there = rc == 0 && head.study == ix->study;
    if (*there) {
        const struct open_trial t = {.id = found.id,
                                     .number = head.number,
                                     .start_us = e->time_us,
                                     .state = head.state,
                                     .own = true};
        *out = (struct added){.id = found.id, .number = head.number};
        again_note(q, e);
        return trial_state_finished(head.state) ? 0 : index_created(ix, &t, err);
    }
    if (rc < 0 && rc != -ERR_NOTFOUND)
        return rc;
    again_forget(q, e);
    return 0;
}

/* Under the study's lock, so that what may have landed has. */
static int create_locked(struct store_pg *q, int64_t study, const struct trial *tmpl,
                         struct effect *made, struct added *out, struct err *err)
{
    struct trial_index *ix = NULL;
    struct open_trial t;
    bool there = false;
    int rc = index_lock(q, study, &ix, NULL, err);
    const struct effect *e = rc == 0 ? again_find(q, EFFECT_CREATE, study, made->what) : NULL;
    if (e != NULL)
        rc = find_created(q, ix, e, out, &there, err);
    if (rc < 0 || there)
        return rc;
    rc = index_lock(q, study, &ix, &made->id, err);
    if (rc == 0)
        rc = trial_insert(q, ix, tmpl, made->id, &t, err);
    if (rc < 0)
        return rc;
    made->number = t.number;
    made->time_us = t.start_us;
    again_note(q, made);
    *out = (struct added){.id = made->id, .number = made->number};
    return 0;
}

/* By the server, with the commit. */
static int create_there(struct store_pg *q, struct trial_index *ix, const struct trial *tmpl,
                        struct effect *made, struct added *out, struct err *err)
{
    made->id = -1;
    made->number = ++q->n_created;
    made->after = ix->seen_id;
    made->place = add_waiting(q, ix->study);
    made->time_us = tmpl != NULL ? tmpl->start_us : 0;
    if (made->time_us == 0 && (tmpl == NULL || tmpl->state == TRIAL_RUNNING))
        made->time_us = clock_utc_us();
    int rc = tmpl != NULL ? trial_check_params(q, ix, tmpl->params, tmpl->n_params, err) : 0;
    if (rc == 0 && (tmpl != NULL || q->in_batch)) /* else its start tells it from all others */
        rc = tx_id(q, &made->xid, err);
    return rc == 0 ? add_later(q, ix->study, tmpl, made, out, err) : rc;
}

static int create(struct store_pg *q, int64_t study, const struct trial *tmpl, struct added *out,
                  struct err *err)
{
    struct trial_index *ix = NULL;
    struct added ignored;
    struct effect made = {.kind = EFFECT_CREATE, .on = study, .what = hash_trial(tmpl)};
    int rc = index_ready(q, study, &ix, err);
    if (rc < 0)
        return rc;
    bool again = again_find(q, EFFECT_CREATE, study, made.what) != NULL;
    bool in_time = out == NULL || !q->in_batch; /* the commit comes before its id is asked for */
    if (!again && in_time && !ix->locked && add_can(tmpl))
        return create_there(q, ix, tmpl, &made, out, err);
    return create_locked(q, study, tmpl, &made, out != NULL ? out : &ignored, err);
}

int pg_trial_create(struct store *s, int64_t study, const struct trial *tmpl, int64_t *id,
                    int64_t *number, struct err *err)
{
    struct store_pg *q = SELF(s);
    struct added made = {0};
    int rc = tx_enter(q, err);
    if (rc == 0)
        rc = tx_leave(q, create(q, study, tmpl, id != NULL ? &made : NULL, err), err);
    if (rc == 0 && id != NULL) {
        *id = made.id;
        *number = made.number;
    }
    return rc;
}

/* --- changes -----------------------------------------------------------------------------------
 */

static int set_params(struct store_pg *q, int64_t trial, const struct trial_param *params, size_t n,
                      struct err *err)
{
    struct trial_index *ix;
    int64_t study;
    int rc = tx_check_trial(q, trial, &study, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = index_slot(q, study, &ix, err);
    if (rc == 0)
        rc = trial_check_params(q, ix, params, n, err);
    return rc < 0 ? rc : put_params(q, ix, trial, params, n, err);
}

int pg_trial_params(struct store *s, int64_t trial, const struct trial_param *params, size_t n,
                    struct err *err)
{
    struct store_pg *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, set_params(q, trial, params, n, err), err);
}

int pg_trial_steps(struct store *s, int64_t trial, const struct trial_step *steps, size_t n,
                   bool replace, struct err *err)
{
    struct store_pg *q = SELF(s);
    int64_t study;
    int rc = check_steps(steps, n, err);
    if (rc == 0)
        rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    rc = tx_check_trial(q, trial, &study, err);
    if (rc == 0)
        rc = put_steps(q, replace ? SQL_TRIAL_STEP_SET : SQL_TRIAL_STEP_ADD, trial, steps, n, err);
    return tx_leave(q, rc < 0 ? rc : 0, err);
}

int pg_trial_attrs(struct store *s, int64_t trial, enum attr_kind kind,
                   const struct trial_attr *attrs, size_t n, struct err *err)
{
    struct store_pg *q = SELF(s);
    int64_t study;
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    rc = tx_check_trial(q, trial, &study, err);
    if (rc == 0)
        rc = trial_put_attrs(q, trial, kind, attrs, n, err);
    return tx_leave(q, rc < 0 ? rc : 0, err);
}

int trial_end(struct store_pg *q, int64_t study, int64_t trial, enum trial_state state,
              const double *values, size_t n_values, int64_t now_us, struct err *err)
{
    struct trial_index *ix = index_known(q, study);
    struct args a = {0};
    int rc = ix == NULL || !ix->loaded ? index_get(q, study, &ix, err) : 0;
    if (rc == 0)
        rc = check_count(ix, state, n_values, err);
    if (rc < 0)
        return rc;
    arg_int(&a, trial);
    arg_state(&a, state);
    arg_time(&a, now_us);
    rc = pipe_queue(q, SQL_TRIAL_END, &a, NULL, err);
    if (rc == 0)
        rc = put_values(q, trial, values, n_values, err);
    if (rc == 0) {
        tally_changed(&ix->tally, trial, state);
        tx_done(q, trial);
    }
    return rc;
}

static int finish(struct store_pg *q, int64_t trial, enum trial_state state, const double *values,
                  size_t n_values, struct err *err)
{
    int64_t study;
    const struct effect made = {.kind = EFFECT_END, .on = trial, .time_us = clock_utc_us()};
    int rc = tx_check_trial(q, trial, &study, err);
    if (rc == TX_ALREADY) {
        const struct effect *e = again_find(q, EFFECT_END, trial, 0);
        if (e == NULL) /* it failed and was queued again */
            return err_set(err, ERR_FINISHED, "trial id %" PRId64 " is already finished", trial);
        again_note(q, e);
        return 0;
    }
    if (rc == 0)
        rc = trial_end(q, study, trial, state, values, n_values, made.time_us, err);
    if (rc == 0)
        again_note(q, &made);
    return rc;
}

int pg_trial_finish(struct store *s, int64_t trial, enum trial_state state, const double *values,
                    size_t n_values, struct err *err)
{
    struct store_pg *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, finish(q, trial, state, values, n_values, err), err);
}

/* What the index knows of the trial, of which it may not have heard yet. */
static int learn_state(struct store_pg *q, int64_t study, int64_t trial, enum trial_state state,
                       int64_t start_us, struct err *err)
{
    struct trial_index *ix;
    int rc = index_get(q, study, &ix, err);
    if (rc < 0)
        return rc;
    if (state == TRIAL_RUNNING)
        tally_claimed(&ix->tally, trial, start_us);
    else
        tally_put_back(&ix->tally, trial);
    return 0;
}

/* Under its lock the trial's state is what was read until the commit. Who puts back what they run
 * has perhaps done it already, in a commit that was lost; if somebody else runs it by now, it stays
 * theirs. */
static int set_state(struct store_pg *q, int64_t trial, enum trial_state state, bool *changed,
                     struct err *err)
{
    struct trial_head head;
    struct args a = {0};
    int64_t study, now = clock_utc_us();
    int rc = state == TRIAL_WAITING ? tx_check_trial(q, trial, &study, err)
                                    : tx_lock_trial(q, trial, &study, err);
    bool theirs = rc == -ERR_CONFLICT;
    if (rc != 0 && !theirs)
        return rc < 0 ? rc : 0;
    rc = pg_trial_look(&q->base, trial, &head, err);
    if (rc < 0 || (theirs && head.state != TRIAL_WAITING))
        return rc;
    *changed = state == TRIAL_WAITING || head.state == TRIAL_WAITING;
    if (state == head.state)
        return 0;
    rc = learn_state(q, study, trial, state, now, err);
    arg_int(&a, trial);
    if (state == TRIAL_RUNNING)
        arg_time(&a, now);
    if (rc < 0 || state == TRIAL_RUNNING)
        return rc < 0 ? rc : pipe_queue(q, SQL_TRIAL_CLAIM, &a, NULL, err);
    rc = pipe_queue(q, SQL_TRIAL_PUT_BACK, &a, NULL, err);
    return rc < 0 ? rc : pipe_queue(q, SQL_TRIAL_DISOWN, &a, NULL, err);
}

int pg_trial_state(struct store *s, int64_t trial, enum trial_state state, bool *changed,
                   struct err *err)
{
    struct store_pg *q = SELF(s);
    bool yes = false;
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    rc = tx_leave(q, set_state(q, trial, state, &yes, err), err);
    if (rc == 0)
        *changed = yes;
    return rc;
}
