/* How a sweep ended, put together once for all who are told: the exit code, the reason, why trials
 * failed, the result line. */
#pragma once

#include "base/buf.h"
#include "cli/failures.h"
#include "cli/outcome.h"

/* What both say of a sweep that can be continued. */
#define ENDING_GO_ON "run the same command again to continue"

struct ending {
    int code;     /* an exit_code */
    bool nothing; /* every study was at its target before */
    struct failures failures;
    struct buf reason; /* one sentence */
    struct buf words;  /* the same, how to go on, and why trials failed */
    struct buf line;   /* the result for programs */
};

/* *e is the caller's to free. Reads the store when trials kept the sweep from its target. */
void ending_init(struct ending *e, const struct outcome_conf *conf,
                 const struct executor_result *r);
void ending_free(struct ending *e);
#define AUTO_ENDING AUTO(ending_free)

/* Whether nothing is wrong with the sweep but that it was cut short. */
bool ending_goes_on(const struct executor_result *r);
/* The reason in a word: "met", "store", …; "spec" for what was asked for and cannot be. */
const char *ending_reason_name(const struct executor_result *r);
/* Appends why trials failed as one sentence; nothing when it is not known. */
void ending_put_failures(struct buf *b, const struct failures *f);
