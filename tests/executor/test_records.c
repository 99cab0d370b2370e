/* What is stored of a trial: all of it, or the trial did not succeed; and never without limit. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "storage/storage.h"
#include "tests/lib/sandbox.h"

#define PEAK_KIB 40960 /* the executor's memory, whatever a worker says */

TestSuite(records, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 240);

/* One trial of one try. Returns the exit code. */
#define TRY(...)                                                                                   \
    RUN(120, "-n1", "-j1", "--grace=1s", "budget.attempts=1", "x=float:0..1", __VA_ARGS__)
#define START(...) sandbox_run((const char *const[]){__VA_ARGS__, NULL})

static void touch(const char *path)
{
    FILE *f = fopen(path, "we");
    cr_assert(f != NULL && fclose(f) == 0);
}

static struct sandbox_trial only_trial(void)
{
    struct sandbox_trial t[2];
    cr_assert(eq(int, sandbox_trials(t, 2), 1));
    return t[0];
}

static int64_t open_study(struct store **s)
{
    struct err err = {0};
    int64_t study;
    cr_assert(eq(int, store_open(s, "sqlite:///s.db", NULL, &err), 0), "%s", err.msg);
    cr_assert(eq(int, store_study_find(*s, "s", &study, &err), 0), "%s", err.msg);
    return study;
}

Test(records, a_parameter_that_the_study_has_as_another_kind_is_a_mistake_in_the_spec)
{
    cr_expect(eq(int, RUN(60, "-n1", "x=float:0..1", "--", VICTIM, "ok"), 0));
    cr_expect(eq(int, RUN(60, "-n2", "x=int:0..9", "--", VICTIM, "ok"), 2));
    cr_expect(sandbox_has("out", "parameter 'x'"), "%s", sandbox_text("out"));
    cr_expect(sandbox_has("out", "only ranges may change"));
    cr_expect(eq(int, (int)only_trial().state, TRIAL_COMPLETE)); /* nothing ran */
    cr_expect(eq(int, RUN(60, "-n2", "x=float:0..2", "--", VICTIM, "ok"), 0));
}

Test(records, a_suggestion_of_another_kind_than_the_studys_is_refused)
{
    touch("go");
    cr_expect(eq(int, RUN(60, "-n1", "y=float:0..1", "--", VICTIM, "ok"), 0));
    cr_expect(eq(
        int,
        RUN(60, "-n2", "-j1", "budget.attempts=2", "x=float:0..1", "--", VICTIM, "suggest", "go"),
        1));
    struct sandbox_trial t[2];
    cr_assert(eq(int, sandbox_trials(t, 2), 2));
    cr_expect(eq(int, (int)t[1].state, TRIAL_FAIL));
    cr_expect(strstr(t[1].message, "but the study has it as") != NULL, "%s", t[1].message);
}

Test(records, a_trial_whose_parameters_the_store_refuses_has_failed)
{
    pid_t pid =
        START("-n1", "-j1", "budget.attempts=1", "x=float:0..1", "--", VICTIM, "suggest", "go");
    cr_assert(sandbox_await("log", "start 0", 60));
    {
        /* another process gives y another kind meanwhile */
        const struct dist real = {.kind = DIST_FLOAT, .low = 0, .high = 1};
        const struct trial_param y = {"y", &real, 0.5};
        const struct trial other = {.state = TRIAL_FAIL, .params = &y, .n_params = 1};
        AUTO_STORE struct store *s = NULL;
        struct err err = {0};
        int64_t study = open_study(&s);
        cr_assert(eq(int, store_trial_create(s, study, &other, NULL, NULL, &err), 0), "%s",
                  err.msg);
    }
    touch("go");
    cr_expect(eq(int, sandbox_wait(pid, 60), 1));
    struct sandbox_trial t[2];
    cr_assert(eq(int, sandbox_trials(t, 2), 2));
    cr_expect(eq(int, (int)t[0].state, TRIAL_FAIL));
    cr_expect(eq(str, t[0].fail, (char *)"storage"));
    cr_expect(strstr(t[0].message, "but the study has it as") != NULL, "%s", t[0].message);
}

static int count_steps(void *ctx, const struct trial *t)
{
    *(size_t *)ctx += t->n_steps;
    return 0;
}

Test(records, reports_without_end_are_cut_off)
{
    cr_expect(eq(int, TRY("--", VICTIM, "report", "101000"), 0));
    cr_expect(eq(int, (int)only_trial().state, TRIAL_COMPLETE));
    cr_expect(sandbox_has("err", "over 100000 reports"));
    if (!SANDBOX_SANITIZED)
        cr_expect(lt(long, sandbox_peak_kib(), PEAK_KIB));
    const struct store_each_opts steps = {.want = WANT_STEPS};
    AUTO_STORE struct store *s = NULL;
    struct err err = {0};
    size_t n = 0;
    int64_t study = open_study(&s);
    cr_assert(eq(int, store_trials_each(s, study, &steps, count_steps, &n, &err), 0));
    cr_expect(eq(sz, n, 100000));
}

Test(records, rows_beyond_4_mib_are_cut_off)
{
    cr_expect(eq(int, TRY("--", VICTIM, "rows", "6000"), 0));
    cr_expect(sandbox_has("err", "over 4 MiB of rows and attributes"));
    AUTO_STORE struct store *s = NULL;
    struct err err = {0};
    int64_t n = 0;
    (void)open_study(&s);
    cr_assert(eq(int, store_results_count(s, NULL, NULL, NULL, &n, &err), 0));
    cr_expect(gt(long, (long)n, 3500)); /* of a KiB and a bit */
    cr_expect(lt(long, (long)n, 4096));
}
