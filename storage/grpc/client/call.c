/* Calls, one or many at once; each blocks until its reply is there. */
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <stdlib.h>
#include <string.h>

#include "storage/grpc/client/client.h"
#include "storage/grpc/status.h"

enum { CONNECT_MS = 5000 };

struct call_state {
    grpc_call *call;
    grpc_byte_buffer *request, *reply;
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice details;
    grpc_metadata token;
};

void rpc_init(struct rpc *c, enum wire_method m, const void *message)
{
    *c = (struct rpc){.method = m, .reply = grpc_empty_slice()};
    wire_pack(&c->request, message);
}

void rpc_free(struct rpc *c)
{
    buf_free(&c->request);
    grpc_slice_unref(c->reply);
    c->reply = grpc_empty_slice();
}

static gpr_timespec in_ms(int ms)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

static void state_free(struct call_state *st)
{
    if (st->call != NULL)
        grpc_call_unref(st->call);
    if (st->request != NULL)
        grpc_byte_buffer_destroy(st->request);
    if (st->reply != NULL)
        grpc_byte_buffer_destroy(st->reply);
    grpc_metadata_array_destroy(&st->initial);
    grpc_metadata_array_destroy(&st->trailing);
    grpc_slice_unref(st->details);
    grpc_slice_unref(st->token.value);
    free(st);
}

static int start(struct store_grpc *g, struct rpc *c, uint32_t flags, int timeout_ms)
{
    struct call_state *st = calloc(1, sizeof(*st));
    if (st == NULL || c->request.failed) {
        free(st);
        return err_set(&c->err, ERR_NOMEM, "a call of %s", g->target);
    }
    c->state = st;
    st->details = grpc_empty_slice();
    st->token.key = grpc_slice_from_static_string("authorization");
    st->token.value =
        g->token != NULL ? grpc_slice_from_copied_string(g->token) : grpc_empty_slice();
    grpc_metadata_array_init(&st->initial);
    grpc_metadata_array_init(&st->trailing);
    grpc_slice bytes = grpc_slice_from_copied_buffer(buf_str(&c->request), c->request.len);
    st->request = grpc_raw_byte_buffer_create(&bytes, 1);
    grpc_slice_unref(bytes);
    st->call = grpc_channel_create_call(g->channel, NULL, GRPC_PROPAGATE_DEFAULTS, g->queue,
                                        grpc_slice_from_static_string(wire_method_path(c->method)),
                                        NULL, in_ms(timeout_ms), NULL);
    grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA, .flags = flags},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = st->request},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &st->initial},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &st->reply},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
         .data.recv_status_on_client = {&st->trailing, &st->status, &st->details, NULL}},
    };
    if (g->token != NULL) {
        ops[0].data.send_initial_metadata.count = 1;
        ops[0].data.send_initial_metadata.metadata = &st->token;
    }
    if (grpc_call_start_batch(st->call, ops, ARRAY_LEN(ops), c, NULL) != GRPC_CALL_OK)
        abort(); /* a batch that is wrong is our own mistake */
    return 0;
}

static void read_reply(struct rpc *c)
{
    grpc_byte_buffer_reader reader;
    if (c->state->reply == NULL || !grpc_byte_buffer_reader_init(&reader, c->state->reply))
        return;
    grpc_slice_unref(c->reply);
    c->reply = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
}

static int refusal(const struct store_grpc *g, struct rpc *c, int status, const char *details,
                   size_t n)
{
    return err_set(&c->err, error_of_status(c->method, status), "%s: %s: %.*s", g->target,
                   wire_method_name(c->method), (int)(n > 300 ? 300 : n), details);
}

static void finish(struct store_grpc *g, struct rpc *c)
{
    struct call_state *st = c->state;
    c->rc = 0;
    if (st->status == GRPC_STATUS_OK) {
        read_reply(c);
    } else {
        c->rc = refusal(g, c, (int)st->status, (const char *)GRPC_SLICE_START_PTR(st->details),
                        GRPC_SLICE_LENGTH(st->details));
    }
    state_free(st);
    c->state = NULL;
}

static int first_error(const struct rpc *calls, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (calls[i].rc < 0) {
            if (err != NULL)
                *err = calls[i].err;
            return calls[i].rc;
        }
    }
    return 0;
}

static int run(struct store_grpc *g, struct rpc *calls, size_t n, uint32_t flags, int timeout_ms,
               struct err *err)
{
    size_t waiting = 0;
    for (size_t i = 0; i < n; i++) {
        calls[i].rc = start(g, &calls[i], flags, timeout_ms);
        waiting += calls[i].rc == 0;
    }
    for (; waiting > 0; waiting--) { /* each ends by its deadline at the latest */
        grpc_event ev =
            grpc_completion_queue_next(g->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        finish(g, ev.tag);
    }
    return first_error(calls, n, err);
}

/* ---- several as one, where the server is ours ---- */

/* How calls become one. */
struct terms {
    bool in_order;
    const struct rpc_room *room; /* NULL: at any rate */
};

static int pack_batch(struct rpc *batch, const struct rpc *calls, size_t n,
                      const struct terms *terms, struct pool *pool, struct err *err)
{
    Forkless__BatchRequest q = FORKLESS__BATCH_REQUEST__INIT;
    Forkless__Room room = FORKLESS__ROOM__INIT;
    q.until_refused = terms->in_order;
    if (terms->room != NULL) {
        room.study_id = terms->room->study;
        room.target = terms->room->target;
        room.states = terms->room->states;
        q.room = &room;
    }
    Forkless__BatchItem *items = pool_alloc(pool, n * sizeof(*items));
    q.items = pool_alloc(pool, n * sizeof(Forkless__BatchItem *));
    if (items == NULL || q.items == NULL)
        return err_set(err, ERR_NOMEM, "%zu calls", n);
    for (; q.n_items < n; q.n_items++) {
        Forkless__BatchItem *item = &items[q.n_items];
        forkless__batch_item__init(item);
        item->method = (int32_t)calls[q.n_items].method;
        item->keep = calls[q.n_items].keep;
        item->request.data = (uint8_t *)buf_str(&calls[q.n_items].request);
        item->request.len = calls[q.n_items].request.len;
        q.items[q.n_items] = item;
    }
    rpc_init(batch, WIRE_BATCH, &q);
    return 0;
}

static void take_answer(const struct store_grpc *g, struct rpc *c, const Forkless__BatchAnswer *a)
{
    if (a->status != GRPC_STATUS_OK) {
        c->rc = refusal(g, c, a->status, a->details, strlen(a->details));
        return;
    }
    c->rc = 0;
    grpc_slice_unref(c->reply);
    c->reply = grpc_slice_from_copied_buffer((const char *)a->reply.data, a->reply.len);
}

/* Those behind one that was refused have no answer, where they were to be made in order. Returns 1
 * when there was no room for them. */
static int take_answers(struct store_grpc *g, struct rpc *calls, size_t n, const struct rpc *batch,
                        struct pool *pool, struct err *err)
{
    Forkless__BatchReply *r = NULL;
    int rc = wire_unpack(&r, &forkless__batch_reply__descriptor, pool,
                         GRPC_SLICE_START_PTR(batch->reply), GRPC_SLICE_LENGTH(batch->reply), err);
    if (rc < 0)
        return rc;
    if (r->no_room)
        return 1;
    for (size_t i = 0; i < n && i < r->n_answers; i++)
        take_answer(g, &calls[i], r->answers[i]);
    if (r->n_answers != n &&
        (r->n_answers == 0 || r->n_answers > n || calls[r->n_answers - 1].rc == 0))
        return err_set(err, ERR_CORRUPT, "%s: %zu answers to %zu calls", g->target, r->n_answers,
                       n);
    return 0;
}

/* Makes the calls as one. On an error none has an answer: all were undone, or nobody knows. Returns
 * 1 when there was no room for them. */
static int run_as_one(struct store_grpc *g, struct rpc *calls, size_t n, const struct terms *terms,
                      struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    AUTO(rpc_free) struct rpc batch = {.reply = grpc_empty_slice()};
    int rc = pool == NULL ? err_set(err, ERR_NOMEM, "%zu calls", n)
                          : pack_batch(&batch, calls, n, terms, pool, err);
    if (rc == 0)
        rc = run(g, &batch, 1, 0, g->timeout_ms, err);
    g->plain = g->plain || rc == -ERR_UNSUPPORTED;
    return rc == 0 ? take_answers(g, calls, n, &batch, pool, err) : rc;
}

static int one_by_one(struct store_grpc *g, struct rpc *calls, size_t n, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = run(g, &calls[i], 1, 0, g->timeout_ms, err);
    return rc;
}

static int singly(struct store_grpc *g, struct rpc *calls, size_t n, bool in_order, struct err *err)
{
    return in_order ? one_by_one(g, calls, n, err) : run(g, calls, n, 0, g->timeout_ms, err);
}

/* As one; singly where that cannot be, or where one call spoils it for the others. */
static int make(struct store_grpc *g, struct rpc *calls, size_t n, bool in_order, struct err *err)
{
    struct err why = {0};
    if (n <= 1 || g->plain)
        return singly(g, calls, n, in_order, err);
    int rc = run_as_one(g, calls, n, &(struct terms){.in_order = in_order}, &why);
    if (rc == 0)
        return first_error(calls, n, err);
    if (rc != -ERR_UNAVAILABLE)
        return singly(g, calls, n, in_order, err);
    for (size_t i = 0; i < n; i++) {
        calls[i].rc = rc;
        calls[i].err = why;
    }
    return first_error(calls, n, err);
}

int rpc_all(struct store_grpc *g, struct rpc *calls, size_t n, struct err *err)
{
    return make(g, calls, n, false, err);
}

int rpc_in_order(struct store_grpc *g, struct rpc *calls, size_t n, struct err *err)
{
    return make(g, calls, n, true, err);
}

int rpc_as_one(struct store_grpc *g, struct rpc *calls, size_t n, const struct rpc_room *room,
               struct err *err)
{
    if (g->plain)
        return err_set(err, ERR_UNSUPPORTED, "%s takes one call at a time", g->target);
    int rc = run_as_one(g, calls, n, &(struct terms){.in_order = true, .room = room}, err);
    return rc == 0 ? first_error(calls, n, err) : rc;
}

int rpc_reply(const struct rpc *c, struct pool *pool, void *reply, struct err *err)
{
    return wire_unpack(reply, wire_reply(c->method), pool, GRPC_SLICE_START_PTR(c->reply),
                       GRPC_SLICE_LENGTH(c->reply), err);
}

int rpc_one(struct store_grpc *g, enum wire_method m, const void *message, struct pool *pool,
            void *reply, struct err *err)
{
    AUTO(rpc_free) struct rpc c;
    rpc_init(&c, m, message);
    int rc = rpc_all(g, &c, 1, err);
    return rc < 0 || reply == NULL ? rc : rpc_reply(&c, pool, reply, err);
}

/* Any answer will do: that of a study without a name, which hardly anybody has. */
static int say_hello(struct store_grpc *g, uint32_t flags, struct err *err)
{
    Optuna__GetStudyIdFromNameRequest q = OPTUNA__GET_STUDY_ID_FROM_NAME_REQUEST__INIT;
    AUTO(rpc_free) struct rpc c;
    rpc_init(&c, WIRE_GET_STUDY_ID_FROM_NAME, &q);
    int rc = run(g, &c, 1, flags, CONNECT_MS, err);
    return rc == -ERR_NOTFOUND ? 0 : rc;
}

/* gRPC's sentence about it ends with the system's; a server that answers says something else. */
static int no_connection(const struct store_grpc *g, const struct err *said, struct err *err)
{
    const char *why = strrchr(said->msg, ':');
    if (strstr(said->msg, "failed to connect") == NULL || why == NULL)
        return err_set(err, said->code, "%s", said->msg);
    return err_set(err, ERR_UNAVAILABLE, "%s: nothing answers there: %s", g->target,
                   why + 1 + strspn(why + 1, " "));
}

int rpc_connect(struct store_grpc *g, bool patient, struct err *err)
{
    struct err said = {0};
    int rc = patient ? say_hello(g, GRPC_INITIAL_METADATA_WAIT_FOR_READY, &said) : 0;
    /* who waits for a connection is not told why there is none; who does not wait is */
    if (!patient || rc == -ERR_UNAVAILABLE)
        rc = say_hello(g, 0, &said);
    return rc < 0 ? no_connection(g, &said, err) : 0;
}
