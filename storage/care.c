#include "storage/care.h"

#include <assert.h>
#include <unistd.h>

#include "storage/backend.h"
#include "storage/tables.h"

/* ERR_INVALID: nothing is wrong with the store, another one was meant. */
static int not_of(const struct store *s, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "a %s store %s", s->ops->scheme, what);
}

/* ERR_UNSUPPORTED, upon which store_copy goes on without ids. */
static int no_ids(const struct store *s, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "a %s store gives ids of its own", s->ops->scheme);
}

int store_check(struct store *s, bool quick, store_problem_fn *fn, void *ctx, struct err *err)
{
    assert(s->owner == getpid());
    const struct store_care_ops *care = s->ops->care;
    if (care == NULL || care->check == NULL)
        return not_of(s, "cannot be checked from here: check the store behind it", err);
    return care->check(s, quick, fn, ctx, err);
}

int store_vacuum(struct store *s, struct store_vacuumed *out, struct err *err)
{
    assert(s->owner == getpid());
    const struct store_care_ops *care = s->ops->care;
    if (care == NULL || care->vacuum == NULL)
        return not_of(s, "cannot be vacuumed from here: that is for its server to do", err);
    return care->vacuum(s, out, err);
}

int store_study_import(struct store *s, const struct study_info *info, struct err *err)
{
    assert(s->owner == getpid());
    const struct store_care_ops *care = s->ops->care;
    if (care == NULL || care->study_import == NULL)
        return no_ids(s, err);
    return care->study_import(s, info, err);
}

int store_trial_import(struct store *s, int64_t study, const struct trial *t, struct err *err)
{
    assert(s->owner == getpid());
    const struct store_care_ops *care = s->ops->care;
    if (care == NULL || care->trial_import == NULL)
        return no_ids(s, err);
    return care->trial_import(s, study, t, err);
}

const char *store_table_name(enum store_table table)
{
    return table_forms[table].name;
}

bool store_keeps_tables(const struct store *s)
{
    return s->ops->care != NULL && s->ops->care->rows_each != NULL;
}

int store_rows_each(struct store *s, enum store_table table, const char *study, store_row_fn *fn,
                    void *ctx, struct err *err)
{
    assert(s->owner == getpid());
    if (!store_keeps_tables(s))
        return not_of(s, "keeps no tables beside Optuna's", err);
    return s->ops->care->rows_each(s, table, study, fn, ctx, err);
}

int store_row_put(struct store *s, enum store_table table, const char *const *cells,
                  struct err *err)
{
    assert(s->owner == getpid());
    if (!store_keeps_tables(s))
        return not_of(s, "keeps no tables beside Optuna's", err);
    return s->ops->care->row_put(s, table, cells, err);
}

int store_rows_clear(struct store *s, enum store_table table, struct err *err)
{
    assert(s->owner == getpid());
    if (!store_keeps_tables(s))
        return not_of(s, "keeps no tables beside Optuna's", err);
    return s->ops->care->rows_clear(s, table, err);
}

void store_discard(struct store *s)
{
    assert(s == NULL || s->owner == getpid());
    if (s != NULL && s->ops->care != NULL && s->ops->care->discard != NULL)
        s->ops->care->discard(s);
    else
        store_destroy(s);
}
