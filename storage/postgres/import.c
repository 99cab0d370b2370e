/* Studies and trials that come from elsewhere, with their ids. */
#include <inttypes.h>

#include "storage/postgres/index.h"
#include "storage/postgres/ops.h"

#define SELF(s) CONTAINER_OF(s, struct store_pg, base)

const struct store_care_ops pg_care_ops = {
    .check = pg_check,
    .study_import = pg_study_import,
    .trial_import = pg_trial_import,
    .rows_each = pg_rows_each,
    .row_put = pg_row_put,
    .rows_clear = pg_rows_clear,
};

static int import_study(struct store_pg *q, const struct study_info *info, struct err *err)
{
    AUTO_RESULT PGresult *r = NULL;
    struct args a = {0}, id = {0};
    if (!id_fits(info->id))
        return err_set(err, ERR_EXISTS, "the id %" PRId64 " has more than 32 bits", info->id);
    arg_int(&a, info->id);
    arg_text(&a, info->name);
    arg_int(&id, info->id);
    int rc = pipe_run(q, SQL_STUDY_IMPORT, &a, &r, err);
    if (rc == 0 && PQntuples(r) == 0)
        return err_set(err, ERR_EXISTS, "there is a study with id %" PRId64 " or name '%s'",
                       info->id, info->name);
    if (rc == 0)
        rc = pipe_queue(q, SQL_STUDY_IDS_BEHIND, &id, NULL, err);
    return rc < 0 ? rc
                  : study_put_directions(q, info->id, info->directions, info->n_directions, err);
}

int pg_study_import(struct store *s, const struct study_info *info, struct err *err)
{
    struct store_pg *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, import_study(q, info, err), err);
}

/* The id has to be free, and behind all of the study's, whose numbers go by it. */
static int import_trial(struct store_pg *q, int64_t study, const struct trial *t, struct err *err)
{
    struct trial_index *ix = NULL;
    struct trial_head head;
    struct open_trial open;
    struct args id = {0};
    int rc = index_lock(q, study, &ix, NULL, err);
    if (rc < 0)
        return rc;
    rc = id_fits(t->id) ? pg_trial_look(&q->base, t->id, &head, NULL) : 0;
    if (rc == 0 || (rc == -ERR_NOTFOUND && t->id <= ix->last_id))
        return err_set(err, ERR_EXISTS, "the id %" PRId64 " is not free", t->id);
    if (rc != -ERR_NOTFOUND)
        return rc;
    arg_int(&id, t->id);
    rc = pipe_queue(q, SQL_TRIAL_IDS_BEHIND, &id, NULL, err);
    return rc < 0 ? rc : trial_write(q, ix, t, t->id, true, &open, err);
}

int pg_trial_import(struct store *s, int64_t study, const struct trial *t, struct err *err)
{
    struct store_pg *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, import_trial(q, study, t, err), err);
}
