/* Evidence of a hang: who stood where, read from outside before anybody is killed.
 *
 * Of each process of a tree: what /proc tells, the native stacks of its threads, the Python frames,
 * what patterns and locks give away; and the end of the trial's logs. These calls block (up to the
 * deadline, and longer only when the kernel does): the executor makes them in a thread of their
 * own, see job.h. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/json.h"
#include "executor/evidence/verdict.h"

#define EVIDENCE_LOG_LINES 200u

struct evidence_req {
    pid_t root;
    int dir;              /* descriptor of the trial's directory: its logs are read; -1: none */
    uint64_t deadline_ms; /* clock_mono_ms */
    const json_t *about;  /* an object whose pairs the document begins with; NULL: none */
    const struct verdict *known; /* what was judged before: nobody has to stand as he did; NULL */
    /* Called once when the first facts are known, which cannot hang; may be NULL. */
    void (*early)(void *ctx, const json_t *doc);
    void *ctx;
};

/* The document; the caller's to json_decref. NULL when out of memory. */
json_t *evidence_collect(const struct evidence_req *req, struct verdict *verdict);

/* Judges a process and its descendants: without stacks in about a millisecond a process, stopping
 * nobody; when that is suspicious and until_ms (clock_mono_ms; 0: no time) allows it, by the
 * stacks, for which they are stopped some milliseconds; `first` before the others, 0: any. */
void evidence_verdict(pid_t root, pid_t first, uint64_t until_ms, struct verdict *out);

/* The document for people. */
void evidence_put_text(struct buf *b, const json_t *doc);

/* Writes evidence.json and evidence.txt in the directory, each at once in place of an older one. */
int evidence_save(int dir, const json_t *doc, struct err *err);
