#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trials/xgboost/table.h"

#define NAMES(...)                                                                                 \
    ((struct names){.v = (const char *[]){__VA_ARGS__},                                            \
                    .n = sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)})

static const struct matrix_origin origin = {1, 2, 3};

/* The matrix of a CSV text, mapped; the test ends before anything must be closed. */
static int convert(const struct table_conf *conf, const char *text, struct matrix *out,
                   struct err *err)
{
    char path[64];
    int fd = memfd_create("matrix", MFD_CLOEXEC);
    cr_assert_geq(fd, 0);
    int rc = table_convert_text(conf, text, strlen(text), &origin, fd, err);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (rc == 0)
        cr_assert_eq(matrix_open(out, path, err), 0, "%s", err->msg);
    (void)close(fd);
    return rc;
}

static const char *fault(const struct table_conf *conf, const char *text)
{
    static struct err err;
    struct matrix m;
    cr_assert_lt(convert(conf, text, &m, &err), 0);
    return err.msg;
}

Test(table, cells_become_rows_of_floats_and_labels)
{
    struct table_conf conf = {.path = "f.csv", .label = "y"};
    struct matrix m;
    struct err err = {0};
    cr_assert_eq(convert(&conf, "a,y,b\n1,0,2.5\n-3,1,1e3\n", &m, &err), 0, "%s", err.msg);
    cr_expect(m.rows == 2 && m.cols == 2);
    cr_expect(m.x[0] == 1 && m.x[1] == 2.5f && m.x[2] == -3 && m.x[3] == 1000);
    cr_expect(m.label[0] == 0 && m.label[1] == 1);
    cr_expect_str_eq(matrix_feature(&m, 0), "a");
    cr_expect_str_eq(matrix_feature(&m, 1), "b");
    cr_expect(memcmp(&m.origin, &origin, sizeof(origin)) == 0);
    matrix_close(&m);
}

Test(table, missing_cells_are_nan)
{
    struct table_conf conf = {
        .path = "f.csv", .label = "y", .missing = NAMES("NA", "-999"), .categorical = NAMES("c")};
    struct matrix m;
    struct err err = {0};
    cr_assert_eq(convert(&conf, "a,c,y\n,u,0\nNA,NA,1\n-999,,1\n-999.5,u,0\n\"\",u,0\n", &m, &err),
                 0);
    cr_expect(isnan(m.x[0]) && isnan(m.x[2]) && isnan(m.x[4]) && m.x[6] == -999.5f &&
              isnan(m.x[8]));
    cr_expect(m.x[1] == 0 && isnan(m.x[3]) && isnan(m.x[5]));
    matrix_close(&m);
}

Test(table, categories_are_coded_in_the_order_of_their_bytes)
{
    struct table_conf conf = {.path = "f.csv", .label = "y", .categorical = NAMES("c", "y")};
    struct matrix m;
    struct err err = {0};
    cr_assert_eq(convert(&conf, "c,y\nb,yes\na,no\nab,no\nB,yes\nb,no\n", &m, &err), 0);
    static const float codes[] = {3, 1, 2, 0, 3}; /* B a ab b */
    for (int i = 0; i < 5; i++)
        cr_expect_eq(m.x[i], codes[i]);
    cr_expect(m.label[0] == 1 && m.label[1] == 0 && m.label[3] == 1);
    const json_t *c = json_object_get(json_object_get(m.meta, "categories"), "c");
    cr_expect_str_eq(json_string_value(json_array_get(c, 0)), "B");
    cr_expect_str_eq(json_string_value(json_array_get(c, 3)), "b");
    matrix_close(&m);
}

Test(table, many_categories_and_rows_survive_the_growth_of_every_table)
{
    struct table_conf conf = {.path = "f.csv", .label = "y", .categorical = NAMES("c")};
    struct buf text = BUF_INIT;
    struct matrix m;
    struct err err = {0};
    buf_puts(&text, "c,y\n");
    for (int i = 0; i < 20000; i++)
        buf_printf(&text, "k%05d,%d\n", (i * 7919) % 10007, i % 2);
    cr_assert_eq(convert(&conf, buf_str(&text), &m, &err), 0, "%s", err.msg);
    for (int i = 0; i < 20000; i++)
        cr_assert_eq(m.x[i], (float)((i * 7919) % 10007)); /* all 10007 occur, so rank = number */
    matrix_close(&m);
    buf_free(&text);
}

Test(table, features_choose_and_order_columns_and_drop_leaves_them_out)
{
    struct table_conf conf = {.path = "f.csv", .label = "y", .features = NAMES("c", "a")};
    struct matrix m;
    struct err err = {0};
    cr_assert_eq(convert(&conf, "a,b,c,y\n1,x,3,0\n", &m, &err), 0, "%s", err.msg);
    cr_expect(m.cols == 2 && m.x[0] == 3 && m.x[1] == 1);
    matrix_close(&m);
    struct table_conf drop = {.path = "f.csv", .label = "y", .drop = NAMES("", "b")};
    cr_assert_eq(convert(&drop, ",a,b,c,y\n0,1,x,3,0\n", &m, &err), 0, "%s", err.msg);
    cr_expect(m.cols == 2 && m.x[0] == 1 && m.x[1] == 3);
    matrix_close(&m);
}

Test(table, true_and_false_are_numbers)
{
    struct table_conf conf = {.path = "f.csv", .label = "y"};
    struct matrix m;
    struct err err = {0};
    cr_assert_eq(convert(&conf, "a,y\nTrue,false\nFALSE,true\n", &m, &err), 0, "%s", err.msg);
    cr_expect(m.x[0] == 1 && m.x[1] == 0 && m.label[0] == 0 && m.label[1] == 1);
    matrix_close(&m);
}

Test(table, mistakes_say_where_what_and_what_to_do)
{
    struct table_conf conf = {.path = "f.csv", .label = "late"};
    cr_expect_str_eq(fault(&conf, ""), "f.csv is empty: expected a header line");
    cr_expect_str_eq(fault(&conf, "a,late\n"), "f.csv has a header but no rows");
    cr_expect_str_eq(fault(&conf, "a,lat\n1,2\n"),
                     "f.csv has no column 'late' (label): did you mean 'lat'?");
    cr_expect_str_eq(fault(&conf, "a,a,late\n1,1,2\n"), "f.csv:1:2: the column 'a' is named twice");
    cr_expect_str_eq(
        fault(&conf, "a,late\n1,0\nUA,1\n"),
        "f.csv:3:1: column 'a': 'UA' is not a number: list the column under categorical or "
        "drop, or the text under missing");
    cr_expect_str_eq(fault(&conf, "a,late\n1,0\n1\n"),
                     "f.csv:3: 1 cells, but the header has 2 columns");
    cr_expect_str_eq(fault(&conf, "a,late\n1,0\n1,2,3\n"),
                     "f.csv:3: 3 cells, but the header has 2 columns");
    cr_expect_str_eq(fault(&conf, "a,late\n1,0\n1,\n"),
                     "f.csv:3:2: the label 'late' is missing: leave such rows out");
    cr_expect_str_eq(fault(&conf, "a,late\n1e39,0\n"),
                     "f.csv:2:1: column 'a': '1e39' is beyond what a 32-bit float holds");
    cr_expect_str_eq(fault(&conf, "a;late\n1;0\n"), "f.csv:1: one column 'a;late': are the cells "
                                                    "separated by commas?");
    cr_expect_str_eq(fault(&conf, ",late\n1,0\n"),
                     "f.csv:1:1: a column without a name (pandas writes its "
                     "index so): list \"\" under drop, or name it");
    cr_expect_str_eq(fault(&conf, "late\n1\n"),
                     "f.csv: no feature is left beside the label 'late'");
}

Test(table, a_nul_byte_in_a_category_is_refused)
{
    struct table_conf conf = {.path = "f.csv", .label = "y", .categorical = NAMES("c")};
    static const char text[] = "c,y\na\0b,1\n";
    struct err err = {0};
    int fd = memfd_create("matrix", MFD_CLOEXEC);
    cr_expect_eq(table_convert_text(&conf, text, sizeof(text) - 1, &origin, fd, &err),
                 -ERR_INVALID);
    cr_expect_str_eq(err.msg, "f.csv:2:1: column 'c': 'a' holds a NUL byte: is the file text?");
    (void)close(fd);
}
