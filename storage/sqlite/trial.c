/* Writing trials: creation, parameters, steps, attributes, the end. */
#include "storage/sqlite/trial.h"

#include <stdlib.h>
#include <string.h>

#define SELF(s) CONTAINER_OF(s, struct store_sqlite, base)

/* The study's first distribution of that name, if it has any. */
static int load_first(struct store_sqlite *q, int64_t study, struct dist_entry *e, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_FIRST_DISTRIBUTION, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, study);
    sql_bind_text(st, 2, e->name);
    rc = sql_step(q, st, err);
    if (rc != 1)
        return rc;
    const char *text = sql_text(st, 0);
    struct err why = {0};
    if (dist_read_stored(&e->first, text, (size_t)sqlite3_column_bytes(st, 0), &why) < 0)
        return err_set(err, ERR_CORRUPT, "%s: distribution of '%s': %s", q->path, e->name, why.msg);
    e->has_first = true;
    return 0;
}

/* Whether the parameters may stand beside the study's; nothing is written. Errors: ERR_CONFLICT. */
static int check_params(struct store_sqlite *q, struct trial_index *ix,
                        const struct trial_param *params, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct dist_entry *e = dists_entry(&ix->dists, params[i].name);
        if (e == NULL)
            return err_set(err, ERR_NOMEM, "parameter '%s'", params[i].name);
        int rc = e->has_first ? 0 : load_first(q, ix->study, e, err);
        if (rc < 0)
            return rc;
        rc = dist_entry_check(e, params[i].dist, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Writes parameters that check_params has passed. */
static int put_params(struct store_sqlite *q, struct trial_index *ix, int64_t trial,
                      const struct trial_param *params, size_t n, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_TRIAL_PARAM_INSERT, &st, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct dist_entry *e = dists_entry(&ix->dists, params[i].name);
        rc = e == NULL ? err_set(err, ERR_NOMEM, "parameter '%s'", params[i].name)
                       : dist_entry_write(e, params[i].dist, err);
        if (rc == 0 && !e->has_first) {
            rc = dist_copy(&e->first, params[i].dist, err);
            e->has_first = rc == 0;
        }
        if (rc < 0)
            return rc;
        (void)sqlite3_bind_int64(st, 1, trial);
        sql_bind_text(st, 2, e->name);
        (void)sqlite3_bind_double(st, 3, params[i].value);
        (void)sqlite3_bind_text(st, 4, e->text, (int)e->text_len, SQLITE_STATIC);
        rc = sql_step(q, st, err);
    }
    return rc;
}

static int put_steps(struct store_sqlite *q, int64_t trial, const struct trial_step *steps,
                     size_t n, bool replace, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, replace ? SQL_TRIAL_STEP_REPLACE : SQL_TRIAL_STEP_ADD, &st, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        (void)sqlite3_bind_int64(st, 1, trial);
        (void)sqlite3_bind_int64(st, 2, steps[i].step);
        encode_value(st, 3, steps[i].value);
        rc = sql_step(q, st, err);
    }
    return rc;
}

int trial_put_attrs(struct store_sqlite *q, int64_t trial, enum attr_kind kind,
                    const struct trial_attr *attrs, size_t n, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, kind == ATTR_USER ? SQL_TRIAL_USER_ATTR_SET : SQL_TRIAL_SYSTEM_ATTR_SET,
                     &st, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        (void)sqlite3_bind_int64(st, 1, trial);
        sql_bind_text(st, 2, attrs[i].key);
        sql_bind_text(st, 3, attrs[i].json);
        rc = sql_step(q, st, err);
    }
    return rc;
}

static int put_values(struct store_sqlite *q, int64_t trial, const double *values, size_t n,
                      struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_TRIAL_VALUE_SET, &st, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        (void)sqlite3_bind_int64(st, 1, trial);
        (void)sqlite3_bind_int64(st, 2, (int64_t)i);
        encode_value(st, 3, values[i]);
        rc = sql_step(q, st, err);
    }
    return rc;
}

/* Whether a trial may end so. Errors: ERR_INVALID. */
static int check_count(const struct trial_index *ix, enum trial_state state, size_t n,
                       struct err *err)
{
    bool may_lack = state != TRIAL_COMPLETE;
    if (n == ix->n_directions || (n == 0 && may_lack))
        return 0;
    return err_set(err, ERR_INVALID, "a %s trial of study '%s' needs %zu value%s, not %zu",
                   trial_state_name(state), ix->name, ix->n_directions,
                   ix->n_directions == 1 ? "" : "s", n);
}

/* *id: the wanted one, or 0; then the one that it got. */
static int insert_row(struct store_sqlite *q, const struct trial_index *ix, const struct trial *t,
                      int64_t *id, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    char start[CLOCK_TEXT_MAX], complete[CLOCK_TEXT_MAX];
    int rc = sql_get(q, SQL_TRIAL_INSERT, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, t->number);
    (void)sqlite3_bind_int64(st, 2, ix->study);
    sql_bind_text(st, 3, trial_state_name(t->state));
    encode_time(st, 4, t->start_us, start);
    encode_time(st, 5, t->complete_us, complete);
    if (*id != 0)
        (void)sqlite3_bind_int64(st, 6, *id);
    rc = sql_step(q, st, err);
    *id = sqlite3_last_insert_rowid(q->db);
    return rc;
}

int trial_write(struct store_sqlite *q, struct trial_index *ix, const struct trial *t, int64_t *id,
                struct err *err)
{
    struct open_trial open = {.id = *id,
                              .number = t->number,
                              .not_before_us = queue_not_before_of(t),
                              .start_us = t->start_us,
                              .state = t->state,
                              .own = true};
    int rc = insert_row(q, ix, t, &open.id, err);
    if (rc == 0)
        rc = put_params(q, ix, open.id, t->params, t->n_params, err);
    if (rc == 0)
        rc = put_steps(q, open.id, t->steps, t->n_steps, false, err);
    if (rc == 0)
        rc = put_values(q, open.id, t->values, t->n_values, err);
    if (rc == 0)
        rc = trial_put_attrs(q, open.id, ATTR_USER, t->user_attrs, t->n_user_attrs, err);
    if (rc == 0)
        rc = trial_put_attrs(q, open.id, ATTR_SYSTEM, t->system_attrs, t->n_system_attrs, err);
    if (rc == 0)
        rc = index_created(ix, &open, err);
    if (rc == 0)
        *id = open.id;
    return rc;
}

int trial_insert(struct store_sqlite *q, struct trial_index *ix, const struct trial *tmpl,
                 int64_t *id, int64_t *number, struct err *err)
{
    struct trial t = tmpl != NULL ? *tmpl : (struct trial){.state = TRIAL_RUNNING};
    int64_t given = 0;
    t.number = ix->tally.total; /* Optuna: the trials of the study with a smaller id */
    times_complete(&t);
    int rc = check_params(q, ix, t.params, t.n_params, err);
    if (rc == 0 && trial_state_finished(t.state))
        rc = check_count(ix, t.state, t.n_values, err);
    if (rc == 0)
        rc = trial_write(q, ix, &t, &given, err);
    if (rc == 0) {
        *id = given;
        *number = t.number;
    }
    return rc;
}

static int create(struct store_sqlite *q, int64_t study, const struct trial *tmpl, int64_t *id,
                  int64_t *number, struct err *err)
{
    struct trial_index *ix;
    int rc = index_get(q, study, &ix, err);
    return rc < 0 ? rc : trial_insert(q, ix, tmpl, id, number, err);
}

int sqlite_trial_create(struct store *s, int64_t study, const struct trial *tmpl, int64_t *id,
                        int64_t *number, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, create(q, study, tmpl, id, number, err), err);
}

/* Whether it may change, and is ours still if it was: each claim writes a start of its own. Errors:
 * ERR_NOTFOUND, ERR_FINISHED, ERR_CONFLICT (taken over). */
static int look_ours(struct store_sqlite *q, int64_t trial, struct trial_head *head,
                     struct err *err)
{
    int64_t start_us = 0;
    int rc = trial_look_start(q, trial, head, &start_us, err);
    if (rc < 0)
        return rc;
    if (trial_state_finished(head->state))
        return err_set(err, ERR_FINISHED, "trial id %lld is already %s and cannot change",
                       (long long)trial, trial_state_name(head->state));
    if (!open_trial_may_change(index_find_any(q, trial), head->state, start_us))
        return err_set(err, ERR_CONFLICT,
                       "trial id %lld is not ours any more: it was put back into the queue, and is "
                       "%s now",
                       (long long)trial, trial_state_name(head->state));
    return 0;
}

int trial_look_unfinished(struct store_sqlite *q, int64_t trial, int64_t *study, struct err *err)
{
    struct trial_head head = {0};
    int rc = look_ours(q, trial, &head, err);
    if (rc == 0)
        *study = head.study;
    return rc;
}

static int set_params(struct store_sqlite *q, int64_t trial, const struct trial_param *params,
                      size_t n, struct err *err)
{
    struct trial_index *ix;
    int64_t study;
    int rc = trial_look_unfinished(q, trial, &study, err);
    if (rc == 0)
        rc = index_get(q, study, &ix, err);
    if (rc == 0)
        rc = check_params(q, ix, params, n, err);
    return rc < 0 ? rc : put_params(q, ix, trial, params, n, err);
}

int sqlite_trial_params(struct store *s, int64_t trial, const struct trial_param *params, size_t n,
                        struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, set_params(q, trial, params, n, err), err);
}

int sqlite_trial_steps(struct store *s, int64_t trial, const struct trial_step *steps, size_t n,
                       bool replace, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int64_t study;
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    rc = trial_look_unfinished(q, trial, &study, err);
    if (rc == 0)
        rc = put_steps(q, trial, steps, n, replace, err);
    return tx_leave(q, rc, err);
}

int sqlite_trial_attrs(struct store *s, int64_t trial, enum attr_kind kind,
                       const struct trial_attr *attrs, size_t n, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int64_t study;
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    rc = trial_look_unfinished(q, trial, &study, err);
    if (rc == 0)
        rc = trial_put_attrs(q, trial, kind, attrs, n, err);
    return tx_leave(q, rc, err);
}

int trial_end(struct store_sqlite *q, int64_t trial, enum trial_state state, const double *values,
              size_t n_values, struct trial_index **ix, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    char now[CLOCK_TEXT_MAX];
    int64_t study;
    int rc = trial_look_unfinished(q, trial, &study, err);
    if (rc == 0)
        rc = index_get(q, study, ix, err);
    if (rc == 0)
        rc = check_count(*ix, state, n_values, err);
    if (rc == 0)
        rc = sql_get(q, SQL_TRIAL_END, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, trial);
    sql_bind_text(st, 2, trial_state_name(state));
    encode_time(st, 3, clock_utc_us(), now);
    rc = sql_step(q, st, err);
    if (rc == 0)
        rc = put_values(q, trial, values, n_values, err);
    if (rc == 0)
        index_ended(*ix, trial, state);
    return rc;
}

int sqlite_trial_finish(struct store *s, int64_t trial, enum trial_state state,
                        const double *values, size_t n_values, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    struct trial_index *ix;
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, trial_end(q, trial, state, values, n_values, &ix, err), err);
}

static int start_waiting(struct store_sqlite *q, int64_t trial, int64_t start_us, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    char now[CLOCK_TEXT_MAX];
    int rc = sql_get(q, SQL_TRIAL_CLAIM, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, trial);
    encode_time(st, 2, start_us, now);
    return sql_step(q, st, err);
}

static int run_for(struct store_sqlite *q, enum sql id, int64_t trial, struct err *err)
{
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, id, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, trial);
    return sql_step(q, st, err);
}

/* Without its owner, too: whoever takes it next may be one that leaves no name. */
static int requeue(struct store_sqlite *q, int64_t trial, struct err *err)
{
    int rc = run_for(q, SQL_TRIAL_REQUEUE, trial, err);
    return rc < 0 ? rc : run_for(q, SQL_TRIAL_DISOWN, trial, err);
}

/* Under the write lock what is read is so until the commit. A trial that was taken over stays with
 * whom it belongs to now. */
static int set_state(struct store_sqlite *q, int64_t trial, enum trial_state state, bool *changed,
                     struct err *err)
{
    struct trial_head head = {0};
    struct trial_index *ix;
    int64_t now = clock_utc_us();
    int rc = look_ours(q, trial, &head, err);
    bool theirs = rc == -ERR_CONFLICT;
    if (rc < 0 && !theirs)
        return rc;
    if (theirs && state == TRIAL_WAITING && head.state != TRIAL_WAITING)
        return 0;
    *changed = state == TRIAL_WAITING || head.state == TRIAL_WAITING;
    if (state == head.state)
        return 0;
    rc = index_get(q, head.study, &ix, err);
    if (rc == 0)
        rc = state == TRIAL_RUNNING ? start_waiting(q, trial, now, err) : requeue(q, trial, err);
    if (rc < 0)
        return rc;
    if (state == TRIAL_RUNNING)
        tally_claimed(&ix->tally, trial, now);
    else
        tally_put_back(&ix->tally, trial);
    return 0;
}

int sqlite_trial_state(struct store *s, int64_t trial, enum trial_state state, bool *changed,
                       struct err *err)
{
    struct store_sqlite *q = SELF(s);
    bool yes = false;
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    rc = tx_leave(q, set_state(q, trial, state, &yes, err), err);
    if (rc == 0)
        *changed = yes;
    return rc;
}
