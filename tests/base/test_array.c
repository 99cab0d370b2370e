#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

static const int some[] = {1, 3, 3, 7};

static size_t place(int v, size_t n)
{
    return LOWER_BOUND(i, n, some[i] < v);
}

Test(array, lower_bound_is_the_first_that_is_not_before)
{
    cr_expect_eq(place(0, 4), 0);
    cr_expect_eq(place(3, 4), 1, "the first of equal ones");
    cr_expect_eq(place(4, 4), 3);
    cr_expect_eq(place(8, 4), 4);
    cr_expect_eq(place(8, 0), 0);
}

Test(array, grows_by_more_than_asked_and_keeps_what_it_held)
{
    int *v = NULL;
    size_t capacity = 0, moves = 0;
    for (size_t n = 0; n < 1000; n++) {
        size_t before = capacity;
        cr_assert(array_reserve(&v, &capacity, n + 1, sizeof(*v)));
        cr_assert_geq(capacity, n + 1);
        moves += capacity != before;
        v[n] = (int)n;
    }
    for (size_t n = 0; n < 1000; n++)
        cr_assert_eq(v[n], (int)n);
    cr_expect_lt(moves, 15);
    free(v);
}

Test(array, opens_and_closes_places)
{
    int v[5] = {1, 3, 3, 7};
    ARRAY_OPEN(v, 1, 4);
    v[1] = 2;
    cr_expect_arr_eq(v, ((int[]){1, 2, 3, 3, 7}), sizeof(v));
    ARRAY_CLOSE(v, 0, 5);
    cr_expect_arr_eq(v, ((int[]){2, 3, 3, 7}), 4 * sizeof(int));
}
