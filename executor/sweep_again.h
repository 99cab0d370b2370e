/* What a failed trial is run again with, if it is: the ladder's next rung that would change
 * something, or the same once more while its class has retries left. */
#pragma once

#include "executor/sweep.h"

struct sw_again {
    bool retry;
    int rung;        /* with the values of this rung; 0: as it was */
    uint64_t due_ms; /* not before; 0: at once */
};

/* useful: see sw_event. */
struct sw_again sw_again_after(const struct sw_conf *conf, const struct sw_tries *tries,
                               enum fail_class fail, uint64_t useful, uint64_t now_ms);
