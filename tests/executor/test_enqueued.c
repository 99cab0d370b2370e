/* Trials that somebody enqueued, with values that cannot be taken as they are. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "storage/storage.h"
#include "tests/lib/sandbox.h"

TestSuite(enqueued, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 100);

/* As study.enqueue_trial writes it. */
static void enqueue(const char *fixed_params)
{
    AUTO_STORE struct store *s = NULL;
    const enum direction minimize = DIRECTION_MINIMIZE;
    const struct trial_attr fixed = {"fixed_params", fixed_params};
    const struct trial waiting = {
        .state = TRIAL_WAITING, .system_attrs = &fixed, .n_system_attrs = 1};
    struct err err = {0};
    int64_t study;
    cr_assert_eq(store_open(&s, "sqlite:///s.db", NULL, &err), 0, "%s", err.msg);
    cr_assert_eq(store_study_open(s, "s", &minimize, 1, &study, &err), 0, "%s", err.msg);
    cr_assert_eq(store_trial_create(s, study, &waiting, NULL, NULL, &err), 0, "%s", err.msg);
}

static int take_note(void *ctx, const struct trial *t)
{
    char(*notes)[400] = ctx;
    for (size_t i = 0; i < t->n_user_attrs; i++) {
        if (strcmp(t->user_attrs[i].key, "forkless:enqueued") == 0)
            (void)snprintf(notes[t->number], sizeof(notes[0]), "%s", t->user_attrs[i].json);
    }
    return 0;
}

/* forkless:enqueued of the first trials. */
static void read_notes(char notes[][400])
{
    AUTO_STORE struct store *s = NULL;
    const struct store_each_opts each = {.want = WANT_USER_ATTRS};
    struct err err = {0};
    int64_t study;
    cr_assert_eq(store_open(&s, "sqlite:///s.db", NULL, &err), 0, "%s", err.msg);
    cr_assert_eq(store_study_find(s, "s", &study, &err), 0, "%s", err.msg);
    cr_assert_eq(store_trials_each(s, study, &each, take_note, notes, &err), 0, "%s", err.msg);
}

Test(enqueued, a_name_that_no_parameter_has_is_told_with_what_was_meant)
{
    char notes[2][400] = {0};
    enqueue("{\"rate\": 0.5, \"ratee\": 0.25, \"q7\": 1}");
    cr_assert_eq(RUN(60, "-n1", "rate=float:0..1", "--", "/bin/echo", "loss=${rate}"), 0, "%s",
                 sandbox_text("err"));
    read_notes(notes);
    cr_expect_str_eq(notes[0],
                     "[\"enqueued ratee is no parameter of the space: did you mean 'rate'?\", "
                     "\"enqueued q7 is no parameter of the space\"]");
    cr_expect(sandbox_has("err", "trial 0: enqueued ratee is no parameter of the space: did you"),
              "%s", sandbox_text("err"));
}

Test(enqueued, a_name_that_the_worker_never_asked_for_is_told_at_its_end)
{
    char notes[2][400] = {0};
    FILE *go = fopen("go", "we");
    cr_assert(go != NULL && fclose(go) == 0);
    enqueue("{\"y\": 3, \"why\": 4}");
    cr_assert_eq(RUN(60, "-n1", "--", VICTIM, "suggest", "go"), 0, "%s", sandbox_text("err"));
    read_notes(notes);
    cr_expect_str_eq(notes[0], "[\"enqueued why was not asked for\"]");
    cr_expect(sandbox_has("err", "trial 0: enqueued why was not asked for"), "%s",
              sandbox_text("err"));
}

Test(enqueued, what_is_wrong_with_a_value_is_told_and_the_others_are_used)
{
    static const char *const fixed[] = {
        "{\"x\": NaN, \"n\": 3}",
        "{\"n\": 12345678901234567890123, \"x\": 0.25}",
        "{\"x\": \"fast\", \"n\": 2.5, \"c\": \"z\"}",
        "{\"x\": 7.5, \"n\": 4, \"c\": \"q\"}",
        "{\"x\": 1e999}",
        "{\"x\": 0.5, \"n\": 1, \"c\": \"p\"}",
    };
    static const char *const want[] = {
        "[\"enqueued x is not used: \\\"NaN\\\" is not a number\"]",
        "[\"enqueued n is not used: 1.2345678901234568e+22 does not fit into 64 bits\"]",
        "[\"enqueued x is not used: \\\"fast\\\" is not a number\", \"enqueued n is not used: 2.5 "
        "is "
        "not a whole number\", \"enqueued c is not used: \\\"z\\\" is none of the choices "
        "\\\"p\\\", "
        "\\\"q\\\"\"]",
        "[\"enqueued x is out of range: 7.5\"]",
        "[\"enqueued parameters are not used: JSON, line 1 column 11: real number overflow near "
        "'1e999'\"]",
        "",
    };
    char notes[8][400] = {0};
    struct sandbox_trial trials[8];
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        enqueue(fixed[i]);
    cr_assert_eq(RUN(60, "-n6", "-j1", "x=float:0..1", "n=int:1..5", "c=choice:p,q", "--",
                     "/bin/sh", "-c", "echo ${x} ${n} ${c}; echo loss=1"),
                 0, "%s", sandbox_text("err"));
    cr_assert_eq(sandbox_trials(trials, 8), 6);
    read_notes(notes);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        cr_expect_str_eq(notes[i], want[i]);
        cr_expect_str_eq(trials[i].message, "", "no failure");
    }
    cr_expect(sandbox_has("err", "trial 0: enqueued x is not used: "), "%s", sandbox_text("err"));
    cr_expect(sandbox_has("err", "not used: 2.5 is not a whole number; enqueued c is not used"));
    cr_expect(sandbox_has("runs/s/0/stdout.log", " 3 "), "%s", sandbox_text("runs/s/0/stdout.log"));
    cr_expect(sandbox_has("runs/s/1/stdout.log", "0.25 "));
    cr_expect(sandbox_has("runs/s/3/stdout.log", "7.5 4 q"));
    cr_expect(sandbox_has("runs/s/5/stdout.log", "0.5 1 p"));
}
