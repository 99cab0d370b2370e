#include "storage/grpc/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "storage/grpc/status.h"

/* A request on its way. */
struct call {
    struct store *store;
    bool keep;           /* values that are there stay */
    const void *request; /* unpacked */
    struct pool *pool;
    struct buf *reply;
    struct buf scratch; /* a message that goes into the reply */
    struct err *err;
};

/* ---- studies ---- */

static int create_study(struct call *c)
{
    const Optuna__CreateNewStudyRequest *q = c->request;
    Optuna__CreateNewStudyReply r = OPTUNA__CREATE_NEW_STUDY_REPLY__INIT;
    enum direction *directions = pool_alloc(c->pool, q->n_directions * sizeof(*directions));
    int rc = directions == NULL ? err_set(c->err, ERR_NOMEM, "directions") : 0;
    for (size_t i = 0; i < q->n_directions && rc == 0; i++)
        rc = wire_read_direction(&directions[i], q->directions[i], c->err);
    if (rc == 0)
        rc = store_study_create(c->store, q->study_name, directions, q->n_directions, &r.study_id,
                                c->err);
    if (rc == 0)
        wire_pack(c->reply, &r);
    return rc;
}

static int delete_study(struct call *c)
{
    const Optuna__DeleteStudyRequest *q = c->request;
    return store_study_delete(c->store, q->study_id, c->err);
}

static int set_study_user_attr(struct call *c)
{
    const Optuna__SetStudyUserAttributeRequest *q = c->request;
    return store_study_attr_set(c->store, q->study_id, ATTR_USER, q->key, q->value, c->err);
}

static int set_study_system_attr(struct call *c)
{
    const Optuna__SetStudySystemAttributeRequest *q = c->request;
    return store_study_attr_set(c->store, q->study_id, ATTR_SYSTEM, q->key, q->value, c->err);
}

static int find_study(struct call *c)
{
    const Optuna__GetStudyIdFromNameRequest *q = c->request;
    Optuna__GetStudyIdFromNameReply r = OPTUNA__GET_STUDY_ID_FROM_NAME_REPLY__INIT;
    int rc = store_study_find(c->store, q->study_name, &r.study_id, c->err);
    if (rc == 0)
        wire_pack(c->reply, &r);
    return rc;
}

static int put_name(void *ctx, const struct study_info *info)
{
    struct call *c = ctx;
    if (info->name[0] != '\0')
        wire_put_bytes(c->reply, 1, info->name, strlen(info->name));
    return 0;
}

static int name_study(struct call *c)
{
    const Optuna__GetStudyNameFromIdRequest *q = c->request;
    return store_study_look(c->store, q->study_id, put_name, c, c->err);
}

static int put_directions(void *ctx, const struct study_info *info)
{
    struct call *c = ctx;
    Optuna__GetStudyDirectionsReply r = OPTUNA__GET_STUDY_DIRECTIONS_REPLY__INIT;
    r.directions = pool_alloc(c->pool, info->n_directions * sizeof(r.directions[0]));
    if (r.directions == NULL)
        return err_set(c->err, ERR_NOMEM, "directions");
    for (; r.n_directions < info->n_directions; r.n_directions++)
        r.directions[r.n_directions] = wire_direction(info->directions[r.n_directions]);
    wire_pack(c->reply, &r);
    return 0;
}

static int directions_of_study(struct call *c)
{
    const Optuna__GetStudyDirectionsRequest *q = c->request;
    return store_study_look(c->store, q->study_id, put_directions, c, c->err);
}

/* Attributes as entries of a map: the same in each message that has one. */
struct attr_map {
    struct buf *to;
    unsigned field;
};

static int put_attr(void *ctx, const struct trial_attr *attr)
{
    struct attr_map *map = ctx;
    wire_put_attr(map->to, map->field, attr);
    return 0;
}

static int user_attrs_of_study(struct call *c)
{
    const Optuna__GetStudyUserAttributesRequest *q = c->request;
    struct attr_map map = {.to = c->reply, .field = 1};
    return store_study_attrs_each(c->store, q->study_id, ATTR_USER, put_attr, &map, c->err);
}

static int system_attrs_of_study(struct call *c)
{
    const Optuna__GetStudySystemAttributesRequest *q = c->request;
    struct attr_map map = {.to = c->reply, .field = 1};
    return store_study_attrs_each(c->store, q->study_id, ATTR_SYSTEM, put_attr, &map, c->err);
}

/* Studies as they are listed; their attributes come after, because a callback must not ask. */
struct study_list {
    struct call *call;
    Optuna__Study **studies;
    size_t n, cap;
};

static int list_study(void *ctx, const struct study_info *info)
{
    struct study_list *l = ctx;
    struct pool *pool = l->call->pool;
    Optuna__Study *s = pool_alloc(pool, sizeof(*s));
    if (s == NULL || !array_reserve(&l->studies, &l->cap, l->n + 1, sizeof(l->studies[0])))
        return err_set(l->call->err, ERR_NOMEM, "studies");
    optuna__study__init(s);
    s->study_id = info->id;
    s->study_name = pool_strdup(pool, info->name);
    s->directions = pool_alloc(pool, info->n_directions * sizeof(s->directions[0]));
    if (pool_failed(pool))
        return err_set(l->call->err, ERR_NOMEM, "studies");
    for (; s->n_directions < info->n_directions; s->n_directions++)
        s->directions[s->n_directions] = wire_direction(info->directions[s->n_directions]);
    l->studies[l->n++] = s;
    return 0;
}

/* A study that was deleted meanwhile is left out. */
static int put_study(struct call *c, const Optuna__Study *s)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    struct attr_map user = {.to = &b, .field = 4}, system = {.to = &b, .field = 5};
    wire_pack(&b, s);
    int rc = store_study_attrs_each(c->store, s->study_id, ATTR_USER, put_attr, &user, c->err);
    if (rc == 0)
        rc = store_study_attrs_each(c->store, s->study_id, ATTR_SYSTEM, put_attr, &system, c->err);
    if (rc == 0)
        wire_put_bytes(c->reply, 1, buf_str(&b), b.len);
    c->reply->failed = c->reply->failed || b.failed;
    return rc == -ERR_NOTFOUND ? 0 : rc;
}

static int all_studies(struct call *c)
{
    struct study_list l = {.call = c};
    int rc = store_studies_look(c->store, list_study, &l, c->err);
    for (size_t i = 0; i < l.n && rc == 0; i++)
        rc = put_study(c, l.studies[i]);
    free(l.studies);
    return rc;
}

/* ---- trials: writing ---- */

static int create_from(struct call *c, const Optuna__CreateNewTrialRequest *q, int64_t *id)
{
    AUTO(wire_trial_free) struct wire_trial t = {0};
    static const Optuna__Trial empty = OPTUNA__TRIAL__INIT; /* what a missing message means */
    const Optuna__Trial *m = q->template_trial != NULL ? q->template_trial : &empty;
    int rc = wire_read_trial(&t, m, c->pool, c->err);
    return rc < 0 ? rc : store_trial_create(c->store, q->study_id, &t.trial, id, NULL, c->err);
}

static int create_trial(struct call *c)
{
    const Optuna__CreateNewTrialRequest *q = c->request;
    Optuna__CreateNewTrialReply r = OPTUNA__CREATE_NEW_TRIAL_REPLY__INIT;
    int rc = q->template_trial_is_none
                 ? store_trial_create(c->store, q->study_id, NULL, &r.trial_id, NULL, c->err)
                 : create_from(c, q, &r.trial_id);
    if (rc == 0)
        wire_pack(c->reply, &r);
    return rc;
}

static int set_param(struct call *c)
{
    const Optuna__SetTrialParameterRequest *q = c->request;
    AUTO(dist_free) struct dist d = {0};
    int rc = dist_read_stored(&d, q->distribution, strlen(q->distribution), c->err);
    if (rc < 0)
        return err_wrap(c->err, rc, "parameter '%.80s'", q->param_name);
    const struct trial_param p = {
        .name = q->param_name, .dist = &d, .value = q->param_value_internal};
    return store_trial_params(c->store, q->trial_id, &p, 1, c->err);
}

static int set_state(struct call *c)
{
    const Optuna__SetTrialStateValuesRequest *q = c->request;
    Optuna__SetTrialStateValuesReply r = OPTUNA__SET_TRIAL_STATE_VALUES_REPLY__INIT;
    enum trial_state state;
    bool changed = false;
    int rc = wire_read_state(&state, q->state, c->err);
    if (rc == 0)
        rc = store_trial_state(c->store, q->trial_id, state, q->values, q->n_values, &changed,
                               c->err);
    r.trial_updated = changed;
    if (rc == 0)
        wire_pack(c->reply, &r);
    return rc;
}

static int set_step(struct call *c)
{
    const Optuna__SetTrialIntermediateValueRequest *q = c->request;
    const struct trial_step step = {.step = q->step, .value = q->intermediate_value};
    return c->keep ? store_trial_steps(c->store, q->trial_id, &step, 1, c->err)
                   : store_trial_steps_set(c->store, q->trial_id, &step, 1, c->err);
}

static int set_user_attr(struct call *c)
{
    const Optuna__SetTrialUserAttributeRequest *q = c->request;
    const struct trial_attr attr = {.key = q->key, .json = q->value};
    return store_trial_attrs(c->store, q->trial_id, ATTR_USER, &attr, 1, c->err);
}

static int set_system_attr(struct call *c)
{
    const Optuna__SetTrialSystemAttributeRequest *q = c->request;
    const struct trial_attr attr = {.key = q->key, .json = q->value};
    return store_trial_attrs(c->store, q->trial_id, ATTR_SYSTEM, &attr, 1, c->err);
}

/* ---- trials: reading ---- */

static int find_trial(struct call *c)
{
    const Optuna__GetTrialIdFromStudyIdTrialNumberRequest *q = c->request;
    Optuna__GetTrialIdFromStudyIdTrialNumberReply r =
        OPTUNA__GET_TRIAL_ID_FROM_STUDY_ID_TRIAL_NUMBER_REPLY__INIT;
    int rc = store_trial_find(c->store, q->study_id, q->trial_number, &r.trial_id, c->err);
    if (rc == 0)
        wire_pack(c->reply, &r);
    return rc;
}

/* A trial as field 1 of the reply: in GetTrialReply and GetTrialsReply alike. */
static int put_trial(void *ctx, const struct trial *t)
{
    struct call *c = ctx;
    buf_clear(&c->scratch);
    wire_put_trial(&c->scratch, t);
    wire_put_bytes(c->reply, 1, buf_str(&c->scratch), c->scratch.len);
    if (c->scratch.failed || c->reply->failed)
        return err_set(c->err, ERR_NOMEM, "a reply of %zu bytes", c->reply->len);
    return 0;
}

static int get_trial(struct call *c)
{
    const Optuna__GetTrialRequest *q = c->request;
    return store_trial_get(c->store, q->trial_id, WANT_ALL, put_trial, c, c->err);
}

static int by_id(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Sorts the ids and leaves each once: a reply must not grow with how often one is named. */
static size_t unique_ids(int64_t *ids, size_t n)
{
    size_t kept = 0;
    if (n > 0)
        qsort(ids, n, sizeof(ids[0]), by_id);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || ids[kept - 1] != ids[i])
            ids[kept++] = ids[i];
    }
    return kept;
}

static int get_trials(struct call *c)
{
    const Optuna__GetTrialsRequest *q = c->request;
    const struct store_each_opts opts = {
        .after_id = q->trial_id_greater_than > 0 ? q->trial_id_greater_than : 0,
        .want = WANT_ALL,
        .also = q->included_trial_ids,
        .n_also = unique_ids(q->included_trial_ids, q->n_included_trial_ids)};
    return store_trials_each(c->store, q->study_id, &opts, put_trial, c, c->err);
}

/* ---- several at once ---- */

static int put_answer(struct call *c, int rc, const struct err *err, const struct buf *reply)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    Forkless__BatchAnswer a = FORKLESS__BATCH_ANSWER__INIT;
    a.status = status_of_error((enum err_code) - rc);
    if (rc < 0) {
        a.details = (char *)err->msg;
    } else {
        a.reply.data = (uint8_t *)buf_str(reply);
        a.reply.len = reply->len;
    }
    wire_pack(&b, &a);
    wire_put_bytes(c->reply, 1, buf_str(&b), b.len);
    return b.failed || c->reply->failed ? err_set(c->err, ERR_NOMEM, "a reply") : 0;
}

static int answer(struct call *c, enum wire_method m, const void *request, size_t n);

/* Tells in *refused whether it was. */
static int answer_item(struct call *c, const Forkless__BatchItem *item, bool *refused)
{
    AUTO(buf_free) struct buf reply = BUF_INIT;
    struct err err = {0};
    struct call of_item = {.store = c->store, .keep = item->keep, .reply = &reply, .err = &err};
    if (item->method < 0 || item->method >= WIRE_BATCH)
        return err_set(c->err, ERR_INVALID, "a batch with a method %d", item->method);
    int rc =
        answer(&of_item, (enum wire_method)item->method, item->request.data, item->request.len);
    *refused = store_refused(rc);
    if (rc < 0 && !*refused) {
        *c->err = err;
        return rc;
    }
    return put_answer(c, rc, &err, &reply);
}

static int look_for_room(struct call *c, const Forkless__Room *room, bool *found)
{
    int64_t counts[TRIAL_STATES], left = room->target;
    int rc = store_study_counts(c->store, room->study_id, counts, c->err);
    for (int state = 0; state < TRIAL_STATES && rc == 0; state++) {
        if (state == TRIAL_RUNNING || (room->states & STORE_STATE_BIT(state)) != 0)
            left -= counts[state];
    }
    *found = rc == 0 && counts[TRIAL_WAITING] == 0 && (room->target < 0 || left > 0);
    return rc;
}

static int say_no_room(struct call *c)
{
    Forkless__BatchReply r = FORKLESS__BATCH_REPLY__INIT;
    r.no_room = true;
    wire_pack(c->reply, &r);
    return 0;
}

static int batch(struct call *c)
{
    const Forkless__BatchRequest *q = c->request;
    bool refused = false, room = true;
    int rc = q->room != NULL ? look_for_room(c, q->room, &room) : 0;
    if (rc == 0 && !room)
        return say_no_room(c);
    for (size_t i = 0; i < q->n_items && rc == 0 && !(refused && q->until_refused); i++)
        rc = answer_item(c, q->items[i], &refused);
    return rc;
}

static int (*const handlers[WIRE_METHODS])(struct call *c) = {
    [WIRE_CREATE_NEW_STUDY] = create_study,
    [WIRE_DELETE_STUDY] = delete_study,
    [WIRE_SET_STUDY_USER_ATTRIBUTE] = set_study_user_attr,
    [WIRE_SET_STUDY_SYSTEM_ATTRIBUTE] = set_study_system_attr,
    [WIRE_GET_STUDY_ID_FROM_NAME] = find_study,
    [WIRE_GET_STUDY_NAME_FROM_ID] = name_study,
    [WIRE_GET_STUDY_DIRECTIONS] = directions_of_study,
    [WIRE_GET_STUDY_USER_ATTRIBUTES] = user_attrs_of_study,
    [WIRE_GET_STUDY_SYSTEM_ATTRIBUTES] = system_attrs_of_study,
    [WIRE_GET_ALL_STUDIES] = all_studies,
    [WIRE_CREATE_NEW_TRIAL] = create_trial,
    [WIRE_SET_TRIAL_PARAMETER] = set_param,
    [WIRE_GET_TRIAL_ID_FROM_NUMBER] = find_trial,
    [WIRE_SET_TRIAL_STATE_VALUES] = set_state,
    [WIRE_SET_TRIAL_INTERMEDIATE_VALUE] = set_step,
    [WIRE_SET_TRIAL_USER_ATTRIBUTE] = set_user_attr,
    [WIRE_SET_TRIAL_SYSTEM_ATTRIBUTE] = set_system_attr,
    [WIRE_GET_TRIAL] = get_trial,
    [WIRE_GET_TRIALS] = get_trials,
    [WIRE_BATCH] = batch,
};

static int answer(struct call *c, enum wire_method m, const void *request, size_t n)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    if (pool == NULL)
        return err_set(c->err, ERR_NOMEM, "a request");
    c->pool = pool;
    int rc = wire_unpack(&c->request, wire_request(m), pool, request, n, c->err);
    if (rc == 0)
        rc = wire_check_texts(wire_request(m), request, n, c->err);
    if (rc == 0)
        rc = handlers[m](c);
    buf_free(&c->scratch);
    return rc == 0 && c->reply->failed ? err_set(c->err, ERR_NOMEM, "a reply") : rc;
}

int service_answer(struct store *s, enum wire_method m, const void *request, size_t n,
                   struct buf *reply, struct err *err)
{
    struct call c = {.store = s, .reply = reply, .err = err};
    return answer(&c, m, request, n);
}
