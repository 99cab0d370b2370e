/* Inside the proxy's server: what its files share. All of it belongs to the thread that takes
 * events from the queue, but for what says otherwise. */
#pragma once

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include "storage/grpc/server/crew.h"
#include "storage/grpc/server/lane.h"
#include "storage/grpc/server/proxy.h"
#include "storage/grpc/server/stats.h"

/* What an event of the queue is for. */
struct tag {
    void (*fire)(struct tag *tag, bool ok);
};

struct stream;

struct proxy {
    grpc_server *server;
    grpc_completion_queue *queue;
    struct crew *crew;
    struct lane *lanes[2];          /* writes; reads, or NULL when one store is all there is */
    void *registered[WIRE_METHODS]; /* gRPC's handles of the methods */
    void *health;
    char *token; /* NULL: none is asked for */
    int *ports;
    size_t n_ports;

    size_t n_calls; /* accepted and not yet over */
    size_t n_put;   /* jobs in the lanes since they were worked at last */
    struct stream *streams;
    bool stopping; /* gRPC takes no more calls */
    bool stopped;  /* and has said so */
    struct tag stop;
    int drained; /* eventfd */
    struct stats stats;
};

/* A call is there, or over. */
void server_call_begins(struct proxy *p);
void server_call_ends(struct proxy *p);
/* gRPC takes no more calls. */
void server_stops(struct proxy *p);

/* Whether the call may be made. (gate.c) */
bool gate_admits(const struct proxy *p, const grpc_metadata_array *metadata);
/* Credentials as conf says. Errors: ERR_INVALID, ERR_IO. */
int gate_credentials(grpc_server_credentials **out, const struct proxy_conf *conf, struct err *err);

/* Waits for the next call of each method. (unary.c) */
void unary_listen(struct proxy *p);
/* Waits for the next call of any other method. (stream.c) */
void stream_listen(struct proxy *p);
void streams_end(struct proxy *p);

/* The answer to a health check of that service. (health.c) */
int health_status(const struct proxy *p, const char *service);
