/* Flame graphs: counting stacks, and drawing them. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

#include "integration/reproducers/flame.h"

static struct flame f;
static struct buf svg;

static void leave(void)
{
    flame_free(&f);
    buf_free(&svg);
}

TestSuite(flame, .fini = leave);

static const char *drawn(void)
{
    flame_put_svg(&svg, &f, "t");
    return buf_str(&svg);
}

Test(flame, the_same_stack_is_one_box_that_counts)
{
    cr_expect(eq(sz, flame_add_lines(&f, "case", "main;work 3\nmain;wait 1\nmain;work 4\n"), 8));
    cr_expect(ne(ptr, strstr(drawn(), "main: 8 samples, 100.0 %"), NULL));
    cr_expect(ne(ptr, strstr(buf_str(&svg), "work: 7 samples, 87.5 %"), NULL));
    cr_expect(ne(ptr, strstr(buf_str(&svg), "wait: 1 samples, 12.5 %"), NULL));
}

Test(flame, a_name_with_spaces_is_one_frame)
{
    (void)flame_add_lines(&f, "case", "process 7:\"python a.py\";<module> (a.py:3) 2\n");
    cr_expect(ne(ptr, strstr(drawn(), "process 7:\"python a.py\": 2 samples"), NULL));
    cr_expect(ne(ptr, strstr(buf_str(&svg), "&lt;module&gt; (a.py:3): 2 samples"), NULL));
}

Test(flame, what_is_no_sample_is_left_out)
{
    cr_expect(eq(sz, flame_add_lines(&f, "case", "no count\n\nmain 0\n x"), 0));
    cr_expect(ne(ptr, strstr(drawn(), "no samples"), NULL));
}

Test(flame, a_name_of_others_cannot_leave_its_place)
{
    flame_add(&f, "a&b</title><script>\x1b[31m\xff", 24, 1);
    cr_expect(eq(ptr, strstr(drawn(), "<script>"), NULL));
    cr_expect(ne(ptr, strstr(buf_str(&svg), "a&amp;b&lt;/title&gt;"), NULL));
    cr_expect(eq(ptr, strchr(buf_str(&svg), '\x1b'), NULL));
}

Test(flame, endless_recursion_is_cut)
{
    char deep[4000];
    for (size_t i = 0; i < sizeof(deep); i += 2)
        memcpy(deep + i, "r;", 2);
    flame_add(&f, deep, sizeof(deep), 1);
    cr_expect(lt(sz, f.n, 1000));
    cr_expect(ne(ptr, strstr(drawn(), "</svg>"), NULL));
}
