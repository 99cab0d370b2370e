/* What doctor makes of a tree's memory. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/memory.h"

TestSuite(memory);

#define GIB (1ull << 30)
#define MIB (1ull << 20)

Test(memory, much_that_grows_is_a_risk_and_no_more)
{
    static const struct {
        struct memory before, after;
        bool risk;
        const char *says;
    } cases[] = {
        {{9 * GIB, 3, 0},
         {9 * GIB + 2 * MIB, 3, 0},
         true,
         "9.0 GiB resident (PSS), growing: end it before the node runs out"},
        {{9 * GIB, 3, 0}, {9 * GIB + MIB, 3, 0}, false, "9.0 GiB resident (PSS), not growing"},
        {{9 * GIB, 3, 0}, {9 * GIB - 2 * MIB, 3, 0}, false, "9.0 GiB resident (PSS), not growing"},
        {{8 * GIB - 4 * MIB, 1, 0}, {8 * GIB, 1, 0}, false, "8.0 GiB resident (PSS), growing"},
        {{8 * GIB - 4 * MIB, 1, 0},
         {8 * GIB + 1, 1, 0},
         true,
         "8.0 GiB resident (PSS), growing: end it before the node runs out"},
        {{9 * GIB, 0, 2},
         {10 * GIB, 0, 2},
         true,
         "10.0 GiB resident (RSS: what processes share counts in each), growing: end it before the "
         "node runs out"},
        {{GIB, 2, 1},
         {GIB, 2, 1},
         false,
         "1.0 GiB resident (PSS; RSS of 1 that may not be looked at), not growing"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[200];
        bool risk = memory_judge(&cases[i].before, &cases[i].after, text, sizeof(text));
        cr_expect(eq(int, risk, cases[i].risk), "case %zu", i);
        cr_expect(eq(str, text, (char *)(uintptr_t)cases[i].says), "case %zu", i);
    }
}

/* The same pages four times over are four times as much resident. */
Test(memory, what_is_mapped_more_than_once_counts_once)
{
    const size_t block = 64 * MIB;
    struct memory before, after;
    int fd = memfd_create("block", MFD_CLOEXEC);
    cr_assert(fd >= 0 && ftruncate(fd, (off_t)block) == 0);
    memory_of(getpid(), &before);
    for (int i = 0; i < 4; i++)
        cr_assert(mmap(NULL, block, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0) !=
                  MAP_FAILED);
    memory_of(getpid(), &after);
    cr_expect(eq(uint, after.whole, 0));
    cr_expect(ge(uint, after.shared, 1));
    cr_expect(ge(u64, after.bytes - before.bytes, 60 * MIB));
    cr_expect(le(u64, after.bytes - before.bytes, 100 * MIB));
}

Test(memory, of_nobody_there_is_none)
{
    struct memory m = {1, 1, 1};
    memory_of(4194305, &m);
    cr_expect(eq(u64, m.bytes, 0));
}
