/* The connection: its url, its coming and going, and what the server's complaints mean to us. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "storage/postgres/index.h"
#include "storage/postgres/pg.h"

/* Between two tries to connect. */
enum { BACKOFF_MIN_MS = 50, BACKOFF_MAX_MS = 2000 };

static void nap(uint64_t ms)
{
    const struct timespec ts = {.tv_sec = (time_t)(ms / 1000),
                                .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&ts, NULL);
}

static const char *option(const PQconninfoOption *all, const char *keyword)
{
    for (; all->keyword != NULL; all++) {
        if (strcmp(all->keyword, keyword) == 0)
            return all->val;
    }
    return NULL;
}

/* Whether a password in it holds a @ or / that is not escaped: libpq would take what is behind for
 * the host, port or database, and quote it. */
static bool splits_password(const char *after_scheme)
{
    const char *rest = after_scheme + strcspn(after_scheme, "@/");
    rest = *rest == '@' ? rest + 1 : after_scheme;
    return memchr(rest, '@', strcspn(rest, "?")) != NULL;
}

/* What libpq says of a url that it cannot read may quote it, password and all: it is not passed on.
 */
int conn_read_url(struct store_pg *q, const char *url, struct err *err)
{
    char shown[256];
    const char *rest = strstr(url, "://");
    if (asprintf(&q->url, "postgresql%s", rest) < 0)
        return err_set(err, ERR_NOMEM, "storage url");
    PQconninfoOption *all =
        splits_password(rest + strlen("://")) ? NULL : PQconninfoParse(q->url, NULL);
    if (all == NULL)
        return err_set(err, ERR_INVALID,
                       "storage '%.200s' is not understood: "
                       "postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require, with %%40 "
                       "for @ and %%2F for / in a password",
                       text_mask_url(url, shown, sizeof(shown)));
    const char *db = option(all, "dbname"), *host = option(all, "host");
    if (db == NULL || *db == '\0')
        db = getenv("PGDATABASE");
    if (host == NULL || *host == '\0')
        host = getenv("PGHOST");
    if (db == NULL)
        db = option(all, "user");
    int n = asprintf(&q->name, "database '%s' on %s", db != NULL ? db : "of this user",
                     host != NULL ? host : "this machine");
    PQconninfoFree(all);
    return n < 0 ? err_set(err, ERR_NOMEM, "storage url") : 0;
}

void conn_drop(struct store_pg *q)
{
    if (q->c == NULL)
        return;
    for (size_t i = 0; i < q->n_waits; i++)
        q->commit_in_doubt = q->commit_in_doubt || q->waits[i].commit;
    PQfinish(q->c);
    q->c = NULL;
    q->n_waits = 0;
    memset(q->prepared, 0, sizeof(q->prepared));
    index_doubt(q);
}

/* Waits for events until the clock says so. Returns false when it does. */
static bool wait_until(PGconn *c, short events, uint64_t deadline_ms)
{
    struct pollfd p = {.fd = PQsocket(c), .events = events};
    for (;;) {
        uint64_t now = clock_mono_ms();
        if (now >= deadline_ms)
            return false;
        uint64_t left = deadline_ms - now;
        int n = poll(&p, 1, left < 3600000 ? (int)left : 3600000);
        if (n > 0 || (n < 0 && errno != EINTR)) /* libpq will notice what is wrong */
            return true;
    }
}

int conn_wait(struct store_pg *q, bool write, struct err *err)
{
    uint64_t deadline = clock_mono_ms() + (uint64_t)q->busy_ms;
    if (wait_until(q->c, (short)(POLLIN | (write ? POLLOUT : 0)), deadline))
        return 0;
    /* what it may still do is not known, so it cannot be used any more */
    conn_drop(q);
    return err_set(err, ERR_UNAVAILABLE, "%s does not answer for %d ms", q->name, q->busy_ms);
}

static void ignore_notice(void *arg, const PGresult *r)
{
    (void)arg;
    (void)r;
}

/* libpq's message without its line ends. */
static int connect_error(struct store_pg *q, enum err_code code, struct err *err)
{
    char text[320];
    (void)snprintf(text, sizeof(text), "%s", PQerrorMessage(q->c));
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == '\n')
        text[--n] = '\0';
    return err_set(err, code, "%s: %s", q->name, text_clean(text));
}

/* Whether the url or what it names is wrong, rather than the server away: a wrong password, no such
 * database or role. libpq gives no SQLSTATE here; a server that speaks another language is only
 * tried in vain a little longer. */
static bool refused_for_good(const PGconn *c)
{
    const char *text = PQerrorMessage(c);
    static const char *const words[] = {"password authentication failed",
                                        "no password supplied",
                                        "does not exist",
                                        "no pg_hba.conf entry",
                                        "root certificate file",
                                        "certificate verify failed",
                                        "does not match host name",
                                        "server does not support SSL",
                                        "invalid connection option",
                                        "invalid sslmode",
                                        "invalid value",
                                        "invalid integer value",
                                        "invalid port"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strstr(text, words[i]) != NULL)
            return true;
    }
    return false;
}

static int handshake(struct store_pg *q, uint64_t deadline_ms, struct err *err)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
        short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (PQstatus(q->c) == CONNECTION_BAD || state == PGRES_POLLING_FAILED)
            return connect_error(q, refused_for_good(q->c) ? ERR_INVALID : ERR_UNAVAILABLE, err);
        if (!wait_until(q->c, events, deadline_ms))
            return err_set(err, ERR_UNAVAILABLE, "%s does not answer for %d ms", q->name,
                           q->busy_ms);
        state = PQconnectPoll(q->c);
    }
    return 0;
}

/* A lock that is not to be had is told by the server before we give up waiting for the server. A
 * process that is frozen in the middle of a transaction loses it, and its locks, by the second
 * setting. The session's time zone stays what Optuna's would be: heartbeats are kept in it. */
static int set_up(struct store_pg *q, struct err *err)
{
    char sql[600];
    (void)snprintf(sql, sizeof(sql),
                   "SET client_min_messages=error; SET DateStyle='ISO, YMD';"
                   "SET extra_float_digits=3; SET standard_conforming_strings=on;"
                   "SET lock_timeout=%d; SET idle_in_transaction_session_timeout=15000;"
                   "SELECT set_config('synchronous_commit', 'on', false)"
                   " WHERE current_setting('synchronous_commit')='off'",
                   q->busy_ms - q->busy_ms / 5);
    return pipe_script(q, sql, err);
}

static int connect_once(struct store_pg *q, struct err *err)
{
    const char *const keys[] = {"dbname", "client_encoding", "fallback_application_name", NULL};
    const char *const values[] = {q->url, "UTF8", "forkless", NULL};
    q->c = PQconnectStartParams(keys, values, 1);
    if (q->c == NULL)
        return err_set(err, ERR_NOMEM, "connection to %s", q->name);
    int rc = handshake(q, clock_mono_ms() + (uint64_t)q->busy_ms, err);
    if (rc == 0) {
        (void)PQsetNoticeReceiver(q->c, ignore_notice, NULL);
        rc = PQsetnonblocking(q->c, 1) == 0 && PQenterPipelineMode(q->c) == 1
                 ? set_up(q, err)
                 : connect_error(q, ERR_UNAVAILABLE, err);
    }
    if (rc < 0)
        conn_drop(q);
    return rc;
}

/* The longer in vain, the longer until the next try; a fleet does not come back all at once. */
static void back_off(struct store_pg *q)
{
    uint64_t now = clock_mono_ms();
    uint64_t ms = (uint64_t)BACKOFF_MIN_MS << (q->failures < 6 ? q->failures : 6);
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    q->failures++;
    q->retry_at_ms = now + ms / 2 + clock_mono_ns() / 1000 % (ms / 2);
}

int conn_ensure(struct store_pg *q, bool first, struct err *err)
{
    uint64_t deadline = clock_mono_ms() + (uint64_t)q->busy_ms;
    if (q->c != NULL)
        return 0;
    for (;;) {
        uint64_t now = clock_mono_ms();
        if (q->retry_at_ms > now) {
            if (q->retry_at_ms >= deadline) {
                if (err != NULL)
                    *err = q->down;
                return -(int)q->down.code;
            }
            nap(q->retry_at_ms - now);
        }
        int rc = connect_once(q, &q->down);
        if (rc == -ERR_INVALID && !first) { /* it was right once, and may be so again */
            q->down.code = ERR_UNAVAILABLE;
            rc = -ERR_UNAVAILABLE;
        }
        if (rc == 0) {
            q->failures = 0;
            q->retry_at_ms = 0;
            return 0;
        }
        bool starting = strstr(q->down.msg, "starting up") != NULL;
        if (rc != -ERR_UNAVAILABLE || (first && !starting) || clock_mono_ms() >= deadline) {
            if (err != NULL)
                *err = q->down;
            back_off(q);
            return rc;
        }
        back_off(q);
    }
}

/* The first two characters are the class. */
static enum err_code code_of(const char *state)
{
    static const struct {
        const char *prefix;
        enum err_code code;
    } codes[] = {
        {"40001", ERR_BUSY},        /* serialization_failure */
        {"40P01", ERR_BUSY},        /* deadlock_detected */
        {"55P03", ERR_BUSY},        /* lock_not_available */
        {"57014", ERR_BUSY},        /* query_canceled, by a timeout of the role */
        {"23503", ERR_BUSY},        /* the row above was deleted meanwhile: look again */
        {"22012", ERR_BUSY},        /* a guard, see tx.c */
        {"42P01", ERR_UNAVAILABLE}, /* a table is gone: a backup is being restored, perhaps */
        {"42P10", ERR_UNAVAILABLE}, /* its indexes are not there yet */
        {"3F000", ERR_UNAVAILABLE}, /* nor is its schema */
        {"25006", ERR_UNAVAILABLE}, /* read-only: the server has become a standby */
        {"25P03", ERR_UNAVAILABLE}, /* we were too slow in a transaction */
        {"42501", ERR_UNSUPPORTED}, /* insufficient_privilege */
        {"08", ERR_UNAVAILABLE},    /* connection */
        {"53", ERR_UNAVAILABLE},    /* disk full, out of memory, too many connections */
        {"57", ERR_UNAVAILABLE},    /* shut down */
        {"58", ERR_UNAVAILABLE},    /* I/O error */
        {"XX000", ERR_UNAVAILABLE}, /* and others of the file system, such as a size limit */
        {"XX", ERR_CORRUPT},
    };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (strncmp(state, codes[i].prefix, strlen(codes[i].prefix)) == 0)
            return codes[i].code;
    }
    return ERR_UNSUPPORTED;
}

int conn_fail(struct store_pg *q, const PGresult *r, struct err *err)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *said = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    if (state != NULL && PQstatus(q->c) != CONNECTION_BAD) {
        char text[320];
        (void)snprintf(text, sizeof(text), "%s", said != NULL ? said : "");
        int rc = err_set(err, code_of(state), "%s: %s (%s)", q->name, text_clean(text), state);
        const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
        bool over = severity != NULL && strcmp(severity, "ERROR") != 0;
        /* a standby that takes no writes: another server may */
        if (over || (strcmp(state, "25006") == 0 && !q->base.read_only))
            conn_drop(q);
        return rc;
    }
    int rc = said != NULL ? err_set(err, ERR_UNAVAILABLE, "%s: %s", q->name, said)
                          : connect_error(q, ERR_UNAVAILABLE, err);
    conn_drop(q);
    return rc;
}
