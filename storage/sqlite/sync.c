/* What other processes did since the last call. */
#include "storage/sqlite/index.h"
#include "storage/sqlite/reader.h"

static int tell_one(struct store_sqlite *q, int64_t study, int64_t trial, unsigned want,
                    store_trial_fn *fn, void *ctx, struct err *err)
{
    const struct trial *t = NULL;
    int rc = reader_get(q, study, trial, want, &t, err);
    return rc < 0 ? rc : fn(ctx, t);
}

static int tell_all(struct store_sqlite *q, struct trial_index *ix, unsigned want,
                    store_trial_fn *fn, void *ctx, struct err *err)
{
    const struct read_range range = {.study = ix->study, .last_id = ix->newest.id};
    return reader_each(q, &range, want, fn, ctx, err);
}

static int tell_news(struct store_sqlite *q, struct trial_index *ix, unsigned want,
                     store_trial_fn *fn, void *ctx, struct err *err)
{
    int rc = 0;
    for (size_t i = ix->news.first; i < ix->news.n_ended && rc == 0; i++)
        rc = tell_one(q, ix->study, ix->news.ended[i], want, fn, ctx, err);
    for (size_t i = 0; i < ix->tally.n_open && rc == 0; i++) {
        const struct open_trial *t = &ix->tally.open[i];
        if (t->state == TRIAL_RUNNING && !t->own)
            rc = tell_one(q, ix->study, t->id, want, fn, ctx, err);
    }
    return rc;
}

int sqlite_trials_sync(struct store *s, int64_t study, unsigned want, store_trial_fn *fn, void *ctx,
                       struct err *err)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    struct trial_index *ix;
    int rc = tx_enter_read(q, err);
    if (rc < 0)
        return rc;
    rc = index_get(q, study, &ix, err);
    if (rc == 0 && !ix->news.told)
        rc = tell_all(q, ix, want, fn, ctx, err);
    else if (rc == 0 && ix->written)
        rc = tell_news(q, ix, want, fn, ctx, err);
    if (rc == 0) {
        news_told(&ix->news);
        ix->written_now = ix->written_now || ix->written;
        ix->written = false;
    }
    return tx_leave_read(q, rc);
}
