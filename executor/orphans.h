/* The search for processes that workers left behind: embedded in struct executor. */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "executor/aside.h"

struct orphans {
    uv_timer_t timer;
    struct aside *search; /* under way; NULL: none */
    bool again;           /* somebody has ended meanwhile */
    pid_t *inherited;     /* children that were there before us: not ours to end */
    size_t n_inherited, cap_inherited;
};
