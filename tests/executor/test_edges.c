/* How trials begin and end at the edges: starts that fail, workers that talk on, what they inherit.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/sandbox.h"

TestSuite(edges, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 120);

static void write_script(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");
    cr_assert(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(name, 0755) == 0);
}

/* The program is a choice, so its absence is found only when a trial starts: the last start that
 * fails also ends the sweep. A stop for the slot must reach no process, ours least of all. */
Test(edges, starts_that_fail_end_the_sweep_and_harm_nobody)
{
    int code = RUN(60, "-n10", "-j2", "p=choice:/nonexistent1,/nonexistent2", "--", "${p}");
    cr_expect(eq(int, code, 4));
    cr_expect(eq(int, sandbox_count(TRIAL_RUNNING), 0));
    cr_expect(sandbox_has("out", "\"reason\":\"halted\""));
}

static void crowd(const char *n)
{
    static const char *words[4] = {LAUNCH, "crowd"};
    words[2] = n;
    cr_assert(chmod(".", 0777) == 0);
    sandbox_launch_with(words);
}

Test(edges, no_thread_for_the_store_is_an_error_not_a_crash)
{
    crowd("2"); /* itself and its guardian */
    int code = RUN(60, "-n1", "x=float:0..1", "--", VICTIM, "ok");
    if (code == 77)
        cr_skip_test("%s", sandbox_text("err"));
    cr_expect(eq(int, code, 2));
    cr_expect(sandbox_has("err", "store threads: Resource temporarily unavailable"), "%s",
              sandbox_text("err"));
}

/* That is nobody's fault, so it is tried again; but not for ever. */
Test(edges, no_process_for_a_worker_ends_the_sweep_in_the_end)
{
    crowd("4"); /* itself, its guardian and two threads */
    int code = RUN(60, "-n1", "-j1", "budget.attempts=3", "retry.lost={times: 2, backoff: 100ms}",
                   "x=float:0..1", "--", VICTIM, "ok");
    if (code == 77)
        cr_skip_test("%s", sandbox_text("err"));
    cr_expect(eq(int, code, 1));
    struct sandbox_trial t[4];
    cr_assert(eq(int, sandbox_trials(t, 4), 3));
    cr_expect(eq(str, t[2].fail, (char *)"lost"));
    cr_expect(strstr(t[2].message, "Resource temporarily unavailable") != NULL, "%s", t[2].message);
}

/* A slot that never had a log must not close somebody else's descriptor. */
Test(edges, a_start_that_fails_leaves_other_trials_their_logs)
{
    write_script("slow.sh",
                 "#!/bin/sh\nsleep 0.05\necho own log of $FORKLESS_TRIAL\necho loss=1\n");
    int code = RUN(60, "-n12", "-j6", "--seed=4", "flap=off", "--sampler=random",
                   "p=choice:/nonexistent1,./slow.sh", "--", "${p}");
    cr_expect(eq(int, code, 0));
    struct sandbox_trial t[64];
    int n = sandbox_trials(t, 64);
    for (int i = 0; i < n && i < 64; i++) {
        char path[64], text[64];
        (void)snprintf(path, sizeof(path), "runs/s/%d/stdout.log", (int)t[i].number);
        (void)snprintf(text, sizeof(text), "own log of %d\nloss=1\n", (int)t[i].number);
        if (t[i].state == TRIAL_COMPLETE)
            cr_expect(eq(str, (char *)(uintptr_t)sandbox_text(path), text));
    }
}

Test(edges, what_a_worker_says_after_its_result_is_logged_behind_it)
{
    int code =
        RUN(60, "-n2", "-j1", "x=float:0..1", "--", "sh", "-c",
            "echo before; echo '{\"op\":\"result\",\"values\":[1]}' >&3; sleep 0.2; echo after");
    cr_expect(eq(int, code, 0));
    cr_expect(eq(str, (char *)(uintptr_t)sandbox_text("runs/s/0/stdout.log"), "before\nafter\n"));
}

/* Told to prune, it crashes: that is a failure, not a pruned trial. */
Test(edges, a_crash_after_the_pruners_word_is_a_failure)
{
    static const char worker[] =
        "#!/bin/sh\necho '{\"op\":\"report\",\"step\":1,\"value\":'$FORKLESS_TRIAL'}' >&3\n"
        "read -r answer <&3\ncase $answer in *true*) echo CUDA out of memory >&2; exit 1;; esac\n"
        "echo loss=$FORKLESS_TRIAL\n";
    write_script("worker.sh", worker);
    int code = RUN(60, "-n8", "-j1", "pruner={median: {startup: 2}}", "budget.attempts=8",
                   "x=float:0..1", "--", "./worker.sh");
    cr_expect(eq(int, code, 1));
    cr_expect(eq(int, sandbox_count(TRIAL_PRUNED), 0));
    cr_expect(ge(int, sandbox_count(TRIAL_FAIL), 4));
}

Test(edges, a_relative_program_is_found_from_the_working_directory_of_the_trial)
{
    cr_assert(mkdir("work", 0755) == 0);
    write_script("work/t.sh", "#!/bin/sh\necho loss=1\n");
    int code = RUN(60, "-n2", "-j1", "run.cwd=work", "x=float:0..1", "--", "./t.sh");
    cr_expect(eq(int, code, 0));
}

/* Whoever started forkless may have left descriptors open: workers get none of them. */
Test(edges, workers_get_no_descriptor_but_their_own)
{
    int leak = open("leak", O_WRONLY | O_CREAT, 0644);
    cr_assert(leak >= 0 && dup2(leak, 9) == 9);
    int code =
        RUN(60, "-n1", "-j1", "x=float:0..1", "--", "sh", "-c", "ls /proc/$$/fd; echo loss=1");
    cr_expect(eq(int, code, 0));
    cr_expect(
        eq(str, (char *)(uintptr_t)sandbox_text("runs/s/0/stdout.log"), "0\n1\n2\n3\nloss=1\n"));
    (void)close(9);
    (void)close(leak);
}
