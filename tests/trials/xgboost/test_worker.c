/* The real program under a real socket: the test is its executor. */
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/trials/xgboost/program.h"

TestSuite(worker, .init = setup, .fini = teardown, .timeout = 100);
TestSuite(by_hand, .init = setup, .fini = teardown, .timeout = 100);

Test(worker, reports_rows_and_a_result_that_is_the_mean_of_the_folds)
{
    start(BINARY ",\"report_every\":15}", "{\"eta\":0.1,\"max_depth\":3}");
    struct heard h = listen_to_trial(0);
    cr_expect_str_eq(h.end, "result");
    cr_assert_eq(h.n_reports, 3);
    cr_expect(h.steps[0] == 15 && h.steps[1] == 30 && h.steps[2] == 40);
    cr_assert_eq(json_array_size(h.rows), 3);
    double mean = 0;
    for (size_t i = 0; i < 3; i++) {
        const json_t *row = json_array_get(h.rows, i);
        mean += json_number_value(json_object_get(json_object_get(row, "metrics"), "auc")) / 3;
        cr_expect_eq(json_integer_value(json_object_get(row, "fold")), (json_int_t)i + 1);
        cr_expect_str_eq(json_string_value(json_object_get(row, "variant")), "binary:logistic");
        cr_expect_gt(json_integer_value(json_object_get(row, "buy_trades")), 10);
    }
    cr_expect_float_eq(h.value, mean, 1e-12);
    cr_expect_float_eq(h.value, h.reported[2], 1e-12);
    cr_expect_gt(h.value, 0.7);
    cr_expect_eq(json_integer_value(json_object_get(h.attrs, "rows")), 600);
    cr_expect_eq(json_integer_value(json_object_get(h.attrs, "features")), 3);
    cr_expect_eq(json_integer_value(json_array_get(json_object_get(h.attrs, "best_iteration"), 2)),
                 39);
    cr_expect_eq(access("trial/model.ubj", R_OK), 0);
    forget(&h);
    expect_stop();
}

Test(worker, stops_when_pruned_and_goes_on_with_the_next_trial)
{
    start(BINARY "}", "{\"eta\":0.1}");
    struct heard h = listen_to_trial(2);
    cr_expect_str_eq(h.end, "pruned");
    cr_expect_eq(h.n_reports, 2);
    cr_expect_eq(access("trial/model.ubj", R_OK), -1);
    forget(&h);
    say("{\"op\":\"trial\",\"number\":1,\"trial_id\":2,\"params\":{\"eta\":0.2},\"seed\":9,\"dir\":"
        "\"trial\"}\n");
    h = listen_to_trial(0);
    cr_expect_str_eq(h.end, "result");
    forget(&h);
    expect_stop();
}

Test(worker, tells_what_is_wrong_with_parameters_and_lives)
{
    start(BINARY "}", "{\"max_dept\":3}");
    struct heard h = listen_to_trial(0);
    cr_expect_str_eq(h.end, "fail");
    cr_expect_str_eq(json_string_value(json_object_get(h.last, "class")), "bad_data");
    cr_expect_str_eq(json_string_value(json_object_get(h.last, "message")),
                     "XGBoost has no parameter 'max_dept': did you mean 'max_depth'?");
    forget(&h);
    say("{\"op\":\"trial\",\"params\":{\"max_depth\":-3},\"seed\":1,\"dir\":\"trial\"}\n");
    h = listen_to_trial(0);
    cr_expect_str_eq(h.end, "fail");
    cr_expect_not_null(strstr(json_string_value(json_object_get(h.last, "message")), "max_depth"));
    forget(&h);
    expect_stop();
}

Test(worker, data_that_cannot_be_read_fails_the_trial_and_ends_with_2)
{
    start("{\"data\":\"none.csv\",\"label\":\"y\"}", "{}");
    struct heard h = listen_to_trial(0);
    cr_expect_str_eq(h.end, "fail");
    cr_expect_str_eq(json_string_value(json_object_get(h.last, "message")),
                     "none.csv: No such file or directory");
    forget(&h);
    (void)fclose(in);
    int status = exit_status();
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 2);
}

Test(worker, a_metric_beyond_every_number_is_an_overflow)
{
    /* a leaf as large as a float can hold: the squared error overflows to infinity */
    start("{" COMMON
          "\"label\":\"z\",\"drop\":[\"y\",\"k\"],\"objective\":\"reg:squarederror\",\"rounds\":5}",
          "{\"eta\":1e38,\"lambda\":0}");
    struct heard h = listen_to_trial(0);
    cr_expect_str_eq(h.end, "fail");
    cr_expect_str_eq(json_string_value(json_object_get(h.last, "class")), "overflow");
    forget(&h);
    expect_stop();
}

Test(worker, a_ranking_of_predictions_that_are_no_numbers_is_no_result)
{
    /* leaves of plus and minus infinity: XGBoost predicts NaN, which an AUC would rank all the same
     */
    start("{" COMMON "\"label\":\"y\",\"drop\":[\"z\",\"k\"],\"rounds\":10}",
          "{\"eta\":3e38,\"lambda\":0}");
    struct heard h = listen_to_trial(0);
    cr_expect_str_eq(h.end, "fail");
    cr_expect_str_eq(json_string_value(json_object_get(h.last, "class")), "nan");
    forget(&h);
    expect_stop();
}

Test(worker, ends_quickly_when_the_executor_is_gone)
{
    start(BINARY "}", "{\"eta\":0.1}");
    json_t *m = hear();
    cr_expect_str_eq(op_of(m), "report");
    json_decref(m);
    (void)fclose(in);
    int status = exit_status();
    cr_expect(WIFEXITED(status));
}

Test(worker, sigterm_ends_it_in_the_midst_of_training)
{
    start("{" COMMON
          "\"label\":\"y\",\"drop\":[\"k\",\"z\"],\"rounds\":1000000,\"report_every\":100}",
          "{\"eta\":0.001}");
    json_t *m = hear();
    json_decref(m);
    say("{\"prune\":false}\n");
    cr_assert_eq(kill(pid, SIGTERM), 0);
    int status = exit_status();
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static long resident_kib(void)
{
    char path[64], line[128];
    long kib = -1;
    (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        (void)sscanf(line, "VmRSS: %ld", &kib);
    (void)fclose(f);
    return kib;
}

Test(worker, a_reused_one_repeats_itself_and_does_not_grow)
{
    start(BINARY ",\"early_stop\":5}", "{\"eta\":0.3,\"objective\":\"focal\"}");
    double first = NAN;
    long early = 0;
    for (int i = 0; i < 60; i++) {
        struct heard h = listen_to_trial(0);
        cr_assert_str_eq(h.end, "result");
        first = i == 0 ? h.value : first;
        cr_assert_eq(h.value, first, "trial %d", i);
        forget(&h);
        early = i == 20 ? resident_kib() : early;
        if (i < 59)
            say("{\"op\":\"trial\",\"params\":{\"eta\":0.3,\"objective\":\"focal\"},\"seed\":5,"
                "\"dir\":\"trial\"}\n");
    }
#ifndef __SANITIZE_ADDRESS__ /* which keeps freed memory for a while */
    cr_expect_lt(resident_kib() - early, 512);
#endif
    expect_stop();
}

Test(worker, early_stopping_keeps_each_folds_best_round)
{
    start(BINARY ",\"early_stop\":5}", "{\"eta\":0.5,\"rounds\":200}");
    struct heard h = listen_to_trial(0);
    cr_assert_str_eq(h.end, "result");
    cr_expect_lt(h.n_reports, 10);
    const json_t *best = json_object_get(h.attrs, "best_iteration");
    for (size_t i = 0; i < 3; i++)
        cr_expect_lt(json_integer_value(json_array_get(best, i)), 60);
    cr_expect_float_eq(h.value, h.reported[h.n_reports - 1], 1e-12);
    forget(&h);
    expect_stop();
}

/* ---- without a channel ---- */

/* Standard output of a command of the program; *status its exit code. */
static const char *output(const char *arguments, int *status)
{
    static char text[8192];
    char command[512];
    (void)unsetenv("FORKLESS_FD");
    (void)snprintf(command, sizeof(command), "{ %s %s; } 2>stderr.txt", XGB_WORKER, arguments);
    FILE *p = popen(command, "re");
    cr_assert_not_null(p);
    text[fread(text, 1, sizeof(text) - 1, p)] = '\0';
    *status = WEXITSTATUS(pclose(p));
    return text;
}

static void expect_complaint(const char *want)
{
    char line[512] = "";
    FILE *f = fopen("stderr.txt", "re");
    cr_assert_not_null(f);
    cr_expect_not_null(fgets(line, sizeof(line), f));
    (void)fclose(f);
    cr_expect_str_eq(line, want);
}

Test(by_hand, prints_metrics_with_the_objective_first)
{
    int status;
    write_text("run.json", BINARY ",\"metric\":\"f1\",\"fixed\":{\"eval_metric\":\"error@0.3\"}}");
    const char *out = output("--config run.json --param eta=0.1 --param max_depth=3", &status);
    cr_expect_eq(status, 0);
    cr_expect_eq(strncmp(out, "f1=0.", 5), 0, "%s", out);
    cr_expect_not_null(strstr(out, "\nauc=0."));
    cr_expect_not_null(strstr(out, "\nerror@0.3=0."));
}

Test(by_hand, trains_every_kind_of_folds_and_objective)
{
    static const char *const configs[] = {
        "{" COMMON "\"label\":\"k\",\"drop\":[\"y\",\"z\"],\"objective\":\"multi:softmax\","
        "\"folds\":{\"kfold\":3},"
        "\"rounds\":10}",
        "{" COMMON
        "\"label\":\"z\",\"drop\":[\"y\",\"k\"],\"objective\":\"reg:absoluteerror\",\"folds\":"
        "{\"kfold\":3,\"shuffle\":true},\"rounds\":10,\"metric\":\"r2\",\"early_stop\":3}",
        "{" COMMON
        "\"label\":\"z\",\"drop\":[\"y\",\"k\"],\"objective\":\"reg:squarederror\",\"rounds\":10,"
        "\"metric\":\"mphe\",\"fixed\":{\"booster\":\"gblinear\"}}",
        "{" COMMON "\"label\":\"y\",\"drop\":[\"z\",\"k\"],\"objective\":\"focal\",\"rounds\":10,"
        "\"fixed\":{\"booster\":\"dart\",\"rate_drop\":0.3},\"early_stop\":3}",
    };
    static const char *const first[] = {"mlogloss=", "r2=0.", "mphe=", "auc=0."};
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        int status;
        write_text("run.json", configs[i]);
        const char *out = output("--config run.json --dir .", &status);
        cr_expect_eq(status, 0, "%s", configs[i]);
        cr_expect_eq(strncmp(out, first[i], strlen(first[i])), 0, "%s", out);
        cr_expect_eq(access("model.ubj", R_OK), 0);
        (void)unlink("model.ubj");
    }
}

Test(by_hand, a_num_class_is_held_to_the_labels)
{
    int status;
    write_text("run.json", "{" COMMON "\"label\":\"k\",\"drop\":[\"y\",\"z\"],\"objective\":"
                           "\"multi:softprob\",\"rounds\":3}");
    (void)output("--config run.json --param num_class=3", &status);
    cr_expect_eq(status, 0);
    (void)output("--config run.json --param num_class=4", &status);
    cr_expect_eq(status, 2);
    expect_complaint(
        "forkless-xgboost: trial failed (bad_data): num_class is 4, but the labels have "
        "3 classes\n");
}

Test(by_hand, what_the_library_has_no_use_for_is_named)
{
    int status;
    char text[2000];
    write_text("run.json", BINARY ",\"fixed\":{\"quantile_alpha\":0.5}}");
    (void)output("--config run.json", &status);
    cr_expect_eq(status, 0);
    FILE *f = fopen("stderr.txt", "re");
    cr_assert_not_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    (void)fclose(f);
    cr_expect_not_null(strstr(text, "quantile_alpha"), "%s", text);
    write_text("run.json", BINARY "}");
    (void)output("--config run.json", &status);
    cr_expect_eq(access("stderr.txt", F_OK), 0);
    f = fopen("stderr.txt", "re");
    cr_assert_not_null(f);
    cr_expect_eq(fread(text, 1, 1, f), 0, "a warning about nothing");
    (void)fclose(f);
}

Test(by_hand, prepare_says_what_is_in_the_data)
{
    int status;
    write_text("run.json", BINARY "}");
    const char *out = output("--config run.json --prepare", &status);
    cr_expect_eq(status, 0);
    AUTO_JSON json_t *d = json_read(out, strlen(out), NULL);
    cr_expect_eq(json_integer_value(json_object_get(d, "rows")), 600);
    cr_expect_eq(json_integer_value(json_object_get(d, "columns")), 3);
    cr_expect_eq(json_array_size(json_object_get(d, "folds")), 3);
    cr_expect_eq(access(json_string_value(json_object_get(d, "matrix")), R_OK), 0);
    cr_expect_eq(json_integer_value(json_object_get(d, "positives")), positives);
}

Test(by_hand, prepare_refuses_with_2_and_one_line)
{
    int status;
    write_text("run.json", "{\"data\":\"data.csv\",\"label\":\"y\",\"cache\":\"cache\"}");
    cr_expect_str_eq(output("--config run.json --prepare", &status), "");
    cr_expect_eq(status, 2);
    char line[512] = "";
    FILE *f = fopen("stderr.txt", "re");
    cr_expect_not_null(fgets(line, sizeof(line), f));
    (void)fclose(f);
    cr_expect_str_eq(line,
                     "forkless-xgboost: data.csv:2:3: column 'c': 'a' is not a number: list the "
                     "column under categorical or drop, or the text under missing\n");
}

Test(by_hand, prepare_looks_at_every_objective_that_a_trial_may_have)
{
    int status;
    write_text("run.json", "{" COMMON "\"label\":\"z\",\"drop\":[\"y\",\"k\"],\"metric\":\"rmse\","
                           "\"space\":{\"objective\":[\"reg:squarederror\","
                           "\"reg:absoluteerror\"]}}");
    (void)output("--config run.json --prepare", &status);
    cr_expect_eq(status, 0);
    write_text("run.json", "{" COMMON "\"label\":\"k\",\"drop\":[\"y\",\"z\"],\"metric\":\"rmse\","
                           "\"space\":{\"objective\":[\"reg:squarederror\",\"reg:gamma\"]}}");
    (void)output("--config run.json --prepare", &status);
    cr_expect_eq(status, 2);
    char line[512] = "";
    FILE *f = fopen("stderr.txt", "re");
    cr_expect_not_null(fgets(line, sizeof(line), f));
    (void)fclose(f);
    cr_expect_not_null(strstr(line, "label 'k': objective reg:gamma: row "), "%s", line);
    /* the same by a parameter */
    write_text("run.json",
               "{" COMMON "\"label\":\"z\",\"drop\":[\"y\",\"k\"],\"metric\":\"rmse\"}");
    (void)output("--config run.json --param objective=reg:absoluteerror", &status);
    cr_expect_eq(status, 0);
    (void)output("--config run.json --param eval_metric=mae", &status);
    cr_expect_eq(status, 2);
    expect_complaint(
        "forkless-xgboost: run.json: space: eval_metric says what is recorded, the same "
        "for all trials: set it under fixed\n");
}

Test(by_hand, an_auc_that_cannot_be_is_refused_before_training)
{
    int status;
    struct buf text = BUF_INIT;
    buf_puts(&text, "x,y\n");
    for (int i = 0; i < 100; i++)
        buf_printf(&text, "%d,%d\n", i, i < 70 && i % 2);
    write_text("sorted.csv", buf_str(&text));
    buf_free(&text);
    write_text("run.json", "{\"data\":\"sorted.csv\",\"label\":\"y\",\"cache\":\"cache\"}");
    (void)output("--config run.json --prepare", &status);
    cr_expect_eq(status, 2);
    expect_complaint(
        "forkless-xgboost: auc of fold 1 is undefined: all its 20 validation rows have "
        "the label 0\n");
}

Test(by_hand, many_at_once_make_the_matrix_once)
{
    int status;
    write_text("run.json", BINARY "}");
    const char *out =
        output("--config run.json --prepare & a=$!; for i in 1 2 3 4 5 6 7; do " XGB_WORKER
               " --config run.json --prepare & a=\"$a $!\"; done; wait $a",
               &status);
    cr_expect_eq(status, 0);
    int made = 0, lines = 0;
    for (const char *p = out; (p = strstr(p, "\"made\":")) != NULL; p++, lines++)
        made += strncmp(p, "\"made\":true", 11) == 0;
    cr_expect_eq(lines, 8);
    cr_expect_eq(made, 1);
    cr_expect_eq(system("test \"$(ls cache | grep -c '[.]matrix$')\" = 1 && "
                        "test \"$(ls cache | wc -l)\" = 1"),
                 0, "something is left beside the matrix");
}

#ifndef __SANITIZE_ADDRESS__ /* which reserves more memory than any limit leaves */
Test(by_hand, running_out_of_memory_is_an_error_with_its_class)
{
    int status;
    FILE *f = fopen("wide.csv", "we");
    cr_assert_not_null(f);
    (void)fputs("a,b,c,d,e,f,g,h,y\n", f);
    for (int i = 0; i < 40000; i++)
        (void)fprintf(f, "%d,%d,%d,%d,%d,%d,%d,%d,%d\n", i, i % 7, i % 11, i % 13, i % 17, i, i, i,
                      i % 2);
    cr_assert_eq(fclose(f), 0);
    write_text("run.json", "{\"data\":\"wide.csv\",\"label\":\"y\",\"cache\":\"cache\"}");
    (void)output("--config run.json --prepare; ulimit -d 6000; " XGB_WORKER " --config run.json",
                 &status);
    cr_expect_eq(status, 1);
    char line[512] = "";
    f = fopen("stderr.txt", "re");
    cr_expect_not_null(fgets(line, sizeof(line), f));
    (void)fclose(f);
    cr_expect_not_null(strstr(line, "trial failed (oom)"), "%s", line);
}
#endif
