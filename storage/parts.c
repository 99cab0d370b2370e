/* What a trial leaves at one time, for backends that have no better way than one part after the
 * other. */
#include "storage/backend.h"

int backend_write_parts(struct store *s, int64_t trial, const struct store_write *w,
                        struct err *err)
{
    const struct store_ops *ops = s->ops;
    int rc = w->n_params > 0 ? ops->trial_params(s, trial, w->params, w->n_params, err) : 0;
    if (rc == 0 && w->n_steps > 0)
        rc = ops->trial_steps(s, trial, w->steps, w->n_steps, false, err);
    if (rc == 0 && w->n_system_attrs > 0)
        rc = ops->trial_attrs(s, trial, ATTR_SYSTEM, w->system_attrs, w->n_system_attrs, err);
    if (rc == 0 && w->n_user_attrs > 0)
        rc = ops->trial_attrs(s, trial, ATTR_USER, w->user_attrs, w->n_user_attrs, err);
    if (rc == 0 && w->end != NULL)
        rc = ops->trial_finish(s, trial, w->end->state, w->end->values, w->end->n_values, err);
    return rc;
}
