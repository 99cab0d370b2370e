/* forkless-serve: Optuna's storage proxy. Started as `forkless serve`. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "integration/prometheus/scrape.h"
#include "storage/grpc/local.h"
#include "storage/grpc/server/proxy.h"
#include "storage/grpc/token.h"
#include "storage/storage.h"

static const char *const synopsis[] = {"serve [OPTION …]", NULL};

static const char examples[] =
    "  forkless serve --storage sqlite:///study.db\n"
    "      and in Python, unchanged: optuna.storages.GrpcStorageProxy(host=\"localhost\", "
    "port=13000)\n"
    "  forkless serve --storage postgresql://db/optuna --listen 0.0.0.0:13000 \\\n"
    "                 --tls-cert cert.pem --tls-key key.pem --token-file token\n"
    "  forkless serve --listen unix:/run/forkless/proxy.sock --metrics 127.0.0.1:9464\n"
    "\n"
    "Events are JSON lines on stderr; serve_listening tells the addresses. SIGTERM lets calls end "
    "for --drain;\nthe exit code is 0 when all did, 1 when some had to be cut off, 2 for a mistake "
    "in usage or a port\nthat is taken, 6 when the store cannot be opened. A token is never an "
    "argument: it stands in\n--token-file or in $FORKLESS_PROXY_TOKEN.\n";

struct options {
    const char *storage, *token_file, *metrics, *max_message;
    struct cli_words listen;
    const char *cert, *key, *client_ca;
    bool insecure;
    uint64_t drain_ms, keepalive_ms;
};

static int mistake(const char *what)
{
    cli_error("serve: %s", what);
    return EXIT_USAGE;
}

static int failed(const struct err *err)
{
    cli_error("serve: %s", err->msg);
    return err->code == ERR_INVALID || err->code == ERR_IO ? EXIT_USAGE : EXIT_STORE;
}

/* Short ones can be guessed. */
static int read_token(const char *path, char **out, struct err *err)
{
    enum { LEAST = 16 };
    int rc = token_read(out, path, err);
    if (rc < 0 || *out == NULL || strlen(*out) >= LEAST)
        return rc;
    return err_set(err, ERR_INVALID, "%s holds a token of %zu characters: use %d or more",
                   path != NULL ? path : "FORKLESS_PROXY_TOKEN", strlen(*out), LEAST);
}

static void put_metrics(void *ctx, struct buf *out)
{
    proxy_metrics(ctx, out);
}

/* Each connection is a descriptor. */
static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* what cannot be raised stays as it is */
}

static void tell_addresses(const struct proxy *p, const struct options *o, const struct scrape *s,
                           bool is_new)
{
    char shown[256];
    (void)text_mask_url(o->storage, shown, sizeof(shown));
    for (size_t i = 0; i < o->listen.n; i++)
        log_event(LOG_INFO, "serve_listening", LOG_TEXT("listen", o->listen.v[i]),
                  LOG_INT("port", proxy_port(p, i)), LOG_TEXT("storage", shown),
                  LOG_FLAG("new_store", is_new), LOG_FLAG("tls", o->cert != NULL),
                  LOG_INT("metrics_port", s != NULL ? scrape_port(s) : 0));
}

/* Before anything is opened: a mistake here must leave no new store behind. */
static int check_addresses(const struct options *o)
{
    for (size_t i = 0; i < o->listen.n; i++) {
        const char *at = o->listen.v[i];
        bool is_port = *at != '\0' && at[strspn(at, "0123456789")] == '\0';
        if (address_is_complete(at))
            continue;
        cli_error("serve: --listen %s: expected HOST:PORT, such as 127.0.0.1:%s, or unix:PATH", at,
                  is_port ? at : "13000");
        return EXIT_USAGE;
    }
    return CLI_GO_ON;
}

/* Serving makes a store where there is none, which a wrong directory or name would hide. */
static bool is_missing(const char *storage)
{
    AUTO_STORE struct store *s = NULL;
    const struct store_opts look = {.read_only = true};
    return store_open(&s, storage, &look, NULL) == -ERR_NOTFOUND;
}

/* Waits for a descriptor of the two, at most until due (0: for ever). Which one; -1: neither. */
static int wait_for(int signals, int drained, uint64_t due_ms)
{
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = drained, .events = POLLIN}};
    for (;;) {
        uint64_t now = clock_mono_ms();
        uint64_t left = due_ms > now ? due_ms - now : 0;
        int most = left < INT_MAX ? (int)left : INT_MAX; /* which is 24 days */
        int n = poll(fds, ARRAY_LEN(fds), due_ms == 0 ? -1 : most);
        if (n == 0 && left <= INT_MAX)
            return -1;
        if (n > 0)
            return fds[1].revents != 0 ? drained : signals;
    }
}

/* Until a signal, and then until the calls are done. Returns whether all were. */
static bool serve(struct proxy *p, int signals, uint64_t drain_ms)
{
    struct signalfd_siginfo got = {0};
    (void)wait_for(signals, proxy_drained_fd(p), 0);
    if (read(signals, &got, sizeof(got)) < 0)
        got.ssi_signo = 0; /* only which one it was, for the log */
    log_event(LOG_INFO, "serve_draining", LOG_INT("signal", got.ssi_signo),
              LOG_INT("at_most_ms", drain_ms));
    proxy_drain(p);
    bool done =
        wait_for(signals, proxy_drained_fd(p), clock_mono_ms() + drain_ms) == proxy_drained_fd(p);
    if (!done)
        proxy_cancel(p);
    return done;
}

static int run(struct options *o, int signals)
{
    AUTO_FREE char *token = NULL;
    struct proxy *p = NULL;
    struct scrape *s = NULL;
    struct err err = {0};
    uint64_t bytes = 64 << 20;
    if (o->max_message != NULL &&
        (!text_size_bytes(o->max_message, &bytes) || bytes < 1024 || bytes > INT32_MAX))
        return mistake("--max-message takes a size like 64MiB, from 1KiB to 2047MiB");
    if (read_token(o->token_file, &token, &err) < 0)
        return failed(&err);
    if (o->keepalive_ms < 1000 || o->keepalive_ms > INT32_MAX)
        return mistake("--keepalive takes a time from 1s to 24d");
    const struct proxy_conf conf = {.storage = o->storage,
                                    .listen = o->listen.v,
                                    .n_listen = o->listen.n,
                                    .insecure = o->insecure,
                                    .cert = o->cert,
                                    .key = o->key,
                                    .client_ca = o->client_ca,
                                    .token = token,
                                    .max_message = (int64_t)bytes,
                                    .keepalive_ms = o->keepalive_ms};
    bool is_new = is_missing(o->storage);
    if (proxy_start(&p, &conf, &err) < 0)
        return failed(&err);
    int rc = o->metrics == NULL ? 0 : scrape_start(&s, o->metrics, put_metrics, p, &err);
    bool done = true;
    if (rc == 0) {
        tell_addresses(p, o, s, is_new);
        done = serve(p, signals, o->drain_ms);
    } else {
        proxy_drain(p);
    }
    scrape_stop(s);
    proxy_destroy(p);
    if (rc < 0)
        return failed(&err);
    log_event(LOG_INFO, "serve_end", LOG_FLAG("drained", done));
    return done ? EXIT_OK : EXIT_UNMET;
}

/* Blocked in all threads: the main one reads them. */
static int take_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char **argv)
{
    static const char *loopback[] = {"127.0.0.1:13000"};
    AUTO_CLI_ARGS struct cli_args args = {0};
    struct options o = {.storage = cli_default_storage(), .drain_ms = 10000, .keepalive_ms = 60000};
    const struct cli_option options[] = {
        {.name = "storage",
         .arg = "URL",
         .text = &o.storage,
         .help = "what to serve (default: $FORKLESS_STORAGE, $OPTUNA_STORAGE, ./forkless.db)"},
        {.name = "listen",
         .arg = "ADDR",
         .list = &o.listen,
         .help = "HOST:PORT or unix:PATH; may be repeated (default: 127.0.0.1:13000)"},
        {.name = "insecure",
         .flag = &o.insecure,
         .help = "allow other addresses than loopback without TLS"},
        {.name = "tls-cert", .arg = "FILE", .text = &o.cert, .help = "certificate chain, PEM"},
        {.name = "tls-key", .arg = "FILE", .text = &o.key, .help = "its key, PEM"},
        {.name = "tls-client-ca",
         .arg = "FILE",
         .text = &o.client_ca,
         .help = "clients need a certificate of these, PEM"},
        {.name = "token-file",
         .arg = "FILE",
         .text = &o.token_file,
         .help = "clients must send this bearer token (or $FORKLESS_PROXY_TOKEN)"},
        {.name = "max-message",
         .arg = "SIZE",
         .text = &o.max_message,
         .help = "largest request (default: 64MiB)"},
        {.name = "keepalive",
         .arg = "TIME",
         .duration_ms = &o.keepalive_ms,
         .help = "ask silent clients whether they live after this (default: 60s)"},
        {.name = "drain",
         .arg = "TIME",
         .duration_ms = &o.drain_ms,
         .help = "how long calls may take after SIGTERM (default: 10s)"},
        {.name = "metrics",
         .arg = "HOST:PORT",
         .text = &o.metrics,
         .help = "serve /metrics for Prometheus there"},
    };
    const struct cli_usage usage = {
        .command = "serve",
        .summary = "Serves a store to Optuna's GrpcStorageProxy clients, and to forkless.",
        .synopsis = synopsis,
        .options = options,
        .n_options = ARRAY_LEN(options),
        .examples = examples};
    int code = cli_parse(&usage, argc, argv, &args);
    if (code == CLI_GO_ON && args.words.n > 0)
        code = mistake("takes only options: see forkless serve --help");
    if (code == CLI_GO_ON) {
        if (o.listen.n == 0)
            o.listen = (struct cli_words){.v = loopback, .n = 1};
        code = check_addresses(&o);
    }
    if (code == CLI_GO_ON) {
        AUTO_CLOSE int signals = take_signals();
        raise_limit();
        code = run(&o, signals);
    }
    if (o.listen.v != loopback)
        cli_words_free(&o.listen);
    return code;
}
