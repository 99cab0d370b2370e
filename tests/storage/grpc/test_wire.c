/* What is written by hand is what protobuf reads, and the service answers as Optuna's does. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "storage/grpc/local.h"
#include "storage/grpc/service.h"
#include "storage/grpc/status.h"
#include "tests/storage/store_fixture.h"

static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};

static struct pool *pool; /* of the test */

static void begin(void)
{
    (void)setenv("TZ", "Asia/Kathmandu", 1); /* UTC+05:45 */
    tzset();
    pool = pool_create();
}

static void end(void)
{
    pool_destroy(pool);
}

TestSuite(wire, .init = begin, .fini = end);
TestSuite(service, .init = begin, .fini = end);

static const Optuna__Trial *sent(const struct trial *t)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    Optuna__Trial *m = NULL;
    wire_put_trial(&b, t);
    MUST(wire_unpack(&m, &optuna__trial__descriptor, pool, buf_str(&b), b.len, &err));
    return m;
}

Test(wire, addresses_of_this_machine_are_known)
{
    static const char *const local[] = {"127.0.0.1:1", "127.9.8.7:1", "[::1]:1", "localhost:1",
                                        "unix:/s"};
    static const char *const remote[] = {
        "0.0.0.0:1",      "127.example.com:1", "127.0.0.1.nip:1", "[::]:1",
        "localhost.de:1", "10.0.0.1:1",        "1270.0.0.1:1",    ""};
    for (size_t i = 0; i < ARRAY_LEN(local); i++)
        cr_expect(address_is_local(local[i]), "%s", local[i]);
    for (size_t i = 0; i < ARRAY_LEN(remote); i++)
        cr_expect(!address_is_local(remote[i]), "%s", remote[i]);
}

Test(wire, a_trial_is_read_as_it_was_written)
{
    const double values[] = {-INFINITY, 0.0, 1e-300};
    const struct trial_param params[] = {{"\xce\xb7", &unit, 0.5}, {"", &unit, 0}};
    const struct trial_step steps[] = {{-1, NAN}, {INT64_MAX, INFINITY}, {0, -0.0}};
    const struct trial_attr user[] = {{"k", "[1, NaN]"}};
    const struct trial_attr system[] = {{"fixed_params", "{}"}, {"", "\"\\ud83d\\ude00\""}};
    const struct trial t = {.id = INT64_MAX,
                            .number = 300,
                            .state = TRIAL_PRUNED,
                            .values = values,
                            .n_values = 3,
                            .params = params,
                            .n_params = 2,
                            .steps = steps,
                            .n_steps = 3,
                            .user_attrs = user,
                            .n_user_attrs = 1,
                            .system_attrs = system,
                            .n_system_attrs = 2,
                            .start_us = 1767225600000001,
                            .complete_us = 1767225600999999};
    const Optuna__Trial *m = sent(&t);
    cr_expect(m->trial_id == INT64_MAX && m->number == 300);
    cr_expect_eq(m->state, OPTUNA__TRIAL_STATE__PRUNED);
    cr_assert_eq(m->n_values, 3);
    cr_expect_arr_eq(m->values, values, sizeof(values));
    cr_expect_str_eq(m->datetime_start, "2026-01-01 05:45:00.000001");
    cr_expect_str_eq(m->datetime_complete, "2026-01-01 05:45:00.999999");
    cr_assert_eq(m->n_intermediate_values, 3);
    cr_expect(m->intermediate_values[0]->key == -1 && isnan(m->intermediate_values[0]->value));
    cr_expect_eq(m->intermediate_values[1]->key, INT64_MAX);
    cr_expect(signbit(m->intermediate_values[2]->value));
    AUTO(wire_trial_free) struct wire_trial back = {0};
    MUST(wire_read_trial(&back, m, pool, &err));
    cr_expect_eq(back.trial.start_us, t.start_us);
    cr_expect_eq(back.trial.complete_us, t.complete_us);
    cr_assert_eq(back.trial.n_params, 2);
    cr_expect_str_eq(back.trial.params[0].name, "\xce\xb7");
    cr_expect(dist_equal(back.trial.params[0].dist, &unit) && back.trial.params[0].value == 0.5);
    cr_expect_str_eq(back.trial.system_attrs[1].json, "\"\\ud83d\\ude00\"");
}

Test(wire, an_empty_trial_is_running_and_has_nothing)
{
    const struct trial t = {.state = TRIAL_RUNNING};
    const Optuna__Trial *m = sent(&t);
    cr_expect(m->n_values == 0 && m->n_params == 0 && m->datetime_start[0] == '\0');
    AUTO(wire_trial_free) struct wire_trial back = {0};
    MUST(wire_read_trial(&back, m, pool, &err));
    cr_expect(back.trial.state == TRIAL_RUNNING && back.trial.start_us == 0);
}

Test(wire, a_parameter_without_distribution_is_refused)
{
    Optuna__Trial__ParamsEntry entry = OPTUNA__TRIAL__PARAMS_ENTRY__INIT;
    Optuna__Trial__ParamsEntry *params[] = {&entry};
    Optuna__Trial m = OPTUNA__TRIAL__INIT;
    struct wire_trial t = {0};
    entry.key = (char *)"x";
    m.params = params;
    m.n_params = 1;
    REFUSED(ERR_INVALID, wire_read_trial(&t, &m, pool, &err));
    m.n_params = 0;
    m.state = (Optuna__TrialState)9;
    REFUSED(ERR_INVALID, wire_read_trial(&t, &m, pool, &err));
    m.state = OPTUNA__TRIAL_STATE__RUNNING;
    m.datetime_start = (char *)"2026-01-01T00:00:00";
    REFUSED(ERR_INVALID, wire_read_trial(&t, &m, pool, &err));
}

Test(wire, a_message_that_swells_is_refused)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    Optuna__Trial *m = NULL;
    for (int i = 0; i < 1000000; i++)
        wire_put_bytes(&b, 9, "", 0); /* two bytes here, 60 as an object */
    REFUSED(ERR_NOMEM, wire_unpack(&m, &optuna__trial__descriptor, pool, buf_str(&b), b.len, &err));
    REFUSED(ERR_INVALID, wire_unpack(&m, &optuna__trial__descriptor, pool, "\xff\xff", 2, &err));
}

Test(wire, a_trial_with_many_short_attributes_is_read)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    Optuna__Trial *m = NULL;
    char key[16];
    for (int i = 0; i < 20000; i++) {
        const struct trial_attr attr = {.key = key, .json = "1"};
        (void)snprintf(key, sizeof(key), "%d", i);
        wire_put_attr(&b, 9, &attr);
    }
    MUST(wire_unpack(&m, &optuna__trial__descriptor, pool, buf_str(&b), b.len, &err));
    cr_expect_eq(m->n_user_attributes, 20000);
}

Test(wire, methods_are_those_of_the_service)
{
    cr_assert_eq(optuna__storage_service__descriptor.n_methods, WIRE_BATCH);
    for (unsigned i = 0; i < WIRE_BATCH; i++) {
        const ProtobufCMethodDescriptor *d = &optuna__storage_service__descriptor.methods[i];
        enum wire_method m = (enum wire_method)i;
        cr_expect_str_eq(wire_method_name(m), d->name);
        cr_expect_eq(wire_request(m), d->input);
        cr_expect_eq(wire_reply(m), d->output);
    }
}

/* Asks the service; the unpacked reply, or NULL with the error in err. */
static const void *ask(struct store *s, enum wire_method m, const void *request)
{
    AUTO(buf_free) struct buf q = BUF_INIT;
    AUTO(buf_free) struct buf r = BUF_INIT;
    void *reply = NULL;
    wire_pack(&q, request);
    if (service_answer(s, m, buf_str(&q), q.len, &r, &err) == 0)
        MUST(wire_unpack(&reply, wire_reply(m), pool, buf_str(&r), r.len, &err));
    return reply;
}

/* gRPC's status of a call that fails. */
static int status_of(struct store *s, enum wire_method m, const void *request)
{
    err = (struct err){0};
    (void)ask(s, m, request);
    return status_of_error(err.code);
}

static int64_t create_trial(struct store *s, int64_t study)
{
    Optuna__CreateNewTrialRequest q = OPTUNA__CREATE_NEW_TRIAL_REQUEST__INIT;
    q.study_id = study;
    q.template_trial_is_none = true;
    const Optuna__CreateNewTrialReply *r = ask(s, WIRE_CREATE_NEW_TRIAL, &q);
    cr_assert_not_null(r, "%s", err.msg);
    return r->trial_id;
}

Test(service, errors_are_the_statuses_that_optunas_client_knows)
{
    struct store *s = must_open(fresh_path());
    Optuna__StudyDirection d = OPTUNA__STUDY_DIRECTION__MAXIMIZE;
    Optuna__CreateNewStudyRequest study = OPTUNA__CREATE_NEW_STUDY_REQUEST__INIT;
    study.study_name = (char *)"a";
    study.directions = &d;
    study.n_directions = 1;
    const Optuna__CreateNewStudyReply *created = ask(s, WIRE_CREATE_NEW_STUDY, &study);
    cr_assert_not_null(created);
    cr_expect_eq(status_of(s, WIRE_CREATE_NEW_STUDY, &study), 6);

    int64_t trial = create_trial(s, created->study_id);
    Optuna__SetTrialParameterRequest param = OPTUNA__SET_TRIAL_PARAMETER_REQUEST__INIT;
    param.trial_id = trial;
    param.param_name = (char *)"x";
    param.distribution =
        (char *)"{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null,"
                " \"low\": 0.0, \"high\": 1.0, \"log\": false}}";
    cr_expect_eq(status_of(s, WIRE_SET_TRIAL_PARAMETER, &param), 0);
    param.distribution = (char *)"{\"name\": \"IntDistribution\", \"attributes\": {\"step\": 1,"
                                 " \"low\": 0, \"high\": 1, \"log\": false}}";
    cr_expect_eq(status_of(s, WIRE_SET_TRIAL_PARAMETER, &param), 3);
    param.distribution = (char *)"{";
    cr_expect_eq(status_of(s, WIRE_SET_TRIAL_PARAMETER, &param), 3);

    Optuna__SetTrialStateValuesRequest state = OPTUNA__SET_TRIAL_STATE_VALUES_REQUEST__INIT;
    double v = 1;
    state.trial_id = trial;
    state.state = OPTUNA__TRIAL_STATE__RUNNING;
    const Optuna__SetTrialStateValuesReply *set = ask(s, WIRE_SET_TRIAL_STATE_VALUES, &state);
    cr_assert_not_null(set);
    cr_expect_not(set->trial_updated);
    state.state = OPTUNA__TRIAL_STATE__COMPLETE;
    state.values = &v;
    state.n_values = 1;
    set = ask(s, WIRE_SET_TRIAL_STATE_VALUES, &state);
    cr_assert_not_null(set);
    cr_expect(set->trial_updated);
    cr_expect_eq(status_of(s, WIRE_SET_TRIAL_STATE_VALUES, &state), 9);
    cr_expect_eq(status_of(s, WIRE_SET_TRIAL_PARAMETER, &param), 3);
    state.trial_id = 99;
    cr_expect_eq(status_of(s, WIRE_SET_TRIAL_STATE_VALUES, &state), 5);
    store_destroy(s);
}

static void put_item(Forkless__BatchRequest *q, int method, const void *request, size_t n)
{
    Forkless__BatchItem *item = pool_alloc(pool, sizeof(*item));
    forkless__batch_item__init(item);
    item->method = method;
    item->request.data = pool_alloc(pool, n + 1);
    memcpy(item->request.data, request, n);
    item->request.len = n;
    q->items[q->n_items++] = item;
}

static void put_call(Forkless__BatchRequest *q, enum wire_method m, const void *request)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    wire_pack(&b, request);
    put_item(q, (int)m, buf_str(&b), b.len);
}

Test(service, a_batch_is_answered_in_order_and_a_refusal_is_one_calls_alone)
{
    struct store *s = must_open(fresh_path());
    Forkless__BatchItem *items[4];
    Forkless__BatchRequest q = FORKLESS__BATCH_REQUEST__INIT;
    Optuna__CreateNewTrialRequest create = OPTUNA__CREATE_NEW_TRIAL_REQUEST__INIT;
    Optuna__SetTrialUserAttributeRequest attr = OPTUNA__SET_TRIAL_USER_ATTRIBUTE_REQUEST__INIT;
    Optuna__GetTrialsRequest get = OPTUNA__GET_TRIALS_REQUEST__INIT;
    create.study_id = get.study_id = must_study(s, "a");
    create.template_trial_is_none = true;
    get.trial_id_greater_than = -1;
    attr.trial_id = 99;
    attr.key = (char *)"k";
    attr.value = (char *)"1";
    q.items = items;
    put_call(&q, WIRE_CREATE_NEW_TRIAL, &create);
    put_call(&q, WIRE_SET_TRIAL_USER_ATTRIBUTE, &attr);
    put_item(&q, WIRE_SET_TRIAL_PARAMETER, "\xff\xff", 2);
    put_call(&q, WIRE_GET_TRIALS, &get);
    MUST(store_begin(s, &err));
    const Forkless__BatchReply *r = ask(s, WIRE_BATCH, &q);
    cr_assert(r != NULL && r->n_answers == 4, "%s", err.msg);
    MUST(store_commit(s, true, &err));
    Optuna__GetTrialsReply *trials = NULL;
    MUST(wire_unpack(&trials, wire_reply(WIRE_GET_TRIALS), pool, r->answers[3]->reply.data,
                     r->answers[3]->reply.len, &err));
    cr_expect_eq(trials->n_trials, 1);
    cr_expect_eq(r->answers[0]->status, 0);
    cr_expect_eq(r->answers[1]->status, 5);
    cr_expect_eq(r->answers[2]->status, 3);
    cr_expect_neq(r->answers[1]->details[0], '\0');
    store_destroy(s);
}

Test(service, a_batch_in_order_ends_with_the_first_refusal)
{
    struct store *s = must_open(fresh_path());
    Forkless__BatchItem *items[3];
    Forkless__BatchRequest q = FORKLESS__BATCH_REQUEST__INIT;
    Optuna__CreateNewTrialRequest create = OPTUNA__CREATE_NEW_TRIAL_REQUEST__INIT;
    int64_t counts[TRIAL_STATES];
    create.study_id = must_study(s, "a");
    create.template_trial_is_none = true;
    q.items = items;
    q.until_refused = true;
    put_call(&q, WIRE_CREATE_NEW_TRIAL, &create);
    put_item(&q, WIRE_SET_TRIAL_PARAMETER, "\xff\xff", 2);
    put_call(&q, WIRE_CREATE_NEW_TRIAL, &create);
    const Forkless__BatchReply *r = ask(s, WIRE_BATCH, &q);
    cr_assert(r != NULL && r->n_answers == 2, "%s", err.msg);
    cr_expect_eq(r->answers[1]->status, 3);
    MUST(store_study_counts(s, create.study_id, counts, &err));
    cr_expect_eq(counts[TRIAL_RUNNING], 1);
    store_destroy(s);
}

Test(service, a_batch_that_needs_room_does_nothing_without_it)
{
    struct store *s = must_open(fresh_path());
    Forkless__BatchItem *item;
    Forkless__BatchRequest q = FORKLESS__BATCH_REQUEST__INIT;
    Forkless__Room room = FORKLESS__ROOM__INIT;
    Optuna__CreateNewTrialRequest create = OPTUNA__CREATE_NEW_TRIAL_REQUEST__INIT;
    create.study_id = room.study_id = must_study(s, "a");
    create.template_trial_is_none = true;
    room.states = STORE_STATE_BIT(TRIAL_COMPLETE);
    room.target = 1;
    q.items = &item;
    q.room = &room;
    put_call(&q, WIRE_CREATE_NEW_TRIAL, &create);
    const Forkless__BatchReply *r = ask(s, WIRE_BATCH, &q);
    cr_assert(r != NULL && r->n_answers == 1 && !r->no_room, "%s", err.msg);
    r = ask(s, WIRE_BATCH, &q);
    cr_assert(r != NULL && r->n_answers == 0 && r->no_room, "one runs: %s", err.msg);
    room.target = -1;
    r = ask(s, WIRE_BATCH, &q);
    cr_assert(r != NULL && r->n_answers == 1, "%s", err.msg);
    MUST(store_trial_create(s, room.study_id, &(struct trial){.state = TRIAL_WAITING}, NULL, NULL,
                            &err));
    r = ask(s, WIRE_BATCH, &q);
    cr_assert(r != NULL && r->no_room, "one waits: %s", err.msg);
    room.study_id = 99;
    cr_expect_eq(status_of(s, WIRE_BATCH, &q), 5);
    store_destroy(s);
}

Test(service, a_text_with_a_nul_in_it_is_refused_whole)
{
    static const char attr[] = "\x08\1\x12\3a\0b\x1a\0011";       /* trial_id 1, key, value */
    static const char param[] = "\x12\x09\x4a\7\x0a\3a\0b\x12\0"; /* a template's attribute */
    static const char fine[] = "\x08\1\x12\1a\x1a\0011\x78\0";    /* and a number of no field */
    struct store *s = must_open(fresh_path());
    AUTO(buf_free) struct buf reply = BUF_INIT;
    REFUSED(ERR_INVALID,
            service_answer(s, WIRE_SET_TRIAL_USER_ATTRIBUTE, attr, sizeof(attr) - 1, &reply, &err));
    cr_expect_not_null(strstr(err.msg, "key has a NUL"), "%s", err.msg);
    REFUSED(ERR_INVALID,
            service_answer(s, WIRE_CREATE_NEW_TRIAL, param, sizeof(param) - 1, &reply, &err));
    cr_expect_not_null(strstr(err.msg, "key has a NUL"), "%s", err.msg);
    REFUSED(ERR_NOTFOUND,
            service_answer(s, WIRE_SET_TRIAL_USER_ATTRIBUTE, fine, sizeof(fine) - 1, &reply, &err));
    store_destroy(s);
}

Test(service, a_batch_holds_calls_of_optunas_service_alone)
{
    static const int wrong[] = {-1, WIRE_BATCH, WIRE_METHODS, INT32_MAX};
    struct store *s = must_open(fresh_path());
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        Forkless__BatchItem *item;
        Forkless__BatchRequest q = FORKLESS__BATCH_REQUEST__INIT;
        q.items = &item;
        put_item(&q, wrong[i], "", 0);
        cr_expect_eq(status_of(s, WIRE_BATCH, &q), 3, "%d", wrong[i]);
    }
    store_destroy(s);
}

Test(service, trials_are_those_asked_for)
{
    struct store *s = must_open(fresh_path());
    int64_t study = must_study(s, "a");
    int64_t ids[4];
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = create_trial(s, study);
    Optuna__GetTrialsRequest q = OPTUNA__GET_TRIALS_REQUEST__INIT;
    q.study_id = study;
    q.trial_id_greater_than = -1;
    const Optuna__GetTrialsReply *r = ask(s, WIRE_GET_TRIALS, &q);
    cr_assert(r != NULL && r->n_trials == 4);
    q.trial_id_greater_than = ids[2];
    q.included_trial_ids = &ids[0];
    q.n_included_trial_ids = 1;
    r = ask(s, WIRE_GET_TRIALS, &q);
    cr_assert(r != NULL && r->n_trials == 2);
    cr_expect(r->trials[0]->number == 0 && r->trials[1]->number == 3);
    int64_t again[] = {ids[1], ids[0], ids[1], ids[0], ids[1]};
    q.included_trial_ids = again;
    q.n_included_trial_ids = ARRAY_LEN(again);
    r = ask(s, WIRE_GET_TRIALS, &q);
    cr_assert(r != NULL && r->n_trials == 3, "each once");
    q.study_id = 99;
    cr_expect_eq(status_of(s, WIRE_GET_TRIALS, &q), 5);
    store_destroy(s);
}

Test(service, all_studies_come_with_their_attributes)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    (void)must_study(s, "b");
    MUST(store_study_attr_set(s, a, ATTR_USER, "u", "[NaN]", &err));
    MUST(store_study_attr_set(s, a, ATTR_SYSTEM, "s", "{}", &err));
    Optuna__GetAllStudiesRequest q = OPTUNA__GET_ALL_STUDIES_REQUEST__INIT;
    const Optuna__GetAllStudiesReply *r = ask(s, WIRE_GET_ALL_STUDIES, &q);
    cr_assert(r != NULL && r->n_studies == 2);
    cr_expect_str_eq(r->studies[0]->user_attributes[0]->value, "[NaN]");
    cr_expect_str_eq(r->studies[0]->system_attributes[0]->key, "s");
    cr_expect_eq(r->studies[1]->n_user_attributes, 0);
    cr_expect_eq(r->studies[1]->n_directions, 1);
    store_destroy(s);
}
