#include "storage/queue.h"

#include <stdlib.h>
#include <string.h>

#define LAST_S 253402300799.0 /* 9999-12-31 23:59:59, as far as a database's times go */

struct queue queue_look(const struct open_trial *open, size_t n, int64_t now_us)
{
    struct queue found = {0};
    for (size_t i = 0; i < n && found.due == NULL; i++) {
        const struct open_trial *t = &open[i];
        if (t->state != TRIAL_WAITING)
            continue;
        if (t->not_before_us <= now_us) {
            found.due = t;
        } else {
            found.n_later++;
            if (found.next_us == 0 || t->not_before_us < found.next_us)
                found.next_us = t->not_before_us;
        }
    }
    return found;
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
