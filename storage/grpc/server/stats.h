/* Counters of the proxy, written by its threads and read by whoever scrapes them. */
#pragma once

#include <stdatomic.h>

#include "storage/grpc/wire.h"

enum { STATS_STATUSES = 17, STATS_BUCKETS = 12 };

struct stats {
    _Atomic uint64_t calls[WIRE_METHODS][STATS_STATUSES];   /* by gRPC status */
    _Atomic uint64_t took[WIRE_METHODS][STATS_BUCKETS + 1]; /* by time from arrival to reply */
    _Atomic uint64_t took_us[WIRE_METHODS];
    _Atomic uint64_t bytes_in, bytes_out;
    _Atomic uint64_t refused; /* without a valid token */
    _Atomic uint64_t unknown; /* methods that there are not */
};

void stats_count(struct stats *s, enum wire_method m, int status, uint64_t took_ns);
/* Appends the counters in Prometheus's text format. */
void stats_put(struct stats *s, struct buf *out);
