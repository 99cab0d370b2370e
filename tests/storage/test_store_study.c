#include <string.h>

#include "tests/storage/store_fixture.h"

static const enum direction both[] = {DIRECTION_MINIMIZE, DIRECTION_MAXIMIZE};

Test(store_study, is_created_once_with_its_directions)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a, b;
    MUST(store_study_create(s, "två", both, 2, &a, &err));
    REFUSED(ERR_EXISTS, store_study_create(s, "två", both, 2, &b, &err));
    MUST(store_study_find(s, "två", &b, &err));
    cr_expect_eq(a, b);
    REFUSED(ERR_NOTFOUND, store_study_find(s, "tva", &b, &err));
    cr_expect_str_eq(
        rows(path, "SELECT direction, objective FROM study_directions ORDER BY objective"),
        "MINIMIZE|0\nMAXIMIZE|1");
    MUST(store_study_create(s, "", both, 1, &b, &err)); /* the empty name is a name */
    store_destroy(s);
}

Test(store_study, opening_with_other_directions_is_a_conflict)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    int64_t again = 0;
    MUST(store_study_open(s, "a", &both[0], 1, &again, &err));
    cr_expect_eq(a, again);
    REFUSED(ERR_CONFLICT, store_study_open(s, "a", &both[1], 1, &again, &err));
    cr_expect_not_null(strstr(err.msg, "minimize"));
    REFUSED(ERR_CONFLICT, store_study_open(s, "a", both, 2, &again, &err));
    store_destroy(s);
}

Test(store_study, the_last_of_many_directions_counts_too)
{
    enum { MANY = 40 };
    struct store *s = must_open(fresh_path());
    enum direction wanted[MANY];
    int64_t a, again;
    for (int i = 0; i < MANY; i++)
        wanted[i] = DIRECTION_MINIMIZE;
    MUST(store_study_create(s, "a", wanted, MANY, &a, &err));
    MUST(store_study_open(s, "a", wanted, MANY, &again, &err));
    cr_expect_eq(a, again);
    wanted[MANY - 1] = DIRECTION_MAXIMIZE;
    REFUSED(ERR_CONFLICT, store_study_open(s, "a", wanted, MANY, &again, &err));
    store_destroy(s);
}

Test(store_study, names_must_be_utf8_and_at_most_512_characters)
{
    struct store *s = must_open(fresh_path());
    int64_t a;
    char name[2 * 513 + 1];
    for (int i = 0; i < 513; i++)
        memcpy(name + 2 * i, "\xc3\xa9", 2);
    name[2 * 513] = '\0';
    REFUSED(ERR_INVALID, store_study_create(s, name, both, 1, &a, &err));
    name[2 * 512] = '\0';
    MUST(store_study_create(s, name, both, 1, &a, &err));
    REFUSED(ERR_INVALID, store_study_create(s, "\xff", both, 1, &a, &err));
    store_destroy(s);
}

Test(store_study, attributes_are_json_and_the_last_one_stays)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    char *json = NULL;
    MUST(store_study_attr_set(s, a, ATTR_USER, "k", "[1, NaN]", &err));
    MUST(store_study_attr_set(s, a, ATTR_USER, "k", "{\"x\": 2.0}", &err));
    MUST(store_study_attr_set(s, a, ATTR_SYSTEM, "k", "1", &err));
    MUST(store_study_attr_get(s, a, ATTR_USER, "k", &json, &err));
    cr_expect_str_eq(json, "{\"x\": 2.0}");
    free(json);
    REFUSED(ERR_INVALID, store_study_attr_set(s, a, ATTR_USER, "k", "{x: 2}", &err));
    REFUSED(ERR_NOTFOUND, store_study_attr_set(s, a + 1, ATTR_USER, "k", "1", &err));
    REFUSED(ERR_NOTFOUND, store_study_attr_get(s, a, ATTR_USER, "other", &json, &err));
    store_destroy(s);
}

static int take_info(void *ctx, const struct study_info *info)
{
    struct study_info *out = ctx;
    *out = *info;
    out->name = NULL; /* not ours to keep */
    return 0;
}

Test(store_study, list_tells_counts_and_times)
{
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    const double v = 1;
    const struct trial done = {.state = TRIAL_COMPLETE,
                               .values = &v,
                               .n_values = 1,
                               .start_us = 1767225600000000,
                               .complete_us = 1767225601000000};
    const struct trial waiting = {.state = TRIAL_WAITING};
    MUST(store_trial_create(s, a, &done, NULL, NULL, &err));
    MUST(store_trial_create(s, a, &waiting, NULL, NULL, &err));
    struct study_info info = {0};
    MUST(store_studies_each(s, take_info, &info, &err));
    cr_expect_eq(info.counts[TRIAL_COMPLETE], 1);
    cr_expect_eq(info.counts[TRIAL_WAITING], 1);
    cr_expect_eq(info.first_start_us, done.start_us);
    cr_expect_eq(info.last_complete_us, done.complete_us);
    cr_expect_eq(info.n_directions, 1);
    store_destroy(s);
}
