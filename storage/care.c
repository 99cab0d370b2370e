#include "storage/care.h"

#include <assert.h>
#include <unistd.h>

#include "storage/backend.h"

static int no_such(const struct store *s, const char *what, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "a %s store %s", s->ops->scheme, what);
}

int store_check(struct store *s, bool quick, store_problem_fn *fn, void *ctx, struct err *err)
{
    assert(s->owner == getpid());
    const struct store_care_ops *care = s->ops->care;
    if (care == NULL || care->check == NULL)
        return no_such(s, "cannot be checked", err);
    return care->check(s, quick, fn, ctx, err);
}

int store_vacuum(struct store *s, struct store_vacuumed *out, struct err *err)
{
    assert(s->owner == getpid());
    const struct store_care_ops *care = s->ops->care;
    if (care == NULL || care->vacuum == NULL)
        return no_such(s, "is vacuumed by its server", err);
    return care->vacuum(s, out, err);
}

int store_study_import(struct store *s, const struct study_info *info, struct err *err)
{
    assert(s->owner == getpid());
    const struct store_care_ops *care = s->ops->care;
    if (care == NULL || care->study_import == NULL)
        return no_such(s, "gives ids of its own", err);
    return care->study_import(s, info, err);
}

int store_trial_import(struct store *s, int64_t study, const struct trial *t, struct err *err)
{
    assert(s->owner == getpid());
    const struct store_care_ops *care = s->ops->care;
    if (care == NULL || care->trial_import == NULL)
        return no_such(s, "gives ids of its own", err);
    return care->trial_import(s, study, t, err);
}
