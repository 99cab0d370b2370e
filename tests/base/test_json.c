#include <criterion/criterion.h>

#include "base/json.h"

static const char *quoted(const char *text, size_t n)
{
    static struct buf b;
    buf_clear(&b);
    json_put_string_n(&b, text, n);
    return buf_str(&b);
}

Test(json, strings_are_always_valid_utf8)
{
    cr_expect_str_eq(quoted("a\"b\\c\n\x01", 7), "\"a\\\"b\\\\c\\n\\u0001\"");
    cr_expect_str_eq(quoted("\xc3\xa9", 2), "\"\xc3\xa9\"");
    cr_expect_str_eq(quoted("\xff", 1), "\"\xef\xbf\xbd\""); /* no such lead byte */
    cr_expect_str_eq(quoted("\xed\xa0\x80", 3),
                     "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");            /* surrogate */
    cr_expect_str_eq(quoted("\xc0\x80", 2), "\"\xef\xbf\xbd\xef\xbf\xbd\""); /* overlong */
}

Test(json, read_reports_where_it_failed)
{
    struct err err = {0};
    cr_expect_null(json_read("{\"a\":1,\"a\":2}", 13, &err));
    cr_expect_eq(err.code, ERR_INVALID);
    cr_expect_null(json_read("[1,", 3, &err));
    cr_expect(strstr(err.msg, "line 1") != NULL);
}
Test(json, a_nul_in_a_text_is_read_and_written_again)
{
    static const char text[] = "{\"a\":\"x\\u0000y\"}";
    AUTO_JSON json_t *j = json_read(text, strlen(text), NULL);
    cr_assert_not_null(j);
    AUTO_FREE char *dump = json_dumps(j, JSON_COMPACT);
    cr_expect_str_eq(dump, text);
}

Test(json, check_takes_what_python_reads)
{
    static const char *const good[] = {
        "null",
        " [1, -2.5e-3, 1E+5, 0, -0.0] ",
        "NaN",
        "[Infinity, -Infinity]",
        "{\"a\": {\"b\": []}}",
        "\"\\u00e9\\ud83d\\ude00\"",
        "\"\xc3\xa9\"",
        "{}",
    };
    static const char *const bad[] = {
        "",           "nan",       "01",     "1.",     ".5",       "[1,]",
        "{\"a\":1,}", "{a:1}",     "'x'",    "\"\n\"", "\"\xff\"", "1 2",
        "-NaN",       "\"\\x41\"", "\"open", "[",      "tru",      "\"\\u12g4\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        cr_expect(json_check(good[i], strlen(good[i])), "refused: %s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_expect_not(json_check(bad[i], strlen(bad[i])), "taken: %s", bad[i]);
    char deep[2000];
    memset(deep, '[', sizeof(deep));
    cr_expect_not(json_check(deep, sizeof(deep)));
}

/* What it is read as, in our own words. */
static const char *from_python(const char *text)
{
    static char out[200];
    AUTO_JSON json_t *j = json_read_python(text, strlen(text), NULL);
    AUTO_FREE char *dump = j != NULL ? json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    (void)snprintf(out, sizeof(out), "%s", dump != NULL ? dump : "nothing");
    return out;
}

Test(json, numbers_that_only_python_writes_do_not_hide_the_others)
{
    cr_expect_str_eq(from_python("{\"a\": 1, \"b\": NaN, \"NaN\": -Infinity}"),
                     "{\"a\":1,\"b\":\"NaN\",\"NaN\":\"-Infinity\"}");
    cr_expect_str_eq(from_python("{\"a\": [12345678901234567890, -3], \"b\": 7}"),
                     "{\"a\":[1.2345678901234567e19,-3],\"b\":7}");
    cr_expect_str_eq(from_python("{\"a \\\" NaN 12345678901234567890\": NaN}"),
                     "{\"a \\\" NaN 12345678901234567890\":\"NaN\"}");
    cr_expect_str_eq(from_python("{\"a\": NaN"), "nothing");
    cr_expect_str_eq(from_python("{\"a\": 1e999, \"b\": NaN}"), "nothing");
    cr_expect_str_eq(from_python("\"\\"), "nothing");
    cr_expect_str_eq(from_python(""), "nothing");
}
