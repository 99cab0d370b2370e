/* forkless dump: where real processes stand, and what it says when there is nothing to be seen. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "tests/lib/sandbox.h"

TestSuite(dump, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 200);

#define DUMP(...)                                                                                  \
    sandbox_wait(sandbox_start((const char *const[]){FORKLESS, "dump", __VA_ARGS__, NULL}), 60)
#define SAYS(text) cr_expect(sandbox_has("out", text), "%s", sandbox_text("out"))
#define COMPLAINS(text) cr_expect(sandbox_has("err", text), "%s", sandbox_text("err"))

/* One that sleeps, with a child by fork; its number. */
static const char *start_pool(pid_t *pid)
{
    static char number[16];
    *pid = sandbox_start((const char *const[]){"/usr/bin/setsid", "/bin/sh", "-c",
                                               "exec \"$0\" pool >log", DEADLOCK, NULL});
    cr_assert(sandbox_await("log", "ready", 60));
    (void)snprintf(number, sizeof(number), "%d", (int)*pid);
    return number;
}

static void end(pid_t pid)
{
    (void)kill(-pid, SIGKILL);
    (void)sandbox_wait(pid, 60);
    cr_expect(sandbox_await_none("", 60)); /* its children are ours to collect */
}

Test(dump, a_process_is_told_with_its_children_and_stacks)
{
    pid_t pid;
    const char *number = start_pool(&pid);
    cr_expect(eq(int, DUMP(number), 0));
    SAYS("fork deadlock: ");
    SAYS("forked without exec; the parent has");
    SAYS("#0 ");
    SAYS("main+");
    end(pid);
}

Test(dump, json_is_one_object_with_all_of_it)
{
    pid_t pid;
    const char *number = start_pool(&pid);
    cr_expect(eq(int, DUMP("--json", "--pid", number), 0));
    const char *said = sandbox_text("out");
    cr_expect(eq(ptr, strchr(said, '\n'), strrchr(said, '\n')));
    AUTO_JSON json_t *doc = json_read(said, strlen(said), NULL);
    const json_t *list = json_object_get(doc, "processes"), *first = json_array_get(list, 0);
    cr_expect(eq(u64, json_array_size(list), 4)); /* three children */
    cr_expect(eq(i64, json_integer_value(json_object_get(first, "pid")), pid));
    cr_expect(json_array_size(json_object_get(json_array_get(json_object_get(first, "threads"), 0),
                                              "stack")) > 0,
              "%s", said);
    end(pid);
}

Test(dump, what_is_not_there_is_2)
{
    cr_expect(eq(int, DUMP("4194304"), 2)); /* one more than the largest number of a process */
    COMPLAINS("no worker here that runs trial 4194304, and no such process");
    cr_expect(eq(int, DUMP("--pid", "4194304"), 2));
    COMPLAINS("there is no process 4194304 here");
    cr_expect(eq(int, DUMP("my-trial"), 2));
    COMPLAINS("forkless dump 17");
    cr_expect(eq(int, DUMP("--json"), 2));
    COMPLAINS("takes the number of a process");
    cr_expect(eq(int, DUMP("--storage", "sqlite:///none.db", "3"), 2));
    COMPLAINS("none.db");
}

/* What anybody may see is told; stacks of others are not for everybody. */
Test(dump, without_permission_it_says_so)
{
    pid_t pid;
    if (geteuid() != 0)
        cr_skip_test("only root can become somebody else");
    const char *number = start_pool(&pid);
    pid_t other =
        sandbox_start((const char *const[]){"/usr/bin/setpriv", "--reuid=65534", "--regid=65534",
                                            "--clear-groups", FORKLESS, "dump", number, NULL});
    cr_expect(eq(int, sandbox_wait(other, 60), 1));
    COMPLAINS("may not be looked into: their stacks are missing");
    COMPLAINS(
        "it belongs to user 0, and you are user 65534: run forkless dump as its owner or as root");
    SAYS("note: no stacks: Operation not permitted");
    SAYS("it may not be stopped (Operation not permitted");
    cr_expect(not(sandbox_has("out", "stacks are not whole")));
    cr_expect(not(sandbox_has("out", "#0 ")));
    end(pid);
}
