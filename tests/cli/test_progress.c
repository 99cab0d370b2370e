/* The progress line at different widths. */
#include <criterion/criterion.h>

#include "cli/progress.h"

static const struct executor_study study = {
    .has_best = true, .best_value = 0.702172, .best_number = 17, .done_before = 10};

static const struct executor_status running = {.done = 20,
                                               .failed = 2,
                                               .running = 4,
                                               .target = 40,
                                               .studies = &study,
                                               .n_studies = 1,
                                               .elapsed_ms = 10000,
                                               .quietest_ms = 6000};

static const char *line_for(const struct executor_status *status, int width)
{
    static struct buf line;
    struct progress p;
    progress_init(&p, "auc");
    progress_line(&line, &p, status, width);
    return buf_str(&line);
}

static const char *line_of(int width)
{
    return line_for(&running, width);
}

Test(progress, a_wide_line_has_all)
{
    cr_expect_str_eq(
        line_of(200),
        "━━━━━━━━━━┄┄┄┄┄┄┄┄┄┄ 20/40 · 4 running · 2 failed · best auc 0.702172 (#17) · "
        "1.0/s · 20 s left · quiet for 6.0 s");
}

Test(progress, what_does_not_fit_is_left_out_whole)
{
    cr_expect_str_eq(
        line_of(110),
        "━━━━━━━━━━┄┄┄┄┄┄┄┄┄┄ 20/40 · 4 running · 2 failed · best auc 0.702172 (#17) · "
        "20 s left · quiet for 6.0 s");
    cr_expect_str_eq(line_of(79), "20/40 · 2 failed · best auc 0.702172 (#17) · 20 s left · quiet "
                                  "for 6.0 s");
    cr_expect_str_eq(line_of(40), "20/40 · 2 failed · 20 s left");
    cr_expect_str_eq(line_of(1), "20/40");
}

static const char *stopping(int signals, int still_running, int width)
{
    struct executor_status status = running;
    status.signals = signals;
    status.running = still_running;
    return line_for(&status, width);
}

Test(progress, it_says_that_it_stops_and_what_one_more_ctrl_c_does)
{
    cr_expect_str_eq(stopping(1, 2, 200),
                     "stopping: 2 still run · Ctrl-C again ends them now · 20/40 · 2 failed · best "
                     "auc 0.702172 (#17)");
    cr_expect_str_eq(stopping(1, 1, 79),
                     "stopping: 1 still runs · Ctrl-C again ends it now · 20/40 · 2 failed");
    cr_expect_str_eq(stopping(2, 2, 79),
                     "stopping: 2 still run · 20/40 · 2 failed · best auc 0.702172 (#17)");
    cr_expect_str_eq(stopping(1, 0, 50), "stopping: results are being stored · 20/40");
    cr_expect_str_eq(stopping(1, 2, 40), "stopping: 2 still run · 20/40");
}

Test(progress, more_than_was_asked_for_is_said_plainly)
{
    struct executor_status status = running;
    status.target = 3;
    cr_expect_str_eq(line_for(&status, 60),
                     "20 done, 3 asked for · 2 failed · best auc 0.702172 (#17)");
}
