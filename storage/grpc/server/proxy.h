/* Optuna's storage proxy as a gRPC server: what `run_grpc_proxy_server` is, over any of our stores.
 *
 * One thread at a time takes all events from gRPC's completion queue and owns all calls. It takes
 * in what has come, does it (lane.h) and starts the replies; when the store holds it up, another
 * goes on with the queue (crew.h). Nothing is cached between requests: what another process or
 * another server changed in the database is what the next reply says. */
#pragma once

#include "base/err.h"
#include "storage/storage.h"

struct proxy;

struct proxy_conf {
    const char *storage;       /* url */
    const char *const *listen; /* "127.0.0.1:13000", "[::1]:0", "unix:/run/proxy.sock" */
    size_t n_listen;           /* at least 1 */
    bool insecure;             /* other addresses than loopback are allowed without TLS */
    const char *cert, *key;    /* PEM files: TLS; both or none */
    const char *client_ca;     /* PEM file: clients must have a certificate of these; NULL: not */
    const char *token;         /* clients must send "authorization: Bearer TOKEN"; NULL: not */
    int64_t max_message;       /* bytes of a request */
    uint64_t keepalive_ms;     /* a client that is silent for so long is asked whether it lives */
};

/* Opens the store and listens. Errors: those of store_open; ERR_INVALID (an address, TLS files, an
 * address that is not loopback without TLS), ERR_IO (a port is taken). */
int proxy_start(struct proxy **out, const struct proxy_conf *conf, struct err *err);
/* The port of the i-th address; 1 for a socket file. */
int proxy_port(const struct proxy *p, size_t i);
/* No new calls from now on; those that were accepted are answered. */
void proxy_drain(struct proxy *p);
/* Ends the calls that are still there, unanswered. Only after proxy_drain. */
void proxy_cancel(struct proxy *p);
/* Becomes readable when the last call has ended after proxy_drain. */
int proxy_drained_fd(const struct proxy *p);
/* Only after proxy_drain; waits for the last call. NULL is fine. */
void proxy_destroy(struct proxy *p);

/* The state in Prometheus's text format; may be called by any thread. */
struct buf;
void proxy_metrics(struct proxy *p, struct buf *out);
