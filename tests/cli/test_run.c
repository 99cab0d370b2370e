/* forkless run as its user meets it: what it keeps, what it prints where, how it exits. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "storage/storage.h"
#include "tests/lib/sandbox.h"

extern char **environ;

TestSuite(run, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 120);

#define WORKER "x=float:0..1", "--", "/bin/echo", "loss=0.5"

static int take_config(void *ctx, const struct store_run *run)
{
    (void)snprintf(ctx, 1000, "%s", run->config);
    return 0;
}

/* finetune_runs.config of the only run. */
static void read_config(char out[static 1000])
{
    AUTO_STORE struct store *s = NULL;
    const struct store_opts opts = {.read_only = true};
    struct err err = {0};
    out[0] = '\0';
    cr_assert(store_open(&s, "sqlite:///s.db", &opts, &err) == 0, "%s", err.msg);
    cr_assert(store_runs_each(s, take_config, out, &err) == 0, "%s", err.msg);
}

static int dry_run(const char *option)
{
    return sandbox_wait(
        sandbox_start((const char *const[]){FORKLESS, "run", "--dry-run", "-n", "5", "lr=int:3..3",
                                            option, "--", "/bin/echo", "--lr=${lr}", NULL}),
        60);
}

Test(run, a_dry_run_shows_the_command_that_would_run_first)
{
    cr_expect_eq(dry_run("--env=A=1"), EXIT_OK, "%s", sandbox_text("err"));
    cr_expect_not_null(strstr(sandbox_text("out"), "trials    the first would be (with seed 0"),
                       "%s", sandbox_text("out"));
    cr_expect_not_null(strstr(sandbox_text("out"), "{\"lr\":3}\n       /bin/echo --lr=3\n"), "%s",
                       sandbox_text("out"));
    cr_expect_eq(sandbox_size("forkless.db"), -1);
}

/* What run would refuse, a dry run refuses with the same words. */
Test(run, a_dry_run_finds_that_no_worker_could_start)
{
#define DRY(...) RUN(60, "--dry-run", "-n", "1", __VA_ARGS__)
    cr_expect_eq(DRY("run.cwd=/no/such", WORKER), EXIT_USAGE);
    cr_expect(sandbox_has("err", "run.cwd: /no/such: No such file or directory"), "%s",
              sandbox_text("err"));
    cr_expect_eq(DRY("x=float:0..1", "--", "no-such-program"), EXIT_USAGE);
    cr_expect(sandbox_has("err", "no-such-program: not found along PATH"), "%s",
              sandbox_text("err"));
    cr_expect_eq(RUN(60, "-n", "1", "x=float:0..1", "--", "no-such-program"), EXIT_USAGE);
    cr_expect(sandbox_has("err", "no-such-program: not found along PATH"), "%s",
              sandbox_text("err"));
    cr_expect_eq(DRY("x=float:0..1", "--", "/bin/${x}"), EXIT_OK); /* another one for each trial */
}

/* Complains once, with the cure, whatever else the words could mean. */
static void expect_one_complaint(const char *said, const char *const *words)
{
    const char *argv[16] = {FORKLESS, "run", "-n", "5"};
    for (size_t i = 4; *words != NULL; i++)
        argv[i] = *words++;
    cr_expect_eq(sandbox_wait(sandbox_start(argv), 60), EXIT_USAGE);
    const char *err = sandbox_text("err");
    cr_expect_not_null(strstr(err, said), "%s", err);
    cr_expect(strchr(err, '\n') != NULL && strchr(err, '\n')[1] == '\0', "%s", err);
}

#define COMPLAINT(said, ...) expect_one_complaint(said, (const char *const[]){__VA_ARGS__, NULL})

Test(run, a_command_without_its_dashes_is_one_mistake)
{
    const char *cure = "'/bin/echo' begins a command, which stands after --: forkless run "
                       "[OPTION …] … -- /bin/echo …\n";
    COMPLAINT(cure, "x=float:0..1", "/bin/echo", "a", "b", "c=1");
    COMPLAINT(cure, "x=float:0..1", "/bin/echo", "--lr", "${x}");
    COMPLAINT(cure, "/bin/echo", "x=float:0..1");
    COMPLAINT("'train.py' begins a command", "x=float:0..1", "train.py", "-n", "7");
    COMPLAINT("unknown option '--trails': did you mean '--trials'?", "sweep.yaml", "--trails=5");
    COMPLAINT("sweep.yaml: no such file", "sweep.yaml", "budget.trials", "5");
}

Test(run, a_parameter_with_a_colon_for_its_equals_sign_is_suggested)
{
    COMPLAINT("did you mean 'x=float:0..1'?", "x:float:0..1", "--", "/bin/echo");
    COMPLAINT("did you mean 'y=int:1..2'?", "x=float:0..1", "y:int:1..2", "--", "/bin/echo");
    COMPLAINT("did you mean 'float:0..1'?", "x=flaot:0..1", "--", "/bin/echo");
}

Test(run, a_dry_run_for_programs_is_one_line_of_json)
{
    cr_expect_eq(dry_run("--json"), EXIT_OK, "%s", sandbox_text("err"));
    const char *out = sandbox_text("out");
    cr_expect(strncmp(out, "{\"dry_run\":true,\"studies\":[{", 28) == 0, "%s", out);
    cr_expect_not_null(strstr(out, "\"argv\":[\"/bin/echo\",\"--lr=3\"]}]}\n"), "%s", out);
    cr_expect(strchr(out, '\n')[1] == '\0', "%s", out);
}

Test(run, no_secret_is_kept_with_the_run)
{
    char config[1000];
    cr_assert_eq(RUN(60, "-n", "1", "run.env.API_KEY=hunter2", "sampler.seed=7", WORKER), EXIT_OK,
                 "%s", sandbox_text("err"));
    read_config(config);
    cr_expect_not_null(strstr(config, "\"run.env.API_KEY=***\""), "%s", config);
    cr_expect_not_null(strstr(config, "\"sampler.seed=7\""), "%s", config);
    cr_expect_null(strstr(config, "hunter2"), "%s", config);
}

Test(run, the_storage_given_as_a_setting_is_not_kept_with_the_run)
{
    char config[1000];
    const char *const argv[] = {FORKLESS,       "run", "study.storage=sqlite:///s.db",
                                "--study",      "s",   "--metric",
                                "loss",         "-n",  "1",
                                "x=float:0..1", "--",  "/bin/echo",
                                "loss=0.5",     NULL};
    cr_assert_eq(sandbox_wait(sandbox_start(argv), 60), EXIT_OK, "%s", sandbox_text("err"));
    read_config(config);
    cr_expect_not_null(strstr(config, "\"study.storage=***\""), "%s", config);
}

static const char *best_of(const char *text, char out[static 64])
{
    const char *at = strstr(text, "\"best\":{");
    (void)snprintf(out, 64, "%.19s", at != NULL ? at : "none");
    return out;
}

Test(run, of_equals_the_smallest_number_is_the_best_whoever_ended_first)
{
    char best[64];
    cr_assert_eq(
        RUN(60, "-n", "3", "-j", "3", "--retries", "0", "x=float:0..1", "--", "/bin/sh", "-c",
            "n=$FORKLESS_TRIAL; until [ $n = 2 ] || [ -e ended.$((n + 1)) ]; do sleep 0.1; "
            "done; sleep 0.5; echo loss=1; : >ended.$n"),
        EXIT_OK, "%s", sandbox_text("err"));
    cr_expect_str_eq(best_of(sandbox_text("out"), best), "\"best\":{\"number\":0,");
}

Test(run, commands_to_go_on_with_quote_a_study_name)
{
    const char *const argv[] = {FORKLESS, "run", "--study", "a b's", "--metric",
                                "loss",   "-n",  "1",       WORKER,  NULL};
    cr_assert_eq(sandbox_wait(sandbox_start(argv), 60), EXIT_OK, "%s", sandbox_text("err"));
    const char *out = sandbox_text("out");
    cr_expect_not_null(strstr(out, " best 'a b'\\''s'\n"), "%s", out);
    cr_expect_not_null(strstr(out, " trials 'a b'\\''s'\n"), "%s", out);
}

/* How many lines there are; all are JSON objects but for the first `others`, of which none is. */
static int json_lines(const char *text, int others)
{
    int n = 0;
    for (const char *at = text; *at != '\0'; n++) {
        size_t k = strcspn(at, "\n");
        AUTO_JSON json_t *doc = json_read(at, k, NULL);
        cr_expect_eq(json_is_object(doc), n >= others, "%.*s", (int)k, at);
        at += k + (at[k] == '\n');
    }
    return n;
}

Test(run, without_a_terminal_events_go_to_stderr_and_the_table_to_stdout)
{
#define FAIL_ONCE                                                                                  \
    "--retries", "0", "x=float:0..1", "--", "/bin/sh", "-c",                                       \
        "[ $FORKLESS_TRIAL = 0 ] && exit 3; echo loss=${x}"
    cr_expect_eq(RUN(60, "-n", "2", "-j", "1", FAIL_ONCE), EXIT_OK);
    cr_expect_geq(json_lines(sandbox_text("err"), 0), 4);
    const char *out = sandbox_text("out");
    cr_expect_not_null(strstr(out, "VALUE  PARAMETERS"), "%s", out);
    int lines = 0;
    for (const char *p = out; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    cr_expect_eq(json_lines(out, lines - 1), lines);
    cr_expect_eq(RUN(60, "-n", "3", "-j", "1", "--json", FAIL_ONCE), EXIT_OK);
    cr_expect_eq(json_lines(sandbox_text("out"), 0), 1);
    (void)json_lines(sandbox_text("err"), 0);
}

Test(run, a_study_that_nobody_named_says_its_name_once)
{
    const char *const argv[] = {FORKLESS, "run", "--metric", "loss",      "-n",       "1",
                                "-q",     "x=1", "--",       "/bin/echo", "loss=0.5", NULL};
    const char *said = "study 'echo' is named after the program: --study NAME names another";
    const char *loud[] = {FORKLESS, "run", "--metric",  "loss",     "-n", "1",
                          "x=1",    "--",  "/bin/echo", "loss=0.5", NULL};
    cr_expect_eq(sandbox_wait(sandbox_start(loud), 60), EXIT_OK, "%s", sandbox_text("err"));
    const char *at = strstr(sandbox_text("err"), said);
    cr_expect(at != NULL && strstr(at + 1, said) == NULL, "%s", sandbox_text("err"));
    cr_expect_eq(sandbox_wait(sandbox_start(argv), 60), EXIT_OK);
    cr_expect_not(sandbox_has("err", said), "%s", sandbox_text("err"));
    cr_expect_eq(RUN(60, "-n", "1", WORKER), EXIT_OK);
    cr_expect_not(sandbox_has("err", "is named after"), "%s", sandbox_text("err"));
}

static int run_without_storage(const char *setting)
{
    const char *const argv[] = {FORKLESS, "run", setting, "--study", "s", "--metric",
                                "loss",   "-n",  "1",     WORKER,    NULL};
    return sandbox_wait(sandbox_start(argv), 60);
}

Test(run, the_storage_is_that_of_the_environment_unless_the_spec_names_one)
{
    (void)setenv("OPTUNA_STORAGE", "sqlite:///optuna.db", 1);
    cr_expect_eq(run_without_storage("budget.trials=1"), EXIT_OK, "%s", sandbox_text("err"));
    cr_expect_eq(access("optuna.db", F_OK), 0);
    (void)setenv("FORKLESS_STORAGE", "sqlite:///ours.db", 1);
    cr_expect_eq(run_without_storage("budget.trials=1"), EXIT_OK, "%s", sandbox_text("err"));
    cr_expect_eq(access("ours.db", F_OK), 0);
    cr_expect_null(strstr(sandbox_text("out"), "--storage"), "%s", sandbox_text("out"));
    cr_expect_eq(run_without_storage("study.storage=sqlite:///spec.db"), EXIT_OK);
    cr_expect_eq(access("spec.db", F_OK), 0);
    cr_expect_eq(RUN(60, "-n", "1", WORKER), EXIT_OK);
    cr_expect_eq(access("s.db", F_OK), 0);
    cr_expect_eq(access("forkless.db", F_OK), -1);
}

Test(run, a_working_directory_that_is_not_there_is_refused_before_any_trial)
{
    cr_expect_eq(RUN(60, "-n", "1", "run.cwd=/no/such", WORKER), EXIT_USAGE);
    cr_expect(sandbox_has("err", "run.cwd: /no/such: No such file or directory"), "%s",
              sandbox_text("err"));
    cr_expect_eq(access("s.db", F_OK), -1);
}

Test(run, an_unused_parameter_is_noticed_once_and_quietly_not_at_all)
{
    const char *said =
        "\"event\":\"notice\",\"text\":\"note: argument 'x=float:0..1': space.x: the "
        "command has no ${x}";
    cr_assert_eq(RUN(60, "-n", "1", WORKER), EXIT_OK);
    const char *at = strstr(sandbox_text("err"), said);
    cr_expect(at != NULL && strstr(at + 1, said) == NULL, "%s", sandbox_text("err"));
    cr_assert_eq(RUN(60, "-n", "2", "-q", WORKER), EXIT_OK);
    cr_expect_str_eq(sandbox_text("err"), "");
}

Test(run, a_result_under_another_name_is_pointed_out)
{
    struct sandbox_trial t;
    cr_expect_neq(RUN(60, "-n", "1", "--retries", "0", "budget.attempts=1", "x=float:0..1", "--",
                      "/bin/echo", "accuracy=0.93"),
                  EXIT_OK);
    cr_assert_eq(sandbox_trials(&t, 1), 1);
    cr_expect_str_eq(t.message, "exit 0, but no result: expected a line loss=NUMBER on stdout; saw "
                                "accuracy=0.93: use --metric accuracy?");
}

/* The table, the end and the last line: what a person, and what a program reads first. */
Test(run, a_halted_sweep_says_why_and_what_to_do)
{
    cr_expect_eq(RUN(60, "-n", "9", "-j", "1", "x=float:0..1", "--", "/bin/sh", "-c",
                     "echo cannot read d.csv >&2; exit 3"),
                 EXIT_HALT);
    const char *out = sandbox_text("out");
    cr_expect_not_null(strstr(out, "halted: the first 4 trials all failed with class exit. "), "%s",
                       out);
    cr_expect_not_null(strstr(out, "4 of 4 failed like trial 3 (exit): exit 3; last on stderr: "
                                   "cannot read d.csv\n"),
                       "%s", out);
    cr_expect_not_null(strstr(out, " logs 3 s --stderr --storage 'sqlite:///s.db'\n"), "%s", out);
    cr_expect_not_null(strstr(out,
                              "\"failure\":{\"trials\":4,\"class\":\"exit\",\"message\":\"exit 3; "
                              "last on stderr: cannot read d.csv\",\"study\":\"s\",\"number\":3}"),
                       "%s", out);
}

Test(run, failures_that_differ_in_numbers_alone_are_one)
{
    cr_expect_eq(RUN(60, "-n", "9", "-j", "1", "x=float:0..1", "--", "/bin/echo", "acc=${x}"),
                 EXIT_HALT);
    cr_expect(sandbox_has("out", "\n4 of 4 failed like trial 3 (exit): "), "%s",
              sandbox_text("out"));
}

Test(run, the_failures_of_this_run_are_told_not_those_of_earlier_ones)
{
    cr_expect_eq(
        RUN(60, "-n", "9", "-j", "1", "flap=6", "x=float:0..1", "--", "/bin/sh", "-c", "exit 3"),
        EXIT_HALT);
    cr_expect_eq(
        RUN(60, "-n", "9", "-j", "1", "flap=2", "x=float:0..1", "--", "/bin/sh", "-c", "exit 4"),
        EXIT_HALT);
    cr_expect(sandbox_has("out", "2 of 2 failed like trial 7 (exit): exit 4\n"), "%s",
              sandbox_text("out"));
}

Test(run, a_finished_study_has_nothing_to_do_and_says_so)
{
    cr_assert_eq(RUN(60, "-n", "2", WORKER), EXIT_OK);
    cr_expect(sandbox_has("out", "proven: 2 trials are stored and were read again. "));
    cr_assert_eq(RUN(60, "-n", "2", WORKER), EXIT_OK);
    cr_expect(sandbox_has("out", "nothing to do: 2 of 2 trials are there, read again. "));
    cr_expect(sandbox_has("out", "\"message\":\"2 of 2 trials are there, read again\""));
}

Test(run, more_trials_than_are_asked_for_are_said_plainly)
{
    cr_assert_eq(RUN(60, "-n", "3", WORKER), EXIT_OK);
    cr_expect_eq(RUN(60, "-n", "1", WORKER), EXIT_OK);
    cr_expect(
        sandbox_has("out", "nothing to do: 3 trials (1 was asked for) are there, read again."),
        "%s", sandbox_text("out"));
    cr_expect_eq(RUN(60, "-n", "2", "x=float:0..2", "--", "/bin/echo", "loss=0.5"), EXIT_OK);
    cr_expect(sandbox_has("err", "3 trials (2 were asked for) are there, from a search with"), "%s",
              sandbox_text("err"));
}

/* A sweep that ran out of time is gone on with, whatever else is to be looked at. */
Test(run, a_sweep_out_of_time_with_failures_says_both_once)
{
    cr_expect_eq(RUN(60, "-n", "9", "-j", "1", "--wall", "2s", "--grace", "1s", "--retries", "0",
                     "x=float:0..1", "--", "/bin/sh", "-c",
                     "[ $FORKLESS_TRIAL = 0 ] && exit 3; sleep 600"),
                 EXIT_TIME);
    const char *out = sandbox_text("out");
    cr_expect_not_null(strstr(out, "time: out of time with 0 of 9 trials. "), "%s", out);
    const char *next = strstr(out, "\nnext:\n");
    cr_assert_not_null(next, "%s", out);
    cr_expect_not_null(strstr(next, " --state fail --storage 'sqlite:///s.db'\n  run the same "
                                    "command again to continue\n"),
                       "%s", out);
}

#define NOTICE "\"event\":\"notice\",\"text\":\"study 's' goes on: "

Test(run, what_a_study_has_from_before_is_told_at_the_start)
{
#define GO_ON(n, range) RUN(60, "-n", n, range, "--", "/bin/echo", "loss=0.5")
    cr_assert_eq(GO_ON("2", "x=float:0..1"), EXIT_OK);
    cr_expect_not(sandbox_has("err", NOTICE), "%s", sandbox_text("err"));
    cr_assert_eq(GO_ON("3", "x=float:0..1"), EXIT_OK);
    cr_expect(sandbox_has("err", NOTICE "2 of 3 trials are there\""), "%s", sandbox_text("err"));
    cr_assert_eq(GO_ON("3", "x=float:0..1"), EXIT_OK);
    cr_expect_not(sandbox_has("err", NOTICE), "%s", sandbox_text("err"));
    cr_assert_eq(GO_ON("3", "x=float:0..2"), EXIT_OK);
    cr_expect(sandbox_has("err", NOTICE "3 of 3 trials are there, from a search with another 'x': "
                                        "they count too; --study NAME starts afresh\""),
              "%s", sandbox_text("err"));
}

Test(run, a_stopped_sweep_has_no_failures_and_says_how_to_go_on)
{
    pid_t pid =
        sandbox_run((const char *const[]){"-n", "2", "-j", "1", "--grace", "1s", "x=float:0..1",
                                          "--", "/bin/sh", "-c", "touch begun; sleep 600", NULL});
    for (int i = 0; i < 6000 && sandbox_size("begun") < 0; i++)
        (void)usleep(10000);
    (void)kill(pid, SIGTERM);
    cr_expect_eq(sandbox_wait(pid, 60), EXIT_PREEMPTED);
    const char *out = sandbox_text("out");
    cr_expect_null(strstr(out, "failed tr"), "%s", out);
    cr_expect_not_null(strstr(out, "\nnext: run the same command again to continue\n"), "%s", out);
    cr_expect_not_null(strstr(out, "preempted: stopped with 0 of 2 trials. "), "%s", out);
    cr_expect_not_null(strstr(out, "0 of 2 trials; run the same command again to continue\","),
                       "%s", out);
    cr_expect_not_null(strstr(out, "\"failed\":0,\"forks\":"), "%s", out);
    cr_expect_eq(RUN(60, "-n", "2", WORKER), EXIT_OK);
    cr_expect_null(strstr(sandbox_text("out"), "failed tr"), "%s", sandbox_text("out"));
}

/* Runs `forkless COMMAND … --storage sqlite:///s.db`; its output is in `out` and `err`. */
static int read_with(const char *const *words)
{
    const char *argv[12] = {FORKLESS};
    size_t n = 1;
    for (; *words != NULL; words++)
        argv[n++] = *words;
    argv[n++] = "--storage";
    argv[n] = "sqlite:///s.db";
    return sandbox_wait(sandbox_start(argv), 30);
}

#define READ(...) read_with((const char *const[]){__VA_ARGS__, NULL})

/* The store says running; nobody runs. */
Test(run, the_death_of_the_executor_is_seen_by_status_and_logs)
{
    char dead[64];
    pid_t pid = sandbox_run((const char *const[]){"-n", "2", "-j", "1", "x=float:0..1", "--",
                                                  "/bin/sh", "-c", "echo said; sleep 600", NULL});
    cr_assert(sandbox_await("runs/s/0/stdout.log", "said", 60));
    cr_expect_eq(READ("status"), EXIT_OK);
    (void)snprintf(dead, sizeof(dead), "  alive, pid %d", (int)pid);
    cr_expect(sandbox_has("out", dead), "%s", sandbox_text("out"));
    (void)kill(pid, SIGKILL);
    cr_expect_eq(sandbox_wait(pid, 60), 1000 + SIGKILL);
    cr_expect_eq(READ("status"), EXIT_OK);
    (void)snprintf(dead, sizeof(dead), "  dead, pid %d", (int)pid);
    const char *out = sandbox_text("out");
    const char *trial = strstr(out, dead), *run = trial != NULL ? strstr(trial + 1, dead) : NULL;
    cr_expect(run != NULL, "%s", out);
    cr_expect_not_null(strstr(out, " is dead: run the same command again to continue.\n"), "%s",
                       out);
    cr_expect_eq(READ("status", "--json"), EXIT_OK);
    cr_expect(sandbox_has("out", "\"owner_state\":\"dead\""), "%s", sandbox_text("out"));
    cr_expect_eq(READ("logs", "-f", "0"), EXIT_OK);
    cr_expect_str_eq(sandbox_text("out"), "said\n");
    cr_expect(sandbox_has("err", " is dead: run its command again"), "%s", sandbox_text("err"));
    cr_expect_eq(RUN(60, "-n", "2", WORKER), EXIT_OK);
    cr_expect_eq(READ("status"), EXIT_OK);
    cr_expect_not(sandbox_has("out", "dead"), "%s", sandbox_text("out"));
}

static void write_matrix(void)
{
    FILE *f = fopen("m.yaml", "we");
    cr_assert_not_null(f);
    (void)fputs("matrix: {part: [a, b]}\n"
                "study: {name: \"m-${matrix.part}\", storage: \"sqlite:///s.db\", metric: loss}\n"
                "space: {x: {float: [0, 1]}}\n"
                "budget: {trials: 2}\n"
                "run: {command: [/bin/echo, loss=0.5]}\n",
                f);
    (void)fclose(f);
}

static int run_matrix(const char *const *more)
{
    const char *argv[12] = {FORKLESS, "run", "m.yaml"};
    for (size_t i = 3; *more != NULL; i++)
        argv[i] = *more++;
    return sandbox_wait(sandbox_start(argv), 60);
}

#define RUN_MATRIX(...) run_matrix((const char *const[]){__VA_ARGS__, NULL})

/* Four trials of one study are as many as two of each. */
Test(run, skip_if_done_asks_every_study)
{
    write_matrix();
    cr_assert_eq(RUN_MATRIX("--shard", "0/2", "budget.trials=4"), EXIT_OK, "%s",
                 sandbox_text("err"));
    cr_expect_eq(RUN_MATRIX("--skip-if-done"), EXIT_OK);
    cr_expect_eq(RUN_MATRIX("--skip-if-done"), EXIT_NOTHING);
    cr_expect_eq(RUN_MATRIX("--shard", "1/2", "--skip-if-done"), EXIT_NOTHING);
}

Test(run, only_a_store_that_fails_is_called_one)
{
    cr_expect_eq(RUN(60, "-n", "1", "--storage", "sqlite:////proc/version", WORKER), EXIT_STORE);
    cr_expect_eq(RUN(60, "-n", "1", "--dir", "/proc/forkless", WORKER), EXIT_USAGE);
    cr_expect(sandbox_has("err", "/proc/forkless"));
}

Test(run, one_that_does_not_begin_has_a_result_too)
{
    cr_expect_eq(RUN(60, "-n", "1", "--json", "--storage", "sqlite:////proc/version",
                     "report.xcom=x.json", WORKER),
                 EXIT_STORE);
    cr_expect(
        sandbox_has("out", "{\"run_id\":\"s\",\"exit\":6,\"reason\":\"store\",\"message\":\""),
        "%s", sandbox_text("out"));
    cr_expect(sandbox_has("out", "\"proven\":false,\"done\":null,\"target\":1,\"failed\":null"));
    cr_expect(sandbox_has("x.json", "\"exit\":6,\"reason\":\"store\""), "%s",
              sandbox_text("x.json"));
    cr_expect_eq(RUN(60, "-n", "1", "--json", "--dir", "/proc/forkless", WORKER), EXIT_USAGE);
    cr_expect(sandbox_has("out", "\"exit\":2,\"reason\":\"spec\",\"message\":\"make the run "),
              "%s", sandbox_text("out"));
    cr_expect_eq(RUN(60, "-n", "1", "--json", "x=flot:0..1", "--", "/bin/true"), EXIT_USAGE);
    cr_expect(sandbox_has("out", "{\"problems\":[{\"file\":"), "%s", sandbox_text("out"));
}

Test(run, a_best_value_of_infinity_is_told)
{
    cr_expect_eq(RUN(60, "-n", "1", "--json", "--direction", "maximize", "x=float:0..1", "--",
                     "/bin/echo", "loss=inf"),
                 EXIT_OK);
    cr_expect(sandbox_has("out", "\"best\":{\"number\":0,\"value\":\"inf\"}"), "%s",
              sandbox_text("out"));
    cr_expect(sandbox_has("err", "\"state\":\"COMPLETE\",\"value\":\"inf\""), "%s",
              sandbox_text("err"));
}

Test(run, a_result_that_cannot_be_written_is_no_success)
{
    const char *const argv[] = {"/bin/sh", "-c", "exec \"$@\" >/dev/full", "sh", NULL};
    sandbox_launch_with(argv);
    cr_expect_eq(RUN(60, "-n", "1", "--json", WORKER), EXIT_UNMET);
    cr_expect(sandbox_has("err", "standard output could not be written: No space left on device"));
    cr_expect_eq(sandbox_count(TRIAL_COMPLETE), 1);
}

/* --- on a terminal ------------------------------------------------------------------------------
 */

struct terminal {
    int ours, theirs;
};

static struct terminal open_terminal(void)
{
    struct terminal t = {.ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
    cr_assert(t.ours >= 0 && grantpt(t.ours) == 0 && unlockpt(t.ours) == 0);
    t.theirs = open(ptsname(t.ours), O_RDWR | O_NOCTTY | O_CLOEXEC);
    cr_assert_geq(t.theirs, 0);
    return t;
}

/* Starts it with the terminal as stderr, or as stdout. */
static pid_t start_with(const struct terminal *t, int fd, const char *const *argv)
{
    posix_spawn_file_actions_t fa;
    pid_t pid;
    (void)posix_spawn_file_actions_init(&fa);
    (void)posix_spawn_file_actions_addopen(&fa, 1, "out", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    (void)posix_spawn_file_actions_adddup2(&fa, t->theirs, fd);
    cr_assert_eq(posix_spawn(&pid, argv[0], &fa, NULL, (char *const *)(uintptr_t)argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&fa);
    return pid;
}

#define AT(t, ...)                                                                                 \
    start_with(t, 2,                                                                               \
               (const char *const[]){FORKLESS, "run", "--storage", "sqlite:///s.db", "--study",    \
                                     "s", "--metric", "loss", __VA_ARGS__, NULL})

Test(run, a_stopped_terminal_stops_no_sweep)
{
    struct terminal t = open_terminal();
    cr_assert_eq(tcflow(t.theirs, TCOOFF), 0); /* as ^S does */
    pid_t pid = AT(&t, "-n", "4", "-j", "1", "x=float:0..1", "--", "/bin/sh", "-c",
                   "sleep 0.3; echo loss=1");
    cr_expect_eq(sandbox_wait(pid, 60), EXIT_OK);
    (void)close(t.ours);
    (void)close(t.theirs);
}

/* All that was written to it; closes it. */
static const char *what_came(const struct terminal *t)
{
    static char seen[65536];
    size_t n = 0;
    (void)close(t->theirs);
    for (ssize_t k;
         n < sizeof(seen) - 1 && (k = read(t->ours, seen + n, sizeof(seen) - 1 - n)) > 0;)
        n += (size_t)k;
    seen[n] = '\0';
    (void)close(t->ours);
    return seen;
}

Test(run, a_workers_words_cannot_steer_the_terminal)
{
    struct terminal t = open_terminal();
    pid_t pid = AT(&t, "-n", "1", "--retries", "0", "budget.attempts=1", "x=float:0..1", "--",
                   "/bin/sh", "-c", "printf 'bad \\033]0;title\\007 \\302\\2332J' >&2; exit 1");
    cr_expect_neq(sandbox_wait(pid, 60), EXIT_OK);
    const char *seen = what_came(&t);
    cr_expect_not_null(strstr(seen, "bad ?]0;title? ?2J"), "%s", seen);
    cr_expect_null(strstr(seen, "\033]0;"));
}

/* Reads what comes until the text is there; what came stands in `seen`. */
static bool await_on(const struct terminal *t, const char *text, char *seen, size_t size)
{
    size_t n = strlen(seen);
    while (strstr(seen, text) == NULL && n < size - 1) {
        struct pollfd p = {.fd = t->ours, .events = POLLIN};
        ssize_t k = poll(&p, 1, 60000) > 0 ? read(t->ours, seen + n, size - 1 - n) : -1;
        if (k <= 0)
            break;
        n += (size_t)k;
        seen[n] = '\0';
    }
    return strstr(seen, text) != NULL;
}

Test(run, a_terminal_shows_that_it_is_stopping_and_what_was_cut_short)
{
    static char seen[65536];
    struct terminal t = open_terminal();
    pid_t pid = AT(&t, "-n", "2", "-j", "1", "--grace", "60s", "x=float:0..1", "--", "/bin/sh",
                   "-c", "trap '' TERM; touch begun; while :; do sleep 1; done");
    for (int i = 0; i < 6000 && sandbox_size("begun") < 0; i++)
        (void)usleep(10000);
    (void)kill(pid, SIGINT);
    cr_expect(await_on(&t, "stopping: 1 still runs · Ctrl-C again ends it now", seen, sizeof(seen)),
              "%s", seen);
    (void)kill(pid, SIGINT);
    cr_expect_eq(sandbox_wait(pid, 60), EXIT_PREEMPTED);
    (void)await_on(&t, "trial 0 preempted", seen, sizeof(seen));
    cr_expect_not_null(strstr(seen, "trial 0 preempted: stopped with the sweep"), "%s", seen);
    cr_expect_null(strstr(seen, "failed (preempted)"), "%s", seen);
    (void)close(t.ours);
    (void)close(t.theirs);
}

Test(run, logs_are_tamed_on_a_terminal_and_whole_elsewhere)
{
    const char *const argv[] = {FORKLESS, "logs", "0", "--storage", "sqlite:///s.db", NULL};
    cr_assert_eq(RUN(60, "-n", "1", "x=float:0..1", "--", "/usr/bin/printf",
                     "\033]0;t\007\t\302\2332J\nloss=1\n"),
                 EXIT_OK, "%s", sandbox_text("err"));
    cr_assert_eq(sandbox_wait(sandbox_start(argv), 20), EXIT_OK);
    cr_expect_str_eq(sandbox_text("out"), "\033]0;t\007\t\302\2332J\nloss=1\n");
    struct terminal t = open_terminal();
    cr_assert_eq(sandbox_wait(start_with(&t, 1, argv), 20), EXIT_OK);
    const char *seen = what_came(&t);
    cr_expect_null(strchr(seen, '\033'));
    cr_expect_not_null(strstr(seen, "?]0;t?"), "%s", seen);
    cr_expect_null(strstr(seen, "\302\233"));
}

/* A container with a read-only root has no /tmp to write to. */
Test(run, a_smoke_test_needs_no_temporary_directory)
{
    const char *const argv[] = {FORKLESS, "check", "--smoke", "s.yaml", NULL};
    AUTO_FCLOSE FILE *f = fopen("s.yaml", "we");
    cr_assert(
        f != NULL &&
        fputs("{run: [/bin/echo, value=0.5], budget: {trials: 1}, space: {x: {float: [0, 1]}}}",
              f) >= 0 &&
        fflush(f) == 0);
    (void)setenv("TMPDIR", "no/such/directory", 1);
    cr_expect_eq(sandbox_wait(sandbox_start(argv), 60), EXIT_OK, "%s", sandbox_text("err"));
    cr_expect(sandbox_has("out", "smoke: one trial ran"), "%s", sandbox_text("out"));
}
