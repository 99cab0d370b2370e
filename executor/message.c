/* What workers say: JSON lines on the channel, metrics and JSON lines on stdout. A worker may say
 * anything; what is not understood is told once and otherwise ignored. And how one that goes on is
 * told of its next trial. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "executor/internal.h"
#include "executor/metrics.h"

/* Rows and attributes that one trial may have: a runaway loop must not fill the store. */
#define MAX_ROWS 10000u
#define MAX_ATTRS 1000u
#define MAX_BYTES (4u << 20) /* of both, as JSON text */

/* A number, or one of the texts "inf", "-inf", "nan" that JSON has no number for. */
static bool number_of(const json_t *j, double *out)
{
    if (json_is_number(j)) {
        *out = json_number_value(j);
        return true;
    }
    return json_is_string(j) && text_double(json_string_value(j), out);
}

static void complain(struct slot *s, const char *what)
{
    if (s->complained)
        return;
    s->complained = true; /* once a worker */
    log_event(LOG_WARNING, "worker_message_ignored",
              LOG_INT("trial", s->run != NULL ? s->run->number : -1), LOG_INT("pid", s->proc.pid),
              LOG_TEXT("error", what));
}

static void say_error(struct slot *s, const char *message)
{
    struct buf b = BUF_INIT;
    buf_puts(&b, "{\"error\":");
    json_put_string(&b, message);
    buf_putc(&b, '}');
    pipes_say(s, buf_str(&b));
    buf_free(&b);
}

static void on_suggest(struct slot *s, const json_t *m)
{
    const char *name = json_string_value(json_object_get(m, "name"));
    AUTO_FREE char *text = json_dumps(json_object_get(m, "distribution"), 0);
    struct dist dist = {0};
    struct err err = {0};
    double value = NAN;
    if (name == NULL || text == NULL) {
        say_error(s, "suggest needs \"name\" and \"distribution\"");
        return;
    }
    int rc = dist_read_json(&dist, text, strlen(text), &err);
    struct buf b = BUF_INIT;
    buf_puts(&b, "{\"value\":");
    if (rc == 0) {
        struct dist shown = {0};
        rc = dist_copy(&shown, &dist, &err);
        if (rc == 0)
            rc = run_suggest(s->run, name, &dist, &value, &err);
        if (rc == 0)
            dist_put_value_json(&b, &shown, value);
        dist_free(&shown);
    }
    buf_putc(&b, '}');
    if (rc < 0) {
        say_error(s, err.msg);
    } else {
        record_reports(s->run);
        pipes_say(s, buf_str(&b));
    }
    dist_free(&dist);
    buf_free(&b);
}

static void complain_of_steps(struct slot *s)
{
    if (s->run->all_steps >= RUN_MAX_STEPS)
        complain(s, "over 100000 reports: later ones are neither stored nor judged");
}

static void on_report(struct slot *s, const json_t *m)
{
    double value;
    const json_t *step = json_object_get(m, "step");
    bool prune;
    struct err err;
    if (!json_is_integer(step) || json_integer_value(step) < 0 ||
        !number_of(json_object_get(m, "value"), &value)) {
        say_error(s, "report needs \"step\", an integer from 0, and \"value\", a number");
        return;
    }
    complain_of_steps(s);
    if (run_report(s->run, json_integer_value(step), value, &prune, &err) < 0)
        say_error(s, err.msg);
    else
        pipes_say(s, prune ? "{\"prune\":true}" : "{\"prune\":false}");
}

/* Whether the trial may keep so much more. */
static bool keeps(struct slot *s, size_t n)
{
    if (s->run->kept_bytes + n > MAX_BYTES) {
        complain(s, "over 4 MiB of rows and attributes");
        return false;
    }
    s->run->kept_bytes += n;
    return true;
}

static void on_attr(struct slot *s, const json_t *m, size_t n)
{
    const char *key = json_string_value(json_object_get(m, "key"));
    json_t *value = json_object_get(m, "value");
    struct run *r = s->run;
    if (key == NULL || value == NULL || strlen(key) > 512) {
        complain(s, "attr needs \"key\" of at most 512 characters, and \"value\"");
        return;
    }
    if (++r->n_attrs > MAX_ATTRS) {
        complain(s, "too many attributes");
        return;
    }
    if (!keeps(s, n))
        return;
    if (r->new_attrs == NULL)
        r->new_attrs = json_object();
    (void)json_object_set(r->new_attrs, key, value); /* out of memory: the attribute is lost */
    record_reports(r);
}

static void on_row(struct slot *s, const json_t *m, size_t n)
{
    const char *table = json_string_value(json_object_get(m, "table"));
    json_t *values = json_object_get(m, "values");
    struct run *r = s->run;
    if (table == NULL || strcmp(table, "finetune_results") != 0 || !json_is_object(values)) {
        complain(s, "row needs \"table\":\"finetune_results\" and \"values\":{…}");
        return;
    }
    if (r->rows == NULL)
        r->rows = json_array();
    if (json_array_size(r->rows) >= MAX_ROWS)
        complain(s, "too many rows");
    else if (keeps(s, n))
        (void)json_array_append(r->rows, values);
}

/* Names of events that forkless itself writes: who reads those must be able to trust them. */
static bool is_ours(const char *event)
{
    static const char *const names[] = {
        "trial_",    "worker_",    "store_",  "hpo_",
        "evidence_", "heartbeat_", "events_", "run_",
        "waiting_",  "fork_",      "orphan",  "proof",
        "signal",    "notice",     "study_",  "xgboost_training_failed"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strncmp(event, names[i], strlen(names[i])) == 0)
            return true;
    }
    return false;
}

static void on_event(struct slot *s, const json_t *m, const char *line, size_t n)
{
    const char *event = json_string_value(json_object_get(m, "event"));
    AUTO_FREE char *text = strndup(line, n);
    if (event == NULL || strlen(event) > 100) {
        complain(s, "event needs \"event\", a name");
        return;
    }
    if (is_ours(event))
        log_event(LOG_INFO, "worker_event", LOG_TEXT("name", event),
                  LOG_TEXT("study", s->run->study->view.name), LOG_INT("trial", s->run->number),
                  LOG_RAW("data", text));
    else
        log_event(LOG_INFO, event, LOG_TEXT("study", s->run->study->view.name),
                  LOG_INT("trial", s->run->number), LOG_RAW("data", text));
}

/* The trial is over, the worker perhaps not. */
static void trial_over(struct slot *s)
{
    if (s->trials_left > 0)
        pipes_drain_output(s); /* it is this trial's, not the next one's */
    slot_feed(s, WK_EV_RESULT);
    if (s->trials_left <= 0)
        slot_release(s);
    if (s->fsm.state != WK_DEAD) /* at its exit the slot itself goes on from here */
        slot_end_trial(s);
}

static void on_result(struct slot *s, const json_t *m)
{
    const json_t *values = json_object_get(m, "values");
    double value = NAN;
    if (json_array_size(values) != 1 || !number_of(json_array_get(values, 0), &value))
        run_fail(s->run, FAIL_NAN,
                 "the result must be one number: {\"op\":\"result\",\"values\":[0.5]}");
    else
        run_complete(s->run, value);
    trial_over(s);
}

/* Classes that a worker can tell of itself. The others are ours to find: some are tried again
 * without limit. */
static bool workers_know(enum fail_class fail)
{
    const unsigned known = 1u << FAIL_OOM | 1u << FAIL_EXIT | 1u << FAIL_NAN | 1u << FAIL_HESSIAN |
                           1u << FAIL_OVERFLOW | 1u << FAIL_CALIBRATION |
                           1u << FAIL_MISSING_DEPENDENCY | 1u << FAIL_BAD_DATA |
                           1u << FAIL_PRUNED_BY_WORKER;
    return (known >> fail & 1u) != 0;
}

static void on_fail(struct slot *s, const json_t *m)
{
    const char *name = json_string_value(json_object_get(m, "class"));
    const char *message = json_string_value(json_object_get(m, "message"));
    enum fail_class fail = FAIL_EXIT;
    if (name != NULL && (!fail_class_from_name(name, &fail) || !workers_know(fail)))
        fail = FAIL_EXIT;
    run_fail(s->run, fail, "%s", message != NULL ? message : "the worker gave no message");
    trial_over(s);
}

int message_line(void *slot, const char *line, size_t n)
{
    struct slot *s = slot;
    struct err err;
    if (s->run == NULL || s->run->ended || s->pipes.untold)
        return 0; /* after the result: nobody listens, not for the next trial either */
    AUTO_JSON json_t *m = json_read(line, n, &err);
    const char *op = json_string_value(json_object_get(m, "op"));
    if (op == NULL)
        complain(s, m == NULL ? err.msg : "a message needs \"op\"");
    else if (strcmp(op, "suggest") == 0)
        on_suggest(s, m);
    else if (strcmp(op, "report") == 0)
        on_report(s, m);
    else if (strcmp(op, "attr") == 0)
        on_attr(s, m, n);
    else if (strcmp(op, "row") == 0)
        on_row(s, m, n);
    else if (strcmp(op, "event") == 0)
        on_event(s, m, line, n);
    else if (strcmp(op, "result") == 0)
        on_result(s, m);
    else if (strcmp(op, "fail") == 0)
        on_fail(s, m);
    else if (strcmp(op, "pruned") == 0) {
        if (s->run->prune_wanted)
            run_pruned(s->run);
        else
            run_fail(s->run, FAIL_PRUNED_BY_WORKER,
                     "the worker stopped early, and nobody told it to");
        trial_over(s);
    } else
        complain(s, "unknown \"op\": suggest, report, attr, row, event, result, fail or pruned");
    return 0;
}

void message_trial(struct slot *s)
{
    const struct run *r = s->run;
    const struct spec_trial t = run_spec_trial(r);
    AUTO(buf_free) struct buf b = BUF_INIT;
    buf_printf(&b,
               "{\"op\":\"trial\",\"number\":%" PRId64 ",\"trial_id\":%" PRId64 ",\"seed\":%" PRIu32
               ",\"dir\":",
               r->number, r->id, r->seed);
    json_put_string(&b, r->dir);
    buf_puts(&b, ",\"params\":");
    spec_put_params(&b, r->study->spec, &t);
    buf_putc(&b, '}');
    pipes_say(s, buf_str(&b));
}

void message_dropped(struct slot *s)
{
    complain(s, "a message over 1 MiB");
}

int stdout_line(void *slot, const char *line, size_t n)
{
    struct slot *s = slot;
    struct run *r = s->run;
    if (r == NULL || r->ended)
        return 0;
    conclude_line(s, line, n);
    struct metric_line m = metric_line_find(r->study->spec->study.metric, line, n);
    if (!m.found) {
        if (!r->metric_found)
            (void)metric_line_guess(&r->study->spec->space, line, n, r->guess, sizeof(r->guess));
        return 0;
    }
    r->metric_found = true;
    r->metric_bad = m.bad;
    if (m.bad)
        (void)snprintf(r->guess, sizeof(r->guess), "%.*s",
                       (int)(n < sizeof(r->guess) ? n : sizeof(r->guess) - 1), line);
    r->metric = m.value;
    bool prune = false;
    if (m.has_step && !m.bad)
        complain_of_steps(s);
    if (m.has_step && !m.bad && run_report(r, m.step, m.value, &prune, NULL) == 0 && prune &&
        s->alive)
        slot_prune(s); /* without a channel a signal is the only way to tell */
    return 0;
}
