/* Calls of other methods than the storage's: health watches and reflection, which are streams, and
 * what there is not. One batch is in flight at a time, besides the one that tells when the client
 * is gone:
 *
 *   opened --request--> answered --+--> (reflection) next request … end of requests --> ending
 *                                  +--> (watch) idle until the server stops         --> ending
 */
#include <string.h>

#include "base/cleanup.h"
#include "storage/grpc/server/reflection.h"
#include "storage/grpc/server/server.h"
#include <health.pb-c.h>

enum kind { UNKNOWN, WATCH, REFLECTION };

struct stream {
    struct stream *next, **link; /* in proxy.streams */
    struct tag arrived, stepped, closed;
    struct proxy *proxy;
    enum kind kind;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    grpc_byte_buffer *request, *reply;
    grpc_slice why;
    int cancelled;
    bool busy;   /* a batch is in flight */
    bool asked;  /* a request has come */
    bool over;   /* the client is gone, or has the status */
    bool ending; /* the status is on its way */
};

static void free_buffers(struct stream *s)
{
    if (s->request != NULL)
        grpc_byte_buffer_destroy(TAKE(s->request));
    if (s->reply != NULL)
        grpc_byte_buffer_destroy(TAKE(s->reply));
}

static void stream_free(struct stream *s)
{
    free_buffers(s);
    if (s->call != NULL)
        grpc_call_unref(s->call);
    if (s->link != NULL) {
        *s->link = s->next;
        if (s->next != NULL)
            s->next->link = s->link;
    }
    grpc_call_details_destroy(&s->details);
    grpc_metadata_array_destroy(&s->metadata);
    grpc_slice_unref(s->why);
    free(s);
}

static void start(struct stream *s, const grpc_op *ops, size_t n, struct tag *tag)
{
    if (grpc_call_start_batch(s->call, ops, n, tag, NULL) != GRPC_CALL_OK)
        abort(); /* a batch that is wrong is our own mistake */
    s->busy = s->busy || tag == &s->stepped;
}

static grpc_op send(struct stream *s, struct buf *b)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(buf_str(b), b->len);
    s->reply = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = s->reply};
}

static grpc_op status(struct stream *s, grpc_status_code code, const char *why)
{
    s->ending = true;
    s->why = grpc_slice_from_copied_string(why);
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    op.data.send_status_from_server.status = code;
    op.data.send_status_from_server.status_details = &s->why;
    return op;
}

static void end(struct stream *s, grpc_status_code code, const char *why)
{
    const grpc_op ops[] = {status(s, code, why)};
    start(s, ops, 1, &s->stepped);
}

static grpc_op next_request(struct stream *s)
{
    return (grpc_op){.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &s->request};
}

/* The bytes of the request, which the caller unrefs. */
static grpc_slice request_bytes(struct stream *s)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, s->request))
        return grpc_empty_slice();
    grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    return bytes;
}

static void put_health(struct stream *s, struct buf *b, const char *service)
{
    Grpc__Health__V1__HealthCheckResponse r = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    r.status =
        (Grpc__Health__V1__HealthCheckResponse__ServingStatus)health_status(s->proxy, service);
    wire_pack(b, &r);
}

static int answer_watch(struct stream *s, grpc_slice bytes, struct buf *b, struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    Grpc__Health__V1__HealthCheckRequest *q = NULL;
    if (pool == NULL)
        return err_set(err, ERR_NOMEM, "a request");
    int rc = wire_unpack(&q, &grpc__health__v1__health_check_request__descriptor, pool,
                         GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes), err);
    if (rc == 0)
        put_health(s, b, q->service);
    return rc;
}

static void answer(struct stream *s)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    struct err err = {0};
    grpc_slice bytes = request_bytes(s);
    s->asked = true;
    int rc = s->kind == WATCH ? answer_watch(s, bytes, &b, &err)
                              : reflection_answer(GRPC_SLICE_START_PTR(bytes),
                                                  GRPC_SLICE_LENGTH(bytes), &b, &err);
    grpc_slice_unref(bytes);
    free_buffers(s);
    if (rc < 0) {
        end(s, GRPC_STATUS_INVALID_ARGUMENT, err.msg);
        return;
    }
    const grpc_op ops[] = {send(s, &b), next_request(s)};
    start(s, ops, s->kind == WATCH ? 1 : 2, &s->stepped);
}

/* Tells a watch that this server goes down. */
static void end_watch(struct stream *s)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    free_buffers(s);
    put_health(s, &b, "");
    const grpc_op ops[] = {send(s, &b), status(s, GRPC_STATUS_OK, "")};
    start(s, ops, ARRAY_LEN(ops), &s->stepped);
}

static void stream_gone(struct stream *s)
{
    struct proxy *p = s->proxy;
    stream_free(s);
    server_call_ends(p);
}

static void on_stepped(struct tag *tag, bool ok)
{
    struct stream *s = CONTAINER_OF(tag, struct stream, stepped);
    s->busy = false;
    if (s->over)
        stream_gone(s);
    else if (s->ending)
        return; /* on_closed comes next */
    else if (ok && s->request != NULL)
        answer(s);
    else if (s->kind == REFLECTION || !ok)
        end(s, ok ? GRPC_STATUS_OK : GRPC_STATUS_CANCELLED, "");
    else if (!s->asked)
        end(s, GRPC_STATUS_INVALID_ARGUMENT, "a watch without a request");
    else if (s->proxy->stopping)
        end_watch(s);
}

static void on_closed(struct tag *tag, bool ok)
{
    struct stream *s = CONTAINER_OF(tag, struct stream, closed);
    (void)ok;
    s->over = true;
    if (!s->busy)
        stream_gone(s);
}

static enum kind kind_of(const struct stream *s)
{
    static const struct {
        const char *path;
        enum kind kind;
    } known[] = {
        {"/grpc.health.v1.Health/Watch", WATCH},
        {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", REFLECTION},
        {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", REFLECTION},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (grpc_slice_str_cmp(s->details.method, known[i].path) == 0)
            return known[i].kind;
    }
    return UNKNOWN;
}

static void open_stream(struct stream *s)
{
    const grpc_op closing[] = {
        {.op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &s->cancelled}};
    const grpc_op hello = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    start(s, closing, 1, &s->closed);
    s->kind = kind_of(s);
    if (s->kind == UNKNOWN) {
        (void)atomic_fetch_add(&s->proxy->stats.unknown, 1);
        const grpc_op ops[] = {
            hello, status(s, GRPC_STATUS_UNIMPLEMENTED, "there is no such method here")};
        start(s, ops, ARRAY_LEN(ops), &s->stepped);
    } else if (s->kind == REFLECTION && !gate_admits(s->proxy, &s->metadata)) {
        (void)atomic_fetch_add(&s->proxy->stats.refused, 1);
        const grpc_op ops[] = {
            hello, status(s, GRPC_STATUS_UNAUTHENTICATED, "this server wants a token it knows")};
        start(s, ops, ARRAY_LEN(ops), &s->stepped);
    } else {
        const grpc_op ops[] = {hello, next_request(s)};
        start(s, ops, ARRAY_LEN(ops), &s->stepped);
    }
}

static void on_arrived(struct tag *tag, bool ok)
{
    struct stream *s = CONTAINER_OF(tag, struct stream, arrived);
    struct proxy *p = s->proxy;
    if (!ok) {
        stream_free(s);
        server_stops(p);
        return;
    }
    server_call_begins(p);
    s->next = p->streams;
    s->link = &p->streams;
    if (s->next != NULL)
        s->next->link = &s->next;
    p->streams = s;
    stream_listen(p);
    open_stream(s);
}

void stream_listen(struct proxy *p)
{
    if (p->stopping)
        return;
    struct stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        abort(); /* without it unknown methods would hang for ever */
    s->proxy = p;
    s->arrived.fire = on_arrived;
    s->stepped.fire = on_stepped;
    s->closed.fire = on_closed;
    s->why = grpc_empty_slice();
    grpc_call_details_init(&s->details);
    grpc_metadata_array_init(&s->metadata);
    if (grpc_server_request_call(p->server, &s->call, &s->details, &s->metadata, p->queue, p->queue,
                                 &s->arrived) != GRPC_CALL_OK)
        stream_free(s); /* the server is going down */
}

void streams_end(struct proxy *p)
{
    for (struct stream *s = p->streams; s != NULL; s = s->next) {
        if (s->kind == REFLECTION)
            (void)grpc_call_cancel(s->call, NULL);
        else if (s->kind == WATCH && !s->busy && !s->ending && !s->over)
            end_watch(s);
    }
}
