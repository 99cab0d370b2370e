/* The evidence of a hang: collected in a thread of its own while the worker machine waits, then
 * told in the trial's row and as an event. */
#include "executor/hang.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executor/internal.h"

#define EVIDENCE_SPARE_MS 500u /* for writing it, on a busy disk */

/* It is known what there is of the evidence. */
static void tell(struct run *r, const struct evidence_result *e)
{
    const struct verdict *v = &e->verdict;
    AUTO_FREE char *file = NULL;
    if (asprintf(&file, "%s/evidence.json", r->dir) < 0)
        file = NULL;
    log_event(e->saved ? LOG_INFO : LOG_ERROR, "evidence_saved",
              LOG_TEXT("study", r->study->view.name), LOG_INT("trial", r->number),
              LOG_FLAG("saved", e->saved), LOG_FLAG("whole", e->whole), LOG_TEXT("file", file),
              LOG_TEXT("error", e->error[0] != '\0' ? e->error : NULL),
              LOG_TEXT("deadlock", verdict_name(v->kind)),
              LOG_TEXT("why", v->why[0] != '\0' ? v->why : NULL), LOG_INT("ms", e->took_ms));
    if (!e->saved || file == NULL || r->ended)
        return;
    if (r->new_attrs == NULL)
        r->new_attrs = json_object();
    (void)json_object_set_new(r->new_attrs, ATTR_EVIDENCE, json_string(file));
}

static void on_evidence(void *ctx, const struct evidence_result *e)
{
    struct slot *s = ctx;
    s->hang.evidence = NULL;
    s->hang.verdict = e->verdict;
    tell(s->hang.run, e);
    run_unref(TAKE(s->hang.run));
    slot_feed(s, WK_EV_EVIDENCE);
}

static const char *reason_of(const struct slot *s)
{
    switch (s->fsm.reason) {
    case WK_TIMEOUT:
        return "timeout";
    case WK_DEADLOCKED:
        return "deadlock";
    default:
        return "stalled";
    }
}

void hang_begin(struct slot *s)
{
    s->hang.verdict = (struct verdict){0};
}

void hang_write_down(struct slot *s)
{
    struct run *r = s->run;
    uint64_t idle = executor_now(s->ex) - s->fsm.active_ms;
    const char *reason = reason_of(s);
    log_event(LOG_ERROR, "trial_stalled", LOG_TEXT("study", r->study->view.name),
              LOG_INT("trial", r->number), LOG_INT("pid", s->proc.pid), LOG_INT("idle_ms", idle),
              LOG_TEXT("reason", reason));
    json_t *about = json_pack("{s:s, s:I, s:s, s:I}", "study", r->study->view.name, "trial",
                              (json_int_t)r->number, "reason", reason, "idle_ms", (json_int_t)idle);
    const struct verdict unknown = {0},
                         known = s->fsm.reason == WK_DEADLOCKED ? s->deadlock.verdict : unknown;
    s->hang.run = r;
    r->refs++;
    s->hang.evidence = evidence_start(&s->ex->loop, s->proc.pid, r->dir_fd, about, &known,
                                      EVIDENCE_MS - EVIDENCE_SPARE_MS, on_evidence, s);
    if (s->hang.evidence == NULL) {
        const struct evidence_result none = {.error = "out of memory or descriptors"};
        on_evidence(s, &none);
    }
}

void hang_end(struct slot *s)
{
    struct evidence_result e;
    if (s->hang.evidence == NULL)
        return;
    evidence_cancel(TAKE(s->hang.evidence), &e);
    tell(s->hang.run, &e);
    run_unref(TAKE(s->hang.run));
}
