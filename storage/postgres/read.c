/* Reading trials: all, one, and what other processes did. */
#include <inttypes.h>
#include <stdlib.h>

#include "storage/postgres/index.h"
#include "storage/postgres/ops.h"
#include "storage/postgres/reader.h"

#define SELF(s) CONTAINER_OF(s, struct store_pg, base)

/* Those of `also` that do not come with the others. */
static int each_also(struct store_pg *q, int64_t study, const struct store_each_opts *opts,
                     store_trial_fn *fn, void *ctx, struct err *err)
{
    size_t n = 0;
    AUTO_FREE int64_t *ids = calloc(opts->n_also + 1, sizeof(*ids));
    if (ids == NULL)
        return err_set(err, ERR_NOMEM, "%zu trials", opts->n_also);
    for (size_t i = 0; i < opts->n_also; i++) {
        if (id_fits(opts->also[i]) && opts->also[i] <= opts->after_id)
            ids[n++] = opts->also[i];
    }
    return reader_these(q, study, ids, n, opts->want, fn, ctx, err);
}

int pg_trials_each(struct store *s, int64_t study, const struct store_each_opts *opts,
                   store_trial_fn *fn, void *ctx, struct err *err)
{
    struct store_pg *q = SELF(s);
    const struct read_range range = {
        .study = study, .after_id = opts->after_id, .last_id = INT64_MAX, .states = opts->states};
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = study_check(q, study, err);
    if (rc == 0)
        rc = each_also(q, study, opts, fn, ctx, err);
    if (rc == 0)
        rc = reader_each(q, &range, opts->want, fn, ctx, err);
    return tx_leave_read(q, rc);
}

int pg_trial_get(struct store *s, int64_t trial, unsigned want, store_trial_fn *fn, void *ctx,
                 struct err *err)
{
    struct store_pg *q = SELF(s);
    const struct trial *t = NULL;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = reader_get(q, trial, want, &t, err);
    if (rc == 0)
        rc = fn(ctx, t);
    return tx_leave_read(q, rc);
}

int pg_trial_look(struct store *s, int64_t trial, struct trial_head *out, struct err *err)
{
    struct store_pg *q = SELF(s);
    AUTO_RESULT PGresult *r = NULL;
    struct trial_head head;
    struct args a = {0};
    if (!id_fits(trial))
        return no_trial(trial, err);
    arg_int(&a, trial);
    int rc = look(q, SQL_TRIAL_LOOK, &a, &r, err);
    if (rc == 0 && PQntuples(r) == 0)
        return no_trial(trial, err);
    if (rc == 0)
        rc = field_state(q, r, 0, 2, trial, &head.state, err);
    if (rc < 0)
        return rc;
    head.study = field_int(r, 0, 0);
    head.number = field_int(r, 0, 1);
    *out = head;
    return 0;
}

int pg_trial_find(struct store *s, int64_t study, int64_t number, int64_t *trial, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    struct args a = {0};
    arg_int(&a, study);
    arg_int(&a, number);
    int rc = id_fits(study) && number >= 0 && number <= INT32_MAX
                 ? look(SELF(s), SQL_TRIAL_FIND, &a, &r, err)
                 : 0;
    if (rc == 0 && (r == NULL || PQntuples(r) == 0))
        return err_set(err, ERR_NOTFOUND, "the study has no trial %" PRId64, number);
    if (rc == 0)
        *trial = field_int(r, 0, 0);
    return rc;
}

static int tell_all(struct store_pg *q, struct trial_index *ix, unsigned want, store_trial_fn *fn,
                    void *ctx, struct err *err)
{
    const struct read_range range = {.study = ix->study, .last_id = ix->seen_id};
    return reader_each(q, &range, want, fn, ctx, err);
}

static int tell_news(struct store_pg *q, struct trial_index *ix, unsigned want, store_trial_fn *fn,
                     void *ctx, struct err *err)
{
    size_t n = 0;
    AUTO_FREE int64_t *ids = calloc(ix->news.n_ended + ix->tally.n_open + 1, sizeof(*ids));
    if (ids == NULL)
        return err_set(err, ERR_NOMEM, "%zu trials", ix->tally.n_open);
    for (size_t i = ix->news.first; i < ix->news.n_ended; i++)
        ids[n++] = ix->news.ended[i];
    for (size_t i = 0; i < ix->tally.n_open; i++) {
        if (ix->tally.open[i].state == TRIAL_RUNNING && !ix->tally.open[i].own)
            ids[n++] = ix->tally.open[i].id;
    }
    return reader_these(q, ix->study, ids, n, want, fn, ctx, err);
}

static int sync_study(struct store_pg *q, int64_t study, unsigned want, store_trial_fn *fn,
                      void *ctx, struct err *err)
{
    struct trial_index *ix = NULL;
    int rc = index_get(q, study, &ix, err);
    if (rc == 0)
        rc = ix->news.told ? tell_news(q, ix, want, fn, ctx, err)
                           : tell_all(q, ix, want, fn, ctx, err);
    if (rc < 0)
        return rc;
    news_told(&ix->news);
    return 0;
}

int pg_trials_sync(struct store *s, int64_t study, unsigned want, store_trial_fn *fn, void *ctx,
                   struct err *err)
{
    struct store_pg *q = SELF(s);
    int rc = tx_enter_read(q, err);
    return rc < 0 ? rc : tx_leave_read(q, sync_study(q, study, want, fn, ctx, err));
}
