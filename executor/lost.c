/* Trials whose executor is gone: failed as lost, and queued again. */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/internal.h"
#include "executor/owner.h"

struct lost {
    const char *self;
    double grace_s;
    int64_t ids[256];
    size_t n;
};

static int note_dead_owner(void *ctx, const struct store_running *r)
{
    struct lost *l = ctx;
    if (l->n == ARRAY_LEN(l->ids) || r->owner == NULL || strcmp(r->owner, l->self) == 0)
        return 0;
    /* ours get their first heartbeat with the first beat: one without, and older, never came so far
     */
    double age_s = (double)(clock_utc_us() - r->start_us) / 1e6;
    if (owner_is_dead(r->owner) || (r->heartbeat_age < 0 && age_s > l->grace_s))
        l->ids[l->n++] = r->id;
    return 0;
}

static int note_stale(void *ctx, const struct store_running *r)
{
    struct lost *l = ctx;
    if (l->n < ARRAY_LEN(l->ids) && (r->owner == NULL || strcmp(r->owner, l->self) != 0))
        l->ids[l->n++] = r->id;
    return 0;
}

static int fail_lost(const struct study *st, struct store *s, const int64_t *ids, size_t n,
                     struct err *err)
{
    const struct trial_attr attr = {ATTR_CLASS, "\"lost\""};
    int64_t times = st->spec->retry[FAIL_LOST].times;
    const struct store_retry retry = {.max_retries = times < 0 ? -1 : (int)times};
    for (size_t i = 0; i < n; i++) {
        int rc = store_trial_attrs(s, ids[i], ATTR_USER, &attr, 1, err);
        if (rc == 0)
            rc = store_trial_retry(s, ids[i], &retry, NULL, NULL, err);
        if (rc < 0 && rc != -ERR_FINISHED)
            return rc;
    }
    return 0;
}

/* Trials whose executor is gone: on this machine at once, elsewhere when their heartbeat is stale.
 */
int lost_reap(const struct study *st, struct store *s, struct err *err)
{
    struct lost l = {.self = st->ex->owner,
                     .grace_s = 3.0 * (double)st->spec->report.heartbeat_ms / 1000.0};
    int rc = store_running_each(s, st->id, note_dead_owner, &l, err);
    if (rc == 0)
        rc = store_stale_each(s, st->id, l.grace_s, note_stale, &l, err);
    return rc == 0 ? fail_lost(st, s, l.ids, l.n, err) : rc;
}
