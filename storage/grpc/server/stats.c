#include "storage/grpc/server/stats.h"

#include <inttypes.h>

/* Upper bounds in microseconds. */
static const uint64_t bounds_us[STATS_BUCKETS] = {100,   250,   500,    1000,   2500,    5000,
                                                  10000, 25000, 100000, 500000, 1000000, 10000000};

static const char *const statuses[STATS_STATUSES] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    (void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t get(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void stats_count(struct stats *s, enum wire_method m, int status, uint64_t took_ns)
{
    uint64_t us = took_ns / 1000;
    size_t bucket = 0;
    while (bucket < STATS_BUCKETS && us > bounds_us[bucket])
        bucket++;
    add(&s->calls[m][status], 1);
    add(&s->took[m][bucket], 1);
    add(&s->took_us[m], us);
}

static void put_head(struct buf *out, const char *name, const char *kind, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

/* Every method from the start: a counter that appears at 5 has no increase to be seen. */
static void put_calls(struct stats *s, struct buf *out)
{
    put_head(out, "forkless_proxy_calls_total", "counter", "Calls answered, by gRPC status.");
    for (int m = 0; m < WIRE_METHODS; m++) {
        for (int status = 0; status < STATS_STATUSES; status++) {
            uint64_t n = get(&s->calls[m][status]);
            if (n > 0 || status == 0)
                buf_printf(out,
                           "forkless_proxy_calls_total{method=\"%s\",status=\"%s\"} %" PRIu64 "\n",
                           wire_method_name((enum wire_method)m), statuses[status], n);
        }
    }
}

static void put_took(struct stats *s, struct buf *out)
{
    put_head(out, "forkless_proxy_call_seconds", "histogram",
             "From the arrival of a request to its reply.");
    for (int m = 0; m < WIRE_METHODS; m++) {
        const char *name = wire_method_name((enum wire_method)m);
        uint64_t n = 0;
        for (int i = 0; i < STATS_BUCKETS; i++) {
            n += get(&s->took[m][i]);
            buf_printf(out,
                       "forkless_proxy_call_seconds_bucket{method=\"%s\",le=\"%g\"} %" PRIu64 "\n",
                       name, (double)bounds_us[i] / 1e6, n);
        }
        n += get(&s->took[m][STATS_BUCKETS]);
        buf_printf(out,
                   "forkless_proxy_call_seconds_bucket{method=\"%s\",le=\"+Inf\"} %" PRIu64 "\n"
                   "forkless_proxy_call_seconds_sum{method=\"%s\"} %.6f\n"
                   "forkless_proxy_call_seconds_count{method=\"%s\"} %" PRIu64 "\n",
                   name, n, name, (double)get(&s->took_us[m]) / 1e6, name, n);
    }
}

static void put_one(struct buf *out, const char *name, const char *help, uint64_t n)
{
    put_head(out, name, "counter", help);
    buf_printf(out, "%s %" PRIu64 "\n", name, n);
}

void stats_put(struct stats *s, struct buf *out)
{
    put_calls(s, out);
    put_took(s, out);
    put_one(out, "forkless_proxy_request_bytes_total", "Bytes of requests.", get(&s->bytes_in));
    put_one(out, "forkless_proxy_reply_bytes_total", "Bytes of replies.", get(&s->bytes_out));
    put_one(out, "forkless_proxy_refused_total", "Calls without a valid token.", get(&s->refused));
    put_one(out, "forkless_proxy_unknown_methods_total", "Calls of methods that there are not.",
            get(&s->unknown));
}
