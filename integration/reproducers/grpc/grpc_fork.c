/* grpc-fork: a process with a live gRPC channel forks, and the child uses gRPC. */
#include <fcntl.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "integration/reproducers/victim.h"

/* What the parent is doing at the fork, and what the child does. */
enum { IN_QUEUE = 1, INHERITED = 2 };

/* Nothing here takes a lock of its own, and each call has a deadline: what hangs, hangs in gRPC. */
enum { CALL_SECONDS = 10 };

/* grpc/fork.h declares these for C, but libgrpc 1.51 defines them for C++ alone. */
void before_fork(void) __asm__("_Z12grpc_preforkv");
void after_in_parent(void) __asm__("_Z20grpc_postfork_parentv");
void after_in_child(void) __asm__("_Z19grpc_postfork_childv");

static grpc_channel *shared; /* the parent's; in a fresh process none */

/* ---- the server, a process of its own ---- */

static void take_call(grpc_server *server, grpc_completion_queue *cq)
{
    grpc_call *call = NULL;
    grpc_call_details details;
    grpc_metadata_array metadata;
    grpc_call_details_init(&details);
    grpc_metadata_array_init(&metadata);
    grpc_server_request_call(server, &call, &details, &metadata, cq, cq, &details);
    (void)grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    int cancelled;
    const grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
         .data.send_status_from_server.status = GRPC_STATUS_OK},
        {.op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &cancelled}};
    if (grpc_call_start_batch(call, ops, ARRAY_LEN(ops), call, NULL) == GRPC_CALL_OK)
        (void)grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    grpc_call_unref(call);
    grpc_metadata_array_destroy(&metadata);
    grpc_call_details_destroy(&details);
}

/* Answers every call with an empty OK, until it is killed. Prints its port when it listens. */
static int serve(void)
{
    grpc_init();
    grpc_server *server = grpc_server_create(NULL, NULL);
    grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
    grpc_server_credentials *open = grpc_insecure_server_credentials_create();
    grpc_server_register_completion_queue(server, cq, NULL);
    int port = grpc_server_add_http2_port(server, "127.0.0.1:0", open);
    if (port == 0)
        return 1;
    grpc_server_start(server);
    (void)printf("127.0.0.1:%d\n", port);
    (void)fflush(stdout);
    for (;;)
        take_call(server, cq);
}

static int start_server(const struct victim_run *run, char *address, int size)
{
    int ends[2];
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) < 0 || victim_spawn(run, "serve", ends[1], &pid) != 0)
        return 1;
    (void)close(ends[1]);
    AUTO_FCLOSE FILE *said = fdopen(ends[0], "r");
    if (said == NULL || fgets(address, size, said) == NULL)
        return 1;
    address[strcspn(address, "\n")] = '\0';
    return 0;
}

/* ---- the client ---- */

/* own_connection: not one that another channel of this process has open to the same address. */
static grpc_channel *open_channel(const char *address, bool own_connection)
{
    grpc_arg local = {.type = GRPC_ARG_INTEGER,
                      .key = (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
                      .value.integer = 1};
    const grpc_channel_args args = {.num_args = own_connection ? 1 : 0, .args = &local};
    grpc_channel_credentials *open = grpc_insecure_credentials_create();
    grpc_channel *channel = grpc_channel_create(address, open, &args);
    grpc_channel_credentials_release(open);
    return channel;
}

/* One unary call over a queue of its own; 0 if the server answered OK. */
static int call_server(grpc_channel *channel)
{
    gpr_timespec deadline = gpr_time_add(gpr_now(GPR_CLOCK_REALTIME),
                                         gpr_time_from_seconds(CALL_SECONDS, GPR_TIMESPAN));
    grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
    grpc_call *call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq,
                                               grpc_slice_from_static_string("/forkless.Echo/Echo"),
                                               NULL, deadline, NULL);
    grpc_metadata_array initial, trailing;
    grpc_metadata_array_init(&initial);
    grpc_metadata_array_init(&trailing);
    grpc_status_code status = GRPC_STATUS_UNKNOWN;
    grpc_slice details = grpc_empty_slice();
    const grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA, .flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &initial},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
         .data.recv_status_on_client = {&trailing, &status, &details, NULL}}};
    grpc_call_error rc = grpc_call_start_batch(call, ops, ARRAY_LEN(ops), call, NULL);
    if (rc == GRPC_CALL_OK)
        (void)grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    grpc_slice_unref(details);
    grpc_metadata_array_destroy(&initial);
    grpc_metadata_array_destroy(&trailing);
    grpc_call_unref(call);
    grpc_completion_queue_shutdown(cq);
    if (status != GRPC_STATUS_OK)
        (void)fprintf(stderr, "the call ended with status %d\n", (int)status);
    return status == GRPC_STATUS_OK ? 0 : 1;
}

/* An event loop as every asynchronous client has one: it waits in the library for what comes. */
static void *wait_in_queue(void *unused)
{
    (void)unused;
    grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
    (void)grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    return NULL;
}

static int start_waiter(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, wait_in_queue, NULL);
}

/* Until the library's threads sleep again after a call, and the waiter in its queue. */
static void settle(void)
{
    gpr_sleep_until(
        gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_millis(300, GPR_TIMESPAN)));
}

/* ---- the victim ---- */

static int parent(const struct victim_run *run)
{
    char address[64];
    if (start_server(run, address, sizeof(address)) != 0) {
        (void)fputs("the server did not start\n", stderr);
        return 1;
    }
    grpc_init();
    /* C programs register the library's fork handlers themselves; grpcio does it for Python. */
    if (run->backstop)
        (void)pthread_atfork(before_fork, after_in_parent, after_in_child);
    shared = open_channel(address, false);
    if (call_server(shared) != 0 || ((run->c->kind & IN_QUEUE) != 0 && start_waiter() != 0))
        return 1;
    settle();
    return victim_child(run, address);
}

static int child(const struct victim_run *run, const char *given)
{
    if (strcmp(given, "serve") == 0)
        return serve();
    if (shared == NULL)
        grpc_init();
    if (shared == NULL || (run->c->kind & INHERITED) == 0)
        return call_server(open_channel(given, true));
    return call_server(shared);
}

static const struct victim_case cases[] = {
    {"newconn-idle",
     "the parent's channel is connected and idle, no thread is inside gRPC; the child opens a "
     "channel of its own and makes a call",
     VICTIM_HANGS, VICTIM_PASSES, 0},
    {"inhchan-cq",
     "one thread of the parent waits for events; the child makes a call over the parent's channel",
     VICTIM_HANGS, VICTIM_PASSES, IN_QUEUE | INHERITED},
    {"newconn-cq",
     "one thread of the parent waits for events; the child opens a channel of its own and makes a "
     "call",
     VICTIM_LEFT_OUT, VICTIM_HANGS,
     IN_QUEUE}, /* without it, the parent sometimes crashes instead */
};

const struct victim grpc_fork = {
    .summary = "a live gRPC channel in the parent, and a child that calls a server",
    .cases = cases,
    .n_cases = ARRAY_LEN(cases),
    .parent = parent,
    .child = child,
};
