#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "base/text.h"

static const char *repr(double v)
{
    static char out[TEXT_DOUBLE_MAX];
    return text_from_double(v, out);
}

/* The right-hand sides are what CPython 3.11 prints for repr(x). */
Test(text, doubles_print_as_python_repr)
{
    cr_expect_str_eq(repr(0.1), "0.1");
    cr_expect_str_eq(repr(1e-5), "1e-05");
    cr_expect_str_eq(repr(0.0001), "0.0001");
    cr_expect_str_eq(repr(1e16), "1e+16");
    cr_expect_str_eq(repr(1e15), "1000000000000000.0");
    cr_expect_str_eq(repr(2.0), "2.0");
    cr_expect_str_eq(repr(-0.0), "-0.0");
    cr_expect_str_eq(repr(123456.789), "123456.789");
    cr_expect_str_eq(repr(1.0 / 3), "0.3333333333333333");
    cr_expect_str_eq(repr(1.7976931348623157e308), "1.7976931348623157e+308");
    cr_expect_str_eq(repr(5e-324), "5e-324");
    cr_expect_str_eq(repr(1.5e-310), "1.5e-310");
    cr_expect_str_eq(repr(0.1 + 0.2), "0.30000000000000004");
    cr_expect_str_eq(repr(9007199254740993.0), "9007199254740992.0");
    cr_expect_str_eq(repr(-1.5e22), "-1.5e+22");
    cr_expect_str_eq(repr(123456789012345.6), "123456789012345.6");
    cr_expect_str_eq(repr(999999999999999.9), "999999999999999.9");
    cr_expect_str_eq(repr(0.00012345), "0.00012345");
}

Test(text, numbers_are_taken_whole_or_not_at_all)
{
    double d;
    int64_t i;
    cr_expect(text_double("1e-4", &d) && d == 1e-4);
    cr_expect(text_double("-.5", &d) && d == -0.5);
    cr_expect(text_double("inf", &d) && isinf(d));
    cr_expect(text_double("nan", &d) && isnan(d));
    cr_expect(!text_double("", &d) && !text_double("1x", &d) && !text_double(" 1", &d));
    cr_expect(!text_double("0x10", &d) && !text_double("nano", &d) && !text_double("+", &d));
    cr_expect(text_int("-12", &i) && i == -12);
    cr_expect(!text_int("1.0", &i) && !text_int("99999999999999999999", &i) && !text_int("", &i));
}

Test(text, durations_and_sizes_carry_their_units)
{
    uint64_t v;
    cr_expect(text_duration_ms("5m", &v) && v == 300000);
    cr_expect(text_duration_ms("250ms", &v) && v == 250);
    cr_expect(text_duration_ms("1.5h", &v) && v == 5400000);
    cr_expect(text_duration_ms("90", &v) && v == 90000);
    cr_expect(!text_duration_ms("5 m", &v) && !text_duration_ms("m", &v) &&
              !text_duration_ms("5x", &v));
    cr_expect(text_size_bytes("8GiB", &v) && v == 8ull << 30);
    cr_expect(text_size_bytes("3G", &v) && v == 3ull << 30);
    cr_expect(text_size_bytes("100MB", &v) && v == 100000000);
    cr_expect(!text_size_bytes("GiB", &v) && !text_size_bytes("1.2.3G", &v));
}

Test(text, nearest_suggests_only_what_is_near)
{
    static const char *const keys[] = {"trials", "storage", "sampler"};
    cr_expect_str_eq(text_nearest("tirals", keys, 3), "trials");
    cr_expect_str_eq(text_nearest("smapler", keys, 3), "sampler");
    cr_expect_null(text_nearest("zzz", keys, 3));
}

Test(text, clean_leaves_nothing_that_steers_a_terminal)
{
    static const char *const cases[][2] = {
        {"a\033[31mb\x7f\a", "a?[31mb??"},
        {"two\nlines\tx\r", "two lines x?"},
        {"\xc2\x9b"
         "2J\xc2\x9f\xc2\xa0",
         "?2J?\xc2\xa0"},
        {"\x9b"
         "2J\xff",
         "?2J?"},
        {"schön ━ 🙂", "schön ━ 🙂"},
        {"cut \xe2\x94", "cut ??"},
        {"", ""},
    };
    char text[64];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(text, sizeof(text), "%s", cases[i][0]);
        cr_expect_str_eq(text_clean(text), cases[i][1]);
    }
}

Test(text, a_password_in_a_url_is_masked)
{
    static const char *const cases[][2] = {
        {"postgresql://u:secret@h:5432/db", "postgresql://u:***@h:5432/db"},
        {"postgresql://u:p@ss:w@h/db?x=a@b:c", "postgresql://u:***@h/db?x=a@b:c"},
        {"postgresql://u:p@ss/w@h/db", "postgresql://u:***@h/db"},
        {"postgresql://u:ss/w@h/db", "postgresql://u:***@h/db"},
        {"postgresql://u:s?s#w@h/db", "postgresql://u:***@h/db"},
        {"postgresql://h:5432/db?host=a", "postgresql://h:5432/db?host=a"},
        {"postgresql://u@h:5432/db", "postgresql://u@h:5432/db"},
        {"postgresql://u@h/db?password=se&sslpassword=long&x=password",
         "postgresql://u@h/db?password=**&sslpassword=***&x=password"},
        {"sqlite:///a:b@c.db", "sqlite:///a:b@c.db"},
        {"forkless.db", "forkless.db"},
    };
    char out[100];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_str_eq(text_mask_url(cases[i][0], out, sizeof(out)), cases[i][1]);
}
