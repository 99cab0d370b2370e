/* Spools that executors left behind: what they hold goes to the store before their trials are taken
 * for lost. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/log.h"
#include "executor/internal.h"
#include "executor/owner.h"

struct adoption {
    struct executor *ex;
    struct store *s; /* opened when there is something to replay */
};

static void tell(const struct spool_file *f, const struct spool_report *r)
{
    if (r->entries == 0 && r->damaged == 0)
        return; /* of a run that needed none */
    bool whole = r->missing == 0 && r->incomplete == 0 && r->damaged == 0;
    log_event(whole ? LOG_INFO : LOG_ERROR, "spool_replayed", LOG_TEXT("file", f->path),
              LOG_INT("entries", r->entries), LOG_INT("stored", r->stored),
              LOG_INT("already", r->already), LOG_INT("superseded", r->superseded),
              LOG_INT("missing", r->missing), LOG_INT("incomplete", r->incomplete),
              LOG_INT("damaged_lines", r->damaged), LOG_FLAG("torn", r->torn));
}

/* One that stays is looked at and told of once. */
static bool is_left(const struct executor *ex, const char *path)
{
    for (size_t i = 0; i < ex->n_spools_left; i++) {
        if (strcmp(ex->spools_left[i], path) == 0)
            return true;
    }
    return false;
}

static void leave(struct executor *ex, const char *path)
{
    char *copy = strdup(path);
    if (copy != NULL && array_reserve(&ex->spools_left, &ex->cap_spools_left, ex->n_spools_left + 1,
                                      sizeof(*ex->spools_left)))
        ex->spools_left[ex->n_spools_left++] = copy;
    else
        free(copy);
}

/* A file that one of us cannot read or replay must not stop the sweep: its trials are run again,
 * and the file stays for people. A store that is away stops it, as it does elsewhere. */
static int adopt(void *ctx, struct spool_file *f, enum spool_owner owner, int rc,
                 const struct err *why)
{
    struct adoption *a = ctx;
    struct spool_report report = {0};
    struct err err = {0};
    if (owner == SPOOL_LIVES && rc == 0 && f->data.owner != NULL &&
        owner_state(f->data.owner) == OWNER_DEAD)
        a->ex->spool_taken = true; /* who has its lock replays it */
    if (owner == SPOOL_LIVES || f->damaged_name || is_left(a->ex, f->path))
        return 0;
    if (rc < 0) {
        leave(a->ex, f->path);
        log_event(LOG_ERROR, "spool_not_read", LOG_TEXT("file", f->path),
                  LOG_TEXT("error", why->msg));
        return 0;
    }
    const struct store_opts opts = {.busy_ms = 1000}; /* as the queue's: it tries again */
    if (a->s == NULL)
        rc = store_open(&a->s, a->ex->spec->study.storage, &opts, &err);
    if (rc == 0)
        rc = spool_file_replay(f, a->s, &a->ex->over, &report, &err);
    /* tried again, and told, by the queue; or by the next run */
    bool away = rc == -ERR_BUSY || rc == -ERR_UNAVAILABLE || rc == -ERR_STOPPED;
    if (rc == 0)
        tell(f, &report);
    else if (!away)
        log_event(LOG_ERROR, "spool_not_replayed", LOG_TEXT("file", f->path),
                  LOG_TEXT("error", err.msg));
    if (!away && (rc < 0 || report.missing > 0))
        leave(a->ex, f->path);
    return away ? rc : 0;
}

/* With a connection of its own: for the executor's what is replayed is done by others, and learnt
 * from. */
int spool_adopt(struct executor *ex, struct err *err)
{
    struct adoption a = {.ex = ex};
    ex->spool_taken = false;
    int rc = spool_each(ex->spec->run.dir, adopt, &a, err);
    store_destroy(a.s);
    if (rc == -ERR_STOPPED)
        return err_set(err, ERR_STOPPED, "the run is over");
    if (rc == -ERR_BUSY || rc == -ERR_UNAVAILABLE)
        return err_set(err, (enum err_code) - rc,
                       "what an earlier run spooled cannot be stored yet");
    if (rc < 0) {
        log_event(LOG_ERROR, "spool_not_read", LOG_TEXT("error", err->msg));
        return 0;
    }
    return 0;
}

/* --- while the run goes on: another executor of the same run directory may have died --- */

struct adopt_job {
    struct storeq_job job;
    struct executor *ex;
};

static int adopt_run(struct storeq_job *job, struct store *ours, struct err *err)
{
    (void)ours;
    return spool_adopt(CONTAINER_OF(job, struct adopt_job, job)->ex, err);
}

static void adopt_done(struct storeq_job *job)
{
    free(CONTAINER_OF(job, struct adopt_job, job)); /* what failed is tried again next time */
}

void spool_adopt_later(struct executor *ex)
{
    struct adopt_job *a = calloc(1, sizeof(*a));
    if (a == NULL)
        return;
    a->job = (struct storeq_job){.kind = STOREQ_READ, .run = adopt_run, .done = adopt_done};
    a->ex = ex;
    storeq_push(ex->storeq, &a->job);
}
