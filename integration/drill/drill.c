#include "integration/drill/drill.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "integration/drill/scratch.h"

/* Settings of the runs, ms, and what forkless promises beside them. */
enum {
    STALL_MS = 2000,
    DEADLOCK_MS = 1000,
    DEADLOCK_DEFAULT_MS = 10000,
    DEADLOCK_LOOK_MS = 3000, /* a look with stacks */
    GRACE_MS = 1000,
    EVIDENCE_MS = 5000,
    HEARTBEAT_MS = 1000,
    START_MS = 30000, /* for a run to come up, and for trials without a fault */
    BACK_MS = 5000,
    LOCKED_MS = 10000, /* the store stays locked for so long at least */
    ROWS_MAX = 16,
};

/* One drill under way. */
struct drill_state {
    const struct drill_opts *opts;
    struct scratch s;
    uint64_t fault_ms; /* monotonic; 0: not yet */
    bool failed;
};

/* ---- checks ---- */

__attribute__((format(printf, 5, 6))) static void
check(struct drill_state *d, const char *what, bool ok, uint64_t at_ms, const char *fmt, ...)
{
    struct drill_check c = {.what = what, .ok = ok, .seconds = -1};
    va_list args;
    if (d->s.stopped)
        return;
    if (at_ms != 0 && d->fault_ms != 0)
        c.seconds = at_ms > d->fault_ms ? (double)(at_ms - d->fault_ms) / 1e3 : 0;
    va_start(args, fmt);
    (void)vsnprintf(c.found, sizeof(c.found), fmt, args);
    va_end(args);
    d->failed = d->failed || !ok;
    d->opts->check(d->opts->ctx, &c);
}

/* The time that was promised for a step, with what this machine may add, after `since`. */
static uint64_t due(const struct drill_state *d, uint64_t since, uint64_t promised_ms)
{
    return since + promised_ms + d->opts->slack_ms;
}

/* Waits for the event; the moment it came, or when it was due at the latest. */
static uint64_t expect_event(struct drill_state *d, const char *what, const char *event,
                             int64_t trial, const char *key, const char *text, uint64_t due_ms)
{
    const struct scratch_event *e = scratch_await(&d->s, event, trial, key, text, due_ms);
    bool ok = e != NULL && e->ms <= due_ms;
    uint64_t at = e != NULL ? e->ms : due_ms;
    check(d, what, ok, at, "%s", ok ? "" : e != NULL ? "it came late" : "it did not come in time");
    return at;
}

static bool expect_fault(struct drill_state *d, int64_t trial)
{
    const struct scratch_event *e =
        scratch_await(&d->s, "drill_fault", trial, NULL, NULL, due(d, clock_mono_ms(), START_MS));
    if (e != NULL) {
        d->fault_ms = e->ms;
        scratch_note_pids(&d->s, e);
    }
    check(d, "the worker misbehaves", e != NULL, 0, "%s",
          e != NULL ? "" : "it did not get there; events.jsonl tells why");
    return e != NULL;
}

static void expect_gone(struct drill_state *d, uint64_t due_ms)
{
    bool gone = scratch_await_gone(&d->s, due_ms);
    check(d, "the worker and all that it started are gone", gone, clock_mono_ms(), "%s",
          gone ? "" : "still there");
}

static void expect_exit(struct drill_state *d, int code, uint64_t due_ms)
{
    int found = scratch_await_exit(&d->s, due_ms);
    char what[64];
    (void)snprintf(what, sizeof(what), "the run ends with exit code %d", code);
    check(d, what, found == code, clock_mono_ms(), found < 0 ? "it still runs" : "exit code %d",
          found);
}

/* ---- rows ---- */

struct wanted {
    enum trial_state state;
    const char *fail; /* class; NULL: any, or none */
    bool retry;
};

static void expect_row(struct drill_state *d, const struct scratch_row *row, const struct wanted *w)
{
    char what[128];
    const char *fail = w->fail != NULL ? w->fail : "";
    (void)snprintf(what, sizeof(what), "row %" PRId64 " in the store: %s%s%s%s", row->number,
                   trial_state_name(w->state), *fail != '\0' ? ", class " : "", fail,
                   w->retry ? ", a retry" : "");
    check(d, what, row->state == w->state && strcmp(row->fail, fail) == 0 && row->retry == w->retry,
          0, "%s%s%s%s", trial_state_name(row->state), row->fail[0] != '\0' ? ", class " : "",
          row->fail, row->retry ? ", a retry" : "");
}

/* Exactly these rows. Returns how many of `rows` were read. */
static int expect_rows(struct drill_state *d, const struct wanted *wanted, int n,
                       struct scratch_row rows[static ROWS_MAX])
{
    struct err err = {0};
    int found = scratch_rows(&d->s, rows, ROWS_MAX, &err);
    if (found < 0)
        check(d, "the store can be read", false, 0, "%s", err.msg);
    else if (found != n)
        check(d, "as many rows as trials", false, 0, "%d rows, not %d", found, n);
    for (int i = 0; i < found && i < n; i++)
        expect_row(d, &rows[i], &wanted[i]);
    return found < 0 ? 0 : found;
}

static void expect_evidence(struct drill_state *d, const struct scratch_row *row,
                            const char *verdict)
{
    struct err err = {.msg = "the row names no file"};
    AUTO_JSON json_t *doc = row->evidence[0] != '\0' ? json_read_file(row->evidence, &err) : NULL;
    const char *kind = json_string_value(json_object_get(json_object_get(doc, "verdict"), "kind"));
    size_t n = json_array_size(json_object_get(doc, "processes"));
    check(d, "the evidence that the row names shows the processes", n > 0, 0,
          n > 0 ? "%s" : "none: %s", n > 0 ? row->evidence : err.msg);
    if (verdict != NULL)
        check(d, "its verdict is a proven fork deadlock",
              kind != NULL && strcmp(kind, verdict) == 0, 0, "%s", kind != NULL ? kind : "none");
}

/* ---- the drills ---- */

/* A hang that `setting` ms must show: event, evidence, end. */
static void expect_hang_ended(struct drill_state *d, const char *reason, uint64_t setting_ms)
{
    uint64_t at = expect_event(d, "the hang is seen: event trial_stalled", "trial_stalled", 0,
                               "reason", reason, due(d, d->fault_ms, setting_ms));
    at = expect_event(d, "the evidence is saved: event evidence_saved", "evidence_saved", 0, NULL,
                      NULL, due(d, at, EVIDENCE_MS));
    expect_gone(d, due(d, at, GRACE_MS));
    (void)expect_event(d, "the trial has ended: event trial_end", "trial_end", 0, NULL, NULL,
                       due(d, at, GRACE_MS));
}

static int stall(struct drill_state *d, struct err *err)
{
    static const char *const words[] = {
        "-n1", "-j1", "--stall=2s", "--grace=1s", "retry.stalled=1", "budget.attempts=2", NULL};
    static const struct wanted wanted[] = {{TRIAL_FAIL, "stalled", false},
                                           {TRIAL_FAIL, "stalled", true}};
    struct scratch_row rows[ROWS_MAX];
    int rc = scratch_start(&d->s, words, "stall", err);
    if (rc < 0 || !expect_fault(d, 0))
        return rc;
    expect_hang_ended(d, "stalled", STALL_MS);
    check(d, "SIGTERM was ignored, SIGKILL was sent", scratch_count(&d->s, "worker_killed") > 0, 0,
          "%zu worker_killed events", scratch_count(&d->s, "worker_killed"));
    /* the retry hangs as well, and was the last try */
    expect_exit(d, 5, due(d, clock_mono_ms(), STALL_MS + EVIDENCE_MS + GRACE_MS + START_MS));
    if (expect_rows(d, wanted, ARRAY_LEN(wanted), rows) > 0)
        expect_evidence(d, &rows[0], NULL);
    return 0;
}

static int deadlock(struct drill_state *d, struct err *err)
{
    bool full = d->opts->full;
    const char *const words[] = {"-n1",
                                 "-j1",
                                 "--stall=30m",
                                 "--grace=1s",
                                 "watch.fork=warn",
                                 full ? NULL : "watch.deadlock=1s",
                                 NULL};
    static const struct wanted wanted[] = {{TRIAL_FAIL, "fork_deadlock", false},
                                           {TRIAL_COMPLETE, NULL, true}};
    struct scratch_row rows[ROWS_MAX];
    int rc = scratch_start(&d->s, words, "deadlock", err);
    if (rc < 0 || !expect_fault(d, 0))
        return rc;
    (void)expect_event(d, "the fork is told: event fork_after_threads", "fork_after_threads", 0,
                       NULL, NULL, due(d, d->fault_ms, 1000));
    expect_hang_ended(d, "deadlock", (full ? DEADLOCK_DEFAULT_MS : DEADLOCK_MS) + DEADLOCK_LOOK_MS);
    expect_exit(d, 0, due(d, clock_mono_ms(), START_MS));
    if (expect_rows(d, wanted, ARRAY_LEN(wanted), rows) > 0)
        expect_evidence(d, &rows[0], "proven");
    return 0;
}

static int oom(struct drill_state *d, struct err *err)
{
    static const char *const words[] = {"-n1", "-j1", "--memory=64MiB", NULL};
    static const struct wanted wanted[] = {{TRIAL_FAIL, "oom", false},
                                           {TRIAL_COMPLETE, NULL, false}};
    struct scratch_row rows[ROWS_MAX];
    int rc = scratch_start(&d->s, words, "oom", err);
    if (rc < 0 || !expect_fault(d, 0))
        return rc;
    (void)expect_event(d, "the trial has ended: event trial_end, class oom", "trial_end", 0,
                       "class", "oom", due(d, d->fault_ms, 2000));
    expect_gone(d, due(d, d->fault_ms, 2000));
    expect_exit(d, 0, due(d, clock_mono_ms(), START_MS));
    (void)expect_rows(d, wanted, ARRAY_LEN(wanted), rows);
    return 0;
}

static int sigterm(struct drill_state *d, struct err *err)
{
    static const char *const words[] = {"-n4", "-j1", "--stall=30m", "--grace=1s", NULL};
    static const struct wanted before[] = {{TRIAL_COMPLETE, NULL, false},
                                           {TRIAL_COMPLETE, NULL, false},
                                           {TRIAL_FAIL, "preempted", false},
                                           {TRIAL_WAITING, NULL, true}};
    static const struct wanted after[] = {{TRIAL_COMPLETE, NULL, false},
                                          {TRIAL_COMPLETE, NULL, false},
                                          {TRIAL_FAIL, "preempted", false},
                                          {TRIAL_COMPLETE, NULL, true},
                                          {TRIAL_COMPLETE, NULL, false}};
    struct scratch_row rows[ROWS_MAX];
    int rc = scratch_start(&d->s, words, "sigterm", err);
    if (rc < 0 || !expect_fault(d, 2))
        return rc;
    (void)kill(d->s.run, SIGTERM);
    d->fault_ms = clock_mono_ms();
    (void)expect_event(d, "SIGTERM is answered: event signal", "signal", -1, NULL, NULL,
                       due(d, d->fault_ms, 0));
    expect_gone(d, due(d, d->fault_ms, GRACE_MS));
    expect_exit(d, 75, due(d, d->fault_ms, GRACE_MS + 2000));
    (void)expect_rows(d, before, ARRAY_LEN(before), rows);
    rc = scratch_start(&d->s, words, "sigterm", err); /* the same again goes on */
    if (rc < 0)
        return rc;
    expect_exit(d, 0, due(d, clock_mono_ms(), START_MS));
    (void)expect_rows(d, after, ARRAY_LEN(after), rows);
    return 0;
}

/* Holds the write lock of the run's store, as another program would that takes its time. */
static int lock_store(struct drill_state *d, struct store **out, struct err *err)
{
    int rc = store_open(out, d->s.url, NULL, err);
    if (rc == 0)
        rc = store_begin(*out, err);
    check(d, "another process holds the store's write lock", rc == 0, 0, "%s",
          rc < 0 ? err->msg : "");
    return rc;
}

static void watch_locked(struct drill_state *d)
{
    uint64_t from = clock_mono_ms();
    size_t beats = scratch_count(&d->s, "hpo_heartbeat");
    expect_hang_ended(d, "stalled", STALL_MS);
    scratch_pass(&d->s, from + LOCKED_MS);
    beats = scratch_count(&d->s, "hpo_heartbeat") - beats;
    uint64_t seconds = (clock_mono_ms() - from) / 1000;
    check(d, "heartbeats went on", beats * HEARTBEAT_MS * 2 >= seconds * 1000, 0,
          "%zu in %" PRIu64 " s", beats, seconds);
    check(d, "it tells that results wait: event store_waiting",
          scratch_count(&d->s, "store_waiting") > 0, 0, "%s",
          scratch_count(&d->s, "store_waiting") > 0 ? "" : "no such event");
}

static int db_locked(struct drill_state *d, struct err *err)
{
    static const char *const words[] = {
        "-n2", "-j2", "--stall=2s", "--grace=1s", "retry.stalled=0", "report.heartbeat=1s", NULL};
    static const struct wanted wanted[] = {{TRIAL_FAIL, "stalled", false},
                                           {TRIAL_COMPLETE, NULL, false},
                                           {TRIAL_COMPLETE, NULL, false}};
    struct scratch_row rows[ROWS_MAX];
    int rc = scratch_start(&d->s, words, "db-locked", err);
    if (rc < 0 || !expect_fault(d, 0))
        return rc;
    (void)scratch_await(&d->s, "drill_work", 1, NULL, NULL, due(d, d->fault_ms, START_MS));
    {
        AUTO_STORE struct store *store = NULL;
        rc = lock_store(d, &store, err);
        if (rc < 0)
            return 0; /* it is a check that failed */
        watch_locked(d);
        store_rollback(store);
    }
    (void)expect_event(d, "the store is let go: event store_back", "store_back", -1, NULL, NULL,
                       due(d, clock_mono_ms(), BACK_MS));
    expect_exit(d, 0, due(d, clock_mono_ms(), START_MS));
    if (expect_rows(d, wanted, ARRAY_LEN(wanted), rows) > 0)
        expect_evidence(d, &rows[0], NULL);
    return 0;
}

/* ---- */

const struct drill drills[] = {
    {"stall", "a worker falls silent and ignores SIGTERM, and so does its retry", stall},
    {"deadlock", "a worker's forked child waits for a lock that nobody holds any more", deadlock},
    {"oom", "a worker wants more memory than slots.memory", oom},
    {"sigterm", "the run gets SIGTERM in the middle of a trial, then the same command again",
     sigterm},
    {"db-locked", "another process holds the store's write lock while a worker hangs", db_locked},
    {NULL, NULL, NULL},
};

int drill_run(const struct drill *drill, const struct drill_opts *opts, struct drill_result *out,
              struct err *err)
{
    struct drill_state d = {.opts = opts};
    uint64_t from = clock_mono_ms();
    int rc = scratch_open(&d.s, err);
    if (rc == 0)
        rc = drill->run(&d, err);
    if (rc == 0 && d.s.stopped)
        rc = err_set(err, ERR_STOPPED, "stopped by a signal");
    bool keep = rc == 0 && d.failed;
    struct drill_result result = {.passed = !d.failed,
                                  .seconds = (double)(clock_mono_ms() - from) / 1e3};
    if (keep)
        (void)snprintf(result.dir, sizeof(result.dir), "%s", d.s.dir);
    scratch_close(&d.s, keep);
    if (rc == 0)
        *out = result;
    return rc;
}
