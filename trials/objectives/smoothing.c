#include "trials/objectives/smoothing.h"

int smoothing_check(double eps, struct err *err)
{
    if (!(eps >= 0 && eps <= SMOOTHING_MAX))
        return err_set(err, ERR_INVALID, "label_smoothing is %g: expected 0 to %g", eps,
                       SMOOTHING_MAX);
    return 0;
}

void smoothing_apply(double eps, const float *label, size_t n, float *soft)
{
    for (size_t i = 0; i < n; i++)
        soft[i] = (float)((double)label[i] * (1 - eps) + eps / 2);
}
