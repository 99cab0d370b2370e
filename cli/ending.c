#include "cli/ending.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/reading.h"
#include "cli/trial_count.h"

/* Every study was at its target before: more than enough in one is no help to another. */
static bool nothing_to_do(const struct executor_result *r)
{
    for (int i = 0; i < r->n_studies; i++) {
        const struct executor_study *s = &r->studies[i];
        if (s->target == 0 || s->done_before < s->target)
            return false;
    }
    return r->reason == SW_MET;
}

/* Whether the store was asked about every study: else nothing is known of what is done. */
static bool is_known(const struct executor_result *r)
{
    bool known = r->n_studies > 0;
    for (int i = 0; i < r->n_studies; i++)
        known = known && r->studies[i].known;
    return known;
}

/* Whether the store is well, and what was asked for cannot be done with it, or at all. */
static bool is_mistake(const struct executor_result *r)
{
    if (r->reason != SW_STORE)
        return false;
    switch (r->err.code) {
    case ERR_CONFLICT:
        return true;
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_UNSUPPORTED:
    case ERR_CORRUPT:
        return false;
    default:
        return r->unbegun;
    }
}

bool ending_goes_on(const struct executor_result *r)
{
    return r->reason == SW_TIME || r->reason == SW_PREEMPTED;
}

const char *ending_reason_name(const struct executor_result *r)
{
    return is_mistake(r) ? "spec" : sw_reason_name(r->reason);
}

static int exit_code_of(const struct outcome_conf *conf, const struct executor_result *r)
{
    static const int codes[] = {
        [SW_RUNNING] = EXIT_UNMET, [SW_MET] = EXIT_OK,          [SW_UNPROVEN] = EXIT_UNMET,
        [SW_UNMET] = EXIT_UNMET,   [SW_STALLED] = EXIT_STALLED, [SW_TIME] = EXIT_TIME,
        [SW_HALTED] = EXIT_HALT,   [SW_STORE] = EXIT_STORE,     [SW_PREEMPTED] = EXIT_PREEMPTED,
    };
    if (conf->skip_if_done && nothing_to_do(r))
        return EXIT_NOTHING;
    return is_mistake(r) ? EXIT_USAGE : codes[r->reason];
}

/* Whether the trials themselves kept the sweep from its target. */
static bool trials_failed(const struct executor_result *r)
{
    return r->failed > 0 && (r->reason == SW_UNMET || r->reason == SW_STALLED ||
                             r->reason == SW_HALTED || r->reason == SW_TIME);
}

void ending_put_failures(struct buf *b, const struct failures *f)
{
    if (f->same == 0)
        return;
    if (f->n > 1)
        buf_printf(b, "%" PRId64 " of %" PRId64 " failed like trial", f->same, f->n);
    else
        buf_puts(b, "the one that failed is trial");
    buf_printf(b, " %" PRId64 " (%s)%s%s", f->number, f->fail, f->message[0] != '\0' ? ": " : "",
               f->message);
}

static void put_met(struct buf *b, const struct spec *spec, const struct executor_result *r)
{
    char count[TRIAL_COUNT_MAX];
    if (nothing_to_do(r))
        buf_printf(b, "%s %s there, read again", trial_count(r->done, r->target, count),
                   trial_count_is_one(r->done, r->target) ? "is" : "are");
    else
        buf_printf(b, "%" PRId64 " trial%s read again", r->proven_trials,
                   r->proven_trials == 1 ? " is stored and was" : "s are stored and were");
    if (r->proven_rows >= 0)
        buf_printf(b, ", with %" PRId64 " row%s in %s", r->proven_rows, plural(r->proven_rows),
                   spec->prove.table);
}

static void put_unproven(struct buf *b, const struct outcome_conf *conf,
                         const struct executor_result *r)
{
    int64_t rows = r->proven_rows >= 0 ? r->proven_rows : 0;
    if (r->err.code != ERR_NONE)
        buf_printf(b, "the rows could not be read again: %s", r->err.msg);
    else
        buf_printf(b,
                   "promised %" PRId64 " trial%s and %" PRId64 " row%s in %s, found %" PRId64
                   " and %" PRId64,
                   r->target, plural(r->target), conf->prove_rows, plural(conf->prove_rows),
                   conf->cells[0].prove.table, r->proven_trials, rows);
}

/* Nothing is lost: the same command goes on with it, or `forkless spool`. */
static void put_spooled(struct buf *b, const struct executor_result *r)
{
    if (r->spool != NULL)
        buf_printf(b, "; what it has not taken is kept in %s: run the same command when it is back",
                   r->spool);
}

/* "with 3 of 9 trials" */
static void put_progress(char *out, size_t n, const struct executor_result *r)
{
    char count[TRIAL_COUNT_MAX];
    if (!is_known(r))
        (void)snprintf(out, n, "before the store could be read");
    else
        (void)snprintf(out, n, "with %s", trial_count(r->done, r->target, count));
}

/* One sentence. */
static void put_reason(struct buf *b, const struct outcome_conf *conf,
                       const struct executor_result *r)
{
    const struct spec *spec = &conf->cells[0];
    char progress[TRIAL_COUNT_MAX + 8];
    put_progress(progress, sizeof(progress), r);
    switch (r->reason) {
    case SW_MET:
        put_met(b, spec, r);
        break;
    case SW_UNPROVEN:
        put_unproven(b, conf, r);
        break;
    case SW_UNMET:
        buf_printf(b, "the attempts are spent %s", progress);
        break;
    case SW_STALLED:
        buf_printf(b, "trials hang and their retries are spent %s", progress);
        break;
    case SW_TIME:
        buf_printf(b, "out of time %s", progress);
        break;
    case SW_HALTED:
        buf_printf(b, "the first %u trial%s failed with class %s", spec->flap,
                   spec->flap == 1 ? "" : "s all", fail_class_name(r->flap_class));
        break;
    case SW_STORE:
        buf_printf(b, "%s%s", r->unbegun || is_mistake(r) ? "" : "the store is lost: ", r->err.msg);
        put_spooled(b, r);
        break;
    case SW_PREEMPTED:
        buf_printf(b, "stopped %s", progress);
        break;
    case SW_RUNNING:
        break;
    }
}

/* ,"key":3, or null when nothing is known. */
static void put_count(struct buf *b, const char *key, bool known, int64_t n)
{
    if (known)
        buf_printf(b, ",\"%s\":%" PRId64, key, n);
    else
        buf_printf(b, ",\"%s\":null", key);
}

static void put_study(struct buf *b, const struct executor_study *s)
{
    buf_puts(b, "{\"name\":");
    json_put_string(b, s->name);
    put_count(b, "complete", s->known, s->counts.complete);
    put_count(b, "pruned", s->known, s->counts.pruned);
    put_count(b, "failed", s->known, executor_study_failed(s));
    if (s->known)
        buf_printf(b, ",\"seed\":%" PRIu64, s->seed);
    else
        buf_puts(b, ",\"seed\":null");
    if (s->has_best) {
        buf_printf(b, ",\"best\":{\"number\":%" PRId64 ",\"value\":", s->best_number);
        json_put_value(b, s->best_value);
        buf_putc(b, '}');
    }
    buf_putc(b, '}');
}

static void put_failure_json(struct buf *b, const struct failures *f)
{
    buf_printf(b, ",\"failure\":{\"trials\":%" PRId64 ",\"class\":\"%s\",\"message\":", f->same,
               f->fail);
    json_put_string(b, f->message);
    buf_puts(b, ",\"study\":");
    json_put_string(b, f->study);
    buf_printf(b, ",\"number\":%" PRId64 "}", f->number);
}

static void put_forks(struct buf *b, const struct executor_forks *f)
{
    buf_puts(b, ",\"forks\":{");
    if (f->seen)
        buf_printf(b, "\"all\":%" PRId64 ",", f->all);
    buf_printf(b, "\"threaded\":%" PRId64 ",\"going_on\":%" PRId64 ",\"denied\":%" PRId64 "}",
               f->threaded, f->going_on, f->denied);
}

static void put_result(struct buf *b, const struct outcome_conf *conf,
                       const struct executor_result *r, const struct ending *e)
{
    bool known = is_known(r);
    buf_puts(b, "{\"run_id\":");
    json_put_string(b, conf->run_id);
    buf_printf(b, ",\"exit\":%d,\"reason\":\"%s\",\"message\":", e->code, ending_reason_name(r));
    json_put_string(b, buf_str(&e->words));
    buf_printf(b, ",\"proven\":%s", r->reason == SW_MET ? "true" : "false");
    put_count(b, "done", known, r->done);
    buf_printf(b, ",\"target\":%" PRId64, r->target);
    put_count(b, "failed", known, r->failed);
    if (e->failures.same > 0)
        put_failure_json(b, &e->failures);
    if (r->spool != NULL) {
        buf_printf(b, ",\"spooled\":%" PRId64 ",\"spool\":", r->spooled);
        json_put_string(b, r->spool);
    }
    put_forks(b, &r->forks);
    if (r->proven_rows >= 0)
        buf_printf(b, ",\"rows\":%" PRId64, r->proven_rows);
    buf_printf(b, ",\"seconds\":%.3f,\"studies\":[", (double)r->elapsed_ms / 1000);
    for (int i = 0; i < r->n_studies; i++) {
        buf_puts(b, i > 0 ? "," : "");
        put_study(b, &r->studies[i]);
    }
    buf_puts(b, "]}");
}

void ending_free(struct ending *e)
{
    buf_free(&e->reason);
    buf_free(&e->words);
    buf_free(&e->line);
}

void ending_init(struct ending *e, const struct outcome_conf *conf, const struct executor_result *r)
{
    *e = (struct ending){.code = exit_code_of(conf, r), .nothing = nothing_to_do(r)};
    if (trials_failed(r))
        failures_read(&e->failures, conf->cells, conf->n_cells, conf->started_us);
    put_reason(&e->reason, conf, r);
    buf_puts(&e->words, buf_str(&e->reason));
    buf_puts(&e->words, ending_goes_on(r) ? "; " ENDING_GO_ON : "");
    buf_puts(&e->words, e->failures.same > 0 ? "; " : "");
    ending_put_failures(&e->words, &e->failures);
    put_result(&e->line, conf, r, e);
}
