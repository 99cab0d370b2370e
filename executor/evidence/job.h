/* Evidence of a worker's tree, collected and written in a thread of its own: the loop never waits
 * for it, and nothing that the thread may hang on holds the loop. */
#pragma once

#include <uv.h>

#include "executor/evidence/evidence.h"

struct evidence_job; /* opaque */

struct evidence_result {
    bool saved; /* evidence.json is written; if the job did not come to its end, with the first
                   facts */
    bool whole; /* all of it */
    char error[200];
    struct verdict verdict;
    uint64_t took_ms;
};

typedef void evidence_done_fn(void *ctx, const struct evidence_result *result);

/* dir is duplicated; about is taken over, also on failure; known as in evidence.h, not NULL. done
 * is called once, on the loop, unless the job is cancelled. NULL when it cannot be started. */
struct evidence_job *evidence_start(uv_loop_t *loop, pid_t root, int dir, json_t *about,
                                    const struct verdict *known, uint64_t limit_ms,
                                    evidence_done_fn *done, void *ctx);

/* Only judges the tree, with stacks until so long from now (0: without): result->verdict and
 * took_ms are set. before: the last judgement, which is the new one while who was proven stuck has
 * not moved. NULL when it cannot be started. */
struct evidence_job *evidence_look(uv_loop_t *loop, pid_t root, const struct verdict *before,
                                   uint64_t limit_ms, evidence_done_fn *done, void *ctx);

/* Forgets a job whose result nobody needs any more, and tells what there is of it; the thread may
 * go on and write. NULL: none. The loop has a handle to close. */
void evidence_cancel(struct evidence_job *job, struct evidence_result *so_far);
