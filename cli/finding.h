/* The worker process of a trial that runs on this machine. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct finding {
    const char *number; /* of the trial */
    const char *dir;    /* of the trial; NULL: any */
    pid_t pid;          /* out; 0: none */
    bool several;       /* out: other sweeps run a trial of that number */
};

/* Looks through all processes for workers, by what forkless puts into their environment. A worker
 * that runs several trials is known by its first one. */
void finding_worker(struct finding *f);
