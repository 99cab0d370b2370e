/* What follows from a trial's outcome once it stands: the best one is noted, log and watcher are
 * told. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "executor/internal.h"

/* The best trial's model is found at one place, whatever its number. */
static void link_best(const struct run *r)
{
    char from[64], tmp[64];
    const struct study *st = r->study;
    (void)snprintf(from, sizeof(from), "%" PRId64 "/model.ubj", r->number);
    (void)snprintf(tmp, sizeof(tmp), "best.ubj.%" PRId64, r->number);
    if (linkat(st->dir_fd, from, st->dir_fd, tmp, 0) == 0 &&
        renameat(st->dir_fd, tmp, st->dir_fd, "best.ubj") < 0)
        (void)unlinkat(st->dir_fd, tmp, 0);
}

void ended_tell(const struct run *r)
{
    struct study *st = r->study;
    const struct executor_watcher *w = st->ex->conf->watcher;
    const char *message = r->message[0] != '\0' ? r->message : NULL;
    if (r->state == TRIAL_COMPLETE && study_note_best(st, &st->view, r->number, r->value))
        link_best(r);
    log_event(r->state == TRIAL_FAIL ? LOG_WARNING : LOG_INFO, "trial_end",
              LOG_TEXT("study", st->view.name), LOG_INT("trial", r->number),
              LOG_TEXT("state", trial_state_name(r->state)), LOG_REAL("value", r->value),
              LOG_TEXT("class", fail_class_name(r->fail)), LOG_TEXT("message", message),
              LOG_INT("ms", r->took_ms));
    training_tell(r);
    if (w != NULL && w->trial_end != NULL)
        w->trial_end(w->ctx, &st->view, r->number, r->state, r->fail, message, r->value);
}
