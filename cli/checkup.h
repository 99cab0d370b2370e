/* What forkless doctor finds: a list of checks, each harmless or not. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/json.h"

/* Unknown: what had to be read may not be. */
enum health { HEALTH_OK, HEALTH_NOTE, HEALTH_UNKNOWN, HEALTH_RISK, HEALTH_DEADLOCKED };

struct checkup {
    enum health worst;
    json_t *checks; /* owned; an array */
};

/* Adds one check; text: one line for people. */
void checkup_say(struct checkup *c, enum health h, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The kernel, the container and what works here. */
void checkup_host(struct checkup *c);
/* A process and its descendants; false when there is no such process. Takes a second, or some
 * when there are stacks to read. */
bool checkup_process(struct checkup *c, pid_t pid);
/* Variables that decide what a fork does, in the environment of the process. */
void checkup_variables(struct checkup *c, pid_t pid);
