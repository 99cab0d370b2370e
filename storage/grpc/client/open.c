/* Opening: the url, the channel, and the table of operations.
 *
 *   grpc://HOST:PORT             plaintext
 *   grpcs://HOST:PORT?ca=FILE    TLS; without ca= the system's authorities
 *   grpc+unix:///PATH            a socket file
 *   &cert=FILE&key=FILE          a client certificate
 *   &token_file=FILE             a bearer token, else $FORKLESS_PROXY_TOKEN
 *   &timeout=SECONDS             how long a call may take
 */
#include <errno.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "storage/grpc/client/client.h"
#include "storage/grpc/local.h"
#include "storage/grpc/pem.h"
#include "storage/grpc/token.h"
#include "storage/module.h"

enum { TIMEOUT_MS = 60000 };

static void grpc_store_destroy(struct store *s)
{
    struct store_grpc *g = SELF(s);
    if (g->channel != NULL)
        grpc_channel_destroy(g->channel);
    if (g->queue != NULL) {
        grpc_completion_queue_shutdown(g->queue);
        while (
            grpc_completion_queue_next(g->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
            GRPC_QUEUE_SHUTDOWN)
            ;
        grpc_completion_queue_destroy(g->queue);
    }
    mirrors_free(g);
    wire_trial_free(&g->claimed);
    pool_destroy(g->pool);
    if (g->token != NULL)
        explicit_bzero(g->token, strlen(g->token));
    free(g->token);
    free(g->target);
    free(g->doubtful);
    free(g->run_id);
    free(g->run_row);
    free(g);
    grpc_shutdown();
}

static int begin(struct store *s, struct err *err)
{
    struct store_grpc *g = SELF(s);
    (void)err;
    g->in_batch = true;
    mirrors_begin(g);
    return 0;
}

/* Each write was stored when its call returned. */
static int commit(struct store *s, bool durable, struct err *err)
{
    struct store_grpc *g = SELF(s);
    (void)durable;
    (void)err;
    g->in_batch = false;
    mirrors_commit(g);
    return 0;
}

static int sync_nothing(struct store *s, struct err *err)
{
    (void)s;
    (void)err;
    return 0;
}

/* What was written stays. */
static void roll_back(struct store *s)
{
    struct store_grpc *g = SELF(s);
    if (!g->in_batch)
        return;
    g->in_batch = false;
    mirrors_roll_back(g);
}

static const struct store_ops ops = {
    .scheme = "grpc",
    .destroy = grpc_store_destroy,
    .begin = begin,
    .commit = commit,
    .sync = sync_nothing,
    .rollback = roll_back,
    .study_create = grpc_study_create,
    .study_find = grpc_study_find,
    .study_directions = grpc_study_directions,
    .studies_each = grpc_studies_each,
    .study_look = grpc_study_look,
    .study_delete = grpc_study_delete,
    .study_attr_set = grpc_study_attr_set,
    .study_attr_get = grpc_study_attr_get,
    .study_attrs_each = grpc_study_attrs_each,
    .study_counts = grpc_study_counts,
    .trial_create = grpc_trial_create,
    .trial_claim = grpc_trial_claim,
    .trial_params = grpc_trial_params,
    .trial_steps = grpc_trial_steps,
    .trial_attrs = grpc_trial_attrs,
    .trial_finish = grpc_trial_finish,
    .trial_write = grpc_trial_write,
    .trial_state = grpc_trial_state,
    .trial_retry = grpc_trial_retry,
    .heartbeat = grpc_heartbeat,
    .running_each = grpc_running_each,
    .trials_each = grpc_trials_each,
    .trial_get = grpc_trial_get,
    .trial_look = grpc_trial_look,
    .trial_find = grpc_trial_find,
    .trials_sync = grpc_trials_sync,
    .run_start = grpc_run_start,
    .run_end = grpc_run_end,
    .runs_each = grpc_runs_each,
    .results_put = grpc_results_put,
    .results_count = grpc_results_count,
};

/* What stands in the url; texts are owned. */
struct address {
    char *target, *ca, *cert, *key, *token_file;
    bool tls;
    bool insecure; /* a token may go without TLS */
    int timeout_ms;
};

static void address_free(struct address *a)
{
    free(a->target);
    free(a->ca);
    free(a->cert);
    free(a->key);
    free(a->token_file);
}

static int read_option(struct address *a, char *option, struct err *err)
{
    double seconds;
    char *value = strchr(option, '=');
    if (value != NULL)
        *value++ = '\0';
    const struct {
        const char *name;
        char **text;
    } texts[] = {
        {"ca", &a->ca}, {"cert", &a->cert}, {"key", &a->key}, {"token_file", &a->token_file}};
    for (size_t i = 0; value != NULL && i < ARRAY_LEN(texts); i++) {
        if (strcmp(option, texts[i].name) == 0) {
            free(*texts[i].text);
            *texts[i].text = strdup(value);
            return *texts[i].text != NULL ? 0 : err_set(err, ERR_NOMEM, "storage url");
        }
    }
    if (value != NULL && strcmp(option, "timeout") == 0 && text_double(value, &seconds) &&
        seconds > 0 && seconds <= 86400) {
        a->timeout_ms = (int)(seconds * 1000);
        return 0;
    }
    if (value != NULL && strcmp(option, "insecure") == 0 && strcmp(value, "yes") == 0) {
        a->insecure = true;
        return 0;
    }
    return err_set(err, ERR_INVALID,
                   "storage url: '%s' is not understood, only ca=, cert=, key=, token_file=, "
                   "insecure=yes and timeout=SECONDS are",
                   option);
}

static int read_url(struct address *a, const char *url, struct err *err)
{
    AUTO_FREE char *rest = strdup(strstr(url, "://") + 3);
    if (rest == NULL)
        return err_set(err, ERR_NOMEM, "storage url");
    char *query = strchr(rest, '?');
    if (query != NULL)
        *query++ = '\0';
    a->tls = strncmp(url, "grpcs", 5) == 0;
    bool is_file = strncmp(url, "grpc+unix:", 10) == 0 || strncmp(url, "grpcs+unix:", 11) == 0;
    size_t n = strlen(rest);
    if (!is_file && n > 0 && rest[n - 1] == '/')
        rest[--n] = '\0';
    if (n == 0 || strchr(rest, '@') != NULL ||
        (is_file ? rest[0] != '/' : strchr(rest, '/') != NULL))
        return err_set(err, ERR_INVALID,
                       "a storage proxy's url is grpc://HOST:PORT or grpc+unix:///PATH; a token "
                       "stands in token_file= or $FORKLESS_PROXY_TOKEN");
    if (asprintf(&a->target, "%s%s%s", is_file ? "unix:" : "", rest,
                 is_file || strchr(rest, ':') != NULL ? "" : ":13000") < 0)
        a->target = NULL;
    int rc = a->target == NULL ? err_set(err, ERR_NOMEM, "storage url") : 0;
    for (char *option = query != NULL ? strsep(&query, "&") : NULL; rc == 0 && option != NULL;
         option = strsep(&query, "&"))
        rc = read_option(a, option, err);
    return rc;
}

/* The token as clients send it. */
static int read_token(struct store_grpc *g, const struct address *a, struct err *err)
{
    AUTO_FREE char *token = NULL;
    int rc = token_read(&token, a->token_file, err);
    if (rc < 0 || token == NULL)
        return rc;
    if (!a->tls && !a->insecure && !address_is_local(a->target))
        rc = err_set(err, ERR_INVALID,
                     "a token would go to %s where others can read it: use grpcs://, or say "
                     "insecure=yes in the storage url",
                     a->target);
    else if (asprintf(&g->token, "Bearer %s", token) < 0) {
        g->token = NULL;
        rc = err_set(err, ERR_NOMEM, "a token");
    }
    explicit_bzero(token, strlen(token));
    return rc;
}

static int tls_credentials(grpc_channel_credentials **out, const struct address *a, struct err *err)
{
    AUTO_FREE char *ca = NULL;
    AUTO_FREE char *cert = NULL;
    AUTO(pem_key_free) char *key = NULL;
    if ((a->cert == NULL) != (a->key == NULL))
        return err_set(err, ERR_INVALID, "storage url: cert= and key= belong together");
    int rc = a->ca != NULL ? pem_read(&ca, a->ca, PEM_CERTIFICATE, err) : 0;
    if (rc == 0 && a->cert != NULL)
        rc = pem_read(&cert, a->cert, PEM_CERTIFICATE, err);
    if (rc == 0 && a->key != NULL)
        rc = pem_read(&key, a->key, PEM_KEY, err);
    if (rc < 0)
        return rc;
    grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = cert};
    *out = grpc_ssl_credentials_create(ca, cert != NULL ? &pair : NULL, NULL, NULL);
    return *out != NULL ? 0 : err_set(err, ERR_INVALID, "storage url: no usable certificates");
}

static grpc_arg int_arg(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

static int open_channel(struct store_grpc *g, const struct address *a, struct err *err)
{
    grpc_channel_credentials *credentials = NULL;
    int rc = 0;
    if (a->tls)
        rc = tls_credentials(&credentials, a, err);
    else
        credentials = grpc_insecure_credentials_create();
    if (rc < 0)
        return rc;
    /* $http_proxy may name one that reads along: no token goes there, nor a call of this machine */
    bool may_proxy = a->tls && !address_is_local(a->target);
    grpc_arg args[] = {
        int_arg(GRPC_ARG_ENABLE_HTTP_PROXY, may_proxy),
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1), /* a study is as large as it is */
        int_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100),
        int_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000), /* how long a connect may take */
        int_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000),
        int_arg(GRPC_ARG_ENABLE_RETRIES, 0), /* who calls knows what may be repeated */
        int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, 60000),
        int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000),
    };
    const grpc_channel_args all = {.num_args = ARRAY_LEN(args), .args = args};
    g->channel = grpc_channel_create(g->target, credentials, &all);
    grpc_channel_credentials_release(credentials);
    g->queue = grpc_completion_queue_create_for_next(NULL);
    return 0;
}

/* Each failed connection would be a line on stderr; the calls say it all. */
static void no_log(gpr_log_func_args *args)
{
    (void)args;
}

static int open_store(struct store **out, const char *url, const struct store_opts *opts,
                      struct err *err)
{
    AUTO(address_free) struct address a = {0};
    struct store_grpc *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return err_set(err, ERR_NOMEM, "store");
    if (getenv("GRPC_VERBOSITY") == NULL)
        gpr_set_log_function(no_log);
    grpc_init();
    g->base = (struct store){.ops = &ops, .owner = getpid(), .read_only = opts->read_only};
    int rc = read_url(&a, url, err);
    g->target = a.target != NULL ? strdup(a.target) : NULL;
    g->timeout_ms = a.timeout_ms > 0    ? a.timeout_ms
                    : opts->busy_ms > 0 ? opts->busy_ms
                                        : TIMEOUT_MS;
    if (rc == 0 && g->target == NULL)
        rc = err_set(err, ERR_NOMEM, "storage url");
    if (rc == 0)
        rc = read_token(g, &a, err);
    if (rc == 0)
        rc = open_channel(g, &a, err);
    if (rc == 0)
        rc = rpc_connect(g, !opts->read_only, err);
    if (rc < 0) {
        grpc_store_destroy(&g->base);
        return rc;
    }
    *out = &g->base;
    return 0;
}

STORE_MODULE(open_store);
