#include "storage/sqlite/reader.h"

#include <stdlib.h>
#include <string.h>

#include "storage/dists.h"

enum child { VALUES, PARAMS, STEPS, USER_ATTRS, SYSTEM_ATTRS, CHILDREN };

static const struct {
    enum sql sql;
    unsigned want; /* 0 = always */
} children[CHILDREN] = {
    [VALUES] = {SQL_READ_VALUES, 0},
    [PARAMS] = {SQL_READ_PARAMS, WANT_PARAMS},
    [STEPS] = {SQL_READ_STEPS, WANT_STEPS},
    [USER_ATTRS] = {SQL_READ_USER_ATTRS, WANT_USER_ATTRS},
    [SYSTEM_ATTRS] = {SQL_READ_SYSTEM_ATTRS, WANT_SYSTEM_ATTRS},
};

/* A growing array. */
struct list {
    void *data;
    size_t n, cap;
};

/* Text in the reader's buffer, which moves while it grows. */
struct attr_at {
    size_t key, json;
};

struct param_at {
    int64_t param_id; /* the order in which they were set */
    struct trial_param param;
};

struct reader {
    struct dists dists; /* what parameters pointed to; kept from one read to the next */
    struct trial trial;
    struct list values, params_at, params, steps;
    struct list attrs_at[2], attrs[2]; /* user, system */
    struct buf text;
};

/* The rows of one table, a trial at a time. */
struct cursor {
    sqlite3_stmt *st;
    int64_t trial; /* of the current row */
    bool row;      /* there is one */
};

void reader_destroy(struct reader *r)
{
    if (r == NULL)
        return;
    struct list *const lists[] = {&r->values,      &r->params_at,   &r->params,   &r->steps,
                                  &r->attrs_at[0], &r->attrs_at[1], &r->attrs[0], &r->attrs[1]};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        free(lists[i]->data);
    dists_free(&r->dists);
    buf_free(&r->text);
    free(r);
}

/* A new element at the end, or NULL. */
static void *list_add(struct list *l, size_t size)
{
    if (l->n == l->cap) {
        size_t cap = l->cap == 0 ? 16 : l->cap * 2;
        void *grown = realloc(l->data, cap * size);
        if (grown == NULL)
            return NULL;
        l->data = grown;
        l->cap = cap;
    }
    return (char *)l->data + size * l->n++;
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "reading trials");
}

static int corrupt(struct store_sqlite *q, const struct cursor *c, const char *what,
                   struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%s: trial id %lld: %s", q->path, (long long)c->trial, what);
}

static int cursor_next(struct store_sqlite *q, struct cursor *c, struct err *err)
{
    int rc = sql_step(q, c->st, err);
    c->row = rc == 1;
    if (c->row)
        c->trial = sqlite3_column_int64(c->st, 0);
    return rc < 0 ? rc : 0;
}

static int cursor_open(struct store_sqlite *q, struct cursor *c, enum sql id,
                       const struct read_range *range, struct err *err)
{
    int rc = sql_get(q, id, &c->st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(c->st, 1, range->study);
    (void)sqlite3_bind_int64(c->st, 2, range->after_id);
    (void)sqlite3_bind_int64(c->st, 3, range->last_id);
    return cursor_next(q, c, err);
}

static int add_value(struct store_sqlite *q, struct reader *r, struct cursor *c, struct err *err)
{
    size_t objective = r->values.n;
    double *v = list_add(&r->values, sizeof(*v));
    if (v == NULL)
        return no_memory(err);
    if (sqlite3_column_int64(c->st, 1) != (int64_t)objective)
        return corrupt(q, c, "trial_values lacks an objective", err);
    if (!decode_value(c->st, 2, v))
        return corrupt(q, c, "trial_values.value and value_type do not fit", err);
    return 0;
}

static int add_param(struct reader *r, struct cursor *c, struct err *err)
{
    struct param_at *p = list_add(&r->params_at, sizeof(*p));
    struct dist_entry *e = dists_entry(&r->dists, sql_text(c->st, 2));
    if (p == NULL || e == NULL)
        return no_memory(err);
    p->param_id = sqlite3_column_int64(c->st, 1);
    p->param = (struct trial_param){
        .name = e->name, .dist = &e->dist, .value = sqlite3_column_double(c->st, 3)};
    const char *text = sql_text(c->st, 4);
    return dist_entry_read(e, text, (size_t)sqlite3_column_bytes(c->st, 4), err);
}

/* Adds a parameter and says whose it is when it cannot be read. */
static int add_param_checked(struct store_sqlite *q, struct reader *r, struct cursor *c,
                             struct err *err)
{
    int rc = add_param(r, c, err);
    if (rc == -ERR_INVALID) {
        (void)err_wrap(err, rc, "%s: trial id %lld", q->path, (long long)c->trial);
        if (err != NULL)
            err->code = ERR_CORRUPT;
        return -ERR_CORRUPT;
    }
    const struct param_at *p = r->params_at.data;
    p = rc == 0 ? &p[r->params_at.n - 1] : NULL;
    if (p != NULL && p->param.dist->kind == DIST_CHOICE &&
        !dist_contains(p->param.dist, p->param.value))
        return corrupt(q, c, "trial_params.param_value is no index of a choice", err);
    return rc;
}

static int add_step(struct store_sqlite *q, struct reader *r, struct cursor *c, struct err *err)
{
    struct trial_step *s = list_add(&r->steps, sizeof(*s));
    if (s == NULL)
        return no_memory(err);
    s->step = sqlite3_column_int64(c->st, 1);
    if (!decode_value(c->st, 2, &s->value))
        return corrupt(q, c, "trial_intermediate_values: value and type do not fit", err);
    return 0;
}

static size_t keep_text(struct reader *r, sqlite3_stmt *st, int column)
{
    size_t at = r->text.len;
    buf_puts(&r->text, sql_text(st, column));
    buf_putc(&r->text, '\0');
    return at;
}

static int add_attr(struct reader *r, struct list *list, struct cursor *c, struct err *err)
{
    struct attr_at *a = list_add(list, sizeof(*a));
    if (a == NULL)
        return no_memory(err);
    a->key = keep_text(r, c->st, 1);
    a->json = keep_text(r, c->st, 2);
    return r->text.failed ? no_memory(err) : 0;
}

static int add_row(struct store_sqlite *q, struct reader *r, enum child child, struct cursor *c,
                   struct err *err)
{
    switch (child) {
    case VALUES:
        return add_value(q, r, c, err);
    case PARAMS:
        return add_param_checked(q, r, c, err);
    case STEPS:
        return add_step(q, r, c, err);
    case USER_ATTRS:
        return add_attr(r, &r->attrs_at[0], c, err);
    default:
        return add_attr(r, &r->attrs_at[1], c, err);
    }
}

/* Collects the rows of the trial and leaves the cursor behind them. */
static int collect(struct store_sqlite *q, struct reader *r, enum child child, struct cursor *c,
                   int64_t trial, struct err *err)
{
    int rc = 0;
    while (rc == 0 && c->row && c->trial < trial)
        rc = cursor_next(q, c, err);
    while (rc == 0 && c->row && c->trial == trial) {
        rc = add_row(q, r, child, c, err);
        if (rc == 0)
            rc = cursor_next(q, c, err);
    }
    return rc;
}

/* The parameters in the order in which they were set, not that of the index. */
static int sort_params(struct reader *r, struct err *err)
{
    struct param_at *p = r->params_at.data;
    for (size_t i = 1; i < r->params_at.n; i++) {
        struct param_at moved = p[i];
        size_t j = i;
        for (; j > 0 && p[j - 1].param_id > moved.param_id; j--)
            p[j] = p[j - 1];
        p[j] = moved;
    }
    for (size_t i = 0; i < r->params_at.n; i++) {
        struct trial_param *out = list_add(&r->params, sizeof(*out));
        if (out == NULL)
            return no_memory(err);
        *out = p[i].param;
    }
    return 0;
}

static int point_attrs(struct reader *r, int which, struct err *err)
{
    const struct attr_at *a = r->attrs_at[which].data;
    for (size_t i = 0; i < r->attrs_at[which].n; i++) {
        struct trial_attr *out = list_add(&r->attrs[which], sizeof(*out));
        if (out == NULL)
            return no_memory(err);
        *out =
            (struct trial_attr){.key = r->text.data + a[i].key, .json = r->text.data + a[i].json};
    }
    return 0;
}

static void clear(struct reader *r)
{
    r->values.n = r->params_at.n = r->params.n = r->steps.n = 0;
    for (int i = 0; i < 2; i++)
        r->attrs_at[i].n = r->attrs[i].n = 0;
    buf_clear(&r->text);
}

static int publish(struct reader *r, struct err *err)
{
    int rc = sort_params(r, err);
    for (int i = 0; i < 2 && rc == 0; i++)
        rc = point_attrs(r, i, err);
    if (rc < 0)
        return rc;
    struct trial *t = &r->trial;
    t->values = r->values.data;
    t->n_values = r->values.n;
    t->params = r->params.data;
    t->n_params = r->params.n;
    t->steps = r->steps.data;
    t->n_steps = r->steps.n;
    t->user_attrs = r->attrs[0].data;
    t->n_user_attrs = r->attrs[0].n;
    t->system_attrs = r->attrs[1].data;
    t->n_system_attrs = r->attrs[1].n;
    return 0;
}

static int read_head(struct store_sqlite *q, struct trial *t, const struct cursor *c,
                     struct err *err)
{
    *t = (struct trial){.id = c->trial, .number = sqlite3_column_int64(c->st, 1)};
    if (!trial_state_from_name(sql_text(c->st, 2), &t->state))
        return corrupt(q, c, "trials.state is unknown", err);
    if (!sql_time(c->st, 3, &t->start_us) || !sql_time(c->st, 4, &t->complete_us))
        return corrupt(q, c, "trials.datetime_start or datetime_complete is no time", err);
    return 0;
}

/* The cursors of one read; their statements end with its scope. */
struct cursors {
    struct cursor trials;
    struct cursor of[CHILDREN];
};

static void cursors_close(struct cursors *cs)
{
    sql_reset_p(&cs->trials.st);
    for (int i = 0; i < CHILDREN; i++)
        sql_reset_p(&cs->of[i].st);
}

static int read_trial(struct store_sqlite *q, struct cursors *cs, struct err *err)
{
    struct reader *r = q->reader;
    clear(r);
    int rc = read_head(q, &r->trial, &cs->trials, err);
    for (int i = 0; i < CHILDREN && rc == 0; i++) {
        if (cs->of[i].st != NULL)
            rc = collect(q, r, (enum child)i, &cs->of[i], r->trial.id, err);
    }
    return rc < 0 ? rc : publish(r, err);
}

int reader_each(struct store_sqlite *q, const struct read_range *range, unsigned want,
                store_trial_fn *fn, void *ctx, struct err *err)
{
    AUTO(cursors_close) struct cursors cs = {0};
    if (q->reader == NULL && (q->reader = calloc(1, sizeof(*q->reader))) == NULL)
        return no_memory(err);
    int rc = cursor_open(q, &cs.trials, SQL_READ_TRIALS, range, err);
    for (int i = 0; i < CHILDREN && rc == 0; i++) {
        if (children[i].want == 0 || (want & children[i].want) != 0)
            rc = cursor_open(q, &cs.of[i], children[i].sql, range, err);
    }
    while (rc == 0 && cs.trials.row) {
        enum trial_state state;
        bool known = trial_state_from_name(sql_text(cs.trials.st, 2), &state);
        if (!known || range->states == 0 || (range->states & STORE_STATE_BIT(state)) != 0) {
            rc = read_trial(q, &cs, err);
            if (rc == 0)
                rc = fn(ctx, &q->reader->trial);
        }
        if (rc == 0)
            rc = cursor_next(q, &cs.trials, err);
    }
    return rc;
}

static int found(void *ctx, const struct trial *t)
{
    const struct trial **out = ctx;
    *out = t;
    return 0;
}

int reader_get(struct store_sqlite *q, int64_t study, int64_t trial, unsigned want,
               const struct trial **out, struct err *err)
{
    const struct read_range range = {.study = study, .after_id = trial - 1, .last_id = trial};
    const struct trial *t = NULL;
    int rc = reader_each(q, &range, want, found, &t, err);
    if (rc < 0)
        return rc;
    if (t == NULL)
        return err_set(err, ERR_NOTFOUND, "there is no trial with id %lld", (long long)trial);
    *out = t;
    return 0;
}

/* The trials that are wanted besides; one that is not of the study is passed over. */
static int each_also(struct store_sqlite *q, int64_t study, const struct store_each_opts *opts,
                     store_trial_fn *fn, void *ctx, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < opts->n_also && rc == 0; i++) {
        const struct read_range range = {.study = study,
                                         .after_id = opts->also[i] - 1,
                                         .last_id = opts->also[i],
                                         .states = opts->states};
        if (opts->also[i] > 0 && opts->also[i] <= opts->after_id)
            rc = reader_each(q, &range, opts->want, fn, ctx, err);
    }
    return rc;
}

int sqlite_trials_each(struct store *s, int64_t study, const struct store_each_opts *opts,
                       store_trial_fn *fn, void *ctx, struct err *err)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    const struct read_range range = {
        .study = study, .after_id = opts->after_id, .last_id = INT64_MAX, .states = opts->states};
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = study_check(q, study, err);
    if (rc == 0)
        rc = each_also(q, study, opts, fn, ctx, err);
    if (rc == 0)
        rc = reader_each(q, &range, opts->want, fn, ctx, err);
    return tx_leave_read(q, rc);
}

int sqlite_trial_look(struct store *s, int64_t trial, struct trial_head *out, struct err *err)
{
    return trial_look(CONTAINER_OF(s, struct store_sqlite, base), trial, out, err);
}

int sqlite_trial_get(struct store *s, int64_t trial, unsigned want, store_trial_fn *fn, void *ctx,
                     struct err *err)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    const struct trial *t = NULL;
    struct trial_head head = {0};
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = trial_look(q, trial, &head, err);
    if (rc == 0)
        rc = reader_get(q, head.study, trial, want, &t, err);
    if (rc == 0)
        rc = fn(ctx, t);
    return tx_leave_read(q, rc);
}

int sqlite_trial_find(struct store *s, int64_t study, int64_t number, int64_t *trial,
                      struct err *err)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    AUTO_RESET sqlite3_stmt *st = NULL;
    int rc = sql_get(q, SQL_TRIAL_FIND, &st, err);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(st, 1, study);
    (void)sqlite3_bind_int64(st, 2, number);
    rc = sql_int(q, st, trial, err);
    if (rc == 0)
        return err_set(err, ERR_NOTFOUND, "the study has no trial %lld", (long long)number);
    return rc < 0 ? rc : 0;
}
