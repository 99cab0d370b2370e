/* Trials that are added by one statement, under a lock of their study that the server takes and
 * gives back by itself: they wait in a list for the commit, and go to the server together with it.
 * Whoever asks for what such a trial changes, in the transaction that is open, has it written at
 * once. */
#include "storage/postgres/add.h"

#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "storage/postgres/index.h"

enum { LISTS = 7 }; /* three of parameters, two each of attributes */

struct addition {
    int64_t study;
    struct open_trial t; /* without an id and a number yet */
    struct effect made;
    struct buf lists[LISTS];
    struct added *out; /* NULL: nobody asks */
    PGresult *lock, *row;
};

static void addition_free(struct addition *a)
{
    for (size_t i = 0; i < LISTS; i++)
        buf_free(&a->lists[i]);
    PQclear(a->lock);
    PQclear(a->row);
}

void add_forget(struct store_pg *q)
{
    for (size_t i = 0; i < q->n_additions; i++)
        addition_free(&q->additions[i]);
    q->n_additions = 0;
}

void add_free(struct store_pg *q)
{
    add_forget(q);
    free(q->additions);
}

bool add_can(const struct trial *t)
{
    bool open = t == NULL || t->state == TRIAL_RUNNING || t->state == TRIAL_WAITING;
    return open && (t == NULL || (t->n_steps == 0 && t->n_values == 0));
}

int64_t add_waiting(const struct store_pg *q, int64_t study)
{
    int64_t n = 0;
    for (size_t i = 0; i < q->n_additions; i++)
        n += q->additions[i].study == study;
    return n;
}

void add_count(const struct store_pg *q, int64_t study, int64_t counts[static TRIAL_STATES])
{
    for (size_t i = 0; i < q->n_additions; i++) {
        if (q->additions[i].study == study)
            counts[q->additions[i].t.state]++;
    }
}

/* As an element of an array. */
static void put_element(struct buf *b, const char *text)
{
    buf_puts(b, b->len > 0 ? ",\"" : "{\"");
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            buf_putc(b, '\\');
        buf_putc(b, *p);
    }
    buf_putc(b, '"');
}

static void put_attrs(struct buf lists[static 2], const struct trial_attr *attrs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put_element(&lists[0], attrs[i].key);
        put_element(&lists[1], attrs[i].json);
    }
}

static void put_lists(struct addition *a, const struct trial *t)
{
    AUTO(buf_free) struct buf json = BUF_INIT;
    char number[TEXT_DOUBLE_MAX];
    for (size_t i = 0; i < t->n_params; i++) {
        buf_clear(&json);
        dist_put_json(&json, t->params[i].dist);
        put_element(&a->lists[0], t->params[i].name);
        put_element(&a->lists[1], text_from_double(t->params[i].value, number));
        put_element(&a->lists[2], buf_str(&json));
        a->lists[2].failed = a->lists[2].failed || json.failed;
    }
    put_attrs(&a->lists[3], t->user_attrs, t->n_user_attrs);
    put_attrs(&a->lists[5], t->system_attrs, t->n_system_attrs);
    for (size_t i = 0; i < LISTS; i++)
        buf_puts(&a->lists[i], a->lists[i].len > 0 ? "}" : "{}");
}

int add_later(struct store_pg *q, int64_t study, const struct trial *tmpl,
              const struct effect *made, struct added *out, struct err *err)
{
    struct trial t = tmpl != NULL ? *tmpl : (struct trial){.state = TRIAL_RUNNING};
    bool failed =
        !array_reserve(&q->additions, &q->cap_additions, q->n_additions + 1, sizeof(*q->additions));
    struct addition a = {.study = study, .made = *made, .out = out};
    if (t.state == TRIAL_RUNNING && t.start_us == 0)
        t.start_us = made->time_us;
    a.t = (struct open_trial){.not_before_us = queue_not_before_of(&t),
                              .start_us = t.start_us,
                              .state = t.state,
                              .own = true};
    put_lists(&a, &t);
    for (size_t i = 0; i < LISTS; i++)
        failed = failed || a.lists[i].failed;
    if (failed) {
        addition_free(&a);
        return err_set(err, ERR_NOMEM, "a trial");
    }
    q->additions[q->n_additions++] = a;
    again_note(q, made);
    return 0;
}

int add_queue(struct store_pg *q, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < q->n_additions && rc == 0; i++) {
        struct addition *a = &q->additions[i];
        const struct trial_index *ix = index_known(q, a->study);
        struct args args = {0};
        arg_int(&args, a->study);
        arg_int(&args, ix->seen_id);
        arg_int(&args, ix->tally.total);
        arg_state(&args, a->t.state);
        arg_time(&args, a->t.start_us);
        for (size_t k = 0; k < LISTS; k++)
            arg_text(&args, buf_str(&a->lists[k]));
        rc = tx_lock_study(q, a->study, &a->lock, err);
        if (rc == 0)
            rc = pipe_queue(q, SQL_TRIAL_ADD, &args, &a->row, err);
    }
    return rc;
}

/* The studies of the list, and a look at each, which is behind what was queued. */
struct looks {
    struct {
        struct trial_index *ix;
        struct index_look look;
    } * of;
    size_t n;
};

static void looks_free(struct looks *l)
{
    for (size_t i = 0; i < l->n; i++)
        index_look_free(&l->of[i].look);
    free(l->of);
}

static bool has_look(const struct looks *l, int64_t study)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->of[i].ix->study == study)
            return true;
    }
    return false;
}

static int looks_queue(struct store_pg *q, struct looks *l, struct err *err)
{
    int rc = 0;
    l->of = calloc(q->n_additions, sizeof(*l->of));
    if (l->of == NULL)
        return err_set(err, ERR_NOMEM, "trials");
    for (size_t i = 0; i < q->n_additions && rc == 0; i++) {
        if (has_look(l, q->additions[i].study))
            continue;
        l->of[l->n].ix = index_known(q, q->additions[i].study);
        rc = index_look_queue(q, l->of[l->n].ix, &l->of[l->n].look, err);
        l->n++;
    }
    return rc;
}

/* Takes in where the trials are; ERR_NOTFOUND when a study is gone, with all that was in it. */
static int take(struct store_pg *q, struct looks *l, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < q->n_additions && rc == 0; i++) {
        struct addition *a = &q->additions[i];
        struct trial_index *ix = index_known(q, a->study);
        if (PQntuples(a->lock) == 0) {
            ix->loaded = false;
            rc = no_study(a->study, err);
            continue;
        }
        a->t.id = field_int(a->row, 0, 0);
        a->t.number = field_int(a->row, 0, 1);
        again_known(q, &a->made, a->t.id, a->t.number);
        rc = index_created(ix, &a->t, err);
        if (a->out != NULL)
            *a->out = (struct added){.id = a->t.id, .number = a->t.number};
    }
    for (size_t i = 0; i < l->n && rc == 0; i++) {
        int64_t last;
        rc = index_look_take(q, l->of[i].ix, &l->of[i].look, &last, err);
    }
    for (size_t i = 0; i < l->n && rc < 0; i++) /* what is known of it is not whole */
        l->of[i].ix->doubted = true;
    for (size_t i = 0; i < q->n_additions && rc == 0; i++) {
        struct trial_index *ix = index_known(q, q->additions[i].study);
        int64_t mark = field_int(q->additions[i].row, 0, 2); /* read under the study's lock */
        if (mark > ix->seen_id)
            ix->seen_id = mark;
    }
    add_forget(q);
    return rc;
}

int add_land(struct store_pg *q, struct err *err)
{
    AUTO(looks_free) struct looks l = {0};
    int rc = tx_queue_commit(q, err);
    if (rc == 0)
        rc = looks_queue(q, &l, err);
    rc = tx_land(q, rc, err);
    if (rc < 0)
        return rc;
    rc = take(q, &l, err);
    index_land(q);
    return rc;
}

int add_now(struct store_pg *q, struct err *err)
{
    AUTO(looks_free) struct looks l = {0};
    if (q->n_additions == 0)
        return 0;
    int rc = add_queue(q, err);
    if (rc == 0)
        rc = looks_queue(q, &l, err);
    if (rc == 0)
        rc = pipe_round(q, err);
    if (rc == 0)
        return take(q, &l, err);
    pipe_forget(q);
    add_forget(q);
    return rc;
}
