/* A hang of a slot's worker, written down before anybody is ended: embedded in struct slot. */
#pragma once

#include "executor/evidence/job.h"

#define EVIDENCE_MS 5000u /* the worker machine waits for it no longer */

struct hang {
    struct evidence_job *evidence; /* being collected; NULL: none */
    struct run *run;               /* of which; counted */
    struct verdict verdict;        /* what it said */
};
