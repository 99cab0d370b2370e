#include "storage/postgres/reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "storage/dists.h"

#define PAGE 500 /* the rows of SQL_READ_FETCH */

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

/* What parameters, texts and all of a trial point to stays until the next one is read: texts are
 * those of the results. */
struct reader {
    struct dists dists; /* kept from one read to the next */
    struct trial trial;
    struct list values, params, steps, attrs[2]; /* user, system */
    PGresult *heads, *of[CHILDREN];              /* of one page, by id; NULL: not wanted */
};

static void clear_page(struct reader *r)
{
    PQclear(r->heads);
    r->heads = NULL;
    for (int i = 0; i < CHILDREN; i++) {
        PQclear(r->of[i]);
        r->of[i] = NULL;
    }
}

void reader_destroy(struct reader *r)
{
    if (r == NULL)
        return;
    struct list *const lists[] = {&r->values, &r->params, &r->steps, &r->attrs[0], &r->attrs[1]};
    clear_page(r);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        free(lists[i]->data);
    dists_free(&r->dists);
    free(r);
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "reading trials");
}

/* A new element at the end, or NULL. */
static void *list_add(struct list *l, size_t size)
{
    if (!array_reserve(&l->data, &l->cap, l->n + 1, size))
        return NULL;
    return (char *)l->data + size * l->n++;
}

static int corrupt(struct store_pg *q, int64_t trial, const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%s: trial id %" PRId64 ": %s", q->name, trial, what);
}

static int add_value(struct store_pg *q, struct reader *r, const PGresult *rows, int i,
                     struct err *err)
{
    size_t objective = r->values.n;
    double *v = list_add(&r->values, sizeof(*v));
    if (v == NULL)
        return no_memory(err);
    if (field_int(rows, i, 1) != (int64_t)objective)
        return corrupt(q, r->trial.id, "trial_values lacks an objective", err);
    if (!field_value(rows, i, 2, v))
        return corrupt(q, r->trial.id, "trial_values.value and value_type do not fit", err);
    return 0;
}

static int add_param(struct store_pg *q, struct reader *r, const PGresult *rows, int i,
                     struct err *err)
{
    struct err why = {0};
    struct trial_param *p = list_add(&r->params, sizeof(*p));
    struct dist_entry *e = dists_entry(&r->dists, field(rows, i, 1));
    if (p == NULL || e == NULL)
        return no_memory(err);
    int rc = dist_entry_read(e, field(rows, i, 3), (size_t)PQgetlength(rows, i, 3), &why);
    if (rc == -ERR_NOMEM)
        return no_memory(err);
    if (rc < 0)
        return corrupt(q, r->trial.id, why.msg, err);
    *p = (struct trial_param){.name = e->name, .dist = &e->dist, .value = field_real(rows, i, 2)};
    if (p->dist->kind == DIST_CHOICE && !dist_contains(p->dist, p->value))
        return corrupt(q, r->trial.id, "trial_params.param_value is no index of a choice", err);
    return 0;
}

static int add_step(struct store_pg *q, struct reader *r, const PGresult *rows, int i,
                    struct err *err)
{
    struct trial_step *s = list_add(&r->steps, sizeof(*s));
    if (s == NULL)
        return no_memory(err);
    s->step = field_int(rows, i, 1);
    if (!field_value(rows, i, 2, &s->value))
        return corrupt(q, r->trial.id, "trial_intermediate_values: value and type do not fit", err);
    return 0;
}

static int add_attr(struct list *list, const PGresult *rows, int i, struct err *err)
{
    struct trial_attr *a = list_add(list, sizeof(*a));
    if (a == NULL)
        return no_memory(err);
    *a = (struct trial_attr){.key = field(rows, i, 1), .json = field(rows, i, 2)};
    return 0;
}

static int add_row(struct store_pg *q, struct reader *r, enum child child, int i, struct err *err)
{
    const PGresult *rows = r->of[child];
    switch (child) {
    case VALUES:
        return add_value(q, r, rows, i, err);
    case PARAMS:
        return add_param(q, r, rows, i, err);
    case STEPS:
        return add_step(q, r, rows, i, err);
    case USER_ATTRS:
        return add_attr(&r->attrs[0], rows, i, err);
    default:
        return add_attr(&r->attrs[1], rows, i, err);
    }
}

static size_t first_row(const PGresult *rows, int64_t trial)
{
    return LOWER_BOUND(i, (size_t)PQntuples(rows), field_int(rows, (int)i, 0) < trial);
}

/* The child's rows of the trial. */
static int collect(struct store_pg *q, struct reader *r, enum child child, struct err *err)
{
    const PGresult *rows = r->of[child];
    int rc = 0;
    int n = rows != NULL ? PQntuples(rows) : 0;
    for (int i = n > 0 ? (int)first_row(rows, r->trial.id) : 0;
         rc == 0 && i < n && field_int(rows, i, 0) == r->trial.id; i++)
        rc = add_row(q, r, child, i, err);
    return rc;
}

static int read_head(struct store_pg *q, struct trial *t, const PGresult *heads, int i,
                     struct err *err)
{
    *t = (struct trial){.id = field_int(heads, i, 0), .number = field_int(heads, i, 1)};
    int rc = field_state(q, heads, i, 2, t->id, &t->state, err);
    if (rc < 0)
        return rc;
    if (!field_time(heads, i, 3, &t->start_us) || !field_time(heads, i, 4, &t->complete_us))
        return corrupt(q, t->id, "datetime_start or datetime_complete is no time", err);
    return 0;
}

static int read_trial(struct store_pg *q, struct reader *r, int i, struct err *err)
{
    struct trial *t = &r->trial;
    r->values.n = r->params.n = r->steps.n = r->attrs[0].n = r->attrs[1].n = 0;
    int rc = read_head(q, t, r->heads, i, err);
    for (int child = 0; child < CHILDREN && rc == 0; child++)
        rc = collect(q, r, (enum child)child, err);
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
    return rc;
}

static int deliver(struct store_pg *q, struct reader *r, store_trial_fn *fn, void *ctx,
                   struct err *err)
{
    int rc = 0;
    for (int i = 0; i < PQntuples(r->heads) && rc == 0; i++) {
        rc = read_trial(q, r, i, err);
        if (rc == 0)
            rc = fn(ctx, &r->trial);
    }
    return rc;
}

static int queue_children(struct store_pg *q, struct reader *r, const char *ids, unsigned want,
                          struct err *err)
{
    struct args a = {0};
    int rc = 0;
    arg_text(&a, ids);
    for (int i = 0; i < CHILDREN && rc == 0; i++) {
        if (children[i].want == 0 || (want & children[i].want) != 0)
            rc = pipe_queue(q, children[i].sql, &a, &r->of[i], err);
    }
    return rc;
}

static int ready(struct store_pg *q, struct err *err)
{
    if (q->reader == NULL && (q->reader = calloc(1, sizeof(*q->reader))) == NULL)
        return no_memory(err);
    clear_page(q->reader);
    return 0;
}

/* The children of the page whose heads are there, and *next, the heads of the page behind. */
static int read_page(struct store_pg *q, struct reader *r, unsigned want, PGresult **next,
                     struct err *err)
{
    AUTO(buf_free) struct buf ids = BUF_INIT;
    buf_putc(&ids, '{');
    for (int i = 0; i < PQntuples(r->heads); i++)
        buf_printf(&ids, "%s%s", i > 0 ? "," : "", field(r->heads, i, 0));
    buf_putc(&ids, '}');
    int rc = ids.failed ? no_memory(err) : queue_children(q, r, buf_str(&ids), want, err);
    return rc < 0 ? rc : pipe_run(q, SQL_READ_FETCH, ARGS_NONE, next, err);
}

static int read_pages(struct store_pg *q, unsigned want, store_trial_fn *fn, void *ctx,
                      struct err *err)
{
    struct reader *r = q->reader;
    int rc = 0;
    while (rc == 0 && PQntuples(r->heads) > 0) {
        PGresult *next = NULL;
        rc = read_page(q, r, want, &next, err);
        if (rc == 0)
            rc = deliver(q, r, fn, ctx, err);
        clear_page(r);
        r->heads = next;
    }
    return rc;
}

/* "{RUNNING,FAIL}", or "" for all. */
static const char *put_states(struct buf *b, unsigned states)
{
    for (int s = 0; s < TRIAL_STATES; s++) {
        if ((states & STORE_STATE_BIT(s)) != 0)
            buf_printf(b, "%s%s", b->len > 0 ? "," : "{", trial_state_name((enum trial_state)s));
    }
    if (states != 0)
        buf_putc(b, '}');
    return states != 0 ? buf_str(b) : NULL;
}

int reader_each(struct store_pg *q, const struct read_range *range, unsigned want,
                store_trial_fn *fn, void *ctx, struct err *err)
{
    AUTO(buf_free) struct buf states = BUF_INIT;
    struct args a = {0};
    int rc = ready(q, err);
    arg_int(&a, range->study);
    arg_int(&a, range->after_id < INT32_MAX ? range->after_id : INT32_MAX);
    arg_int(&a, range->last_id < INT32_MAX ? range->last_id : INT32_MAX);
    arg_text(&a, put_states(&states, range->states));
    if (states.failed)
        return no_memory(err);
    if (rc == 0)
        rc = pipe_queue(q, SQL_READ_OPEN, &a, NULL, err);
    if (rc == 0)
        rc = pipe_run(q, SQL_READ_FETCH, ARGS_NONE, &q->reader->heads, err);
    if (rc == 0)
        rc = read_pages(q, want, fn, ctx, err);
    if (q->reader != NULL)
        clear_page(q->reader);
    /* a batch goes on, and may read again */
    return rc != 0 ? rc : pipe_queue(q, SQL_READ_CLOSE, ARGS_NONE, NULL, err);
}

static int read_these(struct store_pg *q, const int64_t *study, const int64_t *trials, size_t n,
                      unsigned want, struct err *err)
{
    AUTO(buf_free) struct buf ids = BUF_INIT;
    struct args a = {0};
    int rc = ready(q, err);
    put_ids(&ids, trials, n);
    if (rc < 0 || ids.failed)
        return no_memory(err);
    arg_text(&a, buf_str(&ids));
    if (study != NULL)
        arg_int(&a, *study);
    else
        arg_text(&a, NULL);
    rc = queue_children(q, q->reader, buf_str(&ids), want, err);
    return rc < 0 ? rc : pipe_run(q, SQL_READ_HEADS, &a, &q->reader->heads, err);
}

/* Those of the page that were found, in the order in which they were named. */
static int deliver_these(struct store_pg *q, const int64_t *trials, size_t n, store_trial_fn *fn,
                         void *ctx, struct err *err)
{
    struct reader *r = q->reader;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        int row = (int)first_row(r->heads, trials[i]);
        if (row == PQntuples(r->heads) || field_int(r->heads, row, 0) != trials[i])
            continue;
        rc = read_trial(q, r, row, err);
        if (rc == 0)
            rc = fn(ctx, &r->trial);
    }
    return rc;
}

int reader_these(struct store_pg *q, int64_t study, const int64_t *trials, size_t n, unsigned want,
                 store_trial_fn *fn, void *ctx, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i += PAGE) {
        size_t part = n - i < PAGE ? n - i : PAGE;
        rc = read_these(q, &study, trials + i, part, want, err);
        if (rc == 0)
            rc = deliver_these(q, trials + i, part, fn, ctx, err);
    }
    return rc;
}

int reader_get(struct store_pg *q, int64_t trial, unsigned want, const struct trial **out,
               struct err *err)
{
    if (!id_fits(trial))
        return no_trial(trial, err);
    int rc = read_these(q, NULL, &trial, 1, want, err);
    if (rc == 0 && PQntuples(q->reader->heads) == 0)
        rc = no_trial(trial, err);
    if (rc == 0)
        rc = read_trial(q, q->reader, 0, err);
    if (rc == 0)
        *out = &q->reader->trial;
    return rc;
}
