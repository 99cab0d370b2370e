/* An HTTP endpoint for Prometheus: GET /metrics, answered by a thread of its own, so that it
 * answers whatever the rest of the program waits for. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct scrape;

/* Listens on "HOST:PORT" (an IPv4 address, or [IPv6]). put appends the metrics in Prometheus's text
 * format; the endpoint's thread calls it. Errors: ERR_INVALID (the address), ERR_IO. */
int scrape_start(struct scrape **out, const char *address, void (*put)(void *ctx, struct buf *out),
                 void *ctx, struct err *err);
int scrape_port(const struct scrape *s);
void scrape_stop(struct scrape *s); /* NULL is fine */
