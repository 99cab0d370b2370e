#include "storage/grpc/wire.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define SERVICE "/optuna.StorageService/"

/* clang-format off */
static const struct {
    const char *path;
    const ProtobufCMessageDescriptor *request, *reply;
    bool writes;
} methods[WIRE_METHODS] = {
#define METHOD(id, name, symbol, writes)                                                           \
    [id] = {SERVICE name, &optuna__##symbol##_request__descriptor,                                 \
            &optuna__##symbol##_reply__descriptor, writes}
    METHOD(WIRE_CREATE_NEW_STUDY, "CreateNewStudy", create_new_study, true),
    METHOD(WIRE_DELETE_STUDY, "DeleteStudy", delete_study, true),
    METHOD(WIRE_SET_STUDY_USER_ATTRIBUTE, "SetStudyUserAttribute", set_study_user_attribute, true),
    METHOD(WIRE_SET_STUDY_SYSTEM_ATTRIBUTE, "SetStudySystemAttribute", set_study_system_attribute, true),
    METHOD(WIRE_GET_STUDY_ID_FROM_NAME, "GetStudyIdFromName", get_study_id_from_name, false),
    METHOD(WIRE_GET_STUDY_NAME_FROM_ID, "GetStudyNameFromId", get_study_name_from_id, false),
    METHOD(WIRE_GET_STUDY_DIRECTIONS, "GetStudyDirections", get_study_directions, false),
    METHOD(WIRE_GET_STUDY_USER_ATTRIBUTES, "GetStudyUserAttributes", get_study_user_attributes, false),
    METHOD(WIRE_GET_STUDY_SYSTEM_ATTRIBUTES, "GetStudySystemAttributes", get_study_system_attributes, false),
    METHOD(WIRE_GET_ALL_STUDIES, "GetAllStudies", get_all_studies, false),
    METHOD(WIRE_CREATE_NEW_TRIAL, "CreateNewTrial", create_new_trial, true),
    METHOD(WIRE_SET_TRIAL_PARAMETER, "SetTrialParameter", set_trial_parameter, true),
    METHOD(WIRE_GET_TRIAL_ID_FROM_NUMBER, "GetTrialIdFromStudyIdTrialNumber", get_trial_id_from_study_id_trial_number, false),
    METHOD(WIRE_SET_TRIAL_STATE_VALUES, "SetTrialStateValues", set_trial_state_values, true),
    METHOD(WIRE_SET_TRIAL_INTERMEDIATE_VALUE, "SetTrialIntermediateValue", set_trial_intermediate_value, true),
    METHOD(WIRE_SET_TRIAL_USER_ATTRIBUTE, "SetTrialUserAttribute", set_trial_user_attribute, true),
    METHOD(WIRE_SET_TRIAL_SYSTEM_ATTRIBUTE, "SetTrialSystemAttribute", set_trial_system_attribute, true),
    METHOD(WIRE_GET_TRIAL, "GetTrial", get_trial, false),
    METHOD(WIRE_GET_TRIALS, "GetTrials", get_trials, false),
    [WIRE_BATCH] = {"/forkless.Storage/Batch", &forkless__batch_request__descriptor,
                    &forkless__batch_reply__descriptor, true},
#undef METHOD
};
/* clang-format on */

const char *wire_method_path(enum wire_method m)
{
    return methods[m].path;
}

const char *wire_method_name(enum wire_method m)
{
    return strrchr(methods[m].path, '/') + 1;
}

const ProtobufCMessageDescriptor *wire_request(enum wire_method m)
{
    return methods[m].request;
}

const ProtobufCMessageDescriptor *wire_reply(enum wire_method m)
{
    return methods[m].reply;
}

bool wire_writes(enum wire_method m)
{
    return methods[m].writes;
}

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2 };

/* What one message may take. */
struct allowance {
    struct pool *pool;
    size_t left; /* bytes */
    bool spent;
};

static void *allow(void *ctx, size_t n)
{
    struct allowance *a = ctx;
    if (n > a->left) {
        a->spent = true;
        return NULL;
    }
    a->left -= n;
    return pool_alloc(a->pool, n);
}

static void keep(void *ctx, void *p)
{
    (void)ctx; /* freed with the pool */
    (void)p;
}

int wire_unpack(void *out, const ProtobufCMessageDescriptor *descriptor, struct pool *pool,
                const void *bytes, size_t n, struct err *err)
{
    /* 4 MiB: fifty thousand attributes of a few letters, each an object with two strings */
    struct allowance a = {.pool = pool, .left = 8 * n + (4 << 20)};
    ProtobufCAllocator allocator = {.alloc = allow, .free = keep, .allocator_data = &a};
    ProtobufCMessage *m = protobuf_c_message_unpack(descriptor, &allocator, n, bytes);
    if (m == NULL)
        return a.spent || pool_failed(pool)
                   ? err_set(err, ERR_NOMEM, "a %s of %zu bytes takes too much memory",
                             descriptor->short_name, n)
                   : err_set(err, ERR_INVALID, "%zu bytes that are no %s", n,
                             descriptor->short_name);
    *(ProtobufCMessage **)out = m;
    return 0;
}

static uint64_t take_varint(const uint8_t **at, const uint8_t *end)
{
    uint64_t v = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        v |= (uint64_t)(**at & 0x7f) << shift;
        if ((*(*at)++ & 0x80) == 0)
            break;
    }
    return v;
}

/* How many bytes the value of a field has, behind its length if it has one. */
static size_t take_size(const uint8_t **at, const uint8_t *end, unsigned type)
{
    uint64_t n = 0;
    if (type == VARINT)
        (void)take_varint(at, end);
    else
        n = type == BYTES ? take_varint(at, end) : type == FIXED64 ? 8 : 4;
    size_t left = (size_t)(end - *at);
    return n < left ? (size_t)n : left;
}

int wire_check_texts(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t n,
                     struct err *err)
{
    int rc = 0;
    if (n == 0) /* bytes may be NULL */
        return 0;
    const uint8_t *at = bytes, *end = at + n;
    while (at < end && rc == 0) {
        uint64_t tag = take_varint(&at, end);
        size_t size = take_size(&at, end, tag & 7);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
        if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE)
            rc = wire_check_texts(field->descriptor, at, size, err);
        else if (field != NULL && field->type == PROTOBUF_C_TYPE_STRING &&
                 memchr(at, '\0', size) != NULL)
            rc = err_set(err, ERR_INVALID, "a %s whose %s has a NUL in it", descriptor->short_name,
                         field->name);
        at += size;
    }
    return rc;
}

void wire_pack(struct buf *b, const void *message)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    if (!buf_reserve(b, n))
        return;
    b->len += protobuf_c_message_pack(message, (uint8_t *)b->data + b->len);
    b->data[b->len] = '\0';
}

/* ---- writing by hand ---- */

static void put_varint(struct buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_putc(b, (char)(v | 0x80));
    buf_putc(b, (char)v);
}

static size_t varint_size(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

static void put_tag(struct buf *b, unsigned field, enum wire_type type)
{
    put_varint(b, field << 3 | type);
}

/* Zero is what a field has that is not there. */
static void put_int(struct buf *b, unsigned field, int64_t v)
{
    if (v == 0)
        return;
    put_tag(b, field, VARINT);
    put_varint(b, (uint64_t)v);
}

static void put_raw_double(struct buf *b, double v)
{
    unsigned char bytes[8];
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(bits >> (8 * i));
    buf_add(b, bytes, sizeof(bytes));
}

void wire_put_bytes(struct buf *b, unsigned field, const void *bytes, size_t n)
{
    put_tag(b, field, BYTES);
    put_varint(b, n);
    buf_add(b, bytes, n);
}

/* A string's size as a field with a number below 16. */
static size_t bytes_size(size_t n)
{
    return 1 + varint_size(n) + n;
}

static void put_text_entry(struct buf *b, unsigned field, const char *key, const char *value,
                           size_t n_value)
{
    size_t n_key = strlen(key);
    put_tag(b, field, BYTES);
    put_varint(b, bytes_size(n_key) + bytes_size(n_value));
    wire_put_bytes(b, 1, key, n_key);
    wire_put_bytes(b, 2, value, n_value);
}

static void put_params(struct buf *b, const struct trial *t)
{
    AUTO(buf_free) struct buf json = BUF_INIT;
    for (size_t i = 0; i < t->n_params; i++) {
        const struct trial_param *p = &t->params[i];
        size_t n_name = strlen(p->name);
        put_tag(b, 7, BYTES);
        put_varint(b, bytes_size(n_name) + 9);
        wire_put_bytes(b, 1, p->name, n_name);
        put_tag(b, 2, FIXED64);
        put_raw_double(b, p->value);
        buf_clear(&json);
        dist_put_json(&json, p->dist);
        put_text_entry(b, 8, p->name, buf_str(&json), json.len);
    }
    b->failed = b->failed || json.failed;
}

static void put_steps(struct buf *b, const struct trial *t)
{
    for (size_t i = 0; i < t->n_steps; i++) {
        const struct trial_step *s = &t->steps[i];
        put_tag(b, 11, BYTES);
        put_varint(b, 1 + varint_size((uint64_t)s->step) + 9);
        put_tag(b, 1, VARINT);
        put_varint(b, (uint64_t)s->step);
        put_tag(b, 2, FIXED64);
        put_raw_double(b, s->value);
    }
}

void wire_put_attr(struct buf *b, unsigned field, const struct trial_attr *attr)
{
    put_text_entry(b, field, attr->key, attr->json, strlen(attr->json));
}

static void put_attrs(struct buf *b, unsigned field, const struct trial_attr *attrs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        wire_put_attr(b, field, &attrs[i]);
}

static void put_time(struct buf *b, unsigned field, int64_t utc_us)
{
    char text[CLOCK_TEXT_MAX];
    if (utc_us == 0)
        return;
    (void)clock_local(utc_us, text);
    wire_put_bytes(b, field, text, strlen(text));
}

void wire_put_trial(struct buf *b, const struct trial *t)
{
    put_int(b, 1, t->id);
    put_int(b, 2, t->number);
    put_int(b, 3, t->state);
    if (t->n_values > 0) {
        put_tag(b, 4, BYTES);
        put_varint(b, t->n_values * 8);
        for (size_t i = 0; i < t->n_values; i++)
            put_raw_double(b, t->values[i]);
    }
    put_time(b, 5, t->start_us);
    put_time(b, 6, t->complete_us);
    put_params(b, t);
    put_attrs(b, 9, t->user_attrs, t->n_user_attrs);
    put_attrs(b, 10, t->system_attrs, t->n_system_attrs);
    put_steps(b, t);
}

/* ---- reading ---- */

int wire_read_state(enum trial_state *out, Optuna__TrialState state, struct err *err)
{
    if ((int)state < 0 || (int)state >= TRIAL_STATES)
        return err_set(err, ERR_INVALID, "there is no trial state %d", (int)state);
    *out = (enum trial_state)state; /* the numbers are Optuna's */
    return 0;
}

int wire_read_direction(enum direction *out, Optuna__StudyDirection d, struct err *err)
{
    if (d != OPTUNA__STUDY_DIRECTION__MINIMIZE && d != OPTUNA__STUDY_DIRECTION__MAXIMIZE)
        return err_set(err, ERR_INVALID, "there is no direction %d", (int)d);
    *out = d == OPTUNA__STUDY_DIRECTION__MAXIMIZE ? DIRECTION_MAXIMIZE : DIRECTION_MINIMIZE;
    return 0;
}

Optuna__StudyDirection wire_direction(enum direction d)
{
    return d == DIRECTION_MAXIMIZE ? OPTUNA__STUDY_DIRECTION__MAXIMIZE
                                   : OPTUNA__STUDY_DIRECTION__MINIMIZE;
}

static int read_time(int64_t *out, const char *text, struct err *err)
{
    *out = 0;
    if (text[0] == '\0' || clock_read_local(text, out))
        return 0;
    return err_set(err, ERR_INVALID, "'%.40s' is no time like 2026-01-31 23:59:59.000000", text);
}

static int by_key(const void *a, const void *b)
{
    const Optuna__Trial__DistributionsEntry *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

static int key_of(const void *key, const void *entry)
{
    const Optuna__Trial__DistributionsEntry *const *e = entry;
    return strcmp(key, (*e)->key);
}

static int read_param(struct wire_trial *t, struct trial_param *p, const char *name, double value,
                      Optuna__Trial__DistributionsEntry *const *sorted, size_t n, struct err *err)
{
    struct dist *d = &t->dists[t->n_dists];
    Optuna__Trial__DistributionsEntry *const *found =
        n == 0 ? NULL : bsearch(name, sorted, n, sizeof(sorted[0]), key_of);
    if (found == NULL)
        return err_set(err, ERR_INVALID, "parameter '%.80s' has no distribution", name);
    const char *json = (*found)->value;
    int rc = dist_read_stored(d, json, strlen(json), err);
    if (rc < 0)
        return err_wrap(err, rc, "parameter '%.80s'", name);
    t->n_dists++;
    *p = (struct trial_param){.name = name, .dist = d, .value = value};
    return 0;
}

/* The store looks a name up among those before it: beyond this that would take seconds. */
enum { PARAMS_MAX = 10000 };

static int read_params(struct wire_trial *t, const Optuna__Trial *m, struct pool *pool,
                       struct err *err)
{
    if (m->n_params > PARAMS_MAX)
        return err_set(err, ERR_INVALID, "a trial with %zu parameters, more than %d", m->n_params,
                       PARAMS_MAX);
    struct trial_param *params = pool_alloc(pool, m->n_params * sizeof(*params));
    t->dists = pool_alloc(pool, m->n_params * sizeof(*t->dists));
    if (params == NULL || t->dists == NULL)
        return err_set(err, ERR_NOMEM, "parameters of a trial");
    if (m->n_distributions > 0)
        qsort(m->distributions, m->n_distributions, sizeof(m->distributions[0]), by_key);
    int rc = 0;
    for (size_t i = 0; i < m->n_params && rc == 0; i++)
        rc = read_param(t, &params[i], m->params[i]->key, m->params[i]->value, m->distributions,
                        m->n_distributions, err);
    t->trial.params = params;
    t->trial.n_params = m->n_params;
    return rc;
}

static int read_lists(struct wire_trial *t, const Optuna__Trial *m, struct pool *pool,
                      struct err *err)
{
    struct trial_step *steps = pool_alloc(pool, m->n_intermediate_values * sizeof(*steps));
    struct trial_attr *user = pool_alloc(pool, m->n_user_attributes * sizeof(*user));
    struct trial_attr *system = pool_alloc(pool, m->n_system_attributes * sizeof(*system));
    if (steps == NULL || user == NULL || system == NULL)
        return err_set(err, ERR_NOMEM, "a trial");
    for (size_t i = 0; i < m->n_intermediate_values; i++)
        steps[i] = (struct trial_step){.step = m->intermediate_values[i]->key,
                                       .value = m->intermediate_values[i]->value};
    for (size_t i = 0; i < m->n_user_attributes; i++)
        user[i] = (struct trial_attr){.key = m->user_attributes[i]->key,
                                      .json = m->user_attributes[i]->value};
    for (size_t i = 0; i < m->n_system_attributes; i++)
        system[i] = (struct trial_attr){.key = m->system_attributes[i]->key,
                                        .json = m->system_attributes[i]->value};
    t->trial.steps = steps;
    t->trial.n_steps = m->n_intermediate_values;
    t->trial.user_attrs = user;
    t->trial.n_user_attrs = m->n_user_attributes;
    t->trial.system_attrs = system;
    t->trial.n_system_attrs = m->n_system_attributes;
    return 0;
}

int wire_read_trial(struct wire_trial *out, const Optuna__Trial *m, struct pool *pool,
                    struct err *err)
{
    struct wire_trial t = {
        .trial = {
            .id = m->trial_id, .number = m->number, .values = m->values, .n_values = m->n_values}};
    int rc = wire_read_state(&t.trial.state, m->state, err);
    if (rc == 0)
        rc = read_time(&t.trial.start_us, m->datetime_start, err);
    if (rc == 0)
        rc = read_time(&t.trial.complete_us, m->datetime_complete, err);
    if (rc == 0)
        rc = read_lists(&t, m, pool, err);
    if (rc == 0)
        rc = read_params(&t, m, pool, err);
    if (rc < 0) {
        wire_trial_free(&t);
        return rc;
    }
    *out = t;
    return 0;
}

void wire_trial_free(struct wire_trial *t)
{
    for (size_t i = 0; i < t->n_dists; i++)
        dist_free(&t->dists[i]);
    t->n_dists = 0;
}
