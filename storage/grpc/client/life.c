/* Signs of life. The protocol has no heartbeat, so it is an attribute; its time is that of the
 * client's clock, and Optuna's own processes do not look at it. */
#include <stdio.h>

#include "base/clock.h"
#include "storage/grpc/client/client.h"

int grpc_heartbeat(struct store *s, const int64_t *trials, size_t n, struct err *err)
{
    char now[40];
    AUTO_FREE struct rpc *calls = calloc(n + 1, sizeof(*calls));
    if (calls == NULL)
        return err_set(err, ERR_NOMEM, "heartbeats");
    (void)snprintf(now, sizeof(now), "%.6f", (double)clock_utc_us() / 1e6);
    for (size_t i = 0; i < n; i++) {
        Optuna__SetTrialSystemAttributeRequest q = OPTUNA__SET_TRIAL_SYSTEM_ATTRIBUTE_REQUEST__INIT;
        q.trial_id = trials[i];
        q.key = (char *)ATTR_BEAT;
        q.value = now;
        rpc_init(&calls[i], WIRE_SET_TRIAL_SYSTEM_ATTRIBUTE, &q);
    }
    int rc = rpc_all(SELF(s), calls, n, err);
    for (size_t i = 0; i < n; i++) {
        if (calls[i].rc == -ERR_FINISHED || calls[i].rc == -ERR_NOTFOUND)
            rc = rc == calls[i].rc ? 0 : rc; /* it needs none any more */
        rpc_free(&calls[i]);
    }
    return rc;
}

int grpc_running_each(struct store *s, int64_t study, store_running_fn *fn, void *ctx,
                      struct err *err)
{
    struct mirror *m = mirror_of(SELF(s), study);
    int rc =
        m == NULL ? err_set(err, ERR_NOMEM, "a study's trials") : mirror_freshen(SELF(s), m, err);
    double now = (double)clock_utc_us() / 1e6;
    for (size_t i = 0; rc == 0 && i < m->n_open; i++) {
        const struct known *k = &m->open[i];
        double age = k->beat_s <= 0 ? -1 : now > k->beat_s ? now - k->beat_s : 0;
        const struct store_running r = {.id = k->id,
                                        .number = k->number,
                                        .owner = k->owner,
                                        .heartbeat_age = age,
                                        .start_us = k->start_us};
        if (k->state == TRIAL_RUNNING)
            rc = fn(ctx, &r);
    }
    return rc;
}
