#include <criterion/criterion.h>
#include <string.h>

#include "trials/space.h"

static struct param param_of(const char *name, const char *dist, const char *when)
{
    struct err err = {0};
    struct param p = {.name = strdup(name)};
    cr_assert_eq(dist_read_json(&p.dist, dist, strlen(dist), &err), 0, "%s", err.msg);
    if (when != NULL)
        cr_assert_eq(cond_parse(&p.when, when, &err), 0, "%s", err.msg);
    return p;
}

Test(space, conditions_see_active_parameters_before_their_own)
{
    struct space s = {.params = calloc(3, sizeof(struct param)), .n = 3};
    s.params[0] =
        param_of("booster", "{\"type\":\"categorical\",\"choices\":[\"tree\",\"dart\"]}", NULL);
    s.params[1] =
        param_of("drop", "{\"type\":\"float\",\"low\":0,\"high\":1}", "booster == \"dart\"");
    s.params[2] = param_of("skip", "{\"type\":\"int\",\"low\":0,\"high\":3}", "drop > 0.5");
    cr_expect_eq(space_find(&s, "skip"), 2);
    cr_expect_eq(space_find(&s, "none"), -1);

    const double values[] = {1, 0.75, 0};
    bool active[] = {true, true, false};
    cr_expect(space_active(&s, 0, values, active));
    cr_expect(space_active(&s, 1, values, active));
    cr_expect(space_active(&s, 2, values, active));
    active[1] = false;
    cr_expect_not(space_active(&s, 2, values, active), "an inactive name makes it false");
    const double tree[] = {0, 0.75, 0};
    cr_expect_not(space_active(&s, 1, tree, active));
    space_free(&s);
}
