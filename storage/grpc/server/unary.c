/* Calls of the storage's methods, and of the health check: one request, one reply.
 *
 *   armed --arrived--> with a lane --done (the thread that works)--> replying --replied--> gone
 *
 * Where a token is asked for the request is read between arrived and the lane.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "storage/grpc/server/server.h"
#include "storage/grpc/service.h"
#include "storage/grpc/status.h"
#include <health.pb-c.h>

/* So many calls of a method are taken before the queue's thread comes round again. */
enum { ARMED = 4 };
/* The method number of a health check. */
enum { HEALTH = WIRE_METHODS };

struct unary {
    struct tag arrived, read, replied;
    struct proxy *proxy;
    int method;
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload;
    grpc_slice request;
    uint64_t arrived_ns;
    struct lane_job job;
    grpc_byte_buffer *reply;
    grpc_slice details;
    int cancelled;
};

static void arm(struct proxy *p, int method);

/* Whether a request is read only when the token is right: who has none sends nobody 64 MiB. Where
 * none is asked for gRPC reads it first, at less cost; so for a health check, which needs none. */
static bool reads_after_token(const struct proxy *p, int method)
{
    return p->token != NULL && method != HEALTH;
}

static void unary_free(struct unary *u)
{
    if (u->call != NULL)
        grpc_call_unref(u->call);
    grpc_metadata_array_destroy(&u->metadata);
    if (u->payload != NULL)
        grpc_byte_buffer_destroy(u->payload);
    if (u->reply != NULL)
        grpc_byte_buffer_destroy(u->reply);
    grpc_slice_unref(u->request);
    grpc_slice_unref(u->details);
    buf_free(&u->job.reply);
    free(u);
}

static void on_replied(struct tag *tag, bool ok)
{
    struct unary *u = CONTAINER_OF(tag, struct unary, replied);
    struct proxy *p = u->proxy;
    (void)ok; /* a client that went away needs no reply */
    unary_free(u);
    server_call_ends(p);
}

static void no_slice(void *bytes)
{
    free(bytes);
}

/* Small ones are copied into the slice, which has room for them. */
static grpc_slice reply_slice(struct buf *b)
{
    size_t n = b->len;
    if (n <= GRPC_SLICE_INLINED_SIZE)
        return grpc_slice_from_copied_buffer(buf_str(b), n);
    char *bytes = buf_steal(b);
    return grpc_slice_new(bytes, n, no_slice);
}

/* Starts the reply; may be called by a thread that works. The call is the queue's again from here
 * on.
 */
static void reply(struct unary *u, int status, const char *details)
{
    grpc_op ops[4] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &u->cancelled},
        {.op = GRPC_OP_SEND_STATUS_FROM_SERVER}};
    size_t n = 3;
    ops[2].data.send_status_from_server.status = (grpc_status_code)status;
    if (status != GRPC_STATUS_OK) {
        u->details = grpc_slice_from_copied_string(details);
        ops[2].data.send_status_from_server.status_details = &u->details;
    } else {
        grpc_slice slice = reply_slice(&u->job.reply);
        u->reply = grpc_raw_byte_buffer_create(&slice, 1);
        grpc_slice_unref(slice);
        ops[n++] =
            (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = u->reply};
    }
    if (grpc_call_start_batch(u->call, ops, n, &u->replied, NULL) != GRPC_CALL_OK)
        abort(); /* a batch that is wrong is our own mistake */
}

static void count(struct unary *u, int status)
{
    struct stats *s = &u->proxy->stats;
    if (u->method == HEALTH)
        return;
    stats_count(s, (enum wire_method)u->method, status, clock_mono_ns() - u->arrived_ns);
    (void)atomic_fetch_add_explicit(&s->bytes_in, u->job.n_request, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&s->bytes_out, u->job.reply.len, memory_order_relaxed);
}

static void on_done(struct lane_job *job)
{
    struct unary *u = CONTAINER_OF(job, struct unary, job);
    int status = status_of_error((enum err_code) - job->rc);
    count(u, status);
    reply(u, status, job->err.msg);
}

static void check_health(struct unary *u)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    Grpc__Health__V1__HealthCheckRequest *q = NULL;
    Grpc__Health__V1__HealthCheckResponse r = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    struct err err = {0};
    int rc = pool == NULL ? -ERR_NOMEM
                          : wire_unpack(&q, &grpc__health__v1__health_check_request__descriptor,
                                        pool, u->job.request, u->job.n_request, &err);
    if (rc < 0) {
        reply(u, GRPC_STATUS_INVALID_ARGUMENT, err.msg);
        return;
    }
    int status = health_status(u->proxy, q->service);
    if (status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN) {
        reply(u, GRPC_STATUS_NOT_FOUND, "no such service");
        return;
    }
    r.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    wire_pack(&u->job.reply, &r);
    reply(u, GRPC_STATUS_OK, "");
}

static void take_request(struct unary *u)
{
    grpc_byte_buffer_reader reader;
    if (u->payload != NULL && grpc_byte_buffer_reader_init(&reader, u->payload)) {
        u->request = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    u->job.request = GRPC_SLICE_START_PTR(u->request);
    u->job.n_request = GRPC_SLICE_LENGTH(u->request);
}

/* The deadline on the clock that goes on alone. */
static uint64_t due_ns(gpr_timespec deadline)
{
    const int64_t NS = INT64_C(1000000000); /* a second's */
    gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
    if (left.tv_sec >= INT64_MAX / NS) /* which may come from afar, and infinity is one of them */
        return UINT64_MAX;
    int64_t ns = left.tv_sec * NS + left.tv_nsec;
    return clock_mono_ns() + (ns > 0 ? (uint64_t)ns : 0);
}

/* The request is there. */
static void serve(struct unary *u)
{
    struct proxy *p = u->proxy;
    take_request(u);
    if (u->payload == NULL) {
        reply(u, GRPC_STATUS_INVALID_ARGUMENT, "a call without a request");
    } else if (u->method == HEALTH) {
        check_health(u); /* needs no token: who probes has none */
    } else {
        u->job.method = (enum wire_method)u->method;
        u->job.due_ns = due_ns(u->deadline);
        u->job.done = on_done;
        bool reads = !wire_writes(u->job.method) && p->lanes[1] != NULL;
        lane_put(p->lanes[reads ? 1 : 0], &u->job);
        p->n_put++;
    }
}

static void on_read(struct tag *tag, bool ok)
{
    (void)ok; /* then there is no request */
    serve(CONTAINER_OF(tag, struct unary, read));
}

static void read_request(struct unary *u)
{
    const grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &u->payload};
    if (grpc_call_start_batch(u->call, &op, 1, &u->read, NULL) != GRPC_CALL_OK)
        abort(); /* a batch that is wrong is our own mistake */
}

static void on_arrived(struct tag *tag, bool ok)
{
    struct unary *u = CONTAINER_OF(tag, struct unary, arrived);
    struct proxy *p = u->proxy;
    if (!ok) {
        unary_free(u);
        server_stops(p);
        return;
    }
    server_call_begins(p);
    arm(p, u->method);
    u->arrived_ns = clock_mono_ns();
    if (!reads_after_token(p, u->method)) {
        serve(u);
    } else if (gate_admits(p, &u->metadata)) {
        read_request(u);
    } else {
        (void)atomic_fetch_add(&p->stats.refused, 1);
        reply(u, GRPC_STATUS_UNAUTHENTICATED, "this storage wants a token it knows");
    }
}

static void arm(struct proxy *p, int method)
{
    if (p->stopping)
        return;
    struct unary *u = calloc(1, sizeof(*u));
    if (u == NULL)
        abort(); /* without it the method would be deaf for ever */
    u->proxy = p;
    u->method = method;
    u->arrived.fire = on_arrived;
    u->read.fire = on_read;
    u->replied.fire = on_replied;
    u->request = grpc_empty_slice();
    u->details = grpc_empty_slice();
    grpc_metadata_array_init(&u->metadata);
    void *handle = method == HEALTH ? p->health : p->registered[method];
    grpc_byte_buffer **payload = reads_after_token(p, method) ? NULL : &u->payload;
    if (grpc_server_request_registered_call(p->server, handle, &u->call, &u->deadline, &u->metadata,
                                            payload, p->queue, p->queue,
                                            &u->arrived) != GRPC_CALL_OK)
        unary_free(u); /* the server is going down */
}

void unary_listen(struct proxy *p)
{
    for (int method = 0; method <= HEALTH; method++) {
        for (int i = 0; i < ARMED; i++)
            arm(p, method);
    }
}
