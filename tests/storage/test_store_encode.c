/* How values and times are written and read. */
#include <math.h>

#include "storage/sqlite/sqlite.h"
#include "tests/storage/store_fixture.h"

static int64_t time_of(const char *text)
{
    int64_t us = -1;
    return decode_time(text, &us) ? us : -1;
}

Test(store_encode, times_are_read_in_every_form_that_optuna_tolerates)
{
    /* seconds since the epoch from `date -u -d … +%s` */
    cr_expect_eq(time_of("2026-01-01 00:00:00.123456"), 1767225600123456);
    cr_expect_eq(time_of("2026-01-01 00:00:00"), 1767225600000000);
    cr_expect_eq(time_of("2026-01-01T00:00:00.5Z"), 1767225600500000);
    cr_expect_eq(time_of("2024-02-29 23:59:59.000001"), 1709251199000001);
    cr_expect_eq(time_of("1969-12-31 23:59:59.000000"), -1000000);
    cr_expect_eq(time_of("2100-03-01 00:00:00"), 4107542400000000);
    cr_expect_eq(time_of(NULL), 0);
}

Test(store_encode, what_is_no_time_is_refused)
{
    const char *const bad[] = {
        "",           "2026-01-01",           "2026-13-01 00:00:00",   "2026-01-01 24:00:00",
        "1767225600", "2026-01-01 00:00:00 ", "2026-01-01 00:00:00+01"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_expect_eq(time_of(bad[i]), -1, "taken: %s", bad[i]);
}

Test(store_encode, times_go_and_come_back)
{
    char text[CLOCK_TEXT_MAX];
    const int64_t some[] = {1, 999999, 1767225600123456, 253402300799999999, 951782400000000};
    for (size_t i = 0; i < ARRAY_LEN(some); i++)
        cr_expect_eq(time_of(clock_sql(some[i], text)), some[i]);
}
