/* The least that a gRPC server of one thread can do: it takes calls of the methods that a benchmark
 * makes and answers each with an empty message. What it costs is what gRPC and the system's sockets
 * cost, whoever answers.
 *
 *   grpc_floor PORT [FILE]     with FILE: what came at once is answered after one write of two
 * pages to the file and one fdatasync, as a store needs it at least */
#include <fcntl.h>
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { TAKEN_MAX = 256, ARMED = 4, WRITTEN = 2 * 4096, FILE_WRITES = 400 };

static const char *const paths[] = {
    "/optuna.StorageService/CreateNewStudy", "/optuna.StorageService/CreateNewTrial",
    "/optuna.StorageService/SetTrialParameter", "/optuna.StorageService/SetTrialIntermediateValue",
    "/optuna.StorageService/SetTrialStateValues"};

static grpc_server *server;
static grpc_completion_queue *queue;
static int file = -1;

struct call {
    void *method;
    bool answered;
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *request, *reply;
    int cancelled;
};

static void arm(void *method)
{
    struct call *c = calloc(1, sizeof(*c));
    if (c == NULL)
        abort();
    c->method = method;
    grpc_metadata_array_init(&c->metadata);
    (void)grpc_server_request_registered_call(server, method, &c->call, &c->deadline, &c->metadata,
                                              &c->request, queue, queue, c);
}

static void answer(struct call *c)
{
    grpc_slice nothing = grpc_empty_slice();
    c->answered = true;
    c->reply = grpc_raw_byte_buffer_create(&nothing, 1);
    const grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &c->cancelled},
        {.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = c->reply}};
    if (grpc_call_start_batch(c->call, ops, ARRAY_LEN(ops), c, NULL) != GRPC_CALL_OK)
        abort();
}

static void end(struct call *c)
{
    grpc_call_unref(c->call);
    grpc_metadata_array_destroy(&c->metadata);
    grpc_byte_buffer_destroy(c->request);
    grpc_byte_buffer_destroy(c->reply);
    free(c);
}

static void write_once(void)
{
    static const char pages[WRITTEN];
    static int n;
    if (file < 0)
        return;
    if (pwrite(file, pages, sizeof(pages), (off_t)(n++ % FILE_WRITES) * WRITTEN) < 0 ||
        fdatasync(file) < 0)
        abort();
}

/* Takes what is there; waits for the first. */
static size_t take(struct call **calls)
{
    size_t n = 0;
    while (n < TAKEN_MAX) {
        grpc_event ev = grpc_completion_queue_next(
            queue, n == 0 ? gpr_inf_future(GPR_CLOCK_MONOTONIC) : gpr_inf_past(GPR_CLOCK_MONOTONIC),
            NULL);
        if (ev.type != GRPC_OP_COMPLETE)
            break;
        struct call *c = ev.tag;
        if (c->answered) {
            end(c);
            continue;
        }
        arm(c->method);
        calls[n++] = c;
    }
    return n;
}

static void start(const char *port)
{
    char address[64];
    const grpc_arg arg = {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ALLOW_REUSEPORT};
    const grpc_channel_args args = {.num_args = 1, .args = (grpc_arg *)&arg};
    void *methods[ARRAY_LEN(paths)];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%s", port);
    grpc_init();
    server = grpc_server_create(&args, NULL);
    queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server, queue, NULL);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        methods[i] = grpc_server_register_method(server, paths[i], NULL,
                                                 GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    if (grpc_server_add_http2_port(server, address, grpc_insecure_server_credentials_create()) == 0)
        exit(2);
    grpc_server_start(server);
    for (size_t i = 0; i < ARRAY_LEN(paths) * ARMED; i++)
        arm(methods[i % ARRAY_LEN(paths)]);
}

int main(int argc, char **argv)
{
    static struct call *calls[TAKEN_MAX];
    if (argc < 2)
        return 2;
    if (argc > 2) {
        file = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        for (int i = 0; i < FILE_WRITES; i++) /* as a log that is written anew */
            write_once();
    }
    start(argv[1]);
    for (;;) { /* until it is killed */
        size_t n = take(calls);
        if (n > 0)
            write_once();
        for (size_t i = 0; i < n; i++)
            answer(calls[i]);
    }
}
