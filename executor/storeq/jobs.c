#include "executor/storeq/jobs.h"

#include <stddef.h>

void jobs_init(struct jobs *l)
{
    l->head = NULL;
    l->tail = &l->head;
}

void jobs_push(struct jobs *l, struct storeq_job *job)
{
    job->next = NULL;
    *l->tail = job;
    l->tail = &job->next;
}

struct jobs jobs_take(struct jobs *l)
{
    struct jobs out = *l;
    if (out.head == NULL)
        out.tail = NULL;
    jobs_init(l);
    return out;
}

void jobs_append(struct jobs *to, struct jobs from)
{
    if (from.head == NULL)
        return;
    *to->tail = from.head;
    to->tail = from.tail;
}

bool jobs_any_durable(const struct jobs *l)
{
    for (const struct storeq_job *j = l->head; j != NULL; j = j->next) {
        if (j->kind == STOREQ_DURABLE)
            return true;
    }
    return false;
}
