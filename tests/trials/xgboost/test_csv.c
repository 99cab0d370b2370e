#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "trials/xgboost/csv.h"

/* The whole text as "cell|cell;cell|cell;", or "! message". */
static const char *parsed(const char *text)
{
    static struct buf out;
    struct buf scratch = BUF_INIT;
    struct csv csv;
    struct csv_cell cells[8];
    struct err err = {0};
    size_t n = 1, line;
    buf_clear(&out);
    int rc = csv_init(&csv, "f.csv", text, strlen(text), &err);
    while (rc == 0 && (rc = csv_next(&csv, cells, 8, &n, &line, &err)) == 0 && n > 0) {
        for (size_t i = 0; i < n && i < 8; i++) {
            size_t len;
            const char *cell = csv_cell_text(&cells[i], &scratch, &len);
            buf_puts(&out, i > 0 ? "|" : "");
            buf_add(&out, cell, len);
        }
        buf_putc(&out, ';');
    }
    if (rc < 0)
        buf_printf(&out, "! %s", err.msg);
    buf_free(&scratch);
    return buf_str(&out);
}

Test(csv, rows_end_in_lf_crlf_or_with_the_text)
{
    cr_expect_str_eq(parsed("a,b\n1,2\n"), "a|b;1|2;");
    cr_expect_str_eq(parsed("a,b\r\n1,2\r\n"), "a|b;1|2;");
    cr_expect_str_eq(parsed("a,b\n1,2"), "a|b;1|2;");
    cr_expect_str_eq(parsed("\xef\xbb\xbf"
                            "a,b\n\n\r\n1,2\n\n"),
                     "a|b;1|2;");
    cr_expect_str_eq(parsed(""), "");
}

Test(csv, empty_cells_count)
{
    cr_expect_str_eq(parsed(",\n,,\na,\n"), "|;||;a|;");
    cr_expect_str_eq(parsed("a,"), "a|;");
    cr_expect_str_eq(parsed("\"\"\n"), ";");
}

Test(csv, quoted_cells_hold_commas_quotes_and_line_ends)
{
    cr_expect_str_eq(parsed("\"a,b\",\"say \"\"hi\"\"\"\n"), "a,b|say \"hi\";");
    cr_expect_str_eq(parsed("\"two\nlines\",x\ny,z"), "two\nlines|x;y|z;");
    cr_expect_str_eq(parsed("\"a\r\nb\"\r\n"), "a\r\nb;");
    cr_expect_str_eq(parsed("\"a\""), "a;");
}

Test(csv, mistakes_name_line_and_cell)
{
    cr_expect_str_eq(parsed("a,b\n1,\"2\n3"),
                     "a|b;! f.csv:2:2: the quote that opens here is never closed");
    cr_expect_str_eq(
        parsed("\"x\ny\",\"b\"c\n"),
        "! f.csv:2:2: expected a comma or the end of the line after the closing quote");
    cr_expect_str_eq(parsed("a,b\n1,2\"\n"),
                     "a|b;! f.csv:2:2: a quote inside an unquoted cell: quote "
                     "the whole cell and double it");
    cr_expect_str_eq(parsed("\xff\xfe"
                            "a"),
                     "! f.csv is UTF-16: save it as UTF-8");
}

Test(csv, more_cells_than_asked_for_are_counted)
{
    struct csv csv;
    struct csv_cell cells[2];
    size_t n, line;
    cr_assert_eq(csv_init(&csv, "f", "a,b,\"c\",d\ne\n", 12, NULL), 0);
    cr_assert_eq(csv_next(&csv, cells, 2, &n, &line, NULL), 0);
    cr_expect_eq(n, 4);
    cr_assert_eq(csv_next(&csv, cells, 2, &n, &line, NULL), 0);
    cr_expect(n == 1 && line == 2 && cells[0].text[0] == 'e');
}

Test(csv, numbers_are_what_strtod_says)
{
    struct rng rng;
    rng_seed(&rng, 3);
    for (int i = 0; i < 20000; i++) {
        char text[64];
        double got, value = (rng_unit(&rng) - 0.5) * pow(10, (double)rng_below(&rng, 60) - 30);
        int digits = (int)rng_below(&rng, 20);
        (void)snprintf(text, sizeof(text), i % 2 ? "%.*e" : "%.*f", digits, value);
        cr_assert(csv_number(text, strlen(text), &got), "%s", text);
        cr_assert(got == strtod(text, NULL), "%s read as %.17g", text, got);
    }
}

Test(csv, numbers_are_taken_whole_or_not_at_all)
{
    static const char *const good[] = {"1",  "-2.5", "+3",   " 4 ", ".5",
                                       "5.", "1e5",  "1E-3", "007", "1e-400"};
    static const char *const bad[] = {"",    " ",   "-",   ".",   "e5",  "1e",  "1e+",  "1x",
                                      "0x1", "nan", "inf", "1 2", "1,5", "--1", "1.2.3"};
    double v;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_expect(csv_number(good[i], strlen(good[i]), &v) && v == strtod(good[i], NULL), "%s",
                  good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect(!csv_number(bad[i], strlen(bad[i]), &v), "%s", bad[i]);
}
