#include "storage/queue.h"

#include <stdlib.h>
#include <string.h>

#define LAST_S 253402300799.0 /* 9999-12-31 23:59:59, as far as a database's times go */

static struct queue look(const struct tally *t, int64_t now_us)
{
    struct queue found = {0};
    for (size_t i = 0; i < t->n_open && found.due == NULL; i++) {
        const struct open_trial *one = &t->open[i];
        if (one->state != TRIAL_WAITING)
            continue;
        if (one->not_before_us <= now_us) {
            found.due = one;
        } else {
            found.n_later++;
            if (found.next_us == 0 || one->not_before_us < found.next_us)
                found.next_us = one->not_before_us;
        }
    }
    return found;
}

bool queue_offers(const struct tally *t, const struct store_claim_opts *opts, int64_t now_us,
                  struct queue *queue, struct store_claim *out)
{
    int64_t done = queue_done(t->counts, opts->target_states);
    int64_t room = opts->target < 0 ? INT64_MAX : opts->target - done - t->counts[TRIAL_RUNNING];
    *queue = look(t, now_us);
    if (room > 0 && (queue->due != NULL || room > queue->n_later))
        return true;
    *out = (struct store_claim){.kind = CLAIM_LATER};
    if (room > 0)
        out->due_us = queue->next_us;
    else if (done >= opts->target)
        out->kind = CLAIM_FULL;
    return false;
}

int64_t queue_done(const int64_t counts[static TRIAL_STATES], unsigned states)
{
    int64_t n = 0;
    for (int state = 0; state < TRIAL_STATES; state++) {
        if (state != TRIAL_RUNNING && (states & STORE_STATE_BIT(state)) != 0)
            n += counts[state];
    }
    return n;
}

int64_t queue_not_before(const char *json)
{
    double seconds = atof(json);
    if (!(seconds > 0)) /* NaN, too */
        return 0;
    return (int64_t)((seconds < LAST_S ? seconds : LAST_S) * 1e6);
}

int64_t queue_not_before_of(const struct trial *t)
{
    for (size_t i = 0; i < t->n_system_attrs; i++) {
        if (strcmp(t->system_attrs[i].key, STORE_ATTR_NOT_BEFORE) == 0)
            return queue_not_before(t->system_attrs[i].json);
    }
    return 0;
}
