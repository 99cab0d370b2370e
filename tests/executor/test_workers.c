/* Workers that misbehave, under the real program. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "storage/storage.h"
#include "tests/lib/sandbox.h"

#define PEAK_KIB 40960 /* the executor's memory, whatever a worker says */
#define LOG_CAP (16 << 20)

TestSuite(workers, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 240);

/* One trial of one try. Returns the exit code. */
#define TRY(...)                                                                                   \
    RUN(120, "-n1", "-j1", "--grace=1s", "budget.attempts=1", "x=float:0..1", __VA_ARGS__)

static struct sandbox_trial only_trial(void)
{
    struct sandbox_trial t[2];
    cr_assert(eq(int, sandbox_trials(t, 2), 1));
    return t[0];
}

static void expect_good(void)
{
    struct sandbox_trial t = only_trial();
    cr_expect(eq(int, (int)t.state, TRIAL_COMPLETE), "%s: %s", t.fail, t.message);
    cr_expect(eq(dbl, t.value, 0.25));
}

static void expect_fail(const char *fail, const char *message)
{
    struct sandbox_trial t = only_trial();
    cr_expect(eq(int, (int)t.state, TRIAL_FAIL));
    cr_expect(eq(str, t.fail, (char *)(uintptr_t)fail));
    cr_expect(strstr(t.message, message) != NULL, "'%s' is not in: %s", message, t.message);
}

static void expect_small(void)
{
    if (!SANDBOX_SANITIZED)
        cr_expect(lt(long, sandbox_peak_kib(), PEAK_KIB));
}

static int64_t logged(const char *name)
{
    char path[128], old[160];
    (void)snprintf(path, sizeof(path), "runs/s/0/%s", name);
    (void)snprintf(old, sizeof(old), "%s.1", path);
    int64_t newest = sandbox_size(path), before = sandbox_size(old);
    return (newest > 0 ? newest : 0) + (before > 0 ? before : 0);
}

Test(workers, a_good_one_completes)
{
    cr_expect(eq(int, TRY("--", VICTIM, "ok"), 0));
    expect_good();
}

Test(workers, a_flood_on_stdout_and_stderr_is_capped)
{
    cr_expect(eq(int, TRY("--", VICTIM, "flood", "100"), 0));
    expect_good();
    expect_small();
    cr_expect(le(long, (long)logged("stdout.log"), LOG_CAP));
    cr_expect(gt(long, (long)logged("stdout.log"), LOG_CAP / 4));
    cr_expect(le(long, (long)logged("stderr.log"), LOG_CAP));
    cr_expect(gt(long, (long)sandbox_size("runs/s/0/stdout.log.gone"), 0));
}

Test(workers, a_line_of_100_mib_is_no_burden)
{
    cr_expect(eq(int, TRY("--", VICTIM, "long-line", "100"), 0));
    expect_good();
    expect_small();
}

Test(workers, binary_output_is_kept_as_it_is)
{
    cr_expect(eq(int, TRY("--", VICTIM, "binary"), 0));
    expect_good();
    cr_expect(eq(long, (long)logged("stderr.log"), 200000));
}

Test(workers, a_last_line_in_pieces_without_its_end_counts)
{
    cr_expect(eq(int, TRY("--", VICTIM, "halves"), 0));
    expect_good();
}

Test(workers, nul_bytes_hide_nothing)
{
    cr_expect(eq(int, TRY("--", VICTIM, "nul"), 0));
    expect_good();
}

Test(workers, invalid_utf8_breaks_nothing)
{
    cr_expect(eq(int, TRY("--", VICTIM, "utf8"), 1));
    expect_fail("exit", "exit 3");
}

Test(workers, a_channel_closed_at_once_is_allowed)
{
    cr_expect(eq(int, TRY("--", VICTIM, "close"), 0));
    expect_good();
}

Test(workers, garbage_on_the_channel_is_ignored_and_told_once)
{
    cr_expect(eq(int, TRY("--", VICTIM, "garbage"), 0));
    expect_good();
    const char *told = strstr(sandbox_text("err"), "worker_message_ignored");
    cr_assert(told != NULL);
    cr_expect(strstr(told + 1, "worker_message_ignored") == NULL);
}

Test(workers, a_message_of_100_mib_is_dropped_and_told)
{
    cr_expect(eq(int, TRY("--", VICTIM, "huge", "100"), 0));
    expect_good();
    expect_small();
    cr_expect(sandbox_has("err", "worker_message_ignored"));
}

Test(workers, one_that_asks_and_never_reads_is_ended)
{
    cr_expect(eq(int, TRY("--", VICTIM, "ask"), 1));
    expect_fail("exit", "does not read its channel");
    expect_small();
}

Test(workers, one_that_ends_its_side_of_the_channel_gets_its_answers_still)
{
    cr_expect(eq(int, TRY("--stall=5s", "retry.stalled=0", "--", VICTIM, "half", "40000"), 0));
    expect_good();
}

Test(workers, a_grandchild_that_holds_stdout_is_not_waited_for)
{
    cr_expect(eq(int, TRY("--", VICTIM, "hold"), 0));
    expect_good();
    cr_expect(eq(int, sandbox_processes("sleep"), 0));
}

Test(workers, a_daemon_dies_with_its_trial)
{
    /* the second trial stays, so what goes meanwhile is what the first one left behind */
    pid_t pid = sandbox_run((const char *const[]){
        "-n2", "-j1", "x=float:0..1", "--", "/bin/sh", "-c",
        "[ $FORKLESS_TRIAL = 1 ] && exec " VICTIM " hang; exec " VICTIM " daemon", NULL});
    cr_assert(sandbox_await("err", "\"event\":\"trial_end\"", 60));
    cr_expect(sandbox_await_none("600000", 60));
    (void)kill(pid, SIGINT);
    (void)kill(pid, SIGINT);
    cr_expect(eq(int, sandbox_wait(pid, 60), 75));
}

Test(workers, a_fork_bomb_ends_at_the_time_limit)
{
    cr_expect(eq(int, TRY("--timeout=2s", "--", VICTIM, "bomb", "100"), 5));
    expect_fail("timeout", "limit of 2 s");
}

Test(workers, more_memory_than_allowed_is_class_oom)
{
    cr_expect(eq(int, TRY("--memory=64MiB", "--", VICTIM, "eat", "256"), 1));
    expect_fail("oom", "MemoryError");
}

Test(workers, memory_within_the_limit_is_fine)
{
    cr_expect(eq(int, TRY("--memory=512MiB", "--", VICTIM, "eat", "64"), 0));
    expect_good();
}

Test(workers, a_crash_is_class_signal)
{
    cr_expect(eq(int, TRY("--", VICTIM, "segv"), 1));
    expect_fail("signal", "signal 11");
}

Test(workers, an_exit_status_comes_with_the_last_line_of_stderr)
{
    cr_expect(eq(int, TRY("--", VICTIM, "exit", "3"), 1));
    expect_fail("exit", "exit 3; last on stderr: the disk of tape 7 is gone");
}

Test(workers, nan_is_class_nan)
{
    cr_expect(eq(int, TRY("--", VICTIM, "print", "loss=nan"), 1));
    expect_fail("nan", "");
}

Test(workers, a_number_with_something_behind_it_is_no_result)
{
    cr_expect(eq(int, TRY("--", VICTIM, "print", "loss=0.25x"), 1));
    expect_fail("nan", "");
}

Test(workers, exit_0_without_a_result_is_a_failure)
{
    cr_expect(eq(int, TRY("--", VICTIM, "print", "all is well"), 1));
    expect_fail("exit", "expected a line loss=NUMBER");
}

Test(workers, a_silent_hang_is_class_stalled_with_evidence_from_before_the_kill)
{
    cr_expect(eq(int, TRY("--stall=1s", "retry.stalled=0", "--", VICTIM, "hang"), 5));
    expect_fail("stalled", "no progress for 1 s");
    /* a dead process has no command line */
    cr_expect(sandbox_has("runs/s/0/evidence.json", "victim hang"));
    cr_expect(sandbox_has("runs/s/0/evidence.json", "\"wchan\""));
    cr_expect(sandbox_has("runs/s/0/evidence.txt", "trial 0 of study s\nstalled: silent for 1"));
    cr_expect(sandbox_has("err", "\"saved\":true,\"whole\":true"));
}

static int take_evidence(void *ctx, const struct trial *t)
{
    for (size_t i = 0; i < t->n_user_attrs; i++) {
        if (strcmp(t->user_attrs[i].key, "forkless:evidence") == 0)
            (void)snprintf(ctx, 512, "%s", t->user_attrs[i].json);
    }
    return 0;
}

Test(workers, a_fork_deadlock_is_named_in_its_row_with_its_evidence)
{
    AUTO_STORE struct store *s = NULL;
    const struct store_each_opts each = {.want = WANT_USER_ATTRS};
    struct err err = {0};
    char evidence[512] = "";
    int64_t study;
    cr_expect(eq(int, TRY("--stall=1s", "retry.fork_deadlock=0", "--", DEADLOCK, "mutex"), 5));
    expect_fail("fork_deadlock", "waits for a mutex that belongs to thread");
    cr_expect(sandbox_has("runs/s/0/evidence.json", "\"lost_owner\""));
    cr_expect(sandbox_has("runs/s/0/evidence.json", "pthread_mutex_lock"));
    cr_expect(sandbox_has("err", "\"deadlock\":\"proven\""));
    cr_assert(store_open(&s, "sqlite:///s.db", NULL, &err) == 0 &&
                  store_study_find(s, "s", &study, &err) == 0 &&
                  store_trials_each(s, study, &each, take_evidence, evidence, &err) == 0,
              "%s", err.msg);
    cr_expect(strstr(evidence, "/runs/s/0/evidence.json\"") != NULL, "%s", evidence);
    cr_expect(sandbox_await_none("deadlock", 30));
}

Test(workers, a_worker_that_does_not_stop_for_its_evidence_is_ended_in_time)
{
    cr_expect(eq(int, TRY("--stall=1s", "retry.stalled=0", "--", DEADLOCK, "vfork"), 5));
    expect_fail("stalled", "no progress for 1 s");
    cr_expect(sandbox_has("runs/s/0/evidence.json", "did not stop"));
}

Test(workers, a_running_trial_can_be_dumped)
{
    pid_t pid = sandbox_run(
        (const char *const[]){"-n1", "-j1", "x=float:0..1", "--", DEADLOCK, "threads", NULL});
    cr_assert(sandbox_await("runs/s/0/stdout.log", "ready", 60));
    const char *const dump[] = {FORKLESS, "dump", "--storage", "sqlite:///s.db", "0", NULL};
    cr_expect(eq(int, sandbox_wait(sandbox_start(dump), 60), 0));
    cr_expect(sandbox_has("out", "trial 0 of study s\n"), "%s", sandbox_text("out"));
    cr_expect(sandbox_has("out", "victim_waits_here+"));
    cr_expect(sandbox_has("out", "the end of stdout:\n    ready\n"));
    const char *const json[] = {FORKLESS,         "dump", "--json", "--storage",
                                "sqlite:///s.db", "0",    "s",      NULL};
    cr_expect(eq(int, sandbox_wait(sandbox_start(json), 60), 0));
    AUTO_JSON json_t *doc = json_read(sandbox_text("out"), strlen(sandbox_text("out")), NULL);
    cr_expect(json_object_get(doc, "processes") != NULL);
    const char *const other[] = {FORKLESS, "dump", "--storage", "sqlite:///s.db", "1", NULL};
    cr_expect(eq(int, sandbox_wait(sandbox_start(other), 60), 2));
    (void)kill(pid, SIGKILL);
    (void)sandbox_wait(pid, 60);
}

Test(workers, a_silent_one_that_burns_cpu_is_not_stalled)
{
    cr_expect(eq(int, TRY("--stall=1s", "--", VICTIM, "burn", "4"), 0));
    expect_good();
}

Test(workers, a_silent_one_that_only_reads_is_not_stalled)
{
    cr_expect(eq(int, TRY("--stall=1s", "--", VICTIM, "read", "4"), 0));
    expect_good();
}

Test(workers, one_over_its_time_is_class_timeout)
{
    cr_expect(eq(int, TRY("--timeout=1s", "--", VICTIM, "sleep"), 5));
    expect_fail("timeout", "limit of 1 s");
    cr_expect(sandbox_has("runs/s/0/evidence.json", "victim sleep"));
}

Test(workers, one_that_dies_between_its_trials_is_replaced)
{
    cr_expect(eq(int,
                 RUN(200, "-n200", "-j4", "run.trials_per_worker=1000", "x=float:0..1", "--",
                     VICTIM, "serve", "3"),
                 0));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 200));
}

Test(workers, what_one_says_after_its_result_is_not_taken_for_the_next_trial)
{
    struct sandbox_trial t[30];
    cr_expect(eq(int,
                 RUN(100, "-n30", "-j1", "run.trials_per_worker=1000", "x=float:0..1", "--", VICTIM,
                     "twice"),
                 0));
    cr_assert(eq(int, sandbox_trials(t, 30), 30));
    for (int i = 0; i < 30; i++) {
        char path[64], line[64];
        (void)snprintf(path, sizeof(path), "runs/s/%d/stdout.log", i);
        (void)snprintf(line, sizeof(line), "this is trial %d\n", i);
        cr_expect(eq(dbl, t[i].value, i));
        cr_expect(eq(str, (char *)(uintptr_t)sandbox_text(path), (char *)line));
    }
}

Test(workers, a_program_that_does_not_exist_is_a_mistake_in_the_spec)
{
    cr_expect(eq(int, TRY("--", "./no-such-program"), 2));
    cr_expect(sandbox_has("err", "./no-such-program"));
}

Test(workers, a_program_that_is_not_executable_is_a_mistake_in_the_spec)
{
    FILE *f = fopen("text", "we");
    cr_assert(f != NULL && fclose(f) == 0);
    cr_expect(eq(int, TRY("--", "./text"), 2));
    cr_expect(sandbox_has("err", "not executable"));
}
