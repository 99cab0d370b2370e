#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "executor/capture.h"
#include "tests/lib/sandbox.h"

TestSuite(capture, .init = sandbox_enter, .fini = sandbox_leave);

static struct capture begin(uint64_t cap)
{
    struct capture c;
    int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert(dir >= 0);
    capture_init(&c, dir, "log", cap);
    return c;
}

static char *text(const char *file)
{
    return (char *)(uintptr_t)sandbox_text(file);
}

Test(capture, a_silent_trial_has_no_file)
{
    struct capture c = begin(16);
    capture_write(&c, "", 0);
    capture_close(&c);
    cr_expect(eq(long, (long)sandbox_size("log"), -1));
}

Test(capture, the_newest_bytes_are_kept)
{
    struct capture c = begin(8);
    capture_write(&c, "abc", 3);
    capture_write(&c, "defgh", 5);
    cr_expect(eq(str, text("log.1"), (char *)"abcd"));
    cr_expect(eq(str, text("log"), (char *)"efgh"));
    cr_expect(eq(long, (long)sandbox_size("log.gone"), -1)); /* all is there */
    capture_write(&c, "i", 1);
    cr_expect(eq(str, text("log.1"), (char *)"efgh"));
    cr_expect(eq(str, text("log"), (char *)"i"));
    cr_expect(eq(str, text("log.gone"), (char *)"4\n"));
    capture_write(&c, "0123456789", 10); /* more than both parts hold */
    capture_close(&c);
    cr_expect(eq(str, text("log.1"), (char *)"3456"));
    cr_expect(eq(str, text("log"), (char *)"789"));
    cr_expect(eq(str, text("log.gone"), (char *)"12\n"));
    cr_expect(eq(u64, c.lost, 0));
}

Test(capture, what_cannot_be_written_is_counted)
{
    struct capture c = begin(1 << 20);
    const struct rlimit small = {4, 4};
    (void)signal(SIGXFSZ, SIG_IGN);
    cr_assert(setrlimit(RLIMIT_FSIZE, &small) == 0);
    capture_write(&c, "abcdef", 6);
    capture_write(&c, "ghi", 3);
    capture_close(&c);
    cr_expect(eq(str, text("log"), (char *)"abcd"));
    cr_expect(eq(u64, c.lost, 5));
}

Test(capture, a_directory_that_is_gone_ends_nothing)
{
    struct capture c;
    capture_init(&c, -1, "log", 100);
    capture_write(&c, "abc", 3);
    capture_write(&c, "d", 1);
    capture_close(&c);
    cr_expect(eq(u64, c.lost, 4));
}
