#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/yaml.h"

static struct pool *pool;

static void setup(void)
{
    pool = pool_create();
}

static void teardown(void)
{
    pool_destroy(pool);
}

TestSuite(yaml, .init = setup, .fini = teardown);

static struct yaml_node *parse(const char *text)
{
    struct yaml_node *n = NULL;
    struct err err = {0};
    cr_assert_eq(yaml_parse(&n, pool, "t.yaml", text, strlen(text), &err), 0, "%s", err.msg);
    return n;
}

static const char *mistake(const char *text)
{
    static struct err err;
    struct yaml_node *n = NULL;
    err = (struct err){0};
    cr_assert_eq(yaml_parse(&n, pool, "t.yaml", text, strlen(text), &err), -ERR_INVALID, "%s",
                 text);
    cr_assert_null(n);
    return err.msg;
}

static const char *dump(const struct yaml_node *n)
{
    static struct buf b;
    static int depth;
    if (depth++ == 0)
        buf_clear(&b);
    switch (n->kind) {
    case YAML_NULL:
        buf_puts(&b, "null");
        break;
    case YAML_BOOL:
        buf_puts(&b, n->b ? "true" : "false");
        break;
    case YAML_INT:
        buf_printf(&b, "%lld", (long long)n->i);
        break;
    case YAML_REAL:
        buf_printf(&b, "%#.6g", n->d);
        break;
    case YAML_TEXT:
        json_put_string(&b, n->text);
        break;
    case YAML_LIST:
        buf_putc(&b, '[');
        for (size_t i = 0; i < n->n; i++) {
            buf_puts(&b, i > 0 ? " " : "");
            (void)dump(n->items[i]);
        }
        buf_putc(&b, ']');
        break;
    case YAML_MAP:
        buf_putc(&b, '{');
        for (size_t i = 0; i < n->n; i++) {
            buf_printf(&b, "%s%s:", i > 0 ? " " : "", n->pairs[i].key);
            (void)dump(n->pairs[i].value);
        }
        buf_putc(&b, '}');
    }
    depth--;
    return buf_str(&b);
}

/* The right-hand sides follow section 10.3 of the YAML 1.2.2 specification. */
Test(yaml, scalars_follow_the_core_schema_of_1_2)
{
    static const char *const cases[][2] = {
        {"1", "1"},
        {"-12", "-12"},
        {"+3", "3"},
        {"0o14", "12"},
        {"014", "14"},
        {"0xFF", "255"},
        {"0xfg", "\"0xfg\""},
        {"0o8", "\"0o8\""},
        {"1e-4", "0.000100000"},
        {"1.", "1.00000"},
        {".5", "0.500000"},
        {"-1.5E+3", "-1500.00"},
        {".", "\".\""},
        {"1e", "\"1e\""},
        {"+", "\"+\""},
        {"1_000", "\"1_000\""},
        {"1:30", "\"1:30\""},
        {"yes", "\"yes\""},
        {"off", "\"off\""},
        {"true", "true"},
        {"False", "false"},
        {"tRUE", "\"tRUE\""},
        {"~", "null"},
        {"Null", "null"},
        {"nULL", "\"nULL\""},
        {".inf", "inf"},
        {"-.INF", "-inf"},
        {".NaN", "nan"},
        {"inf", "\"inf\""},
        {"nan", "\"nan\""},
        {"'1'", "\"1\""},
        {"\"true\"", "\"true\""},
        {"!!str 1", "\"1\""},
        {"!!float 1", "1.00000"},
        {"! 5", "\"5\""},
        {"2026-11-22", "\"2026-11-22\""},
        {"9223372036854775807", "9223372036854775807"},
        {"9223372036854775808", "9.22337e+18"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        cr_expect_str_eq(dump(parse(cases[i][0])), cases[i][1]);
}

Test(yaml, trees_keep_their_order)
{
    cr_expect_str_eq(
        dump(parse("b: 1\na: {x: [1, 2.5, null], 'y z': \"q\\n\"}\nc:\n- - 1\n- k: v\n")),
        "{b:1 a:{x:[1 2.50000 null] y z:\"q\\n\"} c:[[1] {k:\"v\"}]}");
}

Test(yaml, a_byte_order_mark_is_passed_over)
{
    cr_expect_str_eq(dump(parse("\xef\xbb\xbfy: 1\n")), "{y:1}");
}

Test(yaml, json_is_yaml)
{
    cr_expect_str_eq(
        dump(parse("{\n\t\"a\": [1, -2.5e3, true, null],\n\t\"b\\u00e9\": \"x\\/\\\"y\"\n}\n")),
        "{a:[1 -2500.00 true null] b\xc3\xa9:\"x/\\\"y\"}");
}

Test(yaml, nodes_know_their_place)
{
    struct yaml_node *root = parse("study:\n  name: x\nspace: {a: 1, b: [1,\n  2]}\n");
    const struct yaml_node *name = yaml_get(yaml_get(root, "study"), "name");
    cr_expect(name->line == 2 && name->column == 9);
    const struct yaml_pair *b = yaml_find(yaml_get(root, "space"), "b");
    cr_expect(b->line == 3 && b->column == 15);
    cr_expect(b->value->items[1]->line == 4 && b->value->items[1]->column == 3);
}

Test(yaml, anchors_are_copied_and_merged)
{
    struct yaml_node *root = parse("base: &b {x: 1, y: 2}\none: *b\ntwo: {<<: *b, y: 3}\n"
                                   "three: {<<: [{z: 1}, *b, {z: 2}]}\n");
    cr_expect_str_eq(dump(root),
                     "{base:{x:1 y:2} one:{x:1 y:2} two:{y:3 x:1} three:{z:1 x:1 y:2}}");
    struct yaml_node *one = yaml_get(root, "one");
    cr_assert(yaml_set(pool, one, "x", yaml_scalar(pool, "test", "9")));
    cr_assert(yaml_set(pool, one, "w", yaml_scalar(pool, "test", "9")));
    cr_expect_str_eq(dump(yaml_get(root, "base")), "{x:1 y:2}", "the copy is independent");
}

Test(yaml, mistakes_name_file_line_and_column)
{
    static const char *const cases[][2] = {
        {"", "t.yaml: empty"},
        {"# only a comment\n", "t.yaml: empty"},
        {"a: 1\nb: 2\na: 3\n", "t.yaml:3:1: duplicate key 'a', first in line 1"},
        {"a: *x\n", "t.yaml:1:4: no anchor of this name stands before this alias"},
        {"a: &x [*x]\n", "t.yaml:1:8: no anchor of this name stands before this alias"},
        {"a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document begins here: one is expected"},
        {"[a]: 1\n", "t.yaml:1:1: a key must be a word or a quoted text"},
        {"a: \"x\\0y\"\n", "t.yaml:1:4: text with a NUL character"},
        {"a: !!int x\n", "t.yaml:1:4: a tag that this program does not know, or that does not fit"},
        {"a: !point x\n",
         "t.yaml:1:4: a tag that this program does not know, or that does not fit"},
        {"a: {<<: 3}\n", "t.yaml:1:4: expected a mapping after '<<'"},
        {"a:\n\tb: 1\n",
         "t.yaml:2:1: found character that cannot start any token while scanning for the next "
         "token (a tab cannot indent YAML: use spaces)"},
        {"s: {url: ${URL}}\n",
         "t.yaml:1:11: did not find expected ',' or '}' while parsing a flow mapping "
         "(inside { } or [ ], text with ${…} needs quotes: \"${…}\")"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        cr_expect_str_eq(mistake(cases[i][0]), cases[i][1]);
    cr_expect(strstr(mistake("a: \xff\xfe\n"), "the file must be UTF-8 text") != NULL);
}

Test(yaml, an_alias_bomb_is_refused)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    buf_puts(&b, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 9; i++)
        buf_printf(&b, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n",
                   i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    cr_expect(strstr(mistake(buf_str(&b)), "too large") != NULL);
}

Test(yaml, depth_and_size_have_a_limit)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    for (int i = 0; i < 500; i++)
        buf_putc(&b, '[');
    cr_expect(strstr(mistake(buf_str(&b)), "nested too deeply") != NULL);
    buf_clear(&b);
    buf_puts(&b, "a: ");
    for (int i = 0; i < (1 << 20); i++)
        buf_putc(&b, 'x');
    cr_expect_str_eq(mistake(buf_str(&b)), "t.yaml: larger than 1 MiB");
}

Test(yaml, a_missing_file_is_not_found)
{
    struct yaml_node *n;
    struct err err;
    cr_expect_eq(yaml_read(&n, pool, "/nonexistent/x.yaml", &err), -ERR_NOTFOUND);
    cr_expect_str_eq(err.msg, "/nonexistent/x.yaml: no such file");
    cr_expect_eq(yaml_read(&n, pool, "/", &err), -ERR_IO);
}
