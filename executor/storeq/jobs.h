/* Jobs of the store's queue in the order in which they came. */
#pragma once

#include <stdbool.h>

#include "executor/storeq.h"

struct jobs {
    struct storeq_job *head, **tail;
};

void jobs_init(struct jobs *l);
void jobs_push(struct jobs *l, struct storeq_job *job);
/* All of it; the list is empty then. */
struct jobs jobs_take(struct jobs *l);
/* Moves all of from to the end of to. */
void jobs_append(struct jobs *to, struct jobs from);
/* Whether one of them has to reach the disk. */
bool jobs_any_durable(const struct jobs *l);
