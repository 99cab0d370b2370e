#include "storage/care.h"

#include <assert.h>
#include <unistd.h>

#include "storage/backend.h"

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
