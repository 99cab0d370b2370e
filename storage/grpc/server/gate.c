/* Who may call: addresses, TLS, the token. */
#include <string.h>

#include "storage/grpc/local.h"
#include "storage/grpc/pem.h"
#include "storage/grpc/server/server.h"

static const char bearer[] = "Bearer ";

/* Takes as long for a nearly right token as for a wrong one. */
static bool same_token(const char *token, const unsigned char *sent, size_t n)
{
    size_t length = strlen(token);
    unsigned char differs = n != length;
    for (size_t i = 0; i < n; i++)
        differs |= (unsigned char)(sent[i] ^ (unsigned char)token[length == 0 ? 0 : i % length]);
    return differs == 0;
}

bool gate_admits(const struct proxy *p, const grpc_metadata_array *metadata)
{
    if (p->token == NULL)
        return true;
    for (size_t i = 0; i < metadata->count; i++) {
        grpc_slice key = metadata->metadata[i].key, value = metadata->metadata[i].value;
        size_t n = GRPC_SLICE_LENGTH(value), skip = sizeof(bearer) - 1;
        if (grpc_slice_str_cmp(key, "authorization") == 0 && n > skip &&
            strncasecmp((const char *)GRPC_SLICE_START_PTR(value), bearer, skip) == 0 &&
            same_token(p->token, GRPC_SLICE_START_PTR(value) + skip, n - skip))
            return true;
    }
    return false;
}

static int tls_credentials(grpc_server_credentials **out, const struct proxy_conf *conf,
                           struct err *err)
{
    AUTO_FREE char *cert = NULL;
    AUTO_FREE char *ca = NULL;
    AUTO(pem_key_free) char *key = NULL;
    int rc = pem_read(&cert, conf->cert, PEM_CERTIFICATE, err);
    if (rc == 0)
        rc = pem_read(&key, conf->key, PEM_KEY, err);
    if (rc == 0 && conf->client_ca != NULL)
        rc = pem_read(&ca, conf->client_ca, PEM_CERTIFICATE, err);
    if (rc < 0)
        return rc;
    grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = cert};
    grpc_server_credentials *made = grpc_ssl_server_credentials_create_ex(
        ca, &pair, 1,
        ca != NULL ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                   : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        NULL);
    if (made == NULL)
        return err_set(err, ERR_INVALID, "%s and %s are no certificate and its key", conf->cert,
                       conf->key);
    *out = made;
    return 0;
}

int gate_credentials(grpc_server_credentials **out, const struct proxy_conf *conf, struct err *err)
{
    if ((conf->cert == NULL) != (conf->key == NULL))
        return err_set(err, ERR_INVALID, "TLS needs a certificate and its key: %s is missing",
                       conf->cert == NULL ? "--tls-cert" : "--tls-key");
    if (conf->client_ca != NULL && conf->cert == NULL)
        return err_set(err, ERR_INVALID, "--tls-client-ca needs --tls-cert and --tls-key");
    if (conf->cert != NULL)
        return tls_credentials(out, conf, err);
    for (size_t i = 0; i < conf->n_listen; i++) {
        if (!conf->insecure && !address_is_local(conf->listen[i]))
            return err_set(err, ERR_INVALID,
                           "%s can be reached from other machines: give it --tls-cert and "
                           "--tls-key, or say --insecure",
                           conf->listen[i]);
    }
    *out = grpc_insecure_server_credentials_create();
    return 0;
}
