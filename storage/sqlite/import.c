/* Studies and trials that come from elsewhere, with their ids. */
#include "storage/sqlite/care.h"
#include "storage/sqlite/trial.h"

#define SELF(s) CONTAINER_OF(s, struct store_sqlite, base)

int sqlite_study_import(struct store *s, const struct study_info *info, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int64_t id = info->id;
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    rc = study_check(q, info->id, NULL);
    if (rc == 0)
        rc = err_set(err, ERR_EXISTS, "there is a study with id %lld", (long long)info->id);
    else if (rc == -ERR_NOTFOUND)
        rc = study_insert(q, info->name, info->directions, info->n_directions, &id, err);
    return tx_leave(q, rc, err);
}

/* The trial's id is free and behind all of the study's, so the index stays in order. */
static int check_free(struct store_sqlite *q, const struct trial_index *ix, int64_t id,
                      struct err *err)
{
    struct trial_head head;
    int rc = trial_look(q, id, &head, NULL);
    if (rc == 0 || (rc == -ERR_NOTFOUND && id <= ix->newest.id))
        return err_set(err, ERR_EXISTS, "the id %lld is not free", (long long)id);
    return rc == -ERR_NOTFOUND ? 0 : rc;
}

static int import_trial(struct store_sqlite *q, int64_t study, const struct trial *t,
                        struct err *err)
{
    struct trial_index *ix;
    int64_t id = t->id;
    int rc = index_get(q, study, &ix, err);
    if (rc == 0)
        rc = check_free(q, ix, t->id, err);
    return rc < 0 ? rc : trial_write(q, ix, t, &id, err);
}

int sqlite_trial_import(struct store *s, int64_t study, const struct trial *t, struct err *err)
{
    struct store_sqlite *q = SELF(s);
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, import_trial(q, study, t, err), err);
}
