#include <string.h>

#include "base/array.h"
#include "storage/grpc/client/client.h"

int grpc_study_create(struct store *s, const char *name, const enum direction *directions,
                      size_t n_directions, int64_t *study, struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    Optuna__CreateNewStudyRequest q = OPTUNA__CREATE_NEW_STUDY_REQUEST__INIT;
    Optuna__CreateNewStudyReply *r = NULL;
    q.directions = pool != NULL ? pool_alloc(pool, n_directions * sizeof(q.directions[0])) : NULL;
    if (q.directions == NULL)
        return err_set(err, ERR_NOMEM, "study '%s'", name);
    for (; q.n_directions < n_directions; q.n_directions++)
        q.directions[q.n_directions] = wire_direction(directions[q.n_directions]);
    q.study_name = (char *)name;
    int rc = rpc_one(SELF(s), WIRE_CREATE_NEW_STUDY, &q, pool, &r, err);
    if (rc == 0)
        *study = r->study_id;
    return rc;
}

int grpc_study_find(struct store *s, const char *name, int64_t *study, struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    Optuna__GetStudyIdFromNameRequest q = OPTUNA__GET_STUDY_ID_FROM_NAME_REQUEST__INIT;
    Optuna__GetStudyIdFromNameReply *r = NULL;
    q.study_name = (char *)name;
    if (pool == NULL)
        return err_set(err, ERR_NOMEM, "study '%s'", name);
    int rc = rpc_one(SELF(s), WIRE_GET_STUDY_ID_FROM_NAME, &q, pool, &r, err);
    if (rc == -ERR_NOTFOUND)
        return err_set(err, ERR_NOTFOUND, "there is no study '%s' in %s", name, SELF(s)->target);
    if (rc == 0)
        *study = r->study_id;
    return rc;
}

static int ask_directions(struct store_grpc *g, int64_t study, struct pool *pool,
                          Optuna__GetStudyDirectionsReply **r, struct err *err)
{
    Optuna__GetStudyDirectionsRequest q = OPTUNA__GET_STUDY_DIRECTIONS_REQUEST__INIT;
    q.study_id = study;
    return rpc_one(g, WIRE_GET_STUDY_DIRECTIONS, &q, pool, r, err);
}

int grpc_study_directions(struct store *s, int64_t study, enum direction *directions,
                          size_t *n_directions, struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    Optuna__GetStudyDirectionsReply *r = NULL;
    int rc = pool == NULL ? err_set(err, ERR_NOMEM, "directions")
                          : ask_directions(SELF(s), study, pool, &r, err);
    for (size_t i = 0; rc == 0 && i < r->n_directions && i < *n_directions; i++)
        rc = wire_read_direction(&directions[i], r->directions[i], err);
    if (rc == 0)
        *n_directions = r->n_directions;
    return rc;
}

int grpc_study_delete(struct store *s, int64_t study, struct err *err)
{
    Optuna__DeleteStudyRequest q = OPTUNA__DELETE_STUDY_REQUEST__INIT;
    q.study_id = study;
    int rc = rpc_one(SELF(s), WIRE_DELETE_STUDY, &q, NULL, NULL, err);
    if (rc == 0)
        mirror_forget(SELF(s), study);
    return rc;
}

/* ---- attributes ---- */

int grpc_study_attr_set(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                        const char *json, struct err *err)
{
    Optuna__SetStudyUserAttributeRequest user = OPTUNA__SET_STUDY_USER_ATTRIBUTE_REQUEST__INIT;
    Optuna__SetStudySystemAttributeRequest system =
        OPTUNA__SET_STUDY_SYSTEM_ATTRIBUTE_REQUEST__INIT;
    user.study_id = system.study_id = study;
    user.key = system.key = (char *)key;
    user.value = system.value = (char *)json;
    return kind == ATTR_USER
               ? rpc_one(SELF(s), WIRE_SET_STUDY_USER_ATTRIBUTE, &user, NULL, NULL, err)
               : rpc_one(SELF(s), WIRE_SET_STUDY_SYSTEM_ATTRIBUTE, &system, NULL, NULL, err);
}

static int by_key(const void *a, const void *b)
{
    const struct trial_attr *x = a, *y = b;
    return strcmp(x->key, y->key);
}

struct attr_list {
    struct trial_attr *attrs; /* of the pool */
    size_t n;
};

/* The entries of a map are the same in every message, but each has a type of its own. */
#define TAKE_ATTRS(list, pool, entries, count)                                                     \
    do {                                                                                           \
        (list)->attrs = pool_alloc(pool, (count) * sizeof(struct trial_attr));                     \
        for (size_t i_ = 0; (list)->attrs != NULL && i_ < (count); i_++)                           \
            (list)->attrs[(list)->n++] =                                                           \
                (struct trial_attr){(entries)[i_]->key, (entries)[i_]->value};                     \
    } while (0)

/* The attributes of a study by key. */
static int ask_attrs(struct store_grpc *g, int64_t study, enum attr_kind kind, struct pool *pool,
                     struct attr_list *list, struct err *err)
{
    int rc;
    if (kind == ATTR_USER) {
        Optuna__GetStudyUserAttributesRequest q = OPTUNA__GET_STUDY_USER_ATTRIBUTES_REQUEST__INIT;
        Optuna__GetStudyUserAttributesReply *r = NULL;
        q.study_id = study;
        rc = rpc_one(g, WIRE_GET_STUDY_USER_ATTRIBUTES, &q, pool, &r, err);
        if (rc == 0)
            TAKE_ATTRS(list, pool, r->user_attributes, r->n_user_attributes);
    } else {
        Optuna__GetStudySystemAttributesRequest q =
            OPTUNA__GET_STUDY_SYSTEM_ATTRIBUTES_REQUEST__INIT;
        Optuna__GetStudySystemAttributesReply *r = NULL;
        q.study_id = study;
        rc = rpc_one(g, WIRE_GET_STUDY_SYSTEM_ATTRIBUTES, &q, pool, &r, err);
        if (rc == 0)
            TAKE_ATTRS(list, pool, r->system_attributes, r->n_system_attributes);
    }
    if (rc == 0 && list->n > 0)
        qsort(list->attrs, list->n, sizeof(list->attrs[0]), by_key);
    return rc;
}

int grpc_study_attrs_each(struct store *s, int64_t study, enum attr_kind kind, store_attr_fn *fn,
                          void *ctx, struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    struct attr_list list = {0};
    int rc = pool == NULL ? err_set(err, ERR_NOMEM, "attributes")
                          : ask_attrs(SELF(s), study, kind, pool, &list, err);
    for (size_t i = 0; i < list.n && rc == 0; i++)
        rc = fn(ctx, &list.attrs[i]);
    return rc;
}

int grpc_study_attr_get(struct store *s, int64_t study, enum attr_kind kind, const char *key,
                        char **json, struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    struct attr_list list = {0};
    int rc = pool == NULL ? err_set(err, ERR_NOMEM, "attributes")
                          : ask_attrs(SELF(s), study, kind, pool, &list, err);
    if (rc < 0)
        return rc;
    const char *found = client_attr(list.attrs, list.n, key);
    if (found == NULL)
        return err_set(err, ERR_NOTFOUND, "the study has no attribute '%s'", key);
    char *copy = strdup(found);
    if (copy == NULL)
        return err_set(err, ERR_NOMEM, "attribute '%s'", key);
    *json = copy;
    return 0;
}

/* ---- lists ---- */

static int tell_study(int64_t id, const char *name, const Optuna__StudyDirection *directions,
                      size_t n, struct pool *pool, struct study_info *info, struct err *err)
{
    enum direction *out = pool_alloc(pool, n * sizeof(*out));
    int rc = out == NULL ? err_set(err, ERR_NOMEM, "studies") : 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = wire_read_direction(&out[i], directions[i], err);
    *info = (struct study_info){.id = id, .name = name, .directions = out, .n_directions = n};
    return rc;
}

static int look_at_one(struct store_grpc *g, int64_t study, struct pool *pool, store_study_fn *fn,
                       void *ctx, struct err *err)
{
    Optuna__GetStudyNameFromIdRequest q = OPTUNA__GET_STUDY_NAME_FROM_ID_REQUEST__INIT;
    Optuna__GetStudyNameFromIdReply *name = NULL;
    Optuna__GetStudyDirectionsReply *d = NULL;
    struct study_info info;
    q.study_id = study;
    int rc = rpc_one(g, WIRE_GET_STUDY_NAME_FROM_ID, &q, pool, &name, err);
    if (rc == 0)
        rc = ask_directions(g, study, pool, &d, err);
    if (rc == 0)
        rc = tell_study(study, name->study_name, d->directions, d->n_directions, pool, &info, err);
    return rc == 0 ? fn(ctx, &info) : rc;
}

/* What a look at each trial of a study adds up to. */
static int add_up(void *ctx, const struct trial *t)
{
    struct study_info *info = ctx;
    info->counts[t->state]++;
    if (t->start_us != 0 && (info->first_start_us == 0 || t->start_us < info->first_start_us))
        info->first_start_us = t->start_us;
    if (t->complete_us > info->last_complete_us)
        info->last_complete_us = t->complete_us;
    return 0;
}

static int all_studies(struct store_grpc *g, struct pool *pool, bool counts, store_study_fn *fn,
                       void *ctx, struct err *err)
{
    Optuna__GetAllStudiesRequest q = OPTUNA__GET_ALL_STUDIES_REQUEST__INIT;
    Optuna__GetAllStudiesReply *r = NULL;
    int rc = rpc_one(g, WIRE_GET_ALL_STUDIES, &q, pool, &r, err);
    for (size_t i = 0; rc == 0 && i < r->n_studies; i++) {
        const Optuna__Study *st = r->studies[i];
        struct study_info info;
        rc = tell_study(st->study_id, st->study_name, st->directions, st->n_directions, pool, &info,
                        err);
        if (rc == 0 && counts)
            rc = client_trials(g, &(struct client_range){.study = st->study_id, .after_id = -1},
                               add_up, &info, err);
        rc = rc == -ERR_NOTFOUND ? 0 : rc == 0 ? fn(ctx, &info) : rc; /* deleted meanwhile */
    }
    return rc;
}

int grpc_studies_each(struct store *s, store_study_fn *fn, void *ctx, struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    return pool == NULL ? err_set(err, ERR_NOMEM, "studies")
                        : all_studies(SELF(s), pool, true, fn, ctx, err);
}

int grpc_study_look(struct store *s, const int64_t *study, store_study_fn *fn, void *ctx,
                    struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    if (pool == NULL)
        return err_set(err, ERR_NOMEM, "studies");
    return study == NULL ? all_studies(SELF(s), pool, false, fn, ctx, err)
                         : look_at_one(SELF(s), *study, pool, fn, ctx, err);
}

int grpc_study_counts(struct store *s, int64_t study, int64_t counts[static TRIAL_STATES],
                      struct err *err)
{
    struct mirror *m = mirror_of(SELF(s), study);
    int rc =
        m == NULL ? err_set(err, ERR_NOMEM, "a study's trials") : mirror_freshen(SELF(s), m, err);
    if (rc == 0)
        memcpy(counts, m->counts, sizeof(m->counts));
    return rc;
}
