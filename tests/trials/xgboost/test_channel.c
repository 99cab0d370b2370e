#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "trials/xgboost/channel.h"

static struct channel channel;
static int executor;

static void setup(void)
{
    int pair[2];
    bool there;
    char number[16];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    (void)snprintf(number, sizeof(number), "%d", pair[1]);
    (void)setenv("FORKLESS_FD", number, 1);
    cr_assert_eq(channel_open(&channel, &there, NULL), 0);
    cr_assert(there);
    executor = pair[0];
}

static void teardown(void)
{
    channel_close(&channel);
    (void)close(executor);
}

TestSuite(channel, .init = setup, .fini = teardown, .timeout = 20);

static void answer(const char *text)
{
    cr_assert_eq(write(executor, text, strlen(text)), (ssize_t)strlen(text));
}

static const char *heard(void)
{
    static char text[4096];
    ssize_t n = recv(executor, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

Test(channel, what_is_said_is_sent_at_once_when_an_answer_is_awaited)
{
    bool prune = true;
    channel_attr(&channel, "rows", json_integer(3));
    channel_row(&channel, "finetune_results", json_pack("{s:i}", "fold", 1));
    cr_expect_str_eq(heard(), "");
    answer("{\"prune\":false}\n");
    cr_assert_eq(channel_report(&channel, 10, 0.5, &prune, NULL), 0);
    cr_expect(!prune);
    cr_expect_str_eq(heard(),
                     "{\"op\":\"attr\",\"key\":\"rows\",\"value\":3}\n"
                     "{\"op\":\"row\",\"table\":\"finetune_results\",\"values\":{\"fold\":1}}\n"
                     "{\"op\":\"report\",\"step\":10,\"value\":0.5}\n");
}

Test(channel, numbers_that_json_lacks_travel_as_texts_and_bad_bytes_as_replacements)
{
    json_t *next;
    channel_result(&channel, -INFINITY);
    channel_result(&channel, NAN);
    channel_fail(&channel, "bad_data", "column '\xff\"'");
    channel_pruned(&channel);
    answer("{\"op\":\"stop\"}\n");
    cr_assert_eq(channel_next(&channel, &next, NULL), 0);
    cr_expect_null(next);
    cr_expect_str_eq(
        heard(),
        "{\"op\":\"result\",\"values\":[\"-inf\"]}\n"
        "{\"op\":\"result\",\"values\":[\"nan\"]}\n"
        "{\"op\":\"fail\",\"class\":\"bad_data\",\"message\":\"column '\xef\xbf\xbd\\\"'\"}\n"
        "{\"op\":\"pruned\"}\n");
}

Test(channel, answers_may_come_together_and_further_trials_are_handed_on)
{
    bool prune;
    json_t *next;
    answer("{\"prune\":true}\n{\"op\":\"trial\",\"seed\":4}\n{\"op\":\"st");
    cr_assert_eq(channel_report(&channel, 1, 0, &prune, NULL), 0);
    cr_expect(prune);
    cr_assert_eq(channel_next(&channel, &next, NULL), 0);
    cr_expect_eq(json_integer_value(json_object_get(next, "seed")), 4);
    json_decref(next);
    answer("op\"}\n");
    cr_assert_eq(channel_next(&channel, &next, NULL), 0);
    cr_expect_null(next);
}

Test(channel, an_executor_that_is_gone_means_stop)
{
    bool prune;
    json_t *next;
    struct err err = {0};
    (void)shutdown(executor, SHUT_WR);
    cr_expect_eq(channel_next(&channel, &next, &err), 0);
    cr_expect_null(next);
    (void)close(executor);
    cr_expect_eq(channel_report(&channel, 1, 0, &prune, &err),
                 -ERR_UNAVAILABLE); /* and no SIGPIPE */
}

Test(channel, nonsense_is_an_error)
{
    bool prune;
    json_t *next;
    struct err err = {0};
    answer("hello\n{\"op\":\"dance\"}\n[1]\n{\"prune\":1}\n");
    cr_expect_eq(channel_next(&channel, &next, &err), -ERR_INVALID);
    cr_expect_eq(channel_next(&channel, &next, &err), -ERR_INVALID);
    cr_expect_str_eq(err.msg, "the executor says \"dance\": expected trial or stop");
    cr_expect_eq(channel_next(&channel, &next, &err), -ERR_INVALID);
    cr_expect_eq(channel_report(&channel, 1, 0, &prune, &err), -ERR_INVALID);
}

Test(channel, the_variable_must_name_an_open_descriptor)
{
    struct channel c;
    struct err err;
    bool there;
    (void)setenv("FORKLESS_FD", "999", 1);
    cr_expect_eq(channel_open(&c, &there, &err), -ERR_INVALID);
    cr_expect_str_eq(err.msg, "FORKLESS_FD is '999': expected an open file descriptor");
    (void)unsetenv("FORKLESS_FD");
    cr_expect_eq(channel_open(&c, &there, &err), 0);
    cr_expect(!there);
}
