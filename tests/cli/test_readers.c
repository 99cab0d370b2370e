/* The commands that read a store: their output, choices and exit codes. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/json.h"
#include "cli/cli.h"
#include "storage/storage.h"

extern char **environ;

static char dir[64], db[96], url[112];
static struct err err;

#define MUST(call) cr_assert((call) >= 0, "%s: %s", #call, err.msg)

static const struct dist lr = {.kind = DIST_FLOAT, .low = 0, .high = 1};
static struct value names[] = {{.kind = VALUE_TEXT, .s = (char *)"a,\"b\""}, {.kind = VALUE_NULL}};
static const struct dist kind = {.kind = DIST_CHOICE, .choices = names, .n_choices = 2};

/* Three ends and one that runs; times are fixed so that the output is. */
static void add_trials(struct store *s, int64_t study)
{
    const double values[] = {0.25, 0.125, INFINITY};
    const struct trial_param params[] = {{"lr", &lr, 0.5}, {"kind", &kind, 0}};
    const struct trial_attr why[] = {{"forkless:class", "\"oom\""},
                                     {"forkless:message", "\"killed\\nby \\u001b[31mkernel\""}};
    const struct trial_step step = {3, NAN};
    const int64_t t0 = 1767225600000000;
    for (int i = 0; i < 3; i++) {
        const struct trial t = {.state = TRIAL_COMPLETE,
                                .values = &values[i],
                                .n_values = 1,
                                .params = params,
                                .n_params = 2,
                                .steps = &step,
                                .n_steps = 1,
                                .start_us = t0,
                                .complete_us = t0 + 1500000};
        MUST(store_trial_create(s, study, &t, NULL, NULL, &err));
    }
    const struct trial failed = {.state = TRIAL_FAIL,
                                 .user_attrs = why,
                                 .n_user_attrs = 2,
                                 .start_us = t0,
                                 .complete_us = t0 + 1000};
    MUST(store_trial_create(s, study, &failed, NULL, NULL, &err));
    MUST(store_trial_create(s, study, NULL, NULL, NULL, &err));
}

static struct store *open_store(void)
{
    struct store *s = NULL;
    MUST(store_open(&s, db, NULL, &err));
    return s;
}

static int64_t add_study(struct store *s, const char *name)
{
    const enum direction minimize = DIRECTION_MINIMIZE;
    int64_t study = 0;
    MUST(store_study_open(s, name, &minimize, 1, &study, &err));
    return study;
}

static void setup(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/forkless-cli-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    (void)snprintf(db, sizeof(db), "%s/s.db", dir);
    (void)snprintf(url, sizeof(url), "sqlite:///%s", db);
    (void)setenv("FORKLESS_STORAGE", url, 1);
    struct store *s = open_store();
    add_trials(s, add_study(s, "one"));
    store_destroy(s);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void teardown(void)
{
    (void)nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(readers, .init = setup, .fini = teardown);

/* What a command printed on stdout or stderr, until the next one; *code is its exit code. */
static const char *run_fd(int fd, int *code, const char *const *args)
{
    static char out[65536];
    const char *argv[10] = {FORKLESS};
    posix_spawn_file_actions_t actions;
    int fds[2], status;
    pid_t pid;
    for (int i = 0; args[i] != NULL; i++)
        argv[i + 1] = args[i];
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, fds[1], fd);
    cr_assert_eq(posix_spawn(&pid, FORKLESS, &actions, NULL, (char *const *)argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(fds[1]);
    size_t n = 0;
    for (ssize_t got; (got = read(fds[0], out + n, sizeof(out) - 1 - n)) > 0;)
        n += (size_t)got;
    out[n] = '\0';
    (void)close(fds[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status));
    *code = WEXITSTATUS(status);
    return out;
}

#define RUN(...) run_fd(STDOUT_FILENO, &code, (const char *const[]){__VA_ARGS__, NULL})
#define COMPLAINT(...) run_fd(STDERR_FILENO, &code, (const char *const[]){__VA_ARGS__, NULL})

Test(readers, help_of_a_command_is_its_own_help)
{
    int code;
    char *own = strdup(RUN("trials", "--help"));
    cr_expect_str_eq(RUN("help", "trials"), own);
    cr_expect_eq(code, EXIT_OK);
    free(own);
    cr_expect_not_null(strstr(RUN("help"), "forkless COMMAND"));
    const char *said = COMPLAINT("help", "trails");
    cr_expect_eq(code, EXIT_USAGE);
    cr_expect_not_null(strstr(said, "did you mean 'trials'?"), "%s", said);
}

Test(readers, export_is_csv_as_in_a_data_frame)
{
    int code;
    const char *out = RUN("export");
    cr_expect_eq(code, EXIT_OK);
    const char *wanted =
        "number,value,datetime_start,datetime_complete,duration,params_lr,params_kind,"
        "user_attrs_forkless:class,user_attrs_forkless:message,state\n"
        "0,0.25,2026-01-01 00:00:00.000000,2026-01-01 00:00:01.500000,1.500000,0.5,"
        "\"a,\"\"b\"\"\",,,COMPLETE\n";
    cr_expect_eq(strncmp(out, wanted, strlen(wanted)), 0, "%s", out);
    cr_expect_not_null(strstr(out, "\n2,inf,"));
    cr_expect_not_null(strstr(out, ",oom,\"killed\nby "));
}

Test(readers, export_json_is_strict_and_whole)
{
    int code;
    const char *out = RUN("export", "--json", "one");
    size_t lines = 0;
    for (const char *p = out; *p != '\0'; p = strchr(p, '\n') + 1, lines++) {
        AUTO_JSON json_t *j = json_read(p, (size_t)(strchr(p, '\n') - p), &err);
        cr_assert_not_null(j, "%s", err.msg);
        cr_expect_eq(json_integer_value(json_object_get(j, "number")), (json_int_t)lines);
    }
    cr_expect_eq(lines, 5);
    cr_expect_not_null(strstr(out, "\"values\":[\"inf\"]"));
    cr_expect_not_null(strstr(out, "\"intermediate_values\":{\"3\":\"nan\"}"));
    cr_expect_not_null(strstr(out, "\"params\":{\"lr\":0.5,\"kind\":\"a,\\\"b\\\"\"}"));
}

Test(readers, trials_is_a_table_without_colours_or_control_characters)
{
    int code;
    const char *out = RUN("trials", "--state", "fail");
    cr_expect_eq(code, EXIT_OK);
    cr_expect_str_eq(out, "TRIAL  STATE  VALUE  TIME  DETAILS\n"
                          "    3  FAIL       -  1 ms  oom: killed by ?[31mkernel  \n");
    out = RUN("trials", "-n", "1");
    cr_expect_not_null(strstr(out, "\n    4  RUNNING"));
    cr_expect_null(strstr(out, "COMPLETE"));
    cr_expect_not_null(strstr(out, "4 earlier ones are not shown"));
}

Test(readers, best_ranks_and_says_when_there_is_none)
{
    int code;
    cr_expect_str_eq(RUN("best"), "trial   1\nvalue   0.125\n"
                                  "params  lr = 0.5\n        kind = a,\"b\"\n");
    const char *out = RUN("best", "-n", "9");
    const char *first = strstr(out, "0.125"), *second = strstr(out, "0.25 "),
               *third = strstr(out, "inf");
    cr_assert(first != NULL && second != NULL && third != NULL, "%s", out);
    cr_expect(first < second && second < third);
    struct store *s = open_store();
    (void)add_study(s, "empty");
    store_destroy(s);
    (void)COMPLAINT("best", "empty");
    cr_expect_eq(code, EXIT_UNMET);
}

Test(readers, a_foreign_name_or_choice_cannot_steer_the_terminal)
{
    int code;
    static struct value texts[] = {{.kind = VALUE_TEXT, .s = (char *)"\033]0;x\a\xc2\x9b"}};
    const struct dist wild = {.kind = DIST_CHOICE, .choices = texts, .n_choices = 1};
    const struct trial_param param = {"p\033c", &wild, 0};
    const double value = 1;
    const struct trial t = {
        .state = TRIAL_COMPLETE, .values = &value, .n_values = 1, .params = &param, .n_params = 1};
    struct store *s = open_store();
    MUST(store_trial_create(s, add_study(s, "bad\033c"), &t, NULL, NULL, &err));
    store_destroy(s);
    cr_expect_str_eq(RUN("best", "bad\033c"), "trial   0\nvalue   1.0\nparams  p?c = ?]0;x??\n");
    cr_expect_null(strchr(RUN("status"), '\033'));
    const char *said = COMPLAINT("best", "none-such");
    cr_expect_eq(code, EXIT_USAGE);
    said = COMPLAINT("best");
    cr_expect_not_null(strstr(said, "bad?c"), "%s", said);
    cr_expect_null(strchr(said, '\033'));
}

/* Its exit code with stdout in the file. */
static int run_into(const char *file, const char *const *args)
{
    const char *argv[10] = {FORKLESS};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    for (int i = 0; args[i] != NULL; i++)
        argv[i + 1] = args[i];
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, file, O_WRONLY, 0);
    cr_assert_eq(posix_spawn(&pid, FORKLESS, &actions, NULL, (char *const *)argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

/* The exit code with stdout closed. */
static int run_closed(const char *const *args)
{
    const char *argv[10] = {FORKLESS};
    posix_spawn_file_actions_t actions;
    int status;
    pid_t pid;
    for (int i = 0; args[i] != NULL; i++)
        argv[i + 1] = args[i];
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addclose(&actions, STDOUT_FILENO);
    cr_assert_eq(posix_spawn(&pid, FORKLESS, &actions, NULL, (char *const *)argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

#define CLOSED(...) run_closed((const char *const[]){__VA_ARGS__, NULL})

#define INTO(file, ...) run_into(file, (const char *const[]){__VA_ARGS__, NULL})

Test(readers, output_that_cannot_be_written_is_no_success)
{
    cr_expect_eq(INTO("/dev/full", "status"), EXIT_UNMET);
    cr_expect_eq(INTO("/dev/full", "best"), EXIT_UNMET);
    cr_expect_eq(INTO("/dev/full", "export"), EXIT_UNMET);
    cr_expect_eq(INTO("/dev/full", "--version"), EXIT_UNMET);
    cr_expect_eq(INTO("/dev/full", "best", "none-such"), EXIT_USAGE);
    cr_expect_eq(INTO("/dev/null", "status"), EXIT_OK);
    cr_expect_eq(CLOSED("status"), EXIT_UNMET);
    cr_expect_eq(CLOSED("trials"), EXIT_UNMET);
    cr_expect_eq(CLOSED("best"), EXIT_UNMET);
    cr_expect_eq(CLOSED("export"), EXIT_UNMET);
    cr_expect_eq(CLOSED("logs", "0"), EXIT_USAGE); /* its trials were not run by forkless */
    cr_expect_eq(CLOSED("--help"), EXIT_UNMET);
    cr_expect_eq(CLOSED("run", "--help"), EXIT_UNMET);
    cr_expect_eq(CLOSED("--version"), EXIT_UNMET);
}

Test(readers, a_reader_that_goes_away_is_no_mistake)
{
    const char *const argv[] = {FORKLESS, "export", NULL};
    posix_spawn_file_actions_t actions;
    char said[64] = "";
    int out[2], complaints[2], status;
    pid_t pid;
    (void)signal(SIGPIPE, SIG_IGN); /* inherited: else the signal would end it */
    cr_assert(pipe2(out, O_CLOEXEC) == 0 && pipe2(complaints, O_CLOEXEC) == 0);
    (void)close(out[0]);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, complaints[1], STDERR_FILENO);
    cr_assert_eq(posix_spawn(&pid, FORKLESS, &actions, NULL, (char *const *)argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(out[1]);
    (void)close(complaints[1]);
    cr_expect_eq(read(complaints[0], said, sizeof(said) - 1), 0, "%s", said);
    (void)close(complaints[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OK);
}

Test(readers, a_password_in_a_url_is_not_printed)
{
    int code;
    const char *said = COMPLAINT("status", "--storage", "sqlite://u:hunter2@h/x");
    cr_expect_eq(code, EXIT_USAGE);
    cr_expect_not_null(strstr(said, "u:***@h"), "%s", said);
    cr_expect_null(strstr(said, "hunter2"), "%s", said);
}

Test(readers, status_tells_studies_running_trials_and_runs)
{
    int code;
    struct store *s = open_store();
    const struct store_run run = {.run_id = "r1", .config = "{}"};
    const char *const interrupted[] = {"\"lost\"", "\"preempted\""};
    int64_t study = 0;
    MUST(store_study_find(s, "one", &study, &err));
    for (size_t i = 0; i < ARRAY_LEN(interrupted); i++) {
        const struct trial_attr why = {"forkless:class", interrupted[i]};
        const struct trial t = {.state = TRIAL_FAIL, .user_attrs = &why, .n_user_attrs = 1};
        MUST(store_trial_create(s, study, &t, NULL, NULL, &err));
    }
    MUST(store_run_start(s, &run, &err));
    const char *out = RUN("status"); /* while another process has the store open */
    cr_expect_eq(code, EXIT_OK);
    cr_expect_not_null(
        strstr(
            out,
            "one    minimize         1         3       0     1            2        0  0.125 (#1)"),
        "%s", out);
    cr_expect_not_null(strstr(out, "RUNNING IN"));
    cr_expect_not_null(strstr(out, "r1   running"));
    out = RUN("status", "--json");
    AUTO_JSON json_t *j = json_read(out, strlen(out), &err);
    cr_assert_not_null(j, "%s: %s", err.msg, out);
    json_t *one = json_array_get(json_object_get(j, "studies"), 0);
    cr_expect_eq(json_integer_value(json_object_get(one, "complete")), 3);
    cr_expect_eq(json_integer_value(json_object_get(one, "fail")), 3);
    cr_expect_eq(json_integer_value(json_object_get(one, "interrupted")), 2);
    cr_expect_eq(json_array_size(json_object_get(one, "running_trials")), 1);
    cr_expect_eq(json_array_size(json_object_get(j, "runs")), 1);
    store_destroy(s);
}

Test(readers, reads_while_a_writer_holds_the_lock)
{
    int code;
    struct store *s = open_store();
    MUST(store_begin(s, &err));
    (void)RUN("trials");
    cr_expect_eq(code, EXIT_OK);
    store_rollback(s);
    store_destroy(s);
}

static void write_log(const char *name, const char *text)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/4", dir);
    (void)mkdir(path, 0755);
    (void)snprintf(path, sizeof(path), "%s/4/%s", dir, name);
    FILE *f = fopen(path, "we");
    cr_assert_not_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

Test(readers, logs_come_from_the_run_directory_older_part_first)
{
    int code;
    char json[80];
    const char *said = COMPLAINT("logs", "4");
    cr_expect_eq(code, EXIT_USAGE);
    cr_expect_not_null(strstr(said, "no run directory"));
    struct store *s = open_store();
    (void)snprintf(json, sizeof(json), "\"%s\"", dir);
    MUST(store_study_attr_set(s, add_study(s, "one"), ATTR_USER, "forkless:dir", json, &err));
    store_destroy(s);
    cr_expect_str_eq(RUN("logs", "4"), ""); /* nothing printed yet is no mistake */
    cr_expect_eq(code, EXIT_OK);
    write_log("stdout.log", "");
    cr_expect_not_null(strstr(COMPLAINT("logs", "4"), "has printed nothing there"));
    write_log("stderr.log", "oops\n");
    cr_expect_str_eq(RUN("logs", "4"), "oops\n"); /* what a silent stdout hides */
    cr_expect_not_null(strstr(COMPLAINT("logs", "4"), "nothing on stdout; this is its stderr"));
    write_log("stdout.log.1", "first\n");
    write_log("stdout.log", "second\n");
    cr_expect_str_eq(RUN("logs", "4"), "first\nsecond\n");
    cr_expect(strstr(COMPLAINT("logs", "4"), "is gone") == NULL);
    write_log("stdout.log.gone", "5000\n");
    cr_expect_not_null(
        strstr(COMPLAINT("logs", "4"), "beginning of this output is gone, 5000 bytes"));
    cr_expect_str_eq(RUN("logs", "--stderr", "4", "one"), "oops\n");
    (void)COMPLAINT("logs", "99");
    cr_expect_eq(code, EXIT_USAGE);
    (void)COMPLAINT("logs", "four");
    cr_expect_eq(code, EXIT_USAGE);
}

Test(readers, logs_follow_until_the_trial_ends, .timeout = 30)
{
    int code;
    char json[80];
    int64_t trial;
    struct store *s = open_store();
    int64_t study = add_study(s, "one");
    (void)snprintf(json, sizeof(json), "\"%s\"", dir);
    MUST(store_study_attr_set(s, study, ATTR_USER, "forkless:dir", json, &err));
    MUST(store_trial_find(s, study, 4, &trial, &err));
    const char *const argv[] = {FORKLESS, "logs", "-f", "4", NULL};
    posix_spawn_file_actions_t actions;
    int fds[2];
    pid_t pid;
    char got[64] = "";
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    cr_assert_eq(posix_spawn(&pid, FORKLESS, &actions, NULL, (char *const *)argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(fds[1]);
    write_log("stdout.log", "live\n"); /* made after it started to look */
    cr_assert_eq(read(fds[0], got, sizeof(got) - 1), 5);
    cr_expect_str_eq(got, "live\n");
    MUST(store_trial_finish(s, trial, TRIAL_FAIL, NULL, 0, &err));
    cr_expect_eq(read(fds[0], got, sizeof(got)), 0); /* it ends by itself */
    cr_assert_eq(waitpid(pid, &code, 0), pid);
    cr_expect_eq(code, 0);
    (void)close(fds[0]);
    store_destroy(s);
}

Test(readers, a_study_is_chosen_by_name_or_because_it_is_the_only_one)
{
    int code;
    struct store *s = open_store();
    (void)add_study(s, "lr-sweep");
    store_destroy(s);
    const char *said = COMPLAINT("trials");
    cr_expect_eq(code, EXIT_USAGE);
    cr_expect_not_null(strstr(said, "2 studies, name one: one, lr-sweep"), "%s", said);
    said = COMPLAINT("best", "lr-swep");
    cr_expect_eq(code, EXIT_USAGE);
    cr_expect_not_null(strstr(said, "did you mean 'lr-sweep'?"), "%s", said);
}

Test(readers, a_store_that_is_missing_or_foreign_says_so)
{
    int code;
    const char *said = COMPLAINT("status", "--storage", "/tmp/forkless-no-such-file.db");
    cr_expect_eq(code, EXIT_USAGE);
    cr_expect_not_null(strstr(said, "--storage"));
    cr_expect_neq(access("/tmp/forkless-no-such-file.db", F_OK), 0);
    (void)COMPLAINT("status", "--storage", FORKLESS); /* a file, but no database */
    cr_expect_eq(code, EXIT_USAGE);
}

Test(readers, a_study_that_is_not_there_is_not_copied_and_no_store_is_made_for_it)
{
    char to[96];
    int code;
    (void)snprintf(to, sizeof(to), "%s/new.db", dir);
    const char *said = COMPLAINT("db", "copy", "--study", "one", "--study", "nope", db, to);
    cr_expect_eq(code, EXIT_USAGE);
    cr_expect_not_null(strstr(said, db), "%s", said);
    cr_expect_not_null(strstr(said, "no study 'nope'"), "%s", said);
    cr_expect_null(strstr(said, to), "%s", said);
    cr_expect_neq(access(to, F_OK), 0, "a store was made");
    (void)RUN("db", "copy", "--study", "one", db, to);
    cr_expect_eq(code, EXIT_OK);
    said = COMPLAINT("db", "copy", db, to); /* it is there by now */
    cr_expect_eq(code, EXIT_USAGE);
    cr_expect(strstr(said, db) != NULL && strstr(said, to) != NULL, "%s", said);
}

Test(readers, a_copy_that_fails_leaves_no_empty_store)
{
    char to[96];
    int code;
    (void)snprintf(to, sizeof(to), "%s/new.db", dir);
    struct store *s = open_store();
    MUST(store_trial_create(s, add_study(s, "two"), NULL, NULL, NULL, &err));
    store_destroy(s);
    sqlite3 *harm = NULL;
    cr_assert_eq(sqlite3_open(db, &harm), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(harm,
                              "DROP TRIGGER forkless_trial_once; UPDATE trials SET state='?'"
                              " WHERE trial_id=(SELECT max(trial_id) FROM trials)",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    (void)sqlite3_close(harm);
    const char *said = COMPLAINT("db", "copy", db, to);
    cr_expect_eq(code, EXIT_STORE);
    cr_expect_not_null(strstr(said, "study 'two'"), "%s", said);
    cr_expect_neq(access(to, F_OK), 0, "an empty store was left");
    said = COMPLAINT("db", "copy", "--study", "one", db, "memory:");
    cr_expect_eq(code, EXIT_USAGE);
    cr_expect_not_null(strstr(said, "gone when this command ends"), "%s", said);
}

Test(readers, a_copy_says_what_came_along_and_what_stayed)
{
    char to[96];
    int code;
    (void)snprintf(to, sizeof(to), "%s/new.db", dir);
    (void)RUN("config", "set", "--storage", db, "CVN_FOCAL_GAMMA=3.0");
    cr_expect_eq(code, EXIT_OK);
    const char *said = RUN("db", "copy", "--study", "one", db, to);
    cr_expect_not_null(strstr(said, "\nleft behind: 1 row of ftf_config: it is the whole store's"),
                       "%s", said);
    (void)unlink(to);
    said = RUN("db", "copy", "--json", db, to);
    cr_expect_not_null(strstr(said, "\"ftf_config\":1,\"ftf_config_history\":2},\"left\":[]}"),
                       "%s", said);
}
