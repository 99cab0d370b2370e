/* What a trial's output and its worker's end say of it, where the worker has told no outcome. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "executor/internal.h"
#include "executor/limits.h"

void conclude_line(struct slot *s, const char *line, size_t n)
{
    struct run *r = s->run;
    if (r == NULL)
        return;
    const struct spec *spec = r->study->spec;
    enum fail_class found = classify_line(line, n);
    for (size_t i = 0; i < spec->n_patterns; i++) {
        if (classify_match(spec->patterns[i].text, line, n))
            found = classify_stronger(found, spec->patterns[i].fail);
    }
    enum fail_class seen = classify_stronger(r->seen, found);
    if (seen != r->seen)
        (void)snprintf(r->seen_line, sizeof(r->seen_line), "%.*s", (int)(n < 190 ? n : 190), line);
    r->seen = seen;
}

/* Whether the cgroup counts an OOM kill that no earlier worker explains. */
static bool was_oom_kill(struct executor *ex)
{
    uint64_t before = ex->oom_kills;
    ex->oom_kills = limits_oom_kills("");
    return ex->oom_kills > before;
}

/* We have ended it. True: that says all there is. */
static bool by_us(struct slot *s, const char *last)
{
    struct run *r = s->run;
    const struct wk *w = &s->fsm;
    switch (w->reason) {
    case WK_BY_ITSELF:
        return false;
    case WK_DEADLOCKED:
        run_fail(r, FAIL_FORK_DEADLOCK, "%s", s->deadlock.verdict.why);
        break;
    case WK_STALLED:
        if (s->hang.verdict.kind == VERDICT_PROVEN)
            run_fail(r, FAIL_FORK_DEADLOCK, "%s", s->hang.verdict.why);
        else
            run_fail(r, FAIL_STALLED, "no progress for %" PRIu64 " s%s", w->conf.stall_ms / 1000,
                     last);
        break;
    case WK_TIMEOUT:
        run_fail(r, FAIL_TIMEOUT, "over its limit of %" PRIu64 " s%s", w->conf.trial_ms / 1000,
                 last);
        break;
    case WK_STOPPED:
        if (s->pruning)
            run_pruned(r);
        else
            run_fail(r, FAIL_PREEMPTED, "stopped with the sweep");
        break;
    }
    return true;
}

static void without_result(struct run *r)
{
    int name = (int)strcspn(r->guess, "=");
    char hint[200] = "";
    if (name > 0)
        (void)snprintf(hint, sizeof(hint), "; saw %s: use --metric %.*s?", r->guess, name,
                       r->guess);
    run_fail(r, FAIL_EXIT, "exit 0, but no result: expected a line %.60s=NUMBER on stdout%s",
             r->study->spec->study.metric, hint);
}

/* Exit 0: what it printed is its result. */
static void from_output(struct run *r)
{
    if (r->metric_found && !r->metric_bad)
        run_complete(r, r->metric);
    else if (r->metric_found)
        run_fail(r, FAIL_NAN, "%s on stdout is no number: saw %s", r->study->spec->study.metric,
                 r->guess);
    else if (r->prune_wanted)
        run_pruned(r);
    else
        without_result(r);
}

void conclude_exit(struct slot *s, int status, int sig)
{
    struct run *r = s->run;
    char last[200] = "";
    if (r->seen_line[0] != '\0')
        (void)snprintf(last, sizeof(last), "; it said: %.170s", r->seen_line);
    else if (s->pipes.tail[0] != '\0')
        (void)snprintf(last, sizeof(last), "; last on stderr: %.170s", s->pipes.tail);
    if (by_us(s, last))
        return;
    if (status == 0) {
        from_output(r);
        return;
    }
    const struct classify_exit e = {.status = status,
                                    .signal = sig,
                                    .by_us = s->sent_signal,
                                    .output = r->seen,
                                    .oom_killed = sig == SIGKILL && was_oom_kill(s->ex)};
    if (sig != 0)
        run_fail(r, classify_exit(&e), "signal %d (%s)%s", sig, strsignal(sig), last);
    else
        run_fail(r, classify_exit(&e), "exit %d%s", status, last);
}
