#include "storage/grpc/server/server.h"

#include <errno.h>
#include <grpc/support/log.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"

/* ---- the queue ---- */

void server_call_begins(struct proxy *p)
{
    p->n_calls++;
}

/* Nothing can come any more: the queue may end. */
static void end_if_idle(struct proxy *p)
{
    if (p->stopped && p->n_calls == 0)
        grpc_completion_queue_shutdown(p->queue);
}

void server_call_ends(struct proxy *p)
{
    p->n_calls--;
    end_if_idle(p);
}

void server_stops(struct proxy *p)
{
    if (p->stopping)
        return;
    p->stopping = true;
    streams_end(p);
}

static void on_stopped(struct tag *tag, bool ok)
{
    struct proxy *p = CONTAINER_OF(tag, struct proxy, stop);
    (void)ok;
    server_stops(p);
    p->stopped = true;
    end_if_idle(p);
}

/* So many requests are taken in before they are answered. */
enum { TAKEN_MAX = 256 };

/* Waits until there are requests for the lanes, and takes in all that have come with them. */
static bool wait_events(void *ctx)
{
    struct proxy *p = ctx;
    while (p->n_put < TAKEN_MAX) {
        gpr_timespec until =
            p->n_put == 0 ? gpr_inf_future(GPR_CLOCK_MONOTONIC) : gpr_inf_past(GPR_CLOCK_MONOTONIC);
        grpc_event ev = grpc_completion_queue_next(p->queue, until, NULL);
        if (ev.type == GRPC_QUEUE_SHUTDOWN) {
            (void)eventfd_write(p->drained, 1);
            return false;
        }
        if (ev.type == GRPC_QUEUE_TIMEOUT)
            break;
        struct tag *tag = ev.tag;
        tag->fire(tag, ev.success != 0);
    }
    p->n_put = 0;
    return true;
}

/* Reads first: they are short but for whole studies. */
static void work(void *ctx)
{
    const struct proxy *p = ctx;
    if (p->lanes[1] != NULL)
        lane_work(p->lanes[1]);
    lane_work(p->lanes[0]);
}

/* ---- start ---- */

/* What the system said last to gRPC in this thread. */
static _Thread_local char os_error[80];

/* gRPC writes a line for each client that is not one: that is no news. Why a port cannot be had is,
 * and is told nowhere else. */
static void on_log(gpr_log_func_args *args)
{
    static const char mark[] = "os_error:\"";
    const char *at = strstr(args->message, mark);
    if (args->severity != GPR_LOG_SEVERITY_ERROR || at == NULL)
        return;
    at += sizeof(mark) - 1;
    (void)snprintf(os_error, sizeof(os_error), ": %.*s", (int)strcspn(at, "\""), at);
}

static grpc_arg int_arg(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

/* Memory for what is being received: beyond it gRPC reads more slowly, then drops connections. */
static size_t quota_bytes(const struct proxy_conf *conf)
{
    size_t least = (size_t)1 << 30;
    size_t some = (size_t)conf->max_message * 8;
    return some > least ? some : least;
}

static void create_server(struct proxy *p, const struct proxy_conf *conf)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("forkless");
    grpc_resource_quota_resize(quota, quota_bytes(conf));
    int ping_ms = (int)conf->keepalive_ms;
    grpc_arg args[] = {
        int_arg(GRPC_ARG_ALLOW_REUSEPORT, 0), /* two servers on one port would share its calls */
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)conf->max_message),
        int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1), /* a study is as large as it is */
        int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, 256),
        int_arg(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 20000),
        int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, ping_ms),
        int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000),
        int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000),
        {.type = GRPC_ARG_POINTER,
         .key = (char *)GRPC_ARG_RESOURCE_QUOTA,
         .value.pointer = {.p = quota, .vtable = grpc_resource_quota_arg_vtable()}},
    };
    const grpc_channel_args all = {.num_args = ARRAY_LEN(args), .args = args};
    p->server = grpc_server_create(&all, NULL);
    grpc_resource_quota_unref(quota);
    p->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(p->server, p->queue, NULL);
    grpc_server_register_method_payload_handling first =
        p->token != NULL ? GRPC_SRM_PAYLOAD_NONE : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER;
    for (int m = 0; m < WIRE_METHODS; m++)
        p->registered[m] = grpc_server_register_method(
            p->server, wire_method_path((enum wire_method)m), NULL, first, 0);
    p->health = grpc_server_register_method(p->server, "/grpc.health.v1.Health/Check", NULL,
                                            GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
}

/* gRPC takes a socket file over from whoever listens on it. */
static int check_free(const char *address, struct err *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (strncmp(address, "unix:", 5) != 0)
        return 0;
    const char *path = address + 5;
    if (strlen(path) >= sizeof(un.sun_path))
        return err_set(err, ERR_INVALID, "%.200s: a socket's path has at most %zu bytes", address,
                       sizeof(un.sun_path) - 1);
    (void)strcpy(un.sun_path, path);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
        return err_set(err, ERR_IO, "%s: another server listens there", address);
    return 0;
}

static int listen_on(struct proxy *p, const struct proxy_conf *conf, struct err *err)
{
    grpc_server_credentials *credentials = NULL;
    int rc = gate_credentials(&credentials, conf, err);
    if (rc < 0)
        return rc;
    mode_t mask = umask(0077); /* a socket file is its owner's */
    for (size_t i = 0; i < conf->n_listen && rc == 0; i++) {
        rc = check_free(conf->listen[i], err);
        if (rc == 0)
            p->ports[i] = grpc_server_add_http2_port(p->server, conf->listen[i], credentials);
        if (rc == 0 && p->ports[i] == 0)
            rc = err_set(err, ERR_IO, "cannot listen on %s%s", conf->listen[i],
                         os_error[0] != '\0' ? os_error : ", is that an address?");
        p->n_ports++;
    }
    (void)umask(mask);
    grpc_server_credentials_release(credentials);
    return rc;
}

static int add_lane(struct lane **lane, const char *url, const struct store_opts *opts, bool *only,
                    struct err *err)
{
    struct store *store = NULL;
    int rc = store_open(&store, url, opts, err);
    if (rc < 0)
        return rc;
    *only = store_is_private(store);
    rc = lane_open(lane, store, err);
    if (rc < 0)
        store_destroy(store);
    return rc;
}

/* Reads have a lane of their own, so that a whole study that is fetched holds up nobody's write;
 * but for SQLite files without a WAL, where no commit ends while somebody reads. */
static int open_lanes(struct proxy *p, const struct proxy_conf *conf, struct err *err)
{
    const struct store_opts reading = {.read_only = true};
    bool only = false;
    int rc = add_lane(&p->lanes[0], conf->storage, NULL, &only, err);
    return rc < 0 || only ? rc : add_lane(&p->lanes[1], conf->storage, &reading, &only, err);
}

static int start(struct proxy *p, const struct proxy_conf *conf, struct err *err)
{
    p->drained = eventfd(0, EFD_CLOEXEC);
    if (p->drained < 0)
        return err_sys(err, errno, "eventfd");
    p->ports = calloc(conf->n_listen, sizeof(p->ports[0]));
    p->token = conf->token != NULL ? strdup(conf->token) : NULL;
    if (p->ports == NULL || (conf->token != NULL && p->token == NULL))
        return err_set(err, ERR_NOMEM, "a server");
    int rc = open_lanes(p, conf, err);
    if (rc < 0)
        return rc;
    create_server(p, conf);
    rc = listen_on(p, conf, err);
    if (rc < 0)
        return rc;
    grpc_server_start(p->server);
    unary_listen(p);
    stream_listen(p);
    const struct crew_task task = {.wait = wait_events, .work = work, .ctx = p};
    return crew_start(&p->crew, &task, p->lanes[1] != NULL ? 3 : 2, err);
}

int proxy_start(struct proxy **out, const struct proxy_conf *conf, struct err *err)
{
    struct proxy *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return err_set(err, ERR_NOMEM, "a server");
    p->drained = -1;
    p->stop.fire = on_stopped;
    if (getenv("GRPC_VERBOSITY") == NULL)
        gpr_set_log_function(on_log);
    grpc_init();
    int rc = start(p, conf, err);
    if (rc < 0) {
        if (p->server != NULL) /* it never started, or no thread takes its events */
            proxy_drain(p);
        proxy_destroy(p);
        return rc;
    }
    *out = p;
    return 0;
}

int proxy_port(const struct proxy *p, size_t i)
{
    return p->ports[i];
}

/* ---- stop ---- */

void proxy_drain(struct proxy *p)
{
    grpc_server_shutdown_and_notify(p->server, p->queue, &p->stop);
}

void proxy_cancel(struct proxy *p)
{
    grpc_server_cancel_all_calls(p->server);
}

int proxy_drained_fd(const struct proxy *p)
{
    return p->drained;
}

static void end_queue(struct proxy *p)
{
    crew_join(p->crew);
    while (p->crew == NULL && wait_events(p)) /* it never began */
        ;
    grpc_server_destroy(p->server);
    grpc_completion_queue_destroy(p->queue);
}

void proxy_destroy(struct proxy *p)
{
    if (p == NULL)
        return;
    if (p->server != NULL)
        end_queue(p);
    for (size_t i = 0; i < ARRAY_LEN(p->lanes); i++)
        lane_close(p->lanes[i]);
    grpc_shutdown_blocking();
    if (p->token != NULL)
        explicit_bzero(p->token, strlen(p->token));
    free(p->token);
    free(p->ports);
    cleanup_close(&p->drained);
    free(p);
}

/* ---- metrics ---- */

void proxy_metrics(struct proxy *p, struct buf *out)
{
    static const char *const lanes[] = {"writes", "reads"};
    stats_put(&p->stats, out);
    buf_puts(out, "# HELP forkless_proxy_waiting Requests that wait for the store.\n"
                  "# TYPE forkless_proxy_waiting gauge\n");
    for (size_t i = 0; i < ARRAY_LEN(p->lanes); i++) {
        if (p->lanes[i] != NULL)
            buf_printf(out, "forkless_proxy_waiting{lane=\"%s\"} %llu\n", lanes[i],
                       (unsigned long long)lane_counts(p->lanes[i])->waiting);
    }
    const struct lane_counts *c = lane_counts(p->lanes[0]);
    buf_printf(out,
               "# HELP forkless_proxy_transactions_total Transactions committed.\n"
               "# TYPE forkless_proxy_transactions_total counter\n"
               "forkless_proxy_transactions_total %llu\n"
               "# HELP forkless_proxy_writes_total Writes in them.\n"
               "# TYPE forkless_proxy_writes_total counter\n"
               "forkless_proxy_writes_total %llu\n"
               "# HELP forkless_proxy_failed_transactions_total Transactions that failed.\n"
               "# TYPE forkless_proxy_failed_transactions_total counter\n"
               "forkless_proxy_failed_transactions_total %llu\n",
               (unsigned long long)c->batches, (unsigned long long)c->written,
               (unsigned long long)c->failures);
}
