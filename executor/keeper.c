/* The guardian is started, and again when somebody has ended it. */
#include <stdio.h>

#include "base/log.h"
#include "executor/internal.h"

#define GUARDIAN_LIVES 10u /* it is started no more often than that */

int keeper_start(struct executor *ex, struct err *err)
{
    char mark[96];
    (void)snprintf(mark, sizeof(mark), "FORKLESS_WORKER=%s.", ex->mark);
    return guardian_start(&ex->guardian, ex->stub, mark, err);
}

void keeper_look(struct executor *ex)
{
    struct err err = {0};
    if (!guardian_died(&ex->guardian))
        return;
    unsigned deaths = ex->guardian.deaths;
    int rc = deaths < GUARDIAN_LIVES ? keeper_start(ex, &err) : 0;
    log_event(LOG_WARNING, "guardian_died", LOG_INT("deaths", deaths),
              LOG_FLAG("restarted", ex->guardian.pid != 0),
              LOG_TEXT("error", rc < 0 ? err.msg : NULL));
    if (deaths > 1 || rc < 0)
        executor_notice(ex,
                        "the process that would end what workers started, should forkless be "
                        "killed, has died %u time%s%s%s%s",
                        deaths, deaths > 1 ? "s" : "",
                        ex->guardian.pid != 0 ? "" : " and is not there any more",
                        rc < 0 ? ": " : "", rc < 0 ? err.msg : "");
}
