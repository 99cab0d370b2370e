/* Statements on their way to the server and results on their way back. */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "storage/postgres/pg.h"
#include "storage/times.h"

void arg_text(struct args *a, const char *v)
{
    a->v[a->n++] = v;
}

void arg_int(struct args *a, int64_t v)
{
    (void)snprintf(a->text[a->n], sizeof(a->text[0]), "%" PRId64, v);
    arg_text(a, a->text[a->n]);
}

void arg_count(struct args *a, int64_t v)
{
    if (v >= 0)
        arg_int(a, v);
    else
        arg_text(a, NULL);
}

void arg_real(struct args *a, double v)
{
    arg_text(a, text_from_double(v, a->text[a->n]));
}

void arg_time(struct args *a, int64_t utc_us)
{
    arg_text(a, utc_us != 0 ? clock_sql(utc_us, a->text[a->n]) : NULL);
}

void arg_value(struct args *a, double v)
{
    if (isfinite(v))
        arg_real(a, v);
    else
        arg_text(a, NULL);
    arg_text(a, isfinite(v) ? "FINITE" : isnan(v) ? "NAN" : v > 0 ? "INF_POS" : "INF_NEG");
}

void arg_state(struct args *a, enum trial_state s)
{
    arg_text(a, trial_state_name(s));
}

const char *field(const PGresult *r, int row, int column)
{
    return PQgetvalue(r, row, column); /* "" for NULL */
}

const char *field_or_null(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : field(r, row, column);
}

int64_t field_count(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? -1 : field_int(r, row, column);
}

int64_t field_int(const PGresult *r, int row, int column)
{
    return strtoll(field(r, row, column), NULL, 10);
}

double field_real(const PGresult *r, int row, int column)
{
    return strtod(field(r, row, column), NULL);
}

bool field_value(const PGresult *r, int row, int column, double *out)
{
    const char *type = field(r, row, column + 1);
    if (strcmp(type, "FINITE") == 0) {
        *out = field_real(r, row, column);
        return !PQgetisnull(r, row, column);
    }
    if (strcmp(type, "INF_POS") == 0)
        *out = INFINITY;
    else if (strcmp(type, "INF_NEG") == 0)
        *out = -INFINITY;
    else
        *out = NAN;
    return strcmp(type, "") != 0;
}

bool field_time(const PGresult *r, int row, int column, int64_t *utc_us)
{
    return decode_time(PQgetisnull(r, row, column) ? NULL : field(r, row, column), utc_us);
}

int field_state(struct store_pg *q, const PGresult *r, int row, int column, int64_t trial,
                enum trial_state *out, struct err *err)
{
    if (trial_state_from_name(field(r, row, column), out))
        return 0;
    return err_set(err, ERR_CORRUPT, "%s: trial id %" PRId64 " has the state '%.20s'", q->name,
                   trial, field(r, row, column));
}

void put_strict(struct buf *b, const char *json)
{
    static const char *const words[] = {"NaN", "-Infinity", "Infinity"};
    bool quoted = false;
    for (const char *p = json != NULL ? json : "{}"; *p != '\0';) {
        size_t n = 0;
        for (size_t i = 0; !quoted && i < ARRAY_LEN(words) && n == 0; i++)
            n = strncmp(p, words[i], strlen(words[i])) == 0 ? strlen(words[i]) : 0;
        if (n > 0) {
            buf_puts(b, "null");
            p += n;
            continue;
        }
        if (quoted && strncmp(p, "\\u0000", 6) == 0) {
            buf_puts(b, "\\ufffd");
            p += 6;
            continue;
        }
        if (quoted && *p == '\\' && p[1] != '\0')
            buf_putc(b, *p++);
        else if (*p == '"')
            quoted = !quoted;
        buf_putc(b, *p++);
    }
}

void put_ids(struct buf *b, const int64_t *ids, size_t n)
{
    buf_putc(b, '{');
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s%" PRId64, i > 0 ? "," : "", ids[i]);
    buf_putc(b, '}');
}

/* Not connected is no mistake here: the connection was lost in an earlier round of the operation.
 */
static int lost(struct store_pg *q, struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE, "%s: the connection was lost", q->name);
}

static int send_failed(struct store_pg *q, struct err *err)
{
    int rc = err_set(err, ERR_UNAVAILABLE, "%s: %.300s", q->name, PQerrorMessage(q->c));
    conn_drop(q);
    return rc;
}

static int note_wait(struct store_pg *q, const struct pg_wait *w, struct err *err)
{
    if (!array_reserve(&q->waits, &q->cap_waits, q->n_waits + 1, sizeof(*q->waits))) {
        conn_drop(q); /* its answer could not be told from those of others */
        return err_set(err, ERR_NOMEM, "statements for %s", q->name);
    }
    q->waits[q->n_waits++] = *w;
    return 0;
}

static int prepare(struct store_pg *q, enum sql id, const char *name, struct err *err)
{
    if (q->prepared[id])
        return 0;
    if (PQsendPrepare(q->c, name, sql_text(id), 0, NULL) != 1)
        return send_failed(q, err);
    q->prepared[id] = true;
    return note_wait(q, &(const struct pg_wait){.prepares = true, .id = id}, err);
}

int pipe_queue(struct store_pg *q, enum sql id, const struct args *a, PGresult **out,
               struct err *err)
{
    char name[24];
    if (out != NULL)
        *out = NULL;
    if (q->c == NULL)
        return lost(q, err);
    (void)snprintf(name, sizeof(name), "forkless_%d", (int)id);
    int rc = prepare(q, id, name, err);
    if (rc < 0)
        return rc;
    if (PQsendQueryPrepared(q->c, name, a->n, a->v, NULL, NULL, 0) != 1)
        return send_failed(q, err);
    return note_wait(q, &(const struct pg_wait){.out = out}, err);
}

void pipe_mark_guard(struct store_pg *q)
{
    if (q->n_waits > 0)
        q->waits[q->n_waits - 1].guard = true;
}

void pipe_mark_commit(struct store_pg *q)
{
    if (q->n_waits > 0)
        q->waits[q->n_waits - 1].commit = true;
}

void pipe_forget(struct store_pg *q)
{
    for (size_t i = 0; i < q->n_waits; i++)
        q->waits[i].out = NULL;
}

/* What one round trip has brought so far. */
struct round {
    size_t next;   /* of the waits */
    PGresult *bad; /* the first failure, owned */
    bool over;
};

static void round_free(struct round *r)
{
    PQclear(r->bad);
}

static bool failed(ExecStatusType status)
{
    return status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY;
}

/* Takes a result; what follows a failure was skipped by the server and is no news. */
static void take(struct store_pg *q, struct round *round, PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);
    struct pg_wait *w = round->next < q->n_waits ? &q->waits[round->next] : NULL;
    if (status == PGRES_PIPELINE_SYNC) {
        round->over = true;
        PQclear(r);
    } else if (failed(status)) {
        if (status != PGRES_PIPELINE_ABORTED && round->bad == NULL) {
            round->bad = r;
            q->guard_failed = w != NULL && w->guard;
        } else {
            PQclear(r);
        }
    } else {
        assert(w != NULL);
        w->done = true;
        if (w->out != NULL)
            *w->out = r;
        else
            PQclear(r);
    }
}

/* Collects what has arrived. */
static void collect(struct store_pg *q, struct round *round)
{
    while (!round->over && PQstatus(q->c) != CONNECTION_BAD && !PQisBusy(q->c)) {
        PGresult *r = PQgetResult(q->c);
        if (r == NULL)
            round->next++;
        else
            take(q, round, r);
    }
}

/* Sends what is left and reads, until all results are there or the connection is gone. */
static int exchange(struct store_pg *q, struct round *round, struct err *err)
{
    for (;;) {
        int unsent = PQflush(q->c);
        if (unsent >= 0)
            collect(q, round);
        if (round->over)
            return 0;
        if (unsent < 0 || PQstatus(q->c) == CONNECTION_BAD)
            return conn_fail(q, round->bad, err);
        int rc = conn_wait(q, unsent == 1, err);
        if (rc < 0)
            return rc;
        if (PQconsumeInput(q->c) != 1)
            return conn_fail(q, round->bad, err);
    }
}

/* No result of a round that failed is of use, and what was to be prepared in it may not be. */
static void undo_waits(struct store_pg *q, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct pg_wait *w = &q->waits[i];
        if (w->out != NULL) {
            PQclear(*w->out);
            *w->out = NULL;
        }
        if (w->prepares && !w->done)
            q->prepared[w->id] = false;
    }
}

/* Whether the server may have committed: it did, or its answer was lost. */
static bool commit_in_doubt(const struct store_pg *q, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (q->waits[i].commit)
            return q->waits[i].done || q->c == NULL;
    }
    return false;
}

int pipe_round(struct store_pg *q, struct err *err)
{
    AUTO(round_free) struct round round = {0};
    q->commit_in_doubt = q->guard_failed = false;
    if (q->c == NULL)
        return lost(q, err);
    size_t n = q->n_waits; /* a lost connection empties the list */
    int rc = PQpipelineSync(q->c) == 1 ? exchange(q, &round, err) : send_failed(q, err);
    if (rc == 0 && round.bad != NULL)
        rc = conn_fail(q, round.bad, err);
    if (rc < 0) {
        q->commit_in_doubt = commit_in_doubt(q, n);
        undo_waits(q, n);
    }
    q->n_waits = 0;
    return rc;
}

int pipe_queue_text(struct store_pg *q, const char *sql, const struct args *a, PGresult **out,
                    struct err *err)
{
    if (out != NULL)
        *out = NULL;
    if (q->c == NULL)
        return lost(q, err);
    if (PQsendQueryParams(q->c, sql, a->n, NULL, a->v, NULL, NULL, 0) != 1)
        return send_failed(q, err);
    return note_wait(q, &(const struct pg_wait){.out = out}, err);
}

int pipe_text(struct store_pg *q, const char *sql, PGresult **out, struct err *err)
{
    int rc = pipe_queue_text(q, sql, ARGS_NONE, out, err);
    return rc < 0 ? rc : pipe_round(q, err);
}

int pipe_run(struct store_pg *q, enum sql id, const struct args *a, PGresult **out, struct err *err)
{
    int rc = pipe_queue(q, id, a, out, err);
    return rc < 0 ? rc : pipe_round(q, err);
}

static int script_results(struct store_pg *q, struct err *err)
{
    AUTO(round_free) struct round round = {0};
    for (;;) {
        int unsent = PQflush(q->c);
        while (unsent >= 0 && PQstatus(q->c) != CONNECTION_BAD && !PQisBusy(q->c)) {
            PGresult *r = PQgetResult(q->c);
            if (r == NULL)
                return round.bad != NULL ? conn_fail(q, round.bad, err) : 0;
            if (failed(PQresultStatus(r)) && round.bad == NULL)
                round.bad = r;
            else
                PQclear(r);
        }
        if (unsent < 0 || PQstatus(q->c) == CONNECTION_BAD)
            return conn_fail(q, round.bad, err);
        int rc = conn_wait(q, unsent == 1, err);
        if (rc < 0)
            return rc;
        if (PQconsumeInput(q->c) != 1)
            return conn_fail(q, round.bad, err);
    }
}

int pipe_script(struct store_pg *q, const char *sql, struct err *err)
{
    if (q->c == NULL)
        return lost(q, err);
    assert(q->n_waits == 0);
    if (PQexitPipelineMode(q->c) != 1 || PQsendQuery(q->c, sql) != 1)
        return send_failed(q, err);
    int rc = script_results(q, err);
    if (q->c != NULL && PQenterPipelineMode(q->c) != 1)
        return send_failed(q, err);
    return rc;
}
