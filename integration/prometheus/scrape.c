#include "integration/prometheus/scrape.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

/* A scraper is one connection; the rest is for people who look. */
enum { CONNECTIONS = 32, IDLE_SECONDS = 30 };

struct scrape {
    struct MHD_Daemon *daemon;
    void (*put)(void *ctx, struct buf *out);
    void *ctx;
};

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *type,
                                 char *text, size_t n, enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(n, text, mode);
    if (r == NULL)
        return MHD_NO;
    enum MHD_Result rc = MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (rc == MHD_YES)
        rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result refuse(struct MHD_Connection *c, unsigned status, const char *why)
{
    return send_text(c, status, "text/plain; charset=utf-8", (char *)why, strlen(why),
                     MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result answer(void *ctx, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *n_data, void **state)
{
    static char seen;
    struct scrape *s = ctx;
    (void)version;
    (void)data;
    if (*state == NULL) { /* answered on the second call, or the connection is not kept alive */
        *state = &seen;
        return MHD_YES;
    }
    if (*n_data > 0) { /* a body that nobody asked for */
        *n_data = 0;
        return MHD_YES;
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET /metrics\n");
    if (strcmp(url, "/metrics") != 0)
        return refuse(c, MHD_HTTP_NOT_FOUND, "the metrics are at /metrics\n");
    struct buf b = BUF_INIT;
    s->put(s->ctx, &b);
    size_t n = b.len;
    char *text = buf_steal(&b);
    if (text == NULL)
        return refuse(c, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory\n");
    return send_text(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, n,
                     MHD_RESPMEM_MUST_FREE);
}

static int read_address(const char *address, struct sockaddr_storage *out, struct err *err)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    char host[64] = "";
    int64_t port = -1;
    const char *colon = strrchr(address, ':');
    size_t n = colon != NULL ? (size_t)(colon - address) : 0;
    if (n > 0 && n < sizeof(host) && text_int(colon + 1, &port) && port >= 0 && port <= 65535) {
        memcpy(host, address, n);
        if (strcmp(host, "localhost") == 0)
            (void)strcpy(host, "127.0.0.1");
        if (host[0] == '[' && host[n - 1] == ']') {
            host[n - 1] = '\0';
            *v6 =
                (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
            if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1)
                return 0;
        } else {
            *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
            if (inet_pton(AF_INET, host, &v4->sin_addr) == 1)
                return 0;
        }
    }
    return err_set(err, ERR_INVALID, "'%.80s' is no address for metrics, as 127.0.0.1:9464 is",
                   address);
}

int scrape_start(struct scrape **out, const char *address, void (*put)(void *ctx, struct buf *out),
                 void *ctx, struct err *err)
{
    struct sockaddr_storage at = {0};
    int rc = read_address(address, &at, err);
    if (rc < 0)
        return rc;
    AUTO_FREE struct scrape *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return err_set(err, ERR_NOMEM, "an endpoint for metrics");
    s->put = put;
    s->ctx = ctx;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO |
                     (at.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    errno = 0;
    s->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, answer, s, MHD_OPTION_SOCK_ADDR, &at,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_END);
    if (s->daemon == NULL)
        return err_sys(err, errno, "metrics on %s", address);
    *out = TAKE(s);
    return 0;
}

int scrape_port(const struct scrape *s)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info != NULL ? info->port : 0;
}

void scrape_stop(struct scrape *s)
{
    if (s == NULL)
        return;
    MHD_stop_daemon(s->daemon);
    free(s);
}
