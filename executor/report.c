/* What people and logs see while a sweep runs: notices, the status that a watcher is shown, the
 * heartbeat. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executor/internal.h"

void executor_notice(struct executor *ex, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_event(LOG_WARNING, "notice", LOG_TEXT("text", text));
    const struct executor_watcher *w = ex->conf->watcher;
    if (w != NULL && w->notice != NULL)
        w->notice(w->ctx, text);
}

void report_status(struct executor *ex, struct executor_status *out)
{
    uint64_t now = executor_now(ex);
    *out = (struct executor_status){.n_studies = ex->n_studies,
                                    .best_study = -1,
                                    .signals = ex->signals,
                                    .elapsed_ms = now - ex->started_ms};
    for (int i = 0; i < ex->n_studies; i++) {
        const struct study *st = &ex->studies[i];
        ex->views[i] = st->view;
        out->done += study_done(st);
        out->failed += executor_study_failed(&st->view);
        out->target += st->view.target;
        if (out->best_study < 0 && st->view.has_best)
            out->best_study = i;
    }
    out->studies = ex->views;
    forks_count(ex, &out->forks);
    for (int i = 0; i < ex->plan.jobs; i++) {
        const struct slot *s = &ex->slots[i];
        if (!s->alive || s->run == NULL)
            continue;
        out->running++;
        uint64_t idle = now - s->fsm.active_ms;
        out->quietest_ms = idle > out->quietest_ms ? idle : out->quietest_ms;
    }
}

static void on_watch_timer(uv_timer_t *t)
{
    struct executor *ex = CONTAINER_OF(t, struct executor, watch_timer);
    struct executor_status status;
    report_status(ex, &status);
    ex->conf->watcher->tick(ex->conf->watcher->ctx, &status);
}

static void on_beat_timer(uv_timer_t *t)
{
    struct executor *ex = CONTAINER_OF(t, struct executor, beat_timer);
    struct executor_status st;
    report_status(ex, &st);
    const struct executor_study *best = st.best_study >= 0 ? &st.studies[st.best_study] : NULL;
    log_event(LOG_INFO, "hpo_heartbeat", LOG_TEXT("run_id", ex->conf->run_id),
              LOG_INT("done", st.done), LOG_INT("target", st.target), LOG_INT("failed", st.failed),
              LOG_INT("running", st.running), LOG_INT("quietest_ms", st.quietest_ms),
              LOG_TEXT("best_study", best != NULL ? best->name : NULL),
              LOG_REAL("best", best != NULL ? best->best_value : NAN),
              LOG_INT("elapsed_ms", st.elapsed_ms), LOG_INT("forks", st.forks.all),
              LOG_INT("forks_after_threads", st.forks.threaded),
              LOG_INT("forks_going_on", st.forks.going_on),
              LOG_INT("forks_denied", st.forks.denied),
              LOG_INT("store_waiting", storeq_pending(ex->storeq)));
    executor_heartbeat(ex);
    executor_feed(ex, (struct sw_event){.type = SW_EV_TICK});
}

void report_start(struct executor *ex)
{
    const struct executor_watcher *w = ex->conf->watcher;
    uint64_t beat = ex->spec->report.heartbeat_ms;
    (void)uv_timer_init(&ex->loop, &ex->beat_timer);
    (void)uv_timer_init(&ex->loop, &ex->watch_timer);
    if (beat > 0)
        (void)uv_timer_start(&ex->beat_timer, on_beat_timer, beat, beat);
    if (w != NULL && w->tick != NULL && w->tick_ms > 0)
        (void)uv_timer_start(&ex->watch_timer, on_watch_timer, w->tick_ms, w->tick_ms);
}

void report_store_trouble(void *ctx, bool trouble, const struct err *err)
{
    struct executor *ex = ctx;
    log_event(trouble ? LOG_WARNING : LOG_INFO, trouble ? "store_waiting" : "store_back",
              LOG_TEXT("error", trouble ? err->msg : NULL));
    if (trouble)
        executor_notice(ex, "the store refuses, results wait for it: %s", err->msg);
}
