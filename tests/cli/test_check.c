/* What `forkless check` prints, and how it ends. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli.h"

static char dir[] = "/tmp/forkless-check-XXXXXX";

static void setup(void)
{
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(chdir(dir), 0);
    cr_redirect_stdout();
    cr_redirect_stderr();
}

static void teardown(void)
{
    (void)unlink("t.yaml");
    (void)chdir("/");
    (void)rmdir(dir);
}

TestSuite(check, .init = setup, .fini = teardown);

static int check(const char *spec, const char *const *words)
{
    char *argv[16] = {"check"};
    int argc = 1;
    AUTO_FCLOSE FILE *f = fopen("t.yaml", "we");
    cr_assert(f != NULL && fputs(spec, f) >= 0 && fflush(f) == 0);
    for (; *words != NULL; words++)
        argv[argc++] = (char *)*words;
    int code = check_main(argc, argv);
    (void)fflush(stderr);
    return code;
}

static void read_all(FILE *f, char *out, size_t size)
{
    out[fread(out, 1, size - 1, f)] = '\0';
}

static const char good[] =
    "run: [train, '--lr=${lr}', 'a b']\nbudget: {trials: 5}\n"
    "study: {storage: 'postgresql://me:secret@db/x'}\nspace: {lr: {int: [3, 3]}}\n";

Test(check, a_good_spec_is_explained)
{
    char out[8000];
    cr_expect_eq(check(good, (const char *[]){"t.yaml", "-p", "2", NULL}), EXIT_OK);
    read_all(cr_get_redirected_stdout(), out, sizeof(out));
    cr_expect(strncmp(out, "t.yaml: good\n", 13) == 0);
    cr_expect_not_null(strstr(out, "5 finished trials, at most 20 attempts"));
    cr_expect_not_null(strstr(out, "postgresql://me:***@db/x"));
    cr_expect_null(strstr(out, "secret"));
    cr_expect_not_null(
        strstr(out, "  0    {\"lr\":3}\n       train --lr=3 'a b'\n  1    {\"lr\":3}\n"));
    cr_expect_null(strstr(out, "\033"), "no colours outside a terminal");
}

Test(check, what_a_failed_trial_is_run_again_with_is_explained)
{
    char out[8000];
    const char *spec = "run: [train, '${args}']\nbudget: {trials: 5}\n"
                       "space: {g: {float: [0, 5]}, loss: focal}\n"
                       "fallback:\n- {on: [hessian, overflow], set: {g: -1.0}, times: 3}\n"
                       "- {on: hessian, set: {loss: logistic}, mark: rolled_back}\n";
    cr_expect_eq(check(spec, (const char *[]){"t.yaml", NULL}), EXIT_OK);
    read_all(cr_get_redirected_stdout(), out, sizeof(out));
    cr_expect_not_null(strstr(out, "fallback  hessian, overflow: g -1, 3 times\n"
                                   "          hessian: loss logistic, marked rolled_back\n"),
                       "%s", out);
}

Test(check, json_has_patterns_and_fallbacks)
{
    char out[8000];
    const char *spec = "run: [train, '${args}']\nbudget: {trials: 5}\n"
                       "space: {g: {float: [0, 5]}, loss: focal}\nclassify: {nan: 'not a number'}\n"
                       "fallback:\n- {on: [hessian, overflow], set: {g: -1.0}, times: 3}\n"
                       "- {on: hessian, set: {loss: logistic, g: 0}, mark: rolled_back}\n";
    cr_expect_eq(check(spec, (const char *[]){"t.yaml", "--json", NULL}), EXIT_OK);
    read_all(cr_get_redirected_stdout(), out, sizeof(out));
    AUTO_JSON json_t *j = json_read(out, strlen(out), NULL);
    cr_assert_not_null(j, "%s", out);
    const char *want =
        "\"classify\":[{\"class\":\"nan\",\"pattern\":\"not a number\"}],\"fallback\":["
        "{\"on\":[\"hessian\",\"overflow\"],\"add\":{\"g\":-1.0},\"set\":{},\"times\":3,"
        "\"rolled_back\":false},{\"on\":[\"hessian\"],\"add\":{},\"set\":{\"loss\":"
        "\"logistic\",\"g\":0.0},\"times\":1,\"rolled_back\":true}]";
    cr_expect_not_null(strstr(out, want), "%s", out);
}

Test(check, json_lists_what_is_wrong_with_its_place)
{
    char out[8000];
    const char *bad = "run: [train]\nbudget: {trials: 5}\nspace:\n  lr: {flaot: [0, 1]}\n"
                      "  m: {int: [3, 1]}\n";
    cr_expect_eq(check(bad, (const char *[]){"t.yaml", "--json", NULL}), EXIT_USAGE);
    (void)fflush(stdout);
    read_all(cr_get_redirected_stdout(), out, sizeof(out));
    AUTO_JSON json_t *j = json_read(out, strlen(out), NULL);
    cr_assert_not_null(j, "%s", out);
    json_t *list = json_object_get(j, "problems"), *first = json_array_get(list, 0);
    cr_expect_eq(json_array_size(list), 2, "%s", out);
    cr_expect_str_eq(json_string_value(json_object_get(first, "file")), "t.yaml");
    cr_expect_eq(json_integer_value(json_object_get(first, "line")), 4);
    cr_expect_eq(json_integer_value(json_object_get(first, "column")), 8);
    cr_expect_str_eq(json_string_value(json_object_get(first, "message")),
                     "space.lr.flaot: unknown key 'flaot', did you mean 'float'?");
}

Test(check, json_has_no_place_for_what_stands_in_no_file)
{
    char out[8000];
    cr_expect_eq(check(good, (const char *[]){"missing.yaml", "--json", NULL}), EXIT_USAGE);
    (void)fflush(stdout);
    read_all(cr_get_redirected_stdout(), out, sizeof(out));
    cr_expect_str_eq(out, "{\"problems\":[{\"file\":\"missing.yaml\",\"line\":null,\"column\":null,"
                          "\"message\":\"no such file\"}]}\n");
}

/* As who has just cloned the repository types it: the data that they name is there too. */
Test(check, every_example_passes_from_the_root_of_the_repository)
{
    static const char *const specs[] = {"examples/demo.yaml", "examples/local.yaml",
                                        "examples/matrix.yaml", "examples/ftf/sweep.yaml"};
    char out[2000];
    cr_assert_eq(chdir(SOURCE_DIR), 0);
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        int code = check_main(2, (char *[]){"check", (char *)specs[i], NULL});
        if (code != EXIT_OK)
            read_all(cr_get_redirected_stderr(), out, sizeof(out));
        cr_expect_eq(code, EXIT_OK, "%s", out);
    }
    cr_assert_eq(chdir(dir), 0);
}

Test(check, json_is_one_object)
{
    char out[8000];
    cr_expect_eq(check(good, (const char *[]){"t.yaml", "--json", "-n", "7", NULL}), EXIT_OK);
    read_all(cr_get_redirected_stdout(), out, sizeof(out));
    AUTO_JSON json_t *j = json_read(out, strlen(out), NULL);
    cr_assert_not_null(j);
    json_t *study = json_array_get(json_object_get(j, "studies"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(study, "study")), "t");
    cr_expect_str_eq(json_string_value(json_object_get(study, "storage")),
                     "postgresql://me:***@db/x");
    cr_expect_eq(json_integer_value(json_object_get(json_object_get(study, "budget"), "trials")),
                 7);
    json_t *trial = json_array_get(json_object_get(j, "preview"), 2);
    cr_expect_str_eq(json_string_value(json_array_get(json_object_get(trial, "argv"), 1)),
                     "--lr=3");
    cr_expect_eq(json_array_size(json_object_get(j, "preview")), 3);
}

Test(check, every_mistake_gets_a_line_and_the_code_is_2)
{
    char out[4000];
    cr_expect_eq(check("run: [x]\nbudgte: {trials: 5}\nwatch: {stall: x}\n",
                       (const char *[]){"t.yaml", NULL}),
                 EXIT_USAGE);
    read_all(cr_get_redirected_stderr(), out, sizeof(out));
    cr_expect_str_eq(out,
                     "forkless: t.yaml:2:1: budgte: unknown key 'budgte', did you mean 'budget'?\n"
                     "forkless: t.yaml:3:16: watch.stall: expected a duration like 90s, 5m or 2h "
                     "(a bare number is "
                     "seconds), or 'off', found 'x'\n"
                     "forkless: t.yaml:1:1: budget: missing: expected {trials: 50}, {complete: 50} "
                     "or a time limit "
                     "{wall: 2h}\n");
}

Test(check, the_xgboost_workers_parameters_are_known)
{
    char out[4000];
    cr_expect_eq(check("run: {builtin: xgboost, data: d.csv, label: y}\nbudget: {trials: 1}\n"
                       "space: {etaa: {float: [0, 1]}}\n",
                       (const char *[]){"t.yaml", NULL}),
                 EXIT_USAGE);
    read_all(cr_get_redirected_stderr(), out, sizeof(out));
    cr_expect_not_null(strstr(out, "did you mean 'eta'?"), "%s", out);
}

/* The complaint about a spec with these keys of run. */
static const char *data_fault(const char *keys)
{
    static char out[4000];
    char text[400];
    (void)snprintf(text, sizeof(text), "run: {builtin: xgboost, %s}\nbudget: {trials: 1}\n", keys);
    cr_expect_eq(check(text, (const char *[]){"t.yaml", NULL}), EXIT_USAGE);
    read_all(cr_get_redirected_stderr(), out, sizeof(out));
    return out;
}

Test(check, the_data_of_xgboost_must_be_there_with_its_columns)
{
    AUTO_FCLOSE FILE *f = fopen("d.csv", "we");
    cr_assert(f != NULL && fputs("age,\"a, b\",late\n1,x,0\n", f) >= 0 && fflush(f) == 0);
    cr_expect_str_eq(data_fault("data: none.csv, label: y"),
                     "forkless: t.yaml: run: none.csv: No such file or directory\n");
    cr_expect_str_eq(data_fault("data: ., label: y"),
                     "forkless: t.yaml: run: . is not a regular file\n");
    cr_expect_str_eq(data_fault("data: d.csv, label: lat"),
                     "forkless: t.yaml: run: d.csv has no column 'lat' (label): did you mean "
                     "'late'?\n");
    cr_expect_str_eq(data_fault("data: d.csv, label: late, categorical: [b]"),
                     "forkless: t.yaml: run: d.csv has no column 'b' (categorical): its 3 columns "
                     "begin with 'age'\n");
    cr_assert(mkdir("sub", 0700) == 0 && rename("d.csv", "sub/d.csv") == 0);
    const char text[] = "run: {builtin: xgboost, data: d.csv, cwd: sub, label: late, categorical: "
                        "['a, b']}\nbudget: {trials: 1}\n";
    cr_expect_eq(check(text, (const char *[]){"t.yaml", NULL}), EXIT_OK);
    (void)unlink("sub/d.csv");
    (void)rmdir("sub");
}

Test(check, what_a_spec_needs_lies_beside_it)
{
    cr_assert_eq(mkdir("sub", 0700), 0);
    AUTO_FCLOSE FILE *data = fopen("sub/d.csv", "we"), *spec = fopen("sub/t.yaml", "we");
    cr_assert(data != NULL && fputs("age,late\n1,0\n", data) >= 0 && fflush(data) == 0);
    cr_assert(spec != NULL &&
              fputs("run: {builtin: xgboost, data: d.csv, label: late}\nbudget: {trials: 1}\n",
                    spec) >= 0 &&
              fflush(spec) == 0);
    char out[4000];
    cr_expect_eq(check("", (const char *[]){"sub/t.yaml", NULL}), EXIT_OK);
    read_all(cr_get_redirected_stdout(), out, sizeof(out));
    cr_expect_not_null(strstr(out, "\n  data               sub/d.csv\n  label              late\n"),
                       "%s", out);
    cr_expect_eq(check("", (const char *[]){"sub/t.yaml", "run.cwd=sub", NULL}), EXIT_OK);
    cr_expect_eq(check("", (const char *[]){"sub/t.yaml", "run.data=sub/d.csv", NULL}), EXIT_OK);
    cr_expect_eq(check("", (const char *[]){"sub/t.yaml", "run.data=d.csv", NULL}), EXIT_USAGE);
    (void)unlink("sub/d.csv");
    (void)unlink("sub/t.yaml");
    (void)rmdir("sub");
}

Test(check, no_file_is_needed_for_a_command)
{
    char out[8000];
    cr_expect_eq(
        check("", (const char *[]){"-n", "5", "lr=int:2..2", "--", "sub/w.py", "${args}", NULL}),
        EXIT_OK);
    read_all(cr_get_redirected_stdout(), out, sizeof(out));
    cr_expect(strncmp(out, "command line: good\n", 19) == 0);
    cr_expect_not_null(strstr(out, "sub/w.py --lr=2\n"));
}

Test(check, nothing_at_all_is_a_usage_error)
{
    cr_expect_eq(check("", (const char *[]){NULL}), EXIT_USAGE);
    cr_expect_eq(check("", (const char *[]){"t.yaml", "--jobbs", "3", NULL}), EXIT_USAGE);
}

Test(check, a_working_directory_that_is_not_there_is_refused)
{
    char said[2000];
    cr_expect_eq(check("run: {command: [train], cwd: /no/such}\nbudget: {trials: 5}\n",
                       (const char *[]){"t.yaml", NULL}),
                 EXIT_USAGE);
    read_all(cr_get_redirected_stderr(), said, sizeof(said));
    cr_expect(strstr(said, "t.yaml: run.cwd: /no/such: No such file or directory") != NULL, "%s",
              said);
}
