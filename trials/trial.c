#include "trials/trial.h"

#include <string.h>

#include "base/cleanup.h"

static const char *const state_names[] = {
    [TRIAL_RUNNING] = "RUNNING", [TRIAL_COMPLETE] = "COMPLETE", [TRIAL_PRUNED] = "PRUNED",
    [TRIAL_FAIL] = "FAIL",       [TRIAL_WAITING] = "WAITING",
};

static const char *const class_names[FAIL_CLASSES] = {
    [FAIL_NONE] = "none",
    [FAIL_FORK_DEADLOCK] = "fork_deadlock",
    [FAIL_STALLED] = "stalled",
    [FAIL_TIMEOUT] = "timeout",
    [FAIL_OOM] = "oom",
    [FAIL_SIGNAL] = "signal",
    [FAIL_EXIT] = "exit",
    [FAIL_NAN] = "nan",
    [FAIL_HESSIAN] = "hessian",
    [FAIL_OVERFLOW] = "overflow",
    [FAIL_CALIBRATION] = "calibration",
    [FAIL_MISSING_DEPENDENCY] = "missing_dependency",
    [FAIL_BAD_DATA] = "bad_data",
    [FAIL_PREEMPTED] = "preempted",
    [FAIL_LOST] = "lost",
    [FAIL_STORAGE] = "storage",
    [FAIL_PRUNED_BY_WORKER] = "pruned_by_worker",
};

const char *trial_state_name(enum trial_state s)
{
    return state_names[s];
}

bool trial_state_from_name(const char *name, enum trial_state *out)
{
    for (size_t i = 0; i < ARRAY_LEN(state_names); i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *out = (enum trial_state)i;
            return true;
        }
    }
    return false;
}

const char *fail_class_name(enum fail_class c)
{
    return class_names[c];
}

bool fail_class_from_name(const char *name, enum fail_class *out)
{
    for (size_t i = 0; i < ARRAY_LEN(class_names); i++) {
        if (strcmp(name, class_names[i]) == 0) {
            *out = (enum fail_class)i;
            return true;
        }
    }
    return false;
}

const char *fail_class_mode(enum fail_class c)
{
    if (c == FAIL_MISSING_DEPENDENCY)
        return "dependency";
    return c == FAIL_OVERFLOW || c == FAIL_NAN ? "numerical" : fail_class_name(c);
}
