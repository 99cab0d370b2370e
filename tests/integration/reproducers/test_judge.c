/* What two looks at a process tree prove. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "integration/reproducers/judge.h"

static const struct look one = {.forked = {{.pid = 10, .ticks = 5, .waits = true}}, .n = 1};

Test(judge, one_that_waits_and_does_not_move_is_stuck)
{
    const struct judged *stuck = judge(&one, &one);
    cr_assert(ne(ptr, (void *)stuck, NULL));
    cr_expect(eq(int, stuck->pid, 10));
}

Test(judge, one_that_used_cpu_is_not)
{
    struct look now = one;
    now.forked[0].ticks += 50;
    cr_expect(eq(ptr, (void *)judge(&one, &now), NULL));
}

Test(judge, one_that_wakes_and_waits_on_is_stuck)
{
    struct look now = one;
    now.forked[0].ticks++;
    cr_expect(ne(ptr, (void *)judge(&one, &now), NULL));
}

Test(judge, one_that_does_not_wait_is_not)
{
    struct look now = one;
    now.forked[0].waits = false;
    cr_expect(eq(ptr, (void *)judge(&one, &now), NULL));
    cr_expect(eq(ptr, (void *)judge(&now, &one), NULL));
}

Test(judge, a_child_that_came_or_went_is_movement)
{
    struct look other = one, two = one, none = {.n = 0};
    other.forked[0].pid = 11;
    two.forked[two.n++].pid = 11;
    cr_expect(eq(ptr, (void *)judge(&one, &other), NULL));
    cr_expect(eq(ptr, (void *)judge(&one, &two), NULL));
    cr_expect(eq(ptr, (void *)judge(&one, &none), NULL));
}

Test(judge, without_a_forked_child_there_is_nothing_to_judge)
{
    const struct look none = {.n = 0};
    cr_expect(eq(ptr, (void *)judge(&none, &none), NULL));
}
