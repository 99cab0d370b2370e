#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/cond.h"
#include "trials/space.h"

static bool lookup(void *ctx, const char *name, struct value *out)
{
    (void)ctx;
    if (strcmp(name, "booster") == 0)
        *out = (struct value){.kind = VALUE_TEXT, .s = "dart"};
    else if (strcmp(name, "depth") == 0)
        *out = (struct value){.kind = VALUE_INT, .i = 6};
    else if (strcmp(name, "eta") == 0)
        *out = (struct value){.kind = VALUE_REAL, .d = 0.1};
    else if (strcmp(name, "big") == 0)
        *out = (struct value){.kind = VALUE_BOOL, .b = true};
    else if (strcmp(name, "none") == 0)
        *out = (struct value){.kind = VALUE_NULL};
    else
        return false;
    return true;
}

static bool truth(const char *text)
{
    struct cond *c;
    struct err err;
    cr_assert_eq(cond_parse(&c, text, &err), 0, "%s: %s", text, err.msg);
    bool result = cond_eval(c, lookup, NULL);
    cond_destroy(c);
    return result;
}

Test(cond, comparisons_read_like_python)
{
    cr_expect(truth("booster == \"dart\""));
    cr_expect(truth("booster=='dart' and depth > 3"));
    cr_expect(!truth("booster != 'dart'"));
    cr_expect(truth("depth >= 6 and depth <= 6.0 and depth == 6.0"));
    cr_expect(truth("eta < 1e-0"));
    cr_expect(truth("3 < depth"));
    cr_expect(truth("-1 < eta"));
    cr_expect(truth("eta < depth"));
    cr_expect(truth("big == 1 and big"));
    cr_expect(truth("none == null and none == None"));
    cr_expect(truth("booster > 'dar'"));
    cr_expect(truth("booster == 'd\\'' or booster == \"dart\""));
}

Test(cond, lists_are_searched)
{
    cr_expect(truth("booster in [\"gbtree\", 'dart']"));
    cr_expect(truth("depth in [1, 6]"));
    cr_expect(truth("depth not in [1, 2]"));
    cr_expect(!truth("depth not in [6]"));
    cr_expect(truth("6 in [depth, 7]"));
}

Test(cond, not_binds_before_and_before_or)
{
    cr_expect(truth("big or big and none"));
    cr_expect(!truth("(big or big) and none"));
    cr_expect(truth("not depth == 7 and big"));
    cr_expect(!truth("not (depth == 7 or big)"));
    cr_expect(truth("not not big"));
}

Test(cond, what_is_unknown_or_of_another_sort_is_false)
{
    cr_expect(!truth("missing == 1"));
    cr_expect(!truth("missing != 1"));
    cr_expect(!truth("1 < missing"));
    cr_expect(!truth("missing in [1]"));
    cr_expect(!truth("missing"));
    cr_expect(!truth("depth"), "6 is not true");
    cr_expect(!truth("depth < 'x'"));
    cr_expect(!truth("none < 1"));
    cr_expect(truth("depth != 'x'"));
}

Test(cond, mistakes_name_their_column)
{
    static const char *const cases[][2] = {
        {"", "column 1: the condition ends too early"},
        {"a ==", "column 5: the condition ends too early"},
        {"a = 1", "column 3: write '==' to compare"},
        {"a == 1 && b", "column 8: write 'and'"},
        {"a == 1 || b", "column 8: write 'or'"},
        {"!a", "column 1: expected a name, a number or a quoted text"},
        {"a == 'x", "column 6: the text that starts here has no closing quote"},
        {"1 < a < 3", "column 7: join comparisons with 'and': a < b and b < c"},
        {"a in 3", "column 6: expected a list after 'in': [a, b]"},
        {"a in [1 2]", "column 9: expected ',' or ']'"},
        {"a in []", "column 7: expected a name, a number or a quoted text"},
        {"a not 3", "column 3: expected 'in' after 'not'"},
        {"(a == 1", "column 8: expected ')'"},
        {"a == 1)", "column 7: expected 'and', 'or' or the end"},
        {"a == 1.2.3", "column 6: this is not a number"},
        {"and b", "column 1: expected a name or a value before this word"},
        {"3", "column 2: expected a comparison: == != < <= > >= in"},
        {"a == 1 b", "column 8: expected 'and', 'or' or the end"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cond *c = NULL;
        struct err err = {0};
        cr_expect_eq(cond_parse(&c, cases[i][0], &err), -ERR_INVALID, "%s", cases[i][0]);
        cr_expect_str_eq(err.msg, cases[i][1]);
        cr_expect_null(c);
    }
}

Test(cond, deep_nesting_is_refused_not_followed)
{
    char text[20001];
    memset(text, '(', 20000);
    text[20000] = '\0';
    struct cond *c;
    struct err err;
    cr_expect_eq(cond_parse(&c, text, &err), -ERR_INVALID);
    cr_expect(strstr(err.msg, "nested too deeply") != NULL);
}

static void append_name(void *ctx, const char *name)
{
    (void)strcat(strcat(ctx, name), " ");
}

static void append_comparison(void *ctx, const struct cond_comparison *what)
{
    (void)strcat(strcat(strcat(ctx, what->name), what->ordered ? "<" : "="),
                 what->literal->kind == VALUE_TEXT ? "text " : "other ");
}

Test(cond, names_and_their_literals_can_be_visited)
{
    struct cond *c;
    char names[100] = "", comparisons[100] = "";
    cr_assert_eq(cond_parse(&c, "a == 'x' and (b < 3 or c in [1, 'y', d]) or e", NULL), 0);
    cond_names(c, append_name, names);
    cr_expect_str_eq(names, "a b c d e ");
    cond_comparisons(c, append_comparison, comparisons);
    cr_expect_str_eq(comparisons, "a=text b<other c=other c=text ");
    cond_destroy(c);
}

static bool only_factor(void *ctx, const char *name, struct value *out)
{
    if (strcmp(name, "factor") != 0)
        return false;
    *out = (struct value){.kind = VALUE_TEXT, .s = ctx};
    return true;
}

static bool only_gone(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "gone") == 0;
}

static enum cond_truth bound(const char *text, char *factor, bool then)
{
    struct cond *c;
    enum cond_truth t;
    cr_assert_eq(cond_parse(&c, text, NULL), 0);
    cr_assert_eq(cond_bind(c, only_factor, only_gone, factor, &t, NULL), 0);
    cr_expect_eq(cond_eval(c, lookup, NULL), then, "%s with %s", text, factor);
    cond_destroy(c);
    return t;
}

Test(cond, binding_settles_what_it_can)
{
    cr_expect_eq(bound("factor == 'focal'", "focal", true), COND_TRUE);
    cr_expect_eq(bound("factor == 'focal'", "base", false), COND_FALSE);
    cr_expect_eq(bound("factor == 'focal' and depth > 3", "focal", true), COND_OPEN);
    cr_expect_eq(bound("factor == 'focal' and depth > 3", "base", false), COND_FALSE);
    cr_expect_eq(bound("factor == 'focal' or depth > 9", "focal", true), COND_TRUE);
    cr_expect_eq(bound("factor == 'focal' or depth > 9", "base", false), COND_OPEN);
    cr_expect_eq(bound("not factor in ['a', 'b']", "b", false), COND_FALSE);
    cr_expect_eq(bound("not depth > 3", "b", false), COND_OPEN);
    cr_expect_eq(bound("gone > 3", "b", false), COND_FALSE);
    cr_expect_eq(bound("gone == depth", "b", false), COND_FALSE);
    cr_expect_eq(bound("not gone", "b", true), COND_TRUE);
    cr_expect_eq(bound("not gone == 1 and depth > 3", "b", true), COND_OPEN);
    cr_expect_eq(bound("depth == gone", "b", false), COND_FALSE);
    cr_expect_eq(bound("factor in [gone, 'b']", "b", true), COND_TRUE);
}
