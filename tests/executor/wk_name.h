/* The worker machine's states, for traces. */
#pragma once

#include "executor/worker.h"

static inline const char *wk_state_name(enum wk_state s)
{
    static const char *const names[WK_STATES] = {
        [WK_IDLE] = "idle",         [WK_RUNNING] = "running",         [WK_LEAVING] = "leaving",
        [WK_EVIDENCE] = "evidence", [WK_TERMINATING] = "terminating", [WK_KILLING] = "killing",
        [WK_DEAD] = "dead",
    };
    return names[s];
}
